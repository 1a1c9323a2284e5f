"""prepare.py from end to end: what is kept, what is not and why, the same bytes, going on, adding."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from broken import write_broken, write_good

from core.data.mesh import Mesh, normalize, save
from core.data.prepare.options import Rules
from core.data.prepare.run import prepare
from core.data.prepared import PreparedSource

ROOT = Path(__file__).parents[2]
CHANGING = {"signature"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def names(folder: Path) -> set[str]:
    return {
        source.name(k)
        for source in map(PreparedSource, [str(folder)] * 2, ("train", "test"))
        for k in range(len(source))
    }


def rejected(folder: Path) -> dict[str, dict]:
    return {e["name"]: e for e in map(json.loads, (folder / "rejected.jsonl").read_text().splitlines())}


def test_good_ones_are_kept_and_each_bad_one_is_listed(tmp_path, make_config):
    good = write_good(tmp_path / "src", 40)
    bad = write_broken(tmp_path / "src" / "bad", 24)
    for extra in ("notes.txt", "skin.png"):
        (tmp_path / "src" / extra).write_bytes(b"beside meshes")
    store = prepare(make_config(tmp_path / "src", tmp_path / "set"))
    assert names(tmp_path / "set") == {str(p.relative_to(tmp_path / "src")) for p in good}
    listed = rejected(tmp_path / "set")
    assert {name.split("/")[1] for name in listed} == {path.name for path in bad}
    assert all(entry["reason"] and entry["detail"] for entry in listed.values())
    assert store.counts["train"] + store.counts["test"] == 40
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert sum(manifest["rejected"].values()) == 24
    assert manifest["passed_over"] == {".png": 1, ".txt": 1}
    page = (tmp_path / "set" / "report.html").read_text()
    assert "<svg" in page
    assert "data:image/png;base64," in page
    assert "no cycle" not in page
    assert listed["bad/cyclic-0.gltf"]["detail"].endswith("below itself, or below two nodes")


@pytest.mark.skipif(not os.environ.get("SLOW"), reason="takes minutes; SLOW=1 runs it")
def test_a_thousand_good_and_a_hundred_bad(tmp_path, make_config):
    good = write_good(tmp_path / "src", 1000)
    bad = write_broken(tmp_path / "src" / "bad", 100)
    prepare(make_config(tmp_path / "src", tmp_path / "set", rules=Rules(duplicates="drop-equal"), shard_size=4096))
    assert names(tmp_path / "set") == {str(p.relative_to(tmp_path / "src")) for p in good}
    assert {name.split("/")[1] for name in rejected(tmp_path / "set")} == {path.name for path in bad}


def test_two_runs_give_the_same_bytes_whatever_the_workers(source, made, tmp_path, make_config):
    prepare(make_config(source, tmp_path / "set", workers=1))
    assert contents(tmp_path / "set") == contents(made)
    assert len(list((made / "journal").iterdir())) == 4


def test_a_killed_run_goes_on_to_the_same_bytes(source, made, tmp_path):
    command = [sys.executable, "prepare.py", str(source), str(tmp_path / "set"), "--workers", "1"]
    command += ["--shard_size", "16", "--timeout", "20", "--max_file_mb", "64"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not list(tmp_path.glob("set/journal/*.jsonl")) and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finished = not (tmp_path / "set" / "report.html").exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if finished:
        assert "inputs are in the set already" in done.stderr
    assert contents(tmp_path / "set") == contents(made)


def test_only_what_is_new_is_read(source, made, tmp_path, make_config, caplog):
    folder = tmp_path / "src"
    write_good(folder, 20)
    first = prepare(make_config(folder, tmp_path / "set"))
    before = contents(tmp_path / "set" / "data")
    (folder / "good-0001.ply").write_bytes(b"now broken")
    save(folder / "new.obj", Mesh(np.random.default_rng(0).random((30, 3), np.float32), np.arange(30).reshape(-1, 3)))
    (folder / "good-0005.obj").unlink()
    with caplog.at_level("INFO"):
        again = prepare(make_config(folder, tmp_path / "set"))
    assert "18 inputs are in the set already, 2 are new" in caplog.text
    assert "1 files have changed" in caplog.text
    assert "1 inputs are no longer there" in caplog.text
    assert again.counts["kept"] == first.counts["kept"] + 1
    after = contents(tmp_path / "set" / "data")
    assert {name: after[name] for name in before} == before
    assert "new.obj" in names(tmp_path / "set")


def test_other_options_take_another_folder(made, source, tmp_path, make_config):
    with pytest.raises(ValueError, match=r"--max_faces 4000 \(now 30\)"):
        prepare(make_config(source, made, rules=Rules(max_faces=30)))
    (tmp_path / "thesis.txt").write_text("dear to somebody")
    with pytest.raises(ValueError, match="holds no prepared set"):
        prepare(make_config(source, tmp_path))
    with pytest.raises(ValueError, match="no such file or folder"):
        prepare(make_config(tmp_path / "nowhere", tmp_path / "set"))


def test_meshes_come_back_as_they_were_written(made, source):
    import datasets

    from core.data.mesh import clean, load

    loaded = datasets.load_dataset(str(made))
    assert set(loaded) <= {"train", "test"}
    for row in loaded["train"].select(range(0, len(loaded["train"]), 9)):
        mesh = normalize(clean(load(source / row["name"])))[0]
        np.testing.assert_array_equal(np.array(row["vertices"], np.float32), mesh.vertices)
        np.testing.assert_array_equal(row["faces"], mesh.faces)
        assert row["num_faces"] == len(mesh.faces)
        assert row["source"] == source.name
        assert len(row["uid"]) == 32


def test_licences_come_from_metadata(source, tmp_path, make_config):
    lines = [{"name": "good-0001", "licence": "CC0-1.0", "source": "me"}, {"name": "good-0002.stl", "licence": "MIT"}]
    (tmp_path / "about.jsonl").write_text("\n".join(map(json.dumps, lines)))
    prepare(make_config(source, tmp_path / "set", metadata=str(tmp_path / "about.jsonl"), licence="unknown"))
    train = PreparedSource(str(tmp_path / "set"), "train")
    told = dict(
        zip(train.column("name"), zip(train.column("licence"), train.column("source"), strict=True), strict=True)
    )
    assert told["good-0001.ply"] == ("CC0-1.0", "me")
    assert told["good-0002.stl"] == ("MIT", source.name)
    assert told["good-0004.glb"] == ("unknown", source.name)


@pytest.mark.parametrize("words", [["--max_faces", "0"], ["--views", "-1"], ["--min_faces", "10", "--max_faces", "9"]])
def test_impossible_options_take_one_line(words, tmp_path):
    command = [sys.executable, "prepare.py", "shapes:2", str(tmp_path / "set"), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert words[0] in done.stderr
    assert "Traceback" not in done.stderr
