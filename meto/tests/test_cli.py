"""`python -m meto`: what it writes, what it prints, and what it does with files that are broken."""

import subprocess
import sys

import numpy as np
import pytest

from meto import Engine, load_mesh, read_mesh, reference
from meto.cli import main
from meto.files import write_mesh

pytest.importorskip("trimesh")


@pytest.fixture
def folder(tmp_path, zoo):
    """Two meshes, one of them in a folder of its own, and a file that is none."""
    (tmp_path / "sub").mkdir()
    write_mesh(tmp_path / "torus.obj", *zoo["torus"])
    write_mesh(tmp_path / "sub" / "patch.obj", *zoo["patch"])
    (tmp_path / "broken.obj").write_text("not a mesh\n")
    return tmp_path


@pytest.mark.parametrize("backend", ["LR_ABSCO", "LR", "CLERS", "naive"])
def test_encode_then_decode(tmp_path, zoo, capsys, backend):
    mesh = tmp_path / "torus.obj"
    write_mesh(mesh, *zoo["torus"])
    assert main(["encode", str(mesh), "--backend", backend, "--bins", "256"]) == 0
    tokens = np.load(tmp_path / "torus.npy")
    assert tokens.dtype == np.int32
    if backend != "naive":
        expected = reference.encode(*load_mesh(mesh), backend, 256)[0]
        np.testing.assert_array_equal(tokens, expected)
    assert "96 faces" in capsys.readouterr().out

    out = tmp_path / "out" / "back.ply"
    assert (
        main(
            [
                "decode",
                str(tmp_path / "torus.npy"),
                "--backend",
                backend,
                "--bins",
                "256",
                "--format",
                "ply",
                "-o",
                str(out),
            ]
        )
        == 0
    )
    vertices, faces = read_mesh(out)
    assert (len(vertices), len(faces)) == (48, 96)
    assert np.abs(np.ptp(vertices, axis=0) - np.ptp(load_mesh(mesh)[0], axis=0)).max() < 0.01


def test_folders_keep_their_shape_and_bad_files_are_passed_over(folder, capsys):
    out = folder / "tokens"
    assert main(["encode", str(folder), "-o", str(out)]) == 1
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.npy")) == ["sub/patch.npy", "torus.npy"]
    captured = capsys.readouterr()
    assert "broken.obj: holds neither faces nor points" in captured.err
    assert "2 files done, 1 failed" in captured.err
    assert "Traceback" not in captured.err
    assert list(folder.rglob(".*")) == []


def test_no_output_is_written_twice(tmp_path, zoo, capsys):
    for name in ("torus.obj", "torus.off"):
        write_mesh(tmp_path / name, *zoo["torus"])
    assert main(["encode", str(tmp_path / "torus.obj"), str(tmp_path / "torus.off")]) == 1
    assert "torus.off: would overwrite" in capsys.readouterr().err


def test_stats(folder, capsys):
    assert main(["stats", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    tokens = {name: Engine().encode(*load_mesh(folder / name))[0] for name in ("sub/patch.obj", "torus.obj")}
    for name, row in tokens.items():
        faces, count, per_face, submeshes, bits = next(line for line in lines if line.startswith(name)).split()[1:]
        assert int(count) == len(row)
        assert int(submeshes) == (row == 2).sum()
        assert float(per_face) == pytest.approx(len(row) / int(faces), abs=1e-3)
        assert float(bits) == pytest.approx(len(row) / int(faces) * np.log2(515), abs=1e-2)
    assert lines[-1].split()[:3] == ["total", str(96 + 112), str(sum(map(len, tokens.values())))]


def test_stats_of_token_files_with_a_models_ids(tmp_path, zoo, capsys):
    tokens = Engine(64, backend="CLERS").encode(*zoo["torus"])[0]
    np.save(tmp_path / "ids.npy", tokens + 3)
    assert main(["stats", str(tmp_path / "ids.npy"), "--backend", "CLERS", "--bins", "64", "--id-offset", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1:3] == ["96", str(len(tokens))]


def test_broken_tokens(tmp_path, zoo, capsys):
    tokens = Engine().encode(*zoo["patch"])[0]
    tokens[40] = 9999
    np.save(tmp_path / "bad.npy", tokens)
    np.save(tmp_path / "square.npy", np.zeros((3, 3)))
    (tmp_path / "text.npy").write_text("hello")
    header = np.lib.format.magic(1, 0) + b"\x76\x00" + b"{'descr': '<i8', 'fortran_order': False, 'shape': (10**15,)}"
    (tmp_path / "huge.npy").write_bytes(header.replace(b"10**15", b"1" + b"0" * 15).ljust(127) + b"\n" + bytes(80))
    files = [str(tmp_path / name) for name in ("bad.npy", "square.npy", "text.npy", "huge.npy")]
    assert main(["decode", *files]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    assert "bad.npy: token 40" in errors[0]
    assert not (tmp_path / "bad.obj").exists()
    assert main(["decode", files[0], "--salvage"]) == 0
    assert "stopped at token 40" in capsys.readouterr().out
    assert len(read_mesh(tmp_path / "bad.obj")[1]) == len(Engine().salvage(tokens)[1]) > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "no/such/file.obj"], "no such file or folder"),
        (["encode", "."], "no .3mf, .dae"),
        (["encode", "x.obj", "--bins", "1"], "discrete_bins"),
    ],
)
def test_one_line_of_complaint(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["encode", "x", "--bound", "2"], ["encode"], ["bake", "x"], ["stats", "x", "--backend", "LRX"]]
)
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage:" in capsys.readouterr().err


def test_it_runs_as_a_module(tmp_path, zoo):
    write_mesh(tmp_path / "torus.obj", *zoo["torus"])
    command = [sys.executable, "-m", "meto", "view", str(tmp_path / "torus.obj"), "-o", str(tmp_path / "page.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "96 faces" in done.stdout
    assert "<canvas" in (tmp_path / "page.html").read_text(encoding="utf-8")
