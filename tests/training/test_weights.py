"""Weights from everywhere into a model."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from core.config import ARAE, with_overrides
from core.model.arae import ArAE
from core.training.weights import build_loaded, load_weights, read_json


class Decoder(nn.Module):
    """Names as in the real model's checkpoints: mesh_decoder.model.embed_positions.weight."""

    def __init__(self, rows: int = 6):
        super().__init__()
        self.mesh_decoder = nn.ModuleDict({"model": nn.ModuleDict({"embed_positions": nn.Embedding(rows, 4)})})
        self.proj = nn.Linear(4, 3)

    @property
    def positions(self):
        return self.mesh_decoder["model"]["embed_positions"].weight


def state(rows=6):
    """Every value different, so that a misplaced one shows."""
    model = Decoder(rows)
    start = 0
    for tensor in model.state_dict().values():
        tensor.copy_(torch.arange(start, start + tensor.numel()).view(tensor.shape) / 64)
        start += tensor.numel()
    return model.state_dict()


def write(path, tensors, **extra):
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(extra or tensors, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_is_refused_and_its_parameter_named(tmp_path, value, suffix):
    tensors = state()
    tensors["proj.weight"][1, 2] = value
    path = write(tmp_path / f"w{suffix}", tensors)
    for strict in (False, True):
        model, before = Decoder(), state()
        model.load_state_dict(before)
        with pytest.raises(ValueError, match=r"w\.\w+: 1 of 12 values of proj.weight are NaN or infinite"):
            load_weights(model, path, strict=strict)
        assert_is(model, before)
    with pytest.raises(ValueError, match="values of proj.weight are NaN or infinite"):
        build_loaded(Decoder, path, torch.float32)


def test_a_value_beyond_the_precision_asked_for_is_refused(tmp_path):
    tensors = state()
    tensors["proj.bias"][0] = 1e6
    path = write(tmp_path / "w.safetensors", tensors)
    assert build_loaded(Decoder, path, torch.bfloat16).proj.bias[0] == 999424
    with pytest.raises(ValueError, match=r"proj.bias \(to 1e\+06\) do not fit torch.float16"):
        build_loaded(Decoder, path, torch.float16)


def assert_is(model, tensors):
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, tensors[name].float()), name


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_bare_files_of_any_precision(tmp_path, suffix, dtype):
    tensors = {name: tensor.to(dtype) for name, tensor in state().items()}
    model = Decoder()
    report = load_weights(model, write(tmp_path / f"w{suffix}", tensors), strict=True)
    assert_is(model, tensors)
    assert report.loaded == 3
    assert not report.lines()
    assert model.proj.weight.dtype == torch.float32


def test_folder_and_wrapped_pickle(tmp_path):
    write(tmp_path / "model.safetensors", state())
    load_weights(folder := Decoder(), tmp_path, strict=True)
    assert_is(folder, state())
    nested = {f"module.{name}": tensor for name, tensor in state().items()}
    write(tmp_path / "w.pt", nested, state_dict=nested, epoch=3)
    load_weights(pickled := Decoder(), tmp_path / "w.pt", strict=True)
    assert_is(pickled, state())


@pytest.mark.parametrize("there", [4, 9])
@pytest.mark.parametrize("align", ["left", "right"])
def test_positions_of_another_length_are_aligned(tmp_path, there, align, caplog):
    model = Decoder(6)
    before = model.positions.detach().clone()
    source = state(there)
    report = load_weights(model, write(tmp_path / "w.safetensors", source), align=align)
    rows = source["mesh_decoder.model.embed_positions.weight"]
    n = min(6, there)
    if align == "left":
        assert torch.equal(model.positions[:n], rows[:n])
        assert torch.equal(model.positions[n:], before[n:])
    else:
        assert torch.equal(model.positions[-n:], rows[-n:])
        assert torch.equal(model.positions[: 6 - n], before[: 6 - n])
    assert report.aligned == [f"mesh_decoder.model.embed_positions.weight ({there} rows to 6, {align})"]
    assert f"{there} rows to 6, {align}" in caplog.text


def test_every_difference_is_named_in_one_warning(tmp_path, caplog):
    tensors = state()
    tensors["proj.weight"] = torch.zeros(5, 4)
    del tensors["proj.bias"]
    tensors["other.weight"] = torch.zeros(1)
    tensors["point_encoder.point_embed.basis"] = torch.zeros(3, 24)  # the reference stores this constant
    model = Decoder()
    before = model.proj.weight.detach().clone()
    with caplog.at_level(logging.WARNING):
        report = load_weights(model, write(tmp_path / "w.safetensors", tensors))
    assert report.missing == ["proj.bias"]
    assert report.unexpected == ["other.weight"]
    assert report.mismatched == ["proj.weight (file 5x4, model 3x4)"]
    assert report.loaded == 1
    assert torch.equal(model.proj.weight, before)
    assert len(caplog.records) == 1
    for text in ("proj.bias", "other.weight", "5x4", "3x4"):
        assert text in caplog.text
    assert "basis" not in caplog.text


