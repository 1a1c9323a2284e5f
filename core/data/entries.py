"""What --data names: folders of meshes, prepared sets and procedural shapes, each with its weight or none."""

from pathlib import Path
from typing import NamedTuple

from core.data.prepared import PreparedSource, is_prepared
from core.data.sources import FolderSource, MeshSource, PackedMeshes, ShapesSource


class Entry(NamedTuple):
    """One word of --data.

    place: folder or URL, or "" for shapes    weight: its part of an epoch, None where none is given
    """

    place: str
    weight: float | None = None
    shapes: int = 0


def parse_entries(words: tuple[str, ...]) -> list[Entry]:
    """The entries of --data: PLACE, PLACE:WEIGHT, shapes:N, shapes:N:WEIGHT.

    Raises ValueError for weights that are not positive, and where some have weights and others not.
    """
    entries = [parse_entry(word) for word in words]
    weighted = [entry.weight is not None for entry in entries]
    if any(weighted) and not all(weighted):
        raise ValueError(f"--data {' '.join(words)}: give a weight to each (a:0.7 b:0.3) or to none")
    return entries


def parse_entry(word: str) -> Entry:
    kind, _, rest = word.partition(":")
    if kind == "shapes" and not Path(word).exists():
        count, _, weight = rest.partition(":")
        if not count.isdigit() or int(count) < 1:
            raise ValueError(f"--data {word}: write shapes:N or shapes:N:WEIGHT, with N procedural shapes")
        return Entry("", _weight(word, weight) if weight else None, int(count))
    place, colon, tail = word.rpartition(":")
    if colon and place and not tail.startswith("//") and not Path(word).exists():
        return Entry(place, _weight(word, tail))
    return Entry(word)


def _weight(word: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        raise ValueError(
            f"--data {word}: {text!r} is no weight; write PLACE:WEIGHT, sets/mine:0.7 for example"
        ) from None
    if not 0 < weight < float("inf"):
        raise ValueError(f"--data {word}: a weight must be more than 0")
    return weight


def open_entry(entry: Entry, seed: int) -> tuple[MeshSource, MeshSource]:
    """(train, test) meshes of an entry; shapes have none to test on.

    Raises ValueError where nothing is there, or nothing that can be read.
    """
    if entry.shapes:
        return ShapesSource(seed, entry.shapes), PackedMeshes([], [])
    if is_prepared(entry.place):
        return PreparedSource(entry.place, "train"), PreparedSource(entry.place, "test")
    folder = FolderSource(Path(entry.place))
    return folder.train, folder.test
