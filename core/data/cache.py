"""Tokens that augmentation does not change, written once and mapped into memory from then on."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Written = tuple[np.ndarray, int] | None  # ids and faces of a mesh, None for one that does not fit


class TokenCache:
    """Ids and face counts of a source's meshes.

    ids: (sum T,) uint32    offsets: (n + 1,) int64    faces: (n,) int32, 0 for a mesh that does not fit
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.ids, self.offsets, self.faces = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "offsets", "faces")
        )

    def __len__(self) -> int:
        return len(self.faces)

    def lengths(self) -> np.ndarray:
        """(n,) tokens of each mesh."""
        return np.diff(self.offsets)

    def __getitem__(self, index: int) -> Written:
        if not self.faces[index]:
            return None
        ids = self.ids[self.offsets[index] : self.offsets[index + 1]]
        return ids.astype(np.int64), int(self.faces[index])

    def __reduce__(self) -> tuple[type["TokenCache"], tuple[Path]]:
        return type(self), (self.folder,)


def open_cache(folder: Path, facts: dict[str, Any], count: int, write: Callable[[int], Written]) -> TokenCache:
    """The cache of these facts (all that the tokens depend on) below `folder`; made with `write` where it is not there.

    Processes may make it at the same time: the first to finish wins.
    """
    key = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
    place = folder / f"tokens-{key}"
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tokens-", dir=folder))
        try:
            _fill(temporary, count, write)
            (temporary / "facts.json").write_text(json.dumps(facts, indent=2))
            try:
                os.rename(temporary, place)
            except OSError:
                if not place.is_dir():  # else another process was first
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return TokenCache(place)


def _fill(folder: Path, count: int, write: Callable[[int], Written]) -> None:
    from rich.progress import track

    ids, lengths, faces = [np.zeros(0, np.uint32)], [0], []
    for index in track(range(count), description="writing tokens", transient=True, disable=count < 1000):
        written = write(index)
        faces.append(written[1] if written else 0)
        lengths.append(len(written[0]) if written else 0)
        if written:
            ids.append(written[0].astype(np.uint32))
    np.save(folder / "ids.npy", np.concatenate(ids))
    np.save(folder / "offsets.npy", np.cumsum(lengths, dtype=np.int64))
    np.save(folder / "faces.npy", np.array(faces, np.int32))
