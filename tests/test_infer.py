"""infer.py from the command line's words to files: inputs of every kind, bad ones, bad options."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import infer
from core import cli
from core.config import PRESETS
from core.data.mesh import Mesh, load, save
from core.inference.files import unique_names
from core.model.arae import ArAE
from core.tokens import Tokenizer

PRESET = "ArAE-nano"
BUDGET = 60
OFFSET = np.array([100.0, 50.0, -30.0])
TETRAHEDRON = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float64) + OFFSET,
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of the smallest preset: enough to see every path from file to file."""
    torch.manual_seed(0)
    config = PRESETS[PRESET][1]
    model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(model.state_dict(), path)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    save(inputs / "solid.obj", TETRAHEDRON)
    rng = np.random.default_rng(0)
    save(inputs / "cloud.ply", Mesh(rng.normal(size=(500, 3)), np.zeros((0, 3), np.int32)))
    np.save(inputs / "scan.npy", rng.normal(size=(100, 3)))
    return inputs


def run(monkeypatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["infer.py", *map(str, words)])
    return cli.run(infer.main)


def test_meshes_and_clouds_of_a_folder(folder, weights, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    words = ["--resume", weights, "--test_path", folder, "--workspace", out, "--test_max_seq_length", BUDGET]
    assert run(monkeypatch, PRESET, *words, "--test_repeat", 2, "--test_num_face", 50, 80, "--seed", 42) == 0
    names = [f"{name}_{i}_{n}f" for name in ("cloud", "scan", "solid") for i in (0, 1) for n in (50, 80)]
    for name in names:
        assert len(load(out / f"{name}.ply").faces) > 0
        assert np.load(out / f"{name}_tokens.npy").ndim == 1
    assert (out / "sheet.png").stat().st_size > 1000
    points = load(out / "solid_pc.obj").vertices
    assert len(points) == PRESETS[PRESET][1].model.point_encoder.point_num
    # The result lies where the input lies: within its cube, about its centre.
    made = load(out / "solid_0_50f.ply").vertices
    assert np.abs(made - (OFFSET + [0.5, 1, 1.5])).max() < 1.7
    assert "3 inputs, 12 meshes" in capsys.readouterr().out
    # Another seed is another mesh, and the same words give the same files.
    first, second = (np.load(out / f"solid_{i}_50f_tokens.npy").tolist() for i in (0, 1))
    assert first != second
    before = {p.name: p.read_bytes() for p in out.glob("*.npy")}
    run(monkeypatch, PRESET, *words, "--test_repeat", 2, "--test_num_face", 50, 80, "--seed", 42, "--no_sheet")
    assert {p.name: p.read_bytes() for p in out.glob("*.npy")} == before


def test_bad_files_are_reported_and_skipped(folder, weights, tmp_path, monkeypatch, capsys):
    (folder / "text.obj").write_text("this is no mesh\n")
    (folder / "empty.ply").write_bytes(b"")
    (folder / "truncated.stl").write_bytes(b"solid" + bytes(90))
    (folder / "nan.obj").write_text("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (folder / "flat.obj").write_text("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n")
    np.save(folder / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    words = ["--resume", weights, "--test_path", folder, "--workspace", tmp_path / "out", "--no_sheet"]
    assert run(monkeypatch, PRESET, *words, "--test_max_seq_length", BUDGET, "--test_num_face", 50) == 1
    out = capsys.readouterr().out
    for bad in ("text.obj", "empty.ply", "truncated.stl", "nan.obj", "flat.obj", "objects.npy"):
        assert f"failed: {bad}: " in out
    assert "9 inputs, 3 meshes" in out
    assert "6 failed" in out
    assert len(list((tmp_path / "out").glob("*f.ply"))) == 3


def test_generation_from_tokens(folder, weights, tmp_path, monkeypatch):
    words = ["--resume", weights, "--test_path", folder / "solid.obj", "--no_sheet", "--test_num_face", 50]
    words += ["--test_max_seq_length", BUDGET]
    assert run(monkeypatch, PRESET, *words, "--workspace", tmp_path / "a") == 0
    ids = np.load(tmp_path / "a" / "solid_0_50f_tokens.npy")
    np.save(tmp_path / "begin.npy", ids[:14])
    words += ["--workspace", tmp_path / "b", "--test_resume_tokens", tmp_path / "begin.npy"]
    assert run(monkeypatch, PRESET, *words) == 0
    assert np.load(tmp_path / "b" / "solid_0_50f_tokens.npy").tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--test_path", "nowhere"], "nowhere: no such file or folder"),
        (["--test_path", "{empty}"], "no file in this folder"),
        (["--test_path", "{folder}", "--resume", "nowhere.safetensors"], "nowhere.safetensors: no such file"),
        (["--test_path", "{folder}", "--resume", "{folder}/solid.obj"], "solid.obj"),
        (["--test_path", "{folder}", "--test_num_face", "0"], "--test_num_face 0"),
        (["--test_path", "{folder}", "--test_num_face", "-7"], "--test_num_face -7"),
        (["--test_path", "{folder}", "--test_num_face", "1001"], "--test_num_face 1001: this model takes 1 to 1000"),
        (["--test_path", "{folder}", "--device", "tpu"], "--device tpu"),
        (["--test_path", "{folder}", "--test_repeat", "0"], "--test_repeat 0"),
        (["--test_path", "{folder}", "--test_max_seq_length", "100000"], "--test_max_seq_length 100000"),
        (["--test_path", "{folder}", "--test_resume_tokens", "nothing.npy"], "--test_resume_tokens nothing.npy"),
        (["--test_path", "{folder}", "--hidden_dim", "64"], "embd.weight (file 70x96, model 70x64)"),
        (["--test_path", "{folder}", "--workspace", "{folder}/solid.obj"], "solid.obj"),
        ([], "--test_path is needed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_options_give_one_line(words, complaint, folder, weights, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    places = {"folder": folder, "empty": tmp_path / "empty"}
    words = [word.format(**places) for word in words]
    defaults = ["--resume", weights, "--workspace", tmp_path / "out", "--no_sheet"]
    assert run(monkeypatch, PRESET, *defaults, *words) == 1
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err + captured.out


def test_an_unknown_preset_is_named(monkeypatch, capsys):
    assert run(monkeypatch, "ArAE-huge") == 1
    assert "error: unknown preset 'ArAE-huge': it is one of ArAE, " in capsys.readouterr().err


def test_names_of_results_never_coincide(tmp_path):
    paths = [tmp_path / name for name in ("a.obj", "a.ply", "b.obj", "sub/b.obj", "c.obj")]
    names = unique_names(paths)
    assert len(set(names)) == len(names)
    assert names[4] == "c"
    assert names[0] == "a_obj"
