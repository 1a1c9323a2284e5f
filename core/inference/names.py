"""What results are called: a name of its own for each input, and paths that never leave the folder of results."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

MOST_BYTES = 160  # of a name: file systems take 255, and results add their own endings
DIGEST_LENGTH = 8


def unique_names(paths: Sequence[Path], place: str | Path) -> list[str]:
    """A name for the results of each path, different also where a file system does not tell upper from lower case.

    Args:
        paths: the inputs.
        place: the folder that was searched for them, or the one input itself.

    Returns:
        A path's stem; where several have the same one, the path below `place` with `_` between its parts and before its
        suffix; where those coincide as well, or are long, with a digest of that path.
    """
    place = Path(place)
    below = [_below(path, place) for path in paths]
    names = [path.stem for path in paths]
    joined = ["_".join(path.parts).replace(".", "_") for path in below]
    for others in (joined, [f"{name}-{_digest(path)}" for name, path in zip(joined, below, strict=True)]):
        counts = Counter(map(_folded, names))
        names = [other if counts[_folded(name)] > 1 else name for name, other in zip(names, others, strict=True)]
    taken: set[str] = set()
    for k, path in enumerate(below):
        names[k] = _shortened(names[k], path)
        while _folded(names[k]) in taken:  # somebody has named a file like another one's digest
            names[k] += "_"
        taken.add(_folded(names[k]))
    return names


def place_in(folder: Path, name: str) -> Path:
    """The path of a file that is about to be written into a folder.

    Raises:
        ValueError: the name leads out of the folder.
    """
    if name in ("", ".", "..") or "\0" in name or Path(name).name != name:
        raise ValueError(f"{name!r}: a file of this name would not lie in {folder}")
    return folder / name


def _below(path: Path, place: Path) -> Path:
    """The path without what all inputs share; the mere file name where it does not lie there."""
    below = path.relative_to(place) if path.is_relative_to(place) else Path(path.name)
    return below if below.parts else Path(path.name)


def _folded(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.as_posix().encode("utf-8", "surrogateescape")).hexdigest()[:DIGEST_LENGTH]


def _shortened(name: str, path: Path) -> str:
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= MOST_BYTES:
        return name
    return f"{encoded[:MOST_BYTES].decode('utf-8', 'ignore')}-{_digest(path)}"
