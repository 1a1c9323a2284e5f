"""Presets and the command line."""

import dataclasses

import pytest
import torch

from core.config import PRESETS, Config, parse_cli, with_overrides
from core.model.arae import ArAE
from core.tokens import Tokenizer

# Flags that users of the reference type, and their defaults without a preset.
DEFAULTS = {
    "discrete_bins": 512,
    "use_meto": True,
    "meto_backend": "LR_ABSCO",
    "point_num": 8192,
    "point_hidden_dim": 1024,
    "point_num_heads": 16,
    "point_latent_size": 2048,
    "point_latent_dim": 64,
    "point_encoder_mode": "embed",
    "kl_weight": 1e-8,
    "max_seq_length": 10240,
    "hidden_dim": 1024,
    "intermediate_dim": None,
    "num_layers": 24,
    "num_heads": 16,
    "cond_mode": "image",
    "num_cond_tokens": 257,
    "nof_dropout_ratio": 0.2,
    "max_face_length": 1000,
    "num_workers": 64,
    "testset_size": 32,
    "use_decimate_aug": True,
    "use_scale_aug": True,
    "batch_size": 4,
    "gradient_accumulation_steps": 1,
    "num_epochs": 100,
    "gradient_clip": 1.0,
    "mixed_precision": "bf16",
    "lr": 1e-4,
    "warmup_ratio": 0.01,
    "seed": 0,
    "eval_mode": "loss",
    "align_posemb": "right",
    "test_repeat": 1,
    "test_num_face": (1000,),
    "resume": "",
    "resume2": "",
}


def leaves(part) -> dict:
    """Every option by its flag's name; a name that comes twice is an error."""
    found: dict = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        more = leaves(value) if dataclasses.is_dataclass(value) else {field.name: value}
        assert not found.keys() & more.keys(), f"options of the same name: {found.keys() & more.keys()}"
        found |= more
    return found


def test_flags_keep_their_names_and_defaults():
    options = leaves(Config())
    assert {name: options.get(name, "missing") for name in DEFAULTS} == DEFAULTS


def test_the_full_size_preset_is_the_published_one():
    options = leaves(PRESETS["ArAE"][1])
    expected = {"hidden_dim": 1536, "num_layers": 24, "num_heads": 16, "cond_mode": "point", "num_cond_tokens": 2049}
    expected |= {"use_num_face_cond": True, "max_face_length": 4000, "max_seq_length": 40960, "batch_size": 4}
    expected |= {"lr": 1e-5, "warmup_ratio": 0.0, "num_epochs": 100, "checkpointing": True}
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build(name):
    config = PRESETS[name][1]
    with torch.device("meta"):
        model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size)
    parameters = sum(p.numel() for p in model.parameters())
    if name in ("ArAE", "ArAE-face", "DiT"):  # a DiT preset holds its ArAE
        assert 0.7e9 < parameters < 0.8e9
    else:
        assert parameters < 12.5e6  # half precision, 25 MB


@pytest.mark.parametrize("name", PRESETS)
def test_every_flag_has_a_help_text(name, capsys):
    with pytest.raises(SystemExit) as exit_info:
        parse_cli("about", [name, "--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    for flag in leaves(PRESETS[name][1]):
        assert f"--{flag}" in text


def test_words_override_the_preset():
    words = ["ArAE-nano", "--test_num_face", "100", "-1", "--no_use_meto", "--lr", "0.5", "--data", "a", "b"]
    name, config = parse_cli("about", words)
    assert name == "ArAE-nano"
    assert config.test.test_num_face == (100, -1)
    assert not config.tokenizer.use_meto
    assert config.train.lr == 0.5
    assert tuple(config.data.data) == ("a", "b")
    assert config.model == PRESETS["ArAE-nano"][1].model


@pytest.mark.parametrize("flag", ["--ignore_memory_check", "--allow_misfit", "--allow-misfit"])
def test_the_old_name_of_an_option_still_works(flag):
    assert parse_cli("about", ["ArAE-nano", flag])[1].train.ignore_memory_check
    assert not parse_cli("about", ["ArAE-nano", flag, "--no_allow_misfit"])[1].train.ignore_memory_check
    assert tuple(parse_cli("about", ["ArAE-nano", "--data", "allow_misfit"])[1].data.data) == ("allow_misfit",)


def test_face_decoder_needs_its_tokenizer():
    with pytest.raises(ValueError, match="--decoder face writes --meto_backend LR_ABSCO"):
        parse_cli("about", ["ArAE-tiny", "--meto_backend", "LR"])


def test_bad_words_are_refused(capsys):
    with pytest.raises(ValueError, match="unknown preset 'Foo': it is one of ArAE"):
        parse_cli("about", ["Foo"])
    with pytest.raises(ValueError, match="^--lr -1"):
        parse_cli("about", ["ArAE-tiny", "--lr", "-1"])
    with pytest.raises(ValueError, match="^--max_seq_length 5: a single face takes"):
        parse_cli("about", ["ArAE-tiny", "--max_seq_length", "5"])
    with pytest.raises(SystemExit) as exit_info:
        parse_cli("about", ["ArAE-tiny", "--no-such-flag", "3"])
    assert exit_info.value.code == 2
    assert "no-such-flag" in capsys.readouterr().err


def test_overrides_by_name():
    config = with_overrides(PRESETS["ArAE-nano"][1], lr=0.25, point_num=64, hidden_dim=64)
    assert (config.train.lr, config.model.point_encoder.point_num, config.model.decoder.hidden_dim) == (0.25, 64, 64)
    with pytest.raises(ValueError, match="no option is called no_such"):
        with_overrides(config, no_such=1)
