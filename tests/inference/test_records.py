"""The lines of results.jsonl: whole whoever appends, readable whatever was killed while it wrote."""

import json
import multiprocessing
from dataclasses import asdict
from pathlib import Path

from core.data.finish import FinishConfig
from core.inference.options import InferConfig
from core.inference.records import RESULTS, RUNS, Key, Ledger, Record, append_line, flat_options, read_records

KEYS = [
    "name",
    "input",
    "repeat",
    "num_faces",
    "seed",
    "mesh",
    "faces",
    "tokens",
    "ending",
    "finished",
    "partial",
    "seconds",
    "removed",
    "holes",
    "error",
]


def record(**values) -> Record:
    return Record(**{"name": "a", "input": "in/a.ply", "repeat": 0, "num_faces": 80, "seed": 0, **values})


def test_the_keys_that_others_read():
    assert set(KEYS) <= asdict(record()).keys()


def test_the_newest_line_counts(tmp_path):
    ledger = Ledger(tmp_path, {"top_k": 10})
    for faces in (1, 2):
        ledger.add(record(faces=faces, mesh="a.ply", fingerprint=ledger.fingerprint, source="x"))
    again = Ledger(tmp_path, {"top_k": 10})
    assert [each.faces for each in read_records(tmp_path)] == [1, 2]
    assert again.find(Key("a", 0, 80), "x").faces == 2
    assert again.find(Key("a", 0, 80), "y") is None
    assert again.find(Key("a", 1, 80), "x") is None
    assert Ledger(tmp_path, {"top_k": 11}).find(Key("a", 0, 80), "x") is None
    assert len((tmp_path / RUNS).read_text().splitlines()) == 2


def test_broken_and_foreign_lines_are_passed_over(tmp_path):
    ledger = Ledger(tmp_path, {})
    ledger.add(record())
    with open(tmp_path / RESULTS, "a") as file:
        file.write('[1, 2]\n{"name": "of something else"}\n{"name": "a", "inp')  # killed while it wrote
    ledger.add(record(repeat=1))
    lines = (tmp_path / RESULTS).read_text().splitlines()
    assert json.loads(lines[-1])["repeat"] == 1
    assert [each.repeat for each in read_records(tmp_path)] == [0, 1]
    append_line(tmp_path / RESULTS, {**asdict(record(repeat=2)), "of a later version": 1})
    assert [each.repeat for each in read_records(tmp_path)] == [0, 1, 2]


def _append(path: Path, who: int) -> None:
    for k in range(50):
        append_line(path, {"who": who, "k": k, "filling": "x" * (who * 997)})


def test_several_processes_append_whole_lines(tmp_path):
    path = tmp_path / "lines.jsonl"
    processes = [multiprocessing.Process(target=_append, args=(path, who)) for who in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {(line["who"], line["k"]) for line in lines} == {(who, k) for who in range(4) for k in range(50)}
    assert len(lines) == 200


def test_options_are_flat_and_their_difference_is_named(tmp_path):
    options = flat_options(InferConfig(), FinishConfig(orient=False))
    assert (options["top_k"], options["orient"]) == (10, False)
    old, new = Ledger(tmp_path, {"top_k": 1, "seed": 0}), Ledger(tmp_path, {"top_k": 2, "seed": 0, "min_p": 0.1})
    made = record(fingerprint=old.fingerprint, source="x")
    assert new.difference(made, "x") == "--top_k 1 (2 now), --min_p None (0.1 now)"
    assert old.difference(made, "x") == ""
    assert old.difference(made, "y") == "another content of the input"
    assert new.difference(record(fingerprint="gone"), "x") == "other options"
