"""Presets and command line: the parts' options, composed and checked, as flat flags of one sub-command a preset."""

import contextlib
import io
import os
import re
import sys
from dataclasses import dataclass, field, replace

from core.data.augment import AugmentConfig
from core.data.dataset import DataConfig
from core.data.views import ViewConfig
from core.generation.sampling import SamplingConfig
from core.groups import StepConfig
from core.inference.options import InferConfig
from core.model.arae import ArAEConfig
from core.model.decoder import DecoderConfig
from core.model.diffusion import DiffusionConfig, DiffusionSampling
from core.model.dit import DiTConfig
from core.model.image_encoder import ViTConfig
from core.model.point_encoder import PointEncoderConfig
from core.tokens import TokenizerConfig
from core.training.options import RENAMED, TrainConfig


@dataclass(frozen=True)
class Config:
    """Every option of a run."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ArAEConfig = field(default_factory=ArAEConfig)
    data: DataConfig = field(default_factory=DataConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    test: InferConfig = field(default_factory=InferConfig)
    latent_sampling: DiffusionSampling = field(default_factory=DiffusionSampling)

    def __post_init__(self):
        shortest = 9  # tokens of one face
        if self.model.decoder.max_seq_length < shortest:
            raise ValueError(
                f"--max_seq_length {self.model.decoder.max_seq_length}: a single face takes {shortest} tokens"
            )
        of_face_decoder = self.tokenizer.use_meto and self.tokenizer.meto_backend == "LR_ABSCO"
        if self.model.decoder.decoder == "face" and not of_face_decoder:
            raise ValueError("--decoder face writes --meto_backend LR_ABSCO, with --use_meto")


def point_model(points: PointEncoderConfig, decoder: DecoderConfig, **options) -> ArAEConfig:
    """A point-conditioned model with face counts; `num_cond_tokens` follows from its latent."""
    num_cond_tokens = points.point_latent_size + 1
    return ArAEConfig(points, decoder, "point", num_cond_tokens, use_num_face_cond=True, **options)


ARAE = Config(
    model=point_model(
        PointEncoderConfig(),
        DecoderConfig(max_seq_length=40960, hidden_dim=1536, num_layers=24, num_heads=16),
    ),
    data=DataConfig(max_face_length=4000),
    train=TrainConfig(batch_size=4, lr=1e-5, warmup_ratio=0.0, num_epochs=100, checkpointing=True),
)

# The same with the face decoder: a fourth of the steps, no table of positions, twice the faces.
ARAE_FACE = replace(
    ARAE,
    model=point_model(
        PointEncoderConfig(), DecoderConfig("face", max_seq_length=40960, hidden_dim=1536, num_layers=24, num_heads=16)
    ),
    data=DataConfig(max_face_length=8000),
)

# Trains within hours on two cores; the weights in pretrained/ArAE-tiny are of this preset.
ARAE_TINY = Config(
    tokenizer=TokenizerConfig(discrete_bins=128),
    model=point_model(
        PointEncoderConfig(
            point_num=1024, point_hidden_dim=128, point_num_heads=4, point_latent_size=32, point_latent_dim=64
        ),
        DecoderConfig("face", max_seq_length=2560, hidden_dim=256, num_layers=5, num_heads=4, dropout=0.0),
        steps=StepConfig(near_points=16, spread_points=8),
    ),
    data=DataConfig(
        max_face_length=400,
        augment=AugmentConfig(rotate_step=90, use_mirror_aug=True, use_stretch_aug=True, use_damage_aug=True),
    ),
    train=TrainConfig(
        batch_size=12,
        batch_tokens=8192,
        optimizer="muon",
        lr=1.5e-3,
        weight_decay=0.05,
        warmup_ratio=0.02,
        num_epochs=100,
    ),
    test=InferConfig(test_num_face=(400,), sampling=SamplingConfig(refuse_faces=True, candidates=128, top_k=50)),
)

# ArAE-tiny's sizes with the token decoder, to compare with, and the rate at which that learns most (docs/decoders.md).
ARAE_TINY_TOKEN = replace(
    ARAE_TINY,
    model=replace(ARAE_TINY.model, decoder=replace(ARAE_TINY.model.decoder, decoder="token")),
    train=replace(ARAE_TINY.train, optimizer="adamw", lr=7e-4),
)

# The smallest model that is still all of the system: for tests, and to see a change train within a minute.
ARAE_NANO = Config(
    tokenizer=TokenizerConfig(discrete_bins=64),
    model=point_model(
        PointEncoderConfig(
            point_num=256, point_hidden_dim=64, point_num_heads=4, point_latent_size=16, point_latent_dim=32
        ),
        DecoderConfig(max_seq_length=512, hidden_dim=96, num_layers=3, num_heads=4, dropout=0.0),
    ),
    data=DataConfig(max_face_length=80),
    train=TrainConfig(batch_size=4, lr=2e-3, warmup_ratio=0.02, num_epochs=100),
    test=InferConfig(test_num_face=(80,)),
)

ARAE_NANO_FACE = replace(
    ARAE_NANO,
    model=replace(
        ARAE_NANO.model,
        decoder=replace(ARAE_NANO.model.decoder, decoder="face"),
        steps=StepConfig(near_points=4, spread_points=4),
    ),
)

# The DiT's presets hold those of the ArAE whose latents they learn.
DIT = replace(
    ARAE,
    data=DataConfig(max_face_length=8000, augment=AugmentConfig(use_decimate_aug=False)),
    train=TrainConfig(
        batch_size=8, lr=1e-5, weight_decay=0.1, num_epochs=300, eval_mode="none", warmup_ratio=0.0, checkpointing=True
    ),
)

# What a picture does not show is not varied: pictures are centred, so size says nothing; walls stay along the axes.
SMALL_DIT_AUGMENT = AugmentConfig(
    use_decimate_aug=False,
    use_scale_aug=False,
    rotate_step=90,
    use_jitter_aug=False,
    use_mirror_aug=True,
    use_stretch_aug=True,
)

DIT_TINY = replace(
    ARAE_TINY,
    data=DataConfig(max_face_length=800, augment=SMALL_DIT_AUGMENT),
    diffusion=DiffusionConfig(
        DiTConfig(dit_hidden_dim=192, dit_num_heads=4, dit_num_layers=6, dit_pooled=True, dit_position_std=1.0),
        ViTConfig(vit_size=112, vit_hidden_dim=192, vit_num_layers=4, vit_num_heads=4),
        dit_image_encoder="vit",
        snr_gamma=0.0,
        latent_std=0.15,
        preconditioned=True,
        zero_terminal_snr=True,
    ),
    views=ViewConfig(view_size=112),
    train=TrainConfig(batch_size=32, lr=1e-3, weight_decay=0.05, warmup_ratio=0.05, num_epochs=100),
    latent_sampling=DiffusionSampling(num_inference_steps=6, guidance_scale=1.5),
)

DIT_NANO = replace(
    ARAE_NANO,
    data=DataConfig(max_face_length=80, num_shapes=64, augment=SMALL_DIT_AUGMENT),
    diffusion=replace(
        DIT_TINY.diffusion,
        dit=DiTConfig(48, dit_num_heads=2, dit_num_layers=2, dit_pooled=True, dit_position_std=1.0),
        vit=ViTConfig(vit_size=64, vit_hidden_dim=48, vit_num_layers=1, vit_num_heads=2),
    ),
    views=ViewConfig(view_size=64),
    train=TrainConfig(batch_size=8, lr=1e-3, weight_decay=0.05, warmup_ratio=0.05, num_epochs=100),
    latent_sampling=DiffusionSampling(num_inference_steps=20, guidance_scale=2.0),
)

PRESETS: dict[str, tuple[str, Config]] = {
    "ArAE": ("full size, as published: 24 layers of 1536, 512 bins, up to 4,000 faces", ARAE),
    "ArAE-face": ("full size with the face decoder: a step a face, up to 8,000 faces", ARAE_FACE),
    "ArAE-tiny": ("for the CPU: face decoder, 5 layers of 256, 128 bins, up to 400 faces; its weights ship", ARAE_TINY),
    "ArAE-tiny-token": ("ArAE-tiny's sizes with the token decoder, to compare with", ARAE_TINY_TOKEN),
    "ArAE-nano": ("the smallest, for tests: 3 layers of 96, 64 bins, up to 80 faces", ARAE_NANO),
    "ArAE-nano-face": ("the smallest with the face decoder, for tests", ARAE_NANO_FACE),
    "DiT": ("image to mesh, full size: 24 layers of 1024 on CLIP ViT-H/14, for the latents of ArAE", DIT),
    "DiT-tiny": ("image to mesh for the CPU: 6 layers of 192 and a tower of its own, for ArAE-tiny", DIT_TINY),
    "DiT-nano": ("image to mesh, the smallest, for tests, for ArAE-nano", DIT_NANO),
}


def parse_cli(description: str, args: list[str] | None = None) -> tuple[str, Config]:
    """The preset's name and the options of a command line.

    Args:
        description: for --help.
        args: words after the script's name; None takes them from the process.

    Raises:
        ValueError: an unknown preset, or options that contradict each other.
    """
    args = [_present_name(word) for word in (sys.argv[1:] if args is None else args)]
    if args and not args[0].startswith("-") and args[0] not in PRESETS:
        raise ValueError(f"unknown preset {args[0]!r}: it is one of {', '.join(PRESETS)}")
    complaint = io.StringIO()
    try:
        with _wide_terminal(), contextlib.redirect_stderr(complaint):
            return args[0] if args else "", _parse(description, args, show_help=False)
    except SystemExit:
        # What an option's own check says is told as every other error is; tyro would draw a box around it.
        if refused := re.search(r"Error parsing [^:]+: (--.*?)[\s│|]*$", complaint.getvalue(), re.MULTILINE):
            raise ValueError(refused[1]) from None
    return args[0] if args else "", _parse(description, args)  # exits with tyro's own words, or the help


def _present_name(word: str) -> str:
    """A word of the command line; the flag of an option that was renamed under its present name."""
    name = word.removeprefix("--").replace("-", "_")
    for old, new in RENAMED.items():
        if word.startswith("--") and name in (old, f"no_{old}"):
            return "--" + name.replace(old, new)
    return word


def _parse(description: str, args: list[str], show_help: bool = True) -> Config:
    import tyro

    return tyro.extras.overridable_config_cli(
        PRESETS,
        description=description,
        args=args,
        add_help=show_help,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff),
        use_underscores=True,
    )


@contextlib.contextmanager
def _wide_terminal():
    """Let nothing be wrapped, so that messages can be found."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def with_overrides(config: Config, **values) -> Config:
    """The config with leaf options replaced by name, whatever part they belong to.

    Raises:
        ValueError: no part has an option of that name.
    """
    taken: set[str] = set()
    config = _override(config, values, taken)
    if unknown := values.keys() - taken:
        raise ValueError(f"no option is called {', '.join(sorted(unknown))}")
    return config


def _override(part, values: dict, taken: set[str]):
    changes = {}
    for name in part.__dataclass_fields__:
        value = getattr(part, name)
        if hasattr(value, "__dataclass_fields__"):
            changes[name] = _override(value, values, taken)
        elif name in values:
            changes[name] = values[name]
            taken.add(name)
    return replace(part, **changes)
