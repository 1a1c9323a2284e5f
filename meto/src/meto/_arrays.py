"""Casts array-likes to what the native code reads, once, with a ValueError where there is no faithful cast."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_vertices(vertices: Any) -> np.ndarray:
    """(V, 3) float32, C order, from any real dtype."""
    array = _array(vertices, "vertices", "biuf", columns=3)
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused by name later
        return np.ascontiguousarray(array, dtype=np.float32)


def as_faces(faces: Any) -> np.ndarray:
    """(F, 3) int64, C order, from any integer dtype, or floats that are whole."""
    return _integers(_array(faces, "faces", "iuf", columns=3), "faces")


def as_tokens(tokens: Any) -> np.ndarray:
    """(T,) int32, from any integer dtype, or floats that are whole. Beyond int32 they become -2, which no token is."""
    array = _integers(_array(tokens, "tokens", "iuf", columns=None), "tokens")
    limits = np.iinfo(np.int32)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        array = np.where((array < limits.min) | (array > limits.max), -2, array)
    return np.ascontiguousarray(array, dtype=np.int32)


def as_groups(groups: Any) -> np.ndarray:
    """(G, 4) int32, C order, from any integer dtype."""
    array = _integers(_array(groups, "groups", "iuf", columns=4), "groups")
    return np.ascontiguousarray(np.clip(array, -2, np.iinfo(np.int32).max), dtype=np.int32)


def as_numbers(numbers: Any) -> np.ndarray:
    """(n,) float32, from any real dtype."""
    return np.ascontiguousarray(_array(numbers, "numbers", "biuf", columns=None), dtype=np.float32)


def as_offsets(offsets: Any) -> np.ndarray:
    """(n + 1,) int64, from any integer dtype, or floats that are whole."""
    return _integers(_array(offsets, "offsets", "iuf", columns=None), "offsets")


def as_token_rows(tokens: Any, rows: int) -> np.ndarray:
    """The tokens (rows,) or (rows, T), of any integer dtype, row after row: (rows * T,) int32."""
    array = np.asarray(tokens)
    if array.ndim not in (1, 2) or len(array) != rows:
        raise ValueError(f"tokens have shape {array.shape}; ({rows},) or ({rows}, T) is expected")
    return as_tokens(array.reshape(-1))


def _array(values: Any, what: str, kinds: str, columns: int | None) -> np.ndarray:
    array = np.asarray(values)
    shape = "(n,)" if columns is None else f"(n, {columns})"
    if array.size == 0 and array.ndim <= 2:
        return np.zeros((0,) if columns is None else (0, columns), np.int32)
    if array.ndim != (1 if columns is None else 2) or (columns is not None and array.shape[1] != columns):
        raise ValueError(f"{what} have shape {array.shape}; {shape} is expected")
    if array.dtype.kind not in kinds:
        raise ValueError(f"{what} have dtype {array.dtype}; numbers are expected")
    return array


def _integers(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.trunc(array)) & (np.abs(array) < 2.0**62)
        if not whole.all():
            index = tuple(int(i) for i in np.argwhere(~whole)[0])
            raise ValueError(f"{what}{list(index)} is {array[index]}; a whole number is expected")
    elif array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        index = tuple(int(i) for i in np.argwhere(array > np.iinfo(np.int64).max)[0])
        raise ValueError(f"{what}{list(index)} is {array[index]}; it is far out of range")
    return np.ascontiguousarray(array, dtype=np.int64)
