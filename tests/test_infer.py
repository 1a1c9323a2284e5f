"""infer.py from the command line's words to files: inputs of every kind, bad ones, bad options."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import core.inference.run as run_module
import infer
from core import cli
from core.config import PRESETS
from core.data.mesh import Mesh, load, save
from core.inference.records import read_records
from core.model.arae import ArAE
from core.tokens import Tokenizer

ROOT = Path(__file__).parents[1]
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
    records = {(r.name, r.repeat, r.num_faces): r for r in read_records(out)}
    assert {f"{name}_{i}_{n}f" for name, i, n in records} == set(names)
    for (name, i, n), record in records.items():
        mesh = load(out / record.mesh)
        assert record.mesh == f"{name}_{i}_{n}f.ply"
        assert (record.faces, record.seed, record.error) == (len(mesh.faces), 42 + i, None)
        assert record.tokens == len(np.load(out / f"{name}_{i}_{n}f_tokens.npy"))
    # Another seed is another mesh, and the same words, made anew, give the same files.
    first, second = (np.load(out / f"solid_{i}_50f_tokens.npy").tolist() for i in (0, 1))
    assert first != second
    before = {p.name: p.read_bytes() for p in out.glob("*.npy")}
    words += ["--test_repeat", 2, "--test_num_face", 50, 80, "--seed", 42, "--no_sheet", "--overwrite"]
    run(monkeypatch, PRESET, *words, "--test_batch_size", 3)
    assert {p.name: p.read_bytes() for p in out.glob("*.npy")} == before
    assert len(read_records(out)) == 24


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
    errors = {record.name: record.error for record in read_records(tmp_path / "out") if record.error}
    assert set(errors) == {"text", "empty", "truncated", "nan", "flat", "objects"}
    assert "nan.obj" in errors["nan"]


def test_files_that_are_none_and_meshes_without_numbers_cost_themselves(folder, weights, tmp_path, monkeypatch, capsys):
    os.mkfifo(folder / "pipe.obj")
    os.symlink("/dev/zero", folder / "device.xyz")
    os.symlink(folder, folder / "loop")
    np.save(folder / "denormal.npy", np.random.default_rng(0).random((50, 3)) * 1e-320)
    with (folder / "promises.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**11, 3)})
    read_input = run_module.read_input

    def read(file, *options):
        if file.name == "solid":
            raise MemoryError
        source = read_input(file, *options)
        return source._replace(points=source.points * np.nan) if file.name == "scan" else source

    monkeypatch.setattr(run_module, "read_input", read)
    out = tmp_path / "out"
    words = ["--resume", weights, "--test_path", folder, "--workspace", out, "--test_max_seq_length", BUDGET]
    assert run(monkeypatch, PRESET, *words, "--test_num_face", 50, "--no_sheet", "--test_repeat", 2) == 1
    text = capsys.readouterr().out
    assert "7 inputs, 2 meshes" in text
    assert "7 failed" in text  # two meshes of the scan, and five files
    errors = {record.name: record.error for record in read_records(out) if record.error}
    assert errors.keys() == {"scan", "solid", "pipe", "device", "denormal", "promises"}
    for name, reason in (
        ("scan", "the model gave no numbers"),
        ("solid", "MemoryError"),
        ("pipe", "a pipe, not a file"),
        ("device", "a device, not a file"),
        ("denormal", "its longest side is 9."),
        ("promises", "not readable as a point cloud"),
    ):
        assert reason in errors[name]


def test_generation_from_tokens_or_a_partial_mesh(folder, weights, tmp_path, monkeypatch):
    words = ["--resume", weights, "--test_path", folder / "solid.obj", "--no_sheet", "--test_num_face", 50]
    words += ["--test_max_seq_length", BUDGET]
    assert run(monkeypatch, PRESET, *words, "--workspace", tmp_path / "a") == 0
    ids = np.load(tmp_path / "a" / "solid_0_50f_tokens.npy")
    np.save(tmp_path / "begin.npy", ids[:14])
    begin = ["--workspace", tmp_path / "b", "--test_resume_tokens", tmp_path / "begin.npy"]
    assert run(monkeypatch, PRESET, *words, *begin) == 0
    assert np.load(tmp_path / "b" / "solid_0_50f_tokens.npy").tolist() == ids.tolist()
    # One face of the input itself, where the input stands.
    save(tmp_path / "face.ply", Mesh(TETRAHEDRON.vertices, TETRAHEDRON.faces[:1]))
    begin = ["--workspace", tmp_path / "c", "--test_resume_tokens", tmp_path / "face.ply"]
    assert run(monkeypatch, PRESET, *words, *begin, "--no_drop_degenerate", "--no_drop_duplicates") == 0
    made = load(tmp_path / "c" / "solid_0_50f.ply")
    corners = TETRAHEDRON.vertices[TETRAHEDRON.faces[0]]
    gaps = np.linalg.norm(made.vertices[:, None] - corners, axis=2).min(axis=0)
    assert (gaps < 3 * 1.5 / 64).all()  # a step of the grid


def test_a_prefix_fails_only_the_inputs_that_it_does_not_fit(folder, weights, tmp_path, monkeypatch, capsys):
    save(tmp_path / "face.ply", Mesh(TETRAHEDRON.vertices, TETRAHEDRON.faces[:1]))
    words = ["--resume", weights, "--test_path", folder, "--workspace", tmp_path / "out", "--no_sheet"]
    words += ["--test_max_seq_length", BUDGET, "--test_resume_tokens", tmp_path / "face.ply"]
    assert run(monkeypatch, PRESET, *words) == 1
    assert "3 inputs, 1 meshes" in (out := capsys.readouterr().out)
    assert out.count("not in this input's place") == 4  # when it happens, and in the summary


def test_the_best_of_several_is_kept(folder, weights, tmp_path, monkeypatch, capsys):
    words = ["--resume", weights, "--test_path", folder, "--no_sheet", "--test_repeat", 3, "--test_num_face", 50]
    words += ["--test_max_seq_length", BUDGET]
    assert run(monkeypatch, PRESET, *words, "--workspace", tmp_path / "all") == 0
    capsys.readouterr()
    assert run(monkeypatch, PRESET, *words, "--workspace", tmp_path / "best", "--keep", "best") == 0
    out = capsys.readouterr().out
    records = {(record.name, record.repeat): record for record in read_records(tmp_path / "best")}
    assert len(records) == 9
    for name in ("cloud", "scan", "solid"):
        distances = [records[name, k].distance for k in range(3)]
        best = int(np.argmin(distances))
        assert [k for k in range(3) if records[name, k].mesh] == [best]
        assert [p.name for p in (tmp_path / "best").glob(f"{name}_*f.ply")] == [f"{name}_{best}_50f.ply"]
        assert all(f"{distance:.4g} ({k})" in out for k, distance in enumerate(distances))
        of_all, of_best = (load(tmp_path / where / f"{name}_{best}_50f.ply") for where in ("all", "best"))
        np.testing.assert_array_equal(of_all.vertices, of_best.vertices)
    run(monkeypatch, PRESET, *words, "--workspace", tmp_path / "best", "--keep", "best")
    assert "9 were there already" in capsys.readouterr().out


def test_an_interrupted_command_leaves_partial_meshes_and_goes_on(folder, weights, tmp_path):
    """Ctrl-C as the shell sends it, to a process of its own; then the same command again."""
    words = [sys.executable, "infer.py", PRESET, "--resume", weights, "--test_path", folder, "--no_sheet"]
    words += ["--generate_mode", "greedy", "--test_repeat", 40, "--test_batch_size", 2, "--threads", 1]
    environment = {**os.environ, "COLUMNS": "300", "PYTHONUNBUFFERED": "1"}

    def start(out) -> subprocess.Popen:
        return subprocess.Popen(
            [*map(str, words), "--workspace", str(out)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )

    whole = start(tmp_path / "whole")
    whole.communicate(timeout=200)
    assert whole.returncode == 0
    stopped = start(tmp_path / "out")
    stopped.stdout.readline()  # the first mesh is there
    stopped.send_signal(signal.SIGINT)
    out = stopped.communicate(timeout=60)[0]
    assert stopped.returncode == 130, out
    assert "interrupted: the same command resumes this run" in out
    records = read_records(tmp_path / "out")
    assert all(("_partial" in record.mesh) == record.partial for record in records if record.mesh)
    made = {(record.name, record.repeat) for record in records if not record.partial}
    assert 0 < len(made) < 120
    again = start(tmp_path / "out")
    out = again.communicate(timeout=200)[0]
    assert again.returncode == 0
    assert f"{len(made)} were there already" in out
    assert not list((tmp_path / "out").glob("*_partial*"))
    for path in (tmp_path / "whole").glob("*_tokens.npy"):
        np.testing.assert_array_equal(np.load(path), np.load(tmp_path / "out" / path.name))


@pytest.mark.parametrize("launched", [True, False], ids=["torchrun", "one after another"])
def test_processes_share_a_folder(launched, folder, weights, tmp_path):
    """A bad file in one process's share must not end the other's work, and the folder is as one process writes it."""
    (folder / "bad.obj").write_text("this is no mesh\n")
    words = ["infer.py", PRESET, "--resume", weights, "--test_path", folder, "--test_max_seq_length", BUDGET]
    words += ["--threads", 1, "--workspace"]

    def execute(launcher, out, **environment) -> subprocess.CompletedProcess:
        everything = [*launcher, *words, tmp_path / out]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300", **environment}
        return subprocess.run(
            list(map(str, everything)), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200
        )

    assert execute([sys.executable], "alone").returncode == 1
    if launched:
        port = f"--master-port={20000 + os.getpid() % 10000}"
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", port]
        done = execute(launcher, "shared")
        assert done.returncode == 1
        output = done.stdout
    else:
        parts = [execute([sys.executable], "shared", RANK=str(k), WORLD_SIZE="2") for k in range(2)]
        assert [part.returncode for part in parts] == [1, 0]  # bad.obj is the first file
        output = "".join(part.stdout for part in parts)
    assert output.count("sheet.png") == 1
    assert "all 2 processes: 4 inputs, 3 meshes" in output
    assert "1 inputs failed" in output
    alone, shared = ({p.name: p for p in (tmp_path / out).iterdir()} for out in ("alone", "shared"))
    assert alone.keys() == shared.keys()
    for name in alone:
        if name.endswith(("npy", "ply", "png")):
            assert alone[name].read_bytes() == shared[name].read_bytes(), name
    lines = [read_records(tmp_path / out) for out in ("alone", "shared")]
    results = [{record.key: (record.mesh, record.faces, record.error) for record in of} for of in lines]
    assert results[0] == results[1]
    assert len(lines[1]) == len(results[1]) == 4


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
        (["--test_path", "{folder}", "--test_num_face", "50", "50"], "--test_num_face 50: given twice"),
        (["--test_path", "{folder}", "--device", "tpu"], "--device tpu"),
        (["--test_path", "{folder}", "--max_faces", "-2"], "--max_faces -2: a number of faces"),
        (["--test_path", "{folder}", "--time_limit", "-1"], "--time_limit -1.0: a number of seconds"),
        (["--test_path", "{folder}", "--seed", "-1"], "--seed -1: must not be negative"),
        (["--test_path", "{folder}", "--min_component_faces", "-1"], "--min_component_faces -1"),
        (["--test_path", "{folder}", "--test_resume_tokens", "{folder}/scan.npy"], "(T,) integers are needed"),
        (["--test_path", "{folder}", "--test_resume_tokens", "{folder}/cloud.ply"], "this is a point cloud"),
        (["--test_path", "{folder}", "--test_resume_tokens", "{wrong}"], "it breaks the grammar at position 1"),
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
    np.save(tmp_path / "wrong.npy", [5, 3])
    places = {"folder": folder, "empty": tmp_path / "empty", "wrong": tmp_path / "wrong.npy"}
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
