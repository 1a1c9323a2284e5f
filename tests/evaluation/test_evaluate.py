"""evaluate.py from the command line's words to figures, page and pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from known import cube, join, square
from PIL import Image

import evaluate
from core import cli
from core.data.mesh import Mesh, save
from core.evaluation.options import EvaluateConfig

ROOT = Path(__file__).resolve().parents[2]
OFFSET = np.array([40.0, -3.0, 8.0])
FAST = ("--points", 500, "--train", "none")


def blocks() -> dict[str, Mesh]:
    """References of 12 faces, each with other sides, far from the origin."""
    sides = {"a": (1, 1, 1), "b": (1, 2, 1), "c": (3, 1, 1), "d": (1, 1, 0.2)}
    return {name: Mesh(cube().vertices * side + OFFSET, cube().faces) for name, side in sides.items()}


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """(generated, references): the second with four meshes, the first empty."""
    generated, references = tmp_path / "out", tmp_path / "references"
    generated.mkdir()
    references.mkdir()
    for name, mesh in blocks().items():
        save(references / f"{name}.obj", mesh)
    return generated, references


def run(monkeypatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, words)])
    return cli.run(evaluate.main)


def figures(monkeypatch, tmp_path, *words: object, code: int = 0) -> dict:
    assert run(monkeypatch, *words, "--json", tmp_path / "figures.json") == code
    return json.loads((tmp_path / "figures.json").read_text())


def write_records(folder: Path, *records: dict) -> None:
    lines = [json.dumps({"repeat": 0, "num_faces": 200, "finished": True, **record}) for record in records]
    (folder / "results.jsonl").write_text("\n".join(lines) + "\n")


def test_meshes_equal_to_their_references(folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    for name, mesh in blocks().items():
        save(generated / f"{name}_0_200f.ply", mesh)
        save(generated / f"{name}_pc.obj", Mesh(mesh.vertices, np.zeros((0, 3), np.int32)))
    write_records(generated, *({"name": name, "mesh": f"{name}_0_200f.ply", "ending": "eos"} for name in blocks()))
    found = figures(monkeypatch, tmp_path, generated, references, *FAST[:2], "--train", "shapes:4")
    assert found["finished"] == found["better_than_nearest"] == 1
    assert found["chamfer_median"] == found["face_count_error_median"] == 0
    assert found["references"] == found["samples"] == found["samples_with_a_mesh"] == 4
    made = found["metrics"]["generated"]
    assert made["watertight"]["value"] == 1
    assert made["with_intersecting_faces"]["value"] == 0
    assert 0 < found["metrics"]["reference"]["chamfer"]["median"]["value"] < 0.04  # what sampling costs
    assert found["metrics"]["decimated"]["faces_median"]["value"] == 12
    assert found["metrics"]["nearest"]["chamfer"]["median"]["value"] > 0.02
    assert "median Chamfer distance" in capsys.readouterr().out


def test_figures_are_the_same_again(folders, tmp_path, monkeypatch):
    generated, references = folders
    for name, mesh in blocks().items():
        save(generated / f"{name}.ply", Mesh(mesh.vertices + 0.05, mesh.faces))
    found = [figures(monkeypatch, tmp_path, generated, references, *FAST) for _ in range(2)]
    assert found[0] == found[1]
    assert 0 < found[0]["chamfer_median"] < 0.05


def test_failures_count_against(folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    shapes = blocks()
    save(generated / "a_0_200f.ply", shapes["a"])
    save(generated / "b_0_200f.ply", shapes["b"])
    (generated / "c_0_200f.ply").write_bytes(b"no ply")
    write_records(
        generated,
        {"name": "a", "mesh": None, "error": "an older attempt"},
        {"name": "a", "mesh": "a_0_200f.ply"},  # the newest line counts
        {"name": "b", "mesh": "b_0_200f.ply", "finished": False, "ending": "tokens"},
        {"name": "c", "mesh": "c_0_200f.ply"},
        {"name": "elsewhere", "mesh": None, "error": "no reference of this name"},
    )
    found = figures(monkeypatch, tmp_path, generated, references, *FAST, code=1)
    assert found["finished"] == 0.25
    assert found["samples"] == 4
    assert found["samples_with_a_mesh"] == 2
    assert found["failures"] == {"cannot be read": 1, "no result": 1}
    rows = {row["name"]: row for row in found["meshes"]}
    assert rows["c"]["chamfer"] == rows["d"]["chamfer"] == 1
    assert rows["d"]["f_score_1"] == 0
    assert found["chamfer_median"] == pytest.approx(0.5)  # of 0, 0, 1, 1
    assert found["metrics"]["generated"]["meshes"] == 2
    assert [skipped["file"] for skipped in found["skipped"]] == ["c_0_200f.ply"]
    out = capsys.readouterr().out
    assert "skipped" in out
    assert "counted as failures: 1 references: d" in out


def test_a_failure_s_face_count_is_worse_than_any_result_s(folders, tmp_path, monkeypatch):
    generated, references = folders
    many = join(*(cube(center=(0, 0, 0.01 * k)) for k in range(4)))  # four times as many faces: off by 300 %
    for name in ("a", "b"):
        save(generated / f"{name}.ply", Mesh(many.vertices + OFFSET, many.faces))
    found = figures(monkeypatch, tmp_path, generated, references, *FAST)
    errors = {row["name"]: row["face_count_error"] for row in found["meshes"]}
    assert errors == {"a": 3, "b": 3, "c": 4, "d": 4}
    assert found["face_count_error_median"] == 3.5
    assert found["by_reference_faces"]["to 50"]["face_count_error"]["value"] == 3.5
    for path in generated.glob("*.ply"):
        path.write_bytes(b"no ply")
    found = figures(monkeypatch, tmp_path, generated, references, *FAST, code=1)
    assert found["face_count_error_median"] == 1  # where there is no result at all


def test_files_that_are_none_are_reported(folders, tmp_path, monkeypatch):
    generated, references = folders
    for name in ("a", "b"):
        save(generated / f"{name}.ply", blocks()[name])
    os.mkfifo(generated / "c.ply")
    os.symlink("/dev/zero", references / "e.obj")
    os.symlink(references, references / "loop")
    np.save(references / "f.npy", np.zeros((0, 3)))
    found = figures(monkeypatch, tmp_path, generated, references, *FAST, code=1)
    assert (found["references"], found["samples_with_a_mesh"]) == (4, 2)
    assert {skipped["file"]: skipped["reason"].split(": ", 1)[1] for skipped in found["skipped"]} == {
        "c.ply": "a pipe, not a file",
        "e.obj": "a device, not a file",
        "f.npy": "neither faces nor points",
    }


def test_the_nearest_training_mesh_is_left_out_where_nobody_knows_the_training(folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    for name, mesh in blocks().items():
        save(generated / f"{name}.ply", mesh)
    found = figures(monkeypatch, tmp_path, generated, references, *FAST[:2])
    assert found["better_than_nearest"] is None
    assert "nearest" not in found["metrics"]
    assert sum("nearest training mesh: left out" in line for line in capsys.readouterr().out.splitlines()) == 1
    (tmp_path / "weights").mkdir()
    options = {"data": {"data": [], "num_shapes": 5, "max_face_length": 999}, "train": {"seed": 2}}
    (tmp_path / "weights" / "config.json").write_text(json.dumps({"options": options}))
    command = {"fingerprint": "f", "command": f"infer.py ArAE --resume {tmp_path / 'weights'}", "options": {}}
    (generated / "runs.jsonl").write_text(json.dumps(command) + "\n")
    found = figures(monkeypatch, tmp_path, generated, references, *FAST[:2], "--train_most", 3)
    assert found["better_than_nearest"] == 1
    assert "5 meshes of shapes:5 (procedural, seed 2)" in (out := capsys.readouterr().out)
    assert "3 of these 5, drawn at random" in out


def test_interrupted_and_failed_records(folders, tmp_path, monkeypatch):
    generated, references = folders
    save(generated / "a_0_200f.ply", blocks()["a"])
    save(generated / "b_0_200f.ply", blocks()["b"])
    save(generated / "d_1_200f.ply", blocks()["d"])
    write_records(
        generated,
        {"name": "a", "mesh": "a_0_200f.ply", "partial": True, "finished": False},
        {"name": "b", "mesh": "b_0_200f.ply", "input": str(references / "b.obj")},
        {"name": "c", "mesh": None, "error": "no face was generated", "finished": False},
        {"name": "d", "mesh": None, "repeat": 0, "finished": True},  # another repetition was kept
        {"name": "d", "mesh": "d_1_200f.ply", "repeat": 1},
    )
    with open(generated / "results.jsonl", "a") as file:
        file.write('{"name": "c", "repe')
    found = figures(monkeypatch, tmp_path, generated, references, *FAST)
    assert found["finished"] == 0.5
    assert found["samples"] == 4
    assert found["failures"] == {"interrupted before its end": 1, "no face was generated": 1}
    assert any("line 6 is skipped" in note for note in found["notes"])


def test_without_records_endings_are_not_known(folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    for name, mesh in blocks().items():
        save(generated / f"{name}.stl", mesh)
    found = figures(monkeypatch, tmp_path, generated, references, *FAST)
    assert found["finished"] is None
    assert found["better_than_nearest"] is None
    assert found["metrics"]["generated"]["watertight"]["value"] == 1
    assert "finished: not known" in capsys.readouterr().out
    write_records(generated, {"name": "a", "mesh": "a.stl"})
    found = figures(monkeypatch, tmp_path, generated, references, *FAST)
    assert found["finished"] == 0.25  # the records are silent about the others


def test_repetitions_counts_and_diversity(folders, tmp_path, monkeypatch):
    generated, references = folders
    for name, mesh in blocks().items():
        for repeat in (0, 1):
            save(generated / f"{name}_{repeat}_100f.ply", Mesh(mesh.vertices + [0, repeat * 0.5, 0], mesh.faces))
        save(generated / f"{name}_0_-1f.ply", join(mesh, square()))
    found = figures(monkeypatch, tmp_path, generated, references, *FAST)
    assert found["samples"] == 12
    assert list(found["by_faces_asked_for"]) == ["unknown", "100"]
    assert found["by_faces_asked_for"]["100"]["samples"] == 8
    assert found["by_faces_asked_for"]["100"]["error_against_asked_for_median"] == pytest.approx(0.88)
    assert found["by_faces_asked_for"]["unknown"]["faces_median"] == 14
    assert found["by_reference_faces"]["to 50"]["samples"] == 12
    assert 0.02 < found["diversity"]["value"] < 0.5
    assert found["diversity"]["count"] == 4


def test_meshes_in_another_frame(folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    for name, mesh in blocks().items():
        save(generated / f"{name}.obj", Mesh((mesh.vertices - OFFSET) * 0.1, mesh.faces))
    apart = figures(monkeypatch, tmp_path, generated, references, *FAST)
    assert apart["chamfer_median"] > 5
    assert "--align box" in capsys.readouterr().out
    aligned = figures(monkeypatch, tmp_path, generated, references, *FAST, "--align", "box")
    assert aligned["chamfer_median"] < 0.04
    assert not aligned["notes"]


def test_bad_references_and_limits(folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    for name, mesh in blocks().items():
        save(generated / f"{name}.ply", mesh)
    (references / "broken.obj").write_text("f 1 2 3\n")
    save(references / "cloud.ply", Mesh(np.random.default_rng(0).random((9, 3)), np.zeros((0, 3), np.int32)))
    found = figures(monkeypatch, tmp_path, generated, references, *FAST, code=1)
    assert found["references"] == 4
    assert [skipped["file"] for skipped in found["skipped"]] == ["broken.obj"]
    assert "cloud.ply: has points but no faces" in capsys.readouterr().out
    assert figures(monkeypatch, tmp_path, generated, references, *FAST, "--limit", 2)["references"] == 2
    save(references / "b.obj", join(blocks()["b"], square()))
    (references / "broken.obj").unlink()
    assert figures(monkeypatch, tmp_path, generated, references, *FAST, "--max_faces", 12)["references"] == 3


def test_page_and_picture(folders, tmp_path, monkeypatch):
    generated, references = folders
    for name, mesh in list(blocks().items())[:3]:
        save(generated / f"{name}.ply", Mesh(mesh.vertices + [0, 0.2, 0], mesh.faces))
    page, picture = tmp_path / "new" / "page.html", tmp_path / "grid.png"
    words = (generated, references, "--points", 500, "--train", "shapes:3", "--report", page, "--report_rows", 1)
    assert run(monkeypatch, *words, "--picture", picture, "--first", 2) == 0
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert text.count("class=mesh>") == 2
    assert text.index("The worst 1 of 4") < text.index("class=none>no result") < text.index("The best 1 of 4")
    assert text.count("data:image/png;base64,") == 3 + 4  # points, truth, nearest; and generated
    assert "http" not in text.replace("http-equiv", "")
    width, height = Image.open(picture).size
    assert width > 3 * height  # two inputs of three pictures each, in one row


def test_sets_without_pairs(folders, tmp_path, monkeypatch):
    generated, references = folders
    for k, mesh in enumerate(blocks().values()):
        save(generated / f"sample{k}.ply", mesh)
    assert run(monkeypatch, generated, references, *FAST) == 1  # no names in common
    found = figures(monkeypatch, tmp_path, generated, references, *FAST, "--set_metrics", "--set_points", 128)
    assert found["set_metrics"]["coverage"] == 1
    assert found["set_metrics"]["meshes"] == 4
    assert found["chamfer_median"] is None
    assert found["metrics"]["generated"]["watertight"]["value"] == 1
    for name, mesh in blocks().items():
        save(generated / f"{name}.ply", mesh)
    paired = figures(monkeypatch, tmp_path, generated, references, *FAST, "--set_metrics", "--set_points", 128)
    assert paired["chamfer_median"] == 0
    assert paired["set_metrics"]["mmd"] < 0.05


def test_a_file_against_a_file(folders, tmp_path, monkeypatch):
    _, references = folders
    found = figures(monkeypatch, tmp_path, references / "a.obj", references / "b.obj", *FAST)
    assert found["samples"] == 1
    assert found["chamfer_median"] > 0.05


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere", "{references}"], "nowhere: no such file or folder"),
        (["{generated}", "nowhere"], "nowhere: no such file or folder"),
        (["{generated}", "{references}"], "no file in this folder"),
        (["{references}", "{other}"], "no mesh there is named as one of"),
        (["{references}", "{references}", "--picture", "grid.gif3"], "--picture grid.gif3"),
        (["{references}", "{references}", "--train", "nowhere"], "nowhere: no such file or folder"),
        (["{references}", "{references}", "--test_repeat", "3"], "--test_repeat 3: evaluate.py has no such options"),
        (["ArAE-nano", "{references}"], "--resume is needed: the weights for ArAE-nano"),
    ],
)
def test_bad_words_give_one_line(words, complaint, folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    (tmp_path / "other").mkdir()
    save(tmp_path / "other" / "unlike.obj", cube())
    places = {"generated": generated, "references": references, "other": tmp_path / "other"}
    assert run(monkeypatch, *(word.format(**places) for word in words)) == 1
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.err.startswith("error: ")


@pytest.mark.parametrize(
    "option", [{"points": 5}, {"set_points": 0}, {"first": 0}, {"limit": -1}, {"rotate_step": 40}, {"rotate_step": 0}]
)
def test_options_out_of_range(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"--{name} {option[name]}: must be"):
        EvaluateConfig("a", "b", **option)


def test_a_preset_is_run_first(tmp_path, monkeypatch):
    import torch
    from safetensors.torch import save_file

    from core.config import PRESETS
    from core.model.arae import ArAE
    from core.tokens import Tokenizer

    config = PRESETS["ArAE-nano"][1]
    torch.manual_seed(0)
    weights = tmp_path / "model.safetensors"
    save_file(ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).state_dict(), weights)
    workspace = tmp_path / "workspace"
    words = ("ArAE-nano", "shapes:4", "--resume", weights, "--workspace", workspace, "--limit", 2, *FAST)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stale = workspace / "generated" / "old_0_80f.ply"
    stale.parent.mkdir(parents=True)
    save(stale, cube())
    found = figures(monkeypatch, tmp_path, *words, "--test_max_seq_length", 60, "--test_repeat", 2)
    assert (found["references"], found["samples"]) == (2, 4)
    assert len(list((workspace / "reference").glob("*.obj"))) == 2
    assert not stale.exists()


def test_help_says_what_it_is_for():
    done = subprocess.run([sys.executable, "evaluate.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "GENERATED" in done.stdout


def test_what_hurts_is_in_every_column(folders, tmp_path, monkeypatch, capsys):
    generated, references = folders
    meshes = blocks()
    save(references / "e.obj", Mesh(cube().vertices * (2, 2, 1) + OFFSET, cube().faces[2:]))  # open itself
    save(generated / "a_0_200f.ply", meshes["a"])  # closed
    save(generated / "b_0_200f.ply", Mesh(meshes["b"].vertices, meshes["b"].faces[2:]))  # one side less
    fin = np.vstack([meshes["c"].vertices, OFFSET + [0, 9, 9]])
    save(generated / "c_0_200f.ply", Mesh(fin, np.vstack([meshes["c"].faces, [0, 1, 8]])))  # three faces at an edge
    save(generated / "e_0_200f.ply", Mesh(cube().vertices * (2, 2, 1) + OFFSET, cube().faces))
    seconds = {"a": 1.0, "b": 2.0, "c": 4.0, "e": 8.0}
    made = [{"name": name, "mesh": f"{name}_0_200f.ply", "seconds": spent} for name, spent in seconds.items()]
    write_records(generated, *made, {"name": "d", "error": "nothing came"})
    metrics = figures(monkeypatch, tmp_path, generated, references, *FAST)["metrics"]
    column = metrics["generated"]
    assert column["success"]["value"] == pytest.approx(4 / 5)
    assert column["seconds_median"]["value"] == pytest.approx(3)
    assert column["closed_where_reference_is"]["value"] == pytest.approx(1 / 4)  # a of a, b, c, d; e does not count
    assert column["boundary_edge_ratio_mean"]["value"] == pytest.approx((0 + 4 / 17 + 2 / 20 + 0) / 4)
    assert column["nonmanifold_edges_mean"]["value"] == pytest.approx(1 / 4)
    assert metrics["reference"]["closed_where_reference_is"]["value"] == 1
    assert metrics["reference"]["boundary_edge_ratio_mean"]["value"] == pytest.approx(4 / 17 / 5)
    assert metrics["reference"]["quad_ratio_mean"]["value"] == 1
    assert metrics["decimated"]["closed_where_reference_is"]["value"] == 1  # where nothing was made, nothing is either
    assert "success" not in metrics["reference"]
    printed = capsys.readouterr().out
    assert "boundary edge ratio" in printed
    assert "topology score" in printed


def test_baselines_start_from_the_same_input(folders, tmp_path, monkeypatch):
    generated, references = folders
    dense = tmp_path / "dense"
    dense.mkdir()
    for name, mesh in blocks().items():
        save(generated / f"{name}_0_200f.ply", mesh)
        fine = trimesh.Trimesh(*mesh, process=False).subdivide().subdivide().subdivide()
        bumpy = fine.vertices + np.random.default_rng(0).normal(size=fine.vertices.shape) * 0.02
        save(dense / f"{name}.ply", Mesh(bumpy, np.asarray(fine.faces, np.int32)))
    write_records(generated, *({"name": name, "mesh": f"{name}_0_200f.ply"} for name in blocks()))
    plain = figures(monkeypatch, tmp_path, generated, references, *FAST)["metrics"]
    assert not {"decimated_input", "instant_meshes"} & plain.keys()
    words = (generated, references, *FAST, "--baselines", "--inputs", dense)
    metrics = figures(monkeypatch, tmp_path, *words)["metrics"]
    column = metrics["decimated_input"]
    assert column["meshes"] == 4
    assert 10 <= column["faces_median"]["value"] <= 14  # of the generated meshes: 12
    assert column["chamfer"]["median"]["value"] > metrics["decimated"]["chamfer"]["median"]["value"]  # noise stays
    assert 0 < metrics["instant_meshes"]["meshes"] <= 4
    assert metrics["instant_meshes"]["chamfer"]["median"]["value"] < 0.2  # where the reference is, and of its size
    # Without --inputs the reference itself is what was put in.
    same = figures(monkeypatch, tmp_path, generated, references, *FAST, "--baselines")["metrics"]
    assert same["decimated_input"]["chamfer"]["median"] == same["decimated"]["chamfer"]["median"]
    assert run(monkeypatch, *words[:-1], tmp_path / "nothing") == 1
