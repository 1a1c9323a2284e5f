"""Names of results: one for each input on any file system, and files that never leave the folder of results."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from core.data import mesh as meshes
from core.inference.names import MOST_BYTES, place_in, unique_names
from core.inference.options import InferConfig
from core.inference.records import read_records
from core.inference.run import Run

PLACE = Path("/data/in")


def names_of(*below: str) -> list[str]:
    return unique_names([PLACE / each for each in below], PLACE)


def are_unique(names: list[str]) -> bool:
    return len({name.casefold() for name in names}) == len(names)


def test_a_name_is_the_stem_where_that_is_its_own():
    assert names_of("a.obj", "sub/b.ply", "c.d.obj") == ["a", "b", "c.d"]
    assert unique_names([PLACE / "a.obj"], PLACE / "a.obj") == ["a"]


def test_inputs_of_one_stem_are_told_apart_by_their_path_below_the_folder():
    assert names_of("a.obj", "a.ply", "b.obj", "sub/b.obj", "c.obj") == ["a_obj", "a_ply", "b_obj", "sub_b_obj", "c"]
    here = Path("here")
    assert unique_names([here / "x/a.obj", here / "y/a.obj"], "here") == ["x_a_obj", "y_a_obj"]


@pytest.mark.parametrize(
    "below",
    [
        ("a/b/c.obj", "a_b/c.obj"),
        ("a/b/c.obj", "a_b/c.obj", "a/b_c.obj", "a_b_c.obj", "a_b_c_obj.obj"),
        ("Chair.obj", "chair.obj"),
        ("Chair.obj", "sub/chair.ply"),
        ("STRASSE.obj", "straße.obj"),
        ("caf\u00e9.obj", "cafe\u0301.obj"),  # one letter, and two code points that are shown as it
        ("a.b.obj", "a/b.obj", "a_b.obj"),
        (f"{'long' * 60}.obj", f"{'long' * 60}.ply", f"{'long' * 59}/x.obj", "x.obj"),
    ],
    ids=lambda below: f"{below[0][:20]}+{len(below) - 1}",
)
def test_names_never_coincide(below):
    names = names_of(*below)
    assert are_unique(names)
    for name in names:
        assert place_in(PLACE, name).parent == PLACE
        assert len(name.encode()) <= MOST_BYTES + 10
    # Whoever else is there, a name of one's own stays what it was.
    assert names_of(*reversed(below)) == names[::-1]


def test_somebody_may_call_a_file_like_a_digest():
    first, second = names_of("a/b/c.obj", "a_b/c.obj")
    names = names_of("a/b/c.obj", "a_b/c.obj", f"{first}.obj", f"{second.upper()}.obj")
    assert are_unique(names)


@pytest.mark.parametrize("name", ["", ".", "..", "../a.ply", "/a.ply", "sub/a.ply", "a\0.ply"])
def test_what_would_lie_elsewhere_is_not_written(name, tmp_path):
    with pytest.raises(ValueError, match="would not lie in"):
        place_in(tmp_path, name)


@pytest.mark.parametrize("keep", ["all", "best"])
def test_a_run_writes_to_its_folder_alone(keep, generator, folder, tmp_path, monkeypatch):
    """An absolute --test_path with files of one name in subfolders."""
    for place in ("sub/c0.ply", "a/b/c1.ply", "a_b/c1.ply", "sub/C2.ply"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes((folder / "c3.ply").read_bytes())
    foreign = os.fsdecode(b"caf\xe9.ply")  # a name in another encoding than the system's
    (folder / foreign).write_bytes((folder / "c4.ply").read_bytes())
    written: list[Path] = []
    save_bytes = meshes.save_bytes

    def watched(path, data):
        path = Path(path).resolve()
        assert path.is_relative_to(tmp_path), "nothing of a test goes anywhere else"
        written.append(path)
        save_bytes(path, data)

    monkeypatch.setattr(meshes, "save_bytes", watched)
    config = InferConfig(str(folder.resolve()), test_num_face=(80,), test_max_seq_length=60, keep=keep)
    for repeats in (1, 2):  # the second run reads what the first one has left
        run = Run(generator, replace(config, test_repeat=repeats), tmp_path / "out", 0, tell=lambda line: line.encode())
        run.generate()
    assert {path.parent for path in written} == {tmp_path / "out"}
    records = {record.key for record in read_records(tmp_path / "out")}
    assert are_unique([name for name, repeat, _ in records if repeat == 0])
    assert len(records) == 20
    assert not run.output.failures
    assert any("caf" in name for name, _, _ in records)
