"""Image -> tokens: a vision tower of transformers (CLIP ViT-H/14 by default), or a small one of our own.

A tower is a module with `.config.hidden_size` and `.config.image_size` whose result has `.last_hidden_state`.
"""

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.layers import LAYER_NORM_EPS, attention, merge_heads, split_heads

CLIP_VIT_H = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
OWN_TOWER = "vit"  # the name of the small one
CLIP_TYPES = ("clip", "clip_vision_model")


@dataclass(frozen=True)
class ViTConfig:
    """The small tower, trained with what it serves."""

    vit_size: int = 112
    """Pixels that --dit_image_encoder vit sees: a multiple of 16."""
    vit_hidden_dim: int = 192
    """Width of --dit_image_encoder vit."""
    vit_num_layers: int = 4
    """Transformer layers of --dit_image_encoder vit, after four convolutions."""
    vit_num_heads: int = 4
    """Attention heads of --dit_image_encoder vit."""

    def __post_init__(self) -> None:
        if self.vit_size < 32 or self.vit_size % STEM_STRIDE:
            raise ValueError(f"--vit_size {self.vit_size}: a multiple of {STEM_STRIDE} from 32 on is needed")
        if self.vit_num_heads < 1 or self.vit_hidden_dim % (8 * self.vit_num_heads):
            raise ValueError(
                f"--vit_hidden_dim {self.vit_hidden_dim}: a multiple of 8 times --vit_num_heads "
                f"({self.vit_num_heads}) is needed"
            )


STEM_STRIDE = 16


class ViTBlock(nn.Module):
    """Pre-norm self-attention and MLP."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.ln1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.qkv_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)
        self.ln2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(part, self.num_heads) for part in self.qkv_proj(self.ln1(x)).chunk(3, dim=-1))
        x = x + self.out_proj(merge_heads(attention(q, k, v)))
        return x + self.mlp(self.ln2(x))


class SmallViT(nn.Module):
    """Four strided convolutions, then a transformer: a stem of convolutions learns from little (arXiv 2106.14881)."""

    def __init__(self, config: ViTConfig):
        super().__init__()
        dim = config.vit_hidden_dim
        self.config = SimpleNamespace(hidden_size=dim, image_size=config.vit_size)
        widths = [3, dim // 8, dim // 4, dim // 2, dim]
        stem: list[nn.Module] = []
        for before, after in pairwise(widths):
            stem += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(1, after, eps=LAYER_NORM_EPS), nn.GELU()]
        self.stem = nn.Sequential(*stem[:-1])
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, (config.vit_size // STEM_STRIDE) ** 2, dim))
        self.blocks = nn.ModuleList(ViTBlock(dim, config.vit_num_heads) for _ in range(config.vit_num_layers))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def forward(self, pixels: Tensor) -> SimpleNamespace:
        """pixels (B, 3, S, S), normalised -> last_hidden_state (B, (S/16)^2, C)."""
        x = self.stem(pixels).flatten(2).transpose(1, 2) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return SimpleNamespace(last_hidden_state=self.norm(x))


def build_image_encoder(name: str, vit: ViTConfig) -> nn.Module:
    """The tower of a name: `vit` for the small one with fresh weights, else see `load_image_encoder`."""
    return SmallViT(vit) if name == OWN_TOWER else load_image_encoder(name, "--dit_image_encoder")


def preprocess(images: Tensor, size: int = 224, mean: tuple = CLIP_MEAN, std: tuple = CLIP_STD) -> Tensor:
    """Resize images (B, 3, H, W) in [0, 1] bilinearly to size x size and normalise them, by CLIP's mean and std."""
    if images.shape[-2:] != (size, size):
        images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
    return (images - images.new_tensor(mean).view(3, 1, 1)) / images.new_tensor(std).view(3, 1, 1)


def load_image_encoder(name: str, flag: str = "--image_encoder") -> nn.Module:
    """A vision tower of transformers by hub id or local folder: CLIP's, SigLIP's, DINOv2, ViT ...

    Args:
        name: where to read it.
        flag: the option that names it, for messages.

    Raises:
        ValueError: it is neither on this disk nor to be had from the hub, or takes no images.
    """
    from transformers import AutoConfig

    try:
        kind = AutoConfig.from_pretrained(name).model_type
        tower = _tower_class(kind).from_pretrained(name)
        tower.pixel_statistics = (CLIP_MEAN, CLIP_STD) if kind in CLIP_TYPES else _pixel_statistics(name)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{flag} {name}: neither a local folder with a vision model nor one that the hub gives "
            f"({str(error).splitlines()[0]})"
        ) from error
    if not hasattr(tower.config, "image_size") or not hasattr(tower.config, "hidden_size"):
        raise ValueError(f"{flag} {name}: a {kind} model takes no images of a fixed size")
    return tower


def _tower_class(kind: str):
    import transformers

    if kind in CLIP_TYPES:
        return transformers.CLIPVisionModel
    if kind in ("siglip", "siglip_vision_model"):
        return transformers.SiglipVisionModel
    return transformers.AutoModel


def _pixel_statistics(name: str) -> tuple[tuple, tuple]:
    """Mean and std that a tower's pictures are normalised by, as stored beside it; CLIP's where nothing is."""
    from transformers.image_processing_utils import BaseImageProcessor

    try:
        options, _ = BaseImageProcessor.get_image_processor_dict(name)
    except OSError:
        return CLIP_MEAN, CLIP_STD
    return tuple(options.get("image_mean", CLIP_MEAN)), tuple(options.get("image_std", CLIP_STD))


def encode_images(tower: nn.Module, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] -> the tower's last hidden states (B, tokens, channels)."""
    mean, std = getattr(tower, "pixel_statistics", (CLIP_MEAN, CLIP_STD))
    pixels = preprocess(images, tower.config.image_size, mean, std)  # type: ignore[union-attr, arg-type]
    dtype = next(tower.parameters()).dtype
    return tower(pixels.to(dtype)).last_hidden_state


def freeze(module: nn.Module) -> nn.Module:
    """Evaluation mode for good, and no gradients."""
    module.requires_grad_(False)
    module.train(False)
    module.train = lambda mode=True: module  # type: ignore[method-assign]
    return module