def test_strict_names_each_difference_and_copies_nothing(tmp_path):
    tensors = {**state(8), "proj.weight": torch.zeros(5, 4), "extra": torch.zeros(1)}
    model = Decoder(6)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"(?s)extra.*embed_positions.weight \(file 8x4, model 6x4\).*5x4, model 3x4"):
        load_weights(model, write(tmp_path / "w.safetensors", tensors), strict=True)
    assert_is(model, before)


def test_nothing_in_common(tmp_path):
    with pytest.raises(ValueError, match=r"no parameter in common.*a, b"):
        load_weights(Decoder(), write(tmp_path / "w.pt", {"a": torch.zeros(1), "b": torch.zeros(1)}))


@pytest.mark.parametrize("name", ["missing.safetensors", "some/where/missing", "./missing"])
def test_missing_path(name):
    with pytest.raises(ValueError, match=r"missing.*no such file or folder of weights"):
        load_weights(Decoder(), name)


def test_a_mistyped_local_folder_is_not_looked_up_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    with pytest.raises(ValueError, match="pretrained/ArAE-tinny: no such file or folder of weights"):
        load_weights(Decoder(), "pretrained/ArAE-tinny")


def test_hub_id_that_cannot_be_fetched(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"somebody/something: no such file or folder here.*hub") as caught:
        load_weights(Decoder(), "somebody/something")
    assert "\n" not in str(caught.value)


def test_hub_id(tmp_path, monkeypatch):
    import huggingface_hub

    file = write(tmp_path / "model.safetensors", state())
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, name: {"me/it": str(tmp_path / name)}[repo])
    load_weights(model := Decoder(), "me/it", strict=True)
    assert file.exists()
    assert_is(model, state())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", None])
def test_broken_files(tmp_path, suffix, content):
    file = write(tmp_path / f"w{suffix}", state())
    file.write_bytes(file.read_bytes()[:-20] if content is None else content)
    with pytest.raises(ValueError, match="broken or not a file of weights") as caught:
        load_weights(Decoder(), file)
    assert "\n" not in str(caught.value)


def test_a_pickle_with_code_in_it_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"proj.bias": Evil()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="broken or not a file of weights"):
        load_weights(Decoder(), tmp_path / "w.pt")


def test_a_checkpoint_of_the_reference_loads_as_it_is(tmp_path):
    """Its names and shapes, the constant that it stores included."""
    record = json.loads((Path(__file__).parents[1] / "golden" / "model_golden.json").read_text())
    config = with_overrides(ARAE, **record["config"])
    tensors = {name: torch.full(shape, 0.5) for name, shape in record["state"].items()}
    model = ArAE(config.model, record["vocab"])
    report = load_weights(model, write(tmp_path / "ArAE.safetensors", tensors), strict=True)
    assert report.loaded == len(model.state_dict())
    assert all((tensor == 0.5).all() for tensor in model.state_dict().values())


def test_other_suffixes_and_empty_folders(tmp_path):
    (tmp_path / "mesh.obj").write_text("v 0 0 0")
    with pytest.raises(ValueError, match=r"weights are \.safetensors or \.pt"):
        load_weights(Decoder(), tmp_path / "mesh.obj")
    with pytest.raises(ValueError, match="no weights in this folder"):
        load_weights(Decoder(), tmp_path)


def test_strict_loading_says_first_what_is_wrong(tmp_path):
    """A summary, then the options that the weights were made with, then a parameter a line."""
    from core.config import ARAE_NANO, with_overrides
    from core.model.arae import ArAE

    config = {"options": asdict(ARAE_NANO)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(ArAE(ARAE_NANO.model, 70).state_dict(), tmp_path / "model.safetensors")
    wider = ArAE(with_overrides(ARAE_NANO, hidden_dim=64, num_layers=2).model, 70)
    with pytest.raises(ValueError, match="not the weights of this model") as caught:
        load_weights(wider, tmp_path, strict=True)
    first, second, *rest = str(caught.value).splitlines()
    assert "16 not in the model" in first
    assert "of another shape" in first
    assert second == "  made with other options: --hidden_dim 96 (64 here), --num_layers 3 (2 here)"
    assert len(rest) == sum(int(part.split()[0]) for part in first.split("model: ")[1].split(", "))


@pytest.mark.parametrize("content", [b'{"options": {', b"[1]", b"\xff\xfe\x00"])
def test_a_damaged_config_is_named_in_one_line(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config.json: damaged") as error:
        read_json(tmp_path / "config.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_is_built_with_its_weights(tmp_path, suffix, dtype):
    tensors = state()
    model = build_loaded(Decoder, write(tmp_path / f"w{suffix}", tensors), dtype)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, tensors[name].to(dtype)), name
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_model_is_not_built_with_others_weights(tmp_path):
    file = write(tmp_path / "w.safetensors", state(rows=5))
    with pytest.raises(ValueError, match="another shape: mesh_decoder.model.embed_positions.weight"):
        build_loaded(Decoder, file, torch.float32)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match="broken or not a file of weights"):
        build_loaded(Decoder, file, torch.float32)
