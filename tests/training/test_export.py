"""Weights for release: the reference's names and constant, half precision, and they load again."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.config import ARAE_NANO
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training import export
from core.training.weights import load_weights

TOKENIZER = Tokenizer(ARAE_NANO.tokenizer)
CLEAN, DIRTY = "a" * 40, "b" * 40 + "-dirty"
RECORD = {"preset": "ArAE-nano", "commit": CLEAN}


@pytest.fixture
def workspace(tmp_path):
    torch.manual_seed(0)
    model = ArAE(ARAE_NANO.model, TOKENIZER.vocab_size)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(RECORD))
    return tmp_path, model


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 0.0), ("fp16", 1e-3), ("bf16", 8e-3)])
def test_exported_weights_load_again(workspace, tmp_path, dtype, tolerance):
    source, model = workspace
    export.export(source, tmp_path / "release", export.DTYPES[dtype])
    other = ArAE(ARAE_NANO.model, TOKENIZER.vocab_size)
    assert not load_weights(other, tmp_path / "release", strict=True).differs
    for (name, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=tolerance, atol=1e-6), name
    assert json.loads((tmp_path / "release" / "config.json").read_text()) == RECORD


def test_the_reference_form_has_its_constant(workspace, tmp_path):
    """Names are the reference's already (the model's golden test compares them); the constant is 2^k pi by axis."""
    source, model = workspace
    export.export(source, tmp_path / "release", torch.float32, reference=True)
    weights = load_file(tmp_path / "release" / "model.safetensors")
    constant = weights.pop(export.BASIS)
    assert weights.keys() == model.state_dict().keys()
    assert constant.shape == (3, 24)
    assert (constant != 0).sum() == 24
    assert constant[1, 8:16].tolist() == pytest.approx([3.14159265 * 2**k for k in range(8)])
    export.export(source, tmp_path / "release", torch.float32, reference=True)
    assert not load_weights(model, tmp_path / "release", strict=True).differs


def test_the_best_weights_come_first(workspace, tmp_path):
    source, model = workspace
    best = {name: torch.full_like(value, 2.0) for name, value in model.state_dict().items()}
    save_file(best, source / "best.safetensors")
    export.export(source, tmp_path / "release", torch.float32)
    assert all((w == 2).all() for w in load_file(tmp_path / "release" / "model.safetensors").values())


@pytest.mark.parametrize(
    "commits",
    [{"commit": DIRTY}, {"commit": CLEAN, "earlier_commits": [DIRTY]}, {"commit": DIRTY, "earlier_commits": [CLEAN]}],
    ids=["now", "before", "since"],
)
@pytest.mark.parametrize("of", ["workspace", "file"])
def test_weights_of_code_that_no_commit_holds_are_refused(workspace, tmp_path, capsys, commits, of):
    source, _ = workspace
    given = source if of == "workspace" else source / "model.safetensors"
    (source / "config.json").write_text(json.dumps({**RECORD, **commits}))
    with pytest.raises(ValueError, match=f"no commit holds .{DIRTY}.: .*--allow_dirty"):
        export.export(given, tmp_path / "release", torch.float16)
    assert not (tmp_path / "release").exists()
    export.export(given, tmp_path / "release", torch.float16, allow_dirty=True)
    assert DIRTY in capsys.readouterr().err
    assert json.loads((tmp_path / "release" / "config.json").read_text()) == {**RECORD, **commits}


def test_a_commit_that_is_not_known_is_told(workspace, tmp_path, capsys):
    source, _ = workspace
    export.export(source, tmp_path / "release", torch.float16)
    assert capsys.readouterr().err == ""
    (source / "config.json").write_text(json.dumps({"preset": "ArAE-nano", "commit": None}))
    export.export(source, tmp_path / "release", torch.float16)
    assert "is not known" in capsys.readouterr().err


def test_the_command(workspace, tmp_path):
    command = [sys.executable, "-m", "core.training.export", str(workspace[0]), str(tmp_path / "release")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "MB" in done.stdout
    (workspace[0] / "config.json").write_text(json.dumps({**RECORD, "commit": DIRTY}))
    for more, status in ([], 1), (["--allow_dirty"], 0):
        assert subprocess.run([*command, *more], capture_output=True).returncode == status
    failed = subprocess.run([*command[:3], str(tmp_path / "nowhere"), "x"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
