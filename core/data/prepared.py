"""Prepared sets (prepare.py) as sources of meshes: memory-mapped, so of any size, and shared by loader processes."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core.data.mesh import Mesh
from core.tokens import TokenizerConfig

FORMAT = "edgerunner-meshes"


def is_prepared(place: str) -> bool:
    """Whether a folder or URL holds a prepared set; of a URL that is taken for granted."""
    return "://" in place or (Path(place) / "manifest.json").is_file()


class PreparedSource:
    """One split of a prepared set: vertices (V, 3) float32 and faces (F, 3) int32 straight out of the mapped file.

    The shards are unpacked once into the cache of `datasets` (HF_HOME), which sees to it that a changed set is
    unpacked anew.

    place: a folder, or any URL that fsspec opens (s3://bucket/set, hf://datasets/user/set).
    Raises ValueError where there is no complete prepared set.
    """

    def __init__(self, place: str, split: str):
        self.place, self.split = place, split
        self.manifest = read_manifest(place)
        self.size = int(self.manifest["meshes"].get(split, 0))
        self._rows: Any = _load(place, split) if self.size else None
        if self._rows is not None and len(self._rows) != self.size:
            raise ValueError(
                f"{place}: the manifest says {self.size} {split} meshes, the shards hold {len(self._rows)}"
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Mesh:
        if not 0 <= index < self.size:
            raise IndexError(f"mesh {index} of {self.size}")
        return Mesh(self._vertices.row(index), self._faces.row(index))

    def name(self, index: int) -> str:
        return self._rows.data.column("name")[index].as_py()

    def colors(self, index: int) -> np.ndarray | None:
        """(F, 3) uint8, a colour a face, where the file had any."""
        colors = self._colors.row(index)
        return colors if len(colors) else None

    def views(self, index: int) -> list[Any]:
        """The stored pictures (PIL), with alpha; [] for a set without."""
        return self._rows[index]["views"] if self.size and "views" in self._rows.column_names else []

    def column(self, name: str) -> np.ndarray:
        """(n,) a column of numbers or strings."""
        return self._rows.data.column(name).to_numpy() if self.size else np.zeros(0)

    def known_lengths(self, tokenizer: TokenizerConfig) -> tuple[np.ndarray, np.ndarray] | None:
        """(n,) faces and (n,) tokens of each mesh without augmentation, if counted for this very tokenizer."""
        rules = self.manifest["options"]["rules"]
        same = tokenizer == TokenizerConfig(rules["discrete_bins"], True, rules["meto_backend"])
        return (self.column("num_faces"), self.column("num_tokens")) if same and self.size else None

    def fingerprint(self) -> str:
        """Changes when the content does."""
        return self._rows._fingerprint if self.size else "empty"

    def __getstate__(self) -> dict[str, Any]:
        hidden = ("_vertices", "_faces", "_colors")  # views of the mapped file
        return {name: value for name, value in self.__dict__.items() if name not in hidden}

    @cached_property
    def _vertices(self) -> "_Column":
        return _Column(self._rows.data.column("vertices"), np.float32)

    @cached_property
    def _faces(self) -> "_Column":
        return _Column(self._rows.data.column("faces"), np.int32)

    @cached_property
    def _colors(self) -> "_Column":
        return _Column(self._rows.data.column("colors"), np.uint8)


class _Column:
    """A column of (N, 3) arrays without copies: Arrow's own row access would make an object a number."""

    def __init__(self, chunked: Any, kind: type):
        self.starts = np.cumsum([0, *(len(chunk) for chunk in chunked.chunks)])
        self.offsets = [chunk.offsets.to_numpy() for chunk in chunked.chunks]
        self.values = [chunk.values.flatten().to_numpy(zero_copy_only=False) for chunk in chunked.chunks]
        self.kind = kind

    def row(self, index: int) -> np.ndarray:
        chunk = int(np.searchsorted(self.starts, index, side="right")) - 1
        first, last = self.offsets[chunk][index - self.starts[chunk] :][:2].tolist()
        return self.values[chunk][3 * first : 3 * last].reshape(-1, 3).astype(self.kind, copy=False)


def read_manifest(place: str) -> dict[str, Any]:
    """Raises ValueError where there is none, or one of a set that is not complete."""
    try:
        if "://" in place:
            import fsspec

            with fsspec.open(f"{place.rstrip('/')}/manifest.json") as file:
                manifest = json.loads(file.read())
        else:
            manifest = json.loads((Path(place) / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"{place}: no prepared set to read here ({type(error).__name__}: {error})") from error
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{place}: manifest.json is not of a set made by prepare.py")
    if not manifest["complete"]:
        raise ValueError(f"{place}: its preparation was interrupted; run prepare.py again to complete it")
    return manifest


def _load(place: str, split: str) -> Any:
    import datasets

    pattern = f"{place.rstrip('/')}/data/{split}-*.parquet"
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset("parquet", data_files={split: pattern}, split=split)
    finally:
        if shown:
            datasets.enable_progress_bars()
