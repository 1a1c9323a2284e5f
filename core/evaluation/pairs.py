"""Which generated mesh belongs to which reference: by results.jsonl where infer.py wrote one, else by file names."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from core.data.mesh import MESH_SUFFIXES, list_inputs

RESULTS = "results.jsonl"
UNKNOWN_COUNT = -1  # no face count was asked for, or nobody says which
# NAME_{repetition}_{faces asked for}f, as infer.py and infer_dit.py name meshes
NAMED = re.compile(r"(?P<name>.+)_(?P<repeat>\d+)_(?P<num_faces>-?\d+)f")


class Sample(NamedTuple):
    """One attempt to make a mesh of an input.

    path: of the mesh, None where there is none    finished: whether its tokens ended by themselves, None: nobody says
    failure: why there is no mesh, else ""    seconds: that it took, None: nobody says    input: what it was made of
    """

    name: str
    repeat: int = 0
    num_faces: int = UNKNOWN_COUNT
    path: Path | None = None
    finished: bool | None = None
    failure: str = ""
    seconds: float | None = None
    input: Path | None = None


@dataclass
class Results:
    """What lies in a folder of generated meshes."""

    by_name: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    """By the input's name (records) or the file's stem without the numbers that infer.py adds."""
    by_input: dict[Path, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    """By the input's path, where a record tells it."""
    recorded: bool = False
    """Whether a results.jsonl was there."""
    notes: list[str] = field(default_factory=list)
    """What the user should know."""

    def of(self, name: str, path: Path) -> list[Sample]:
        """The samples of a reference by its path or name; [] where there are none."""
        return self.by_input.get(path.resolve()) or self.by_name.get(name) or self.by_name.get(path.stem) or []


def read_results(place: str | Path) -> Results:
    """The samples in a folder, or the one of a file.

    Raises ValueError where nothing is there.
    """
    place = Path(place)
    results = Results()
    if place.is_dir() and (place / RESULTS).is_file():
        results.recorded = True
        _add_records(results, place)
    try:
        files = list_inputs(place, MESH_SUFFIXES)
    except ValueError:
        if not results.recorded:
            raise
        files = []
    _add_files(results, files)
    return results


def _add_records(results: Results, folder: Path) -> None:
    newest: dict[tuple[str, int, int], dict[str, Any]] = {}
    for number, line in enumerate((folder / RESULTS).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
            key = str(record["name"]), int(record.get("repeat") or 0), _count(record.get("num_faces"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            results.notes.append(f"{RESULTS} line {number} is skipped: {type(error).__name__}: {error}")
            continue
        newest[key] = record
    made = {(name, count) for (name, _, count), record in newest.items() if record.get("mesh")}
    for (name, repeat, count), record in newest.items():
        if _was_not_kept(record) and (name, count) in made:
            continue
        sample = _sample_of_record(folder, name, repeat, count, record)
        results.by_name[name].append(sample)
        if record.get("input"):
            results.by_input[Path(record["input"]).resolve()].append(sample)


def _was_not_kept(record: dict[str, Any]) -> bool:
    """Whether another repetition was chosen instead of this one."""
    return not (record.get("mesh") or record.get("partial") or record.get("error"))


def _sample_of_record(folder: Path, name: str, repeat: int, count: int, record: dict[str, Any]) -> Sample:
    finished = record.get("finished")
    finished = None if finished is None else bool(finished)
    if record.get("partial"):
        return Sample(name, repeat, count, None, False, "interrupted before its end")
    if record.get("error") or not record.get("mesh"):
        return Sample(name, repeat, count, None, False, str(record.get("error") or "no mesh"))
    seconds, source = record.get("seconds"), record.get("input")
    return Sample(
        name,
        repeat,
        count,
        folder / record["mesh"],
        finished,
        seconds=float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None,
        input=Path(source) if source else None,
    )


def _count(value: Any) -> int:
    return UNKNOWN_COUNT if value is None else int(value)


def _add_files(results: Results, files: list[Path]) -> None:
    """Samples of names that no record speaks of."""
    recorded = set(results.by_name)
    for path in files:
        numbered = NAMED.fullmatch(path.stem)
        names = [(path.stem, 0, UNKNOWN_COUNT)]
        if numbered:
            names.append((numbered["name"], int(numbered["repeat"]), int(numbered["num_faces"])))
        for name, repeat, count in names:
            if name not in recorded and not any(s[1:3] == (repeat, count) for s in results.by_name[name]):
                results.by_name[name].append(Sample(name, repeat, count, path))
    results.by_name = defaultdict(list, {name: samples for name, samples in results.by_name.items() if samples})


def pair_files(generated: Path, name: str) -> Results:
    """A single generated file for a single reference, whatever either is called."""
    return Results(defaultdict(list, {name: [Sample(name, path=generated)]}))
