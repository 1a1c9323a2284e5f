"""What the batch calls return: many items in flat arrays, item i at [offsets[i], offsets[i + 1])."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meto.grammar import Violation


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The tokens of n meshes. `batch[i]` gives (tokens, face_order, face_type) of mesh i, as views."""

    tokens: np.ndarray
    """(sum of T,) int32"""
    token_offsets: np.ndarray
    """(n + 1,) int64"""
    face_order: np.ndarray
    """(sum of F,) int32, counted within each mesh"""
    face_type: np.ndarray
    """(sum of F,) int32"""
    face_offsets: np.ndarray
    """(n + 1,) int64"""

    def __len__(self) -> int:
        return len(self.token_offsets) - 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = range(len(self))[index]
        faces = _span(self.face_offsets, index)
        return self.tokens[_span(self.token_offsets, index)], self.face_order[faces], self.face_type[faces]


@dataclass(frozen=True, eq=False)
class MeshBatch:
    """The meshes of n token streams. `batch[i]` gives (vertices, faces, face_type) of mesh i, as views."""

    vertices: np.ndarray
    """(sum of V, 3) float32"""
    vertex_offsets: np.ndarray
    """(n + 1,) int64"""
    faces: np.ndarray
    """(sum of F, 3) int32, counted within each mesh"""
    face_offsets: np.ndarray
    """(n + 1,) int64"""
    face_type: np.ndarray
    """(sum of F,) int32"""
    violations: list[Violation | None]
    """Of each stream, what ended it early"""

    def __len__(self) -> int:
        return len(self.face_offsets) - 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = range(len(self))[index]
        faces = _span(self.face_offsets, index)
        return self.vertices[_span(self.vertex_offsets, index)], self.faces[faces], self.face_type[faces]


def _span(offsets: np.ndarray, index: int) -> slice:
    return slice(int(offsets[index]), int(offsets[index + 1]))


def flatten(items: Sequence[np.ndarray], columns: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The items, (n_i, columns) or (n_i,) each, one after the other, and their offsets."""
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum([len(item) for item in items], out=offsets[1:])
    if not items:
        return np.zeros((0,) if columns is None else (0, columns), np.float32 if columns else np.int32), offsets
    return np.concatenate(items), offsets


def as_flat(values: Any, offsets: Any, convert: Any, columns: int | None) -> tuple[np.ndarray, Any]:
    """A ragged array, given as a sequence of arrays or, with offsets, as a flat one. ValueError names the bad item."""
    if offsets is not None:
        return convert(values), offsets
    try:
        values = list(values)
    except TypeError:
        raise ValueError(f"a sequence of arrays (or a flat array with offsets) is expected, got {values!r}") from None
    items = []
    for i, value in enumerate(values):
        try:
            items.append(convert(value))
        except ValueError as error:
            raise ValueError(f"item {i}: {error}") from None
    return flatten(items, columns)
