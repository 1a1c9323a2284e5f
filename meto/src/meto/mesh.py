"""Triangle meshes as plain arrays: checked, cleaned, normalised and sorted; `load_mesh` does it for a file."""

import os
from typing import Any

import numpy as np

from meto.files import read_mesh
from meto.merge import merge_close

__all__ = ["check_mesh", "clean_mesh", "load_mesh", "normalize_mesh", "read_mesh", "sort_mesh"]

MERGE_DISTANCE = 1e-4
"""Of a mesh whose longest side is about 2."""

RANGE_SLACK = np.float32(1e-5)
"""How far outside [-1, 1] a coordinate may be and still count as a rounding error."""

_Y_Z_X = (1, 2, 0)


def check_mesh(vertices: Any, faces: Any) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) as float32 or float64 and faces (F, 3) as int64, of any integer or float input type.

    Raises ValueError for other shapes or types, coordinates that are not finite and indices out of range.
    """
    vertices, faces = np.asarray(vertices), np.asarray(faces)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or vertices.dtype.kind not in "iuf":
        raise ValueError(f"vertices must be (V, 3) numbers, got {vertices.dtype} {vertices.shape}")
    if faces.size == 0:
        faces = np.empty((0, 3), dtype=np.int64)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise ValueError(f"faces must be (F, 3) integers, got {faces.dtype} {faces.shape}")
    vertices = np.ascontiguousarray(vertices, dtype=np.float32 if vertices.dtype == np.float32 else np.float64)
    finite = np.isfinite(vertices).all(axis=1)
    if not finite.all():
        index = int(np.argmin(finite))
        raise ValueError(f"vertex {index} is not finite: {vertices[index].tolist()}")
    outside = ((faces < 0) | (faces >= len(vertices))).any(axis=1)
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(f"face {index} is {faces[index].tolist()}, there are {len(vertices)} vertices")
    return vertices, np.ascontiguousarray(faces, dtype=np.int64)


def check_unit_range(vertices: np.ndarray) -> None:
    """ValueError naming the first vertex that is outside [-1, 1] by more than rounding."""
    outside = np.abs(vertices).max(axis=1, initial=0) > 1 + RANGE_SLACK
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(f"vertex {index} is {vertices[index].tolist()}, outside [-1, 1]: normalise the mesh first")


def clean_mesh(vertices: Any, faces: Any, merge_distance: float = MERGE_DISTANCE) -> tuple[np.ndarray, np.ndarray]:
    """Merge vertices closer than `merge_distance` (in the vertices' unit; 0 merges equal ones only), then drop
    degenerate faces (one that repeats a vertex), duplicate faces (same three vertices in any order; the first stays)
    and vertices without a face.

    Returns vertices (V', 3) and faces (F', 3) int32, both in input order; a mesh may come out empty. Of merged
    vertices the first stays where it is, and none moves further than the distance. Raises ValueError like `check_mesh`.
    """
    if not merge_distance >= 0:
        raise ValueError(f"merge_distance must be at least 0, got {merge_distance}")
    vertices, faces = check_mesh(vertices, faces)
    used = np.unique(faces)  # vertices without a face must not swallow others
    kept, index = merge_close(vertices[used], merge_distance)
    faces = index[np.searchsorted(used, faces)]
    faces = faces[_is_proper(faces)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = faces[np.sort(first)]
    remaining, faces = np.unique(faces, return_inverse=True)
    return vertices[used[kept[remaining]]], faces.reshape(-1, 3).astype(np.int32)


def _is_proper(faces: np.ndarray) -> np.ndarray:
    return (faces != np.roll(faces, 1, axis=1)).all(axis=1)


def normalize_mesh(vertices: Any, bound: float = 0.95) -> np.ndarray:
    """Vertices (V, 3) moved and scaled alike on all axes: bounding-box centre at the origin, longest side 2 * bound.

    float32 stays float32, everything else gives float64. Raises ValueError without vertices, for coordinates that are
    not finite, and for a box without extent.
    """
    vertices, _ = check_mesh(vertices, ())
    if len(vertices) == 0:
        raise ValueError("there are no vertices to normalise")
    wide = vertices.astype(np.float64) / 2  # halved: the difference of two huge values stays finite
    low, high = wide.min(axis=0), wide.max(axis=0)
    half_extent = (high - low).max()
    if not half_extent > 0:
        raise ValueError(f"all vertices lie at {vertices[0].tolist()}: a mesh without extent has no scale")
    unit = ((wide - low) - (high - low) / 2) * 2 / half_extent
    return (unit * bound).astype(vertices.dtype)


def load_mesh(path: str | os.PathLike[str], bound: float = 0.95, clean: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A mesh file, ready for `Engine.encode`: vertices (V, 3) float32 in [-bound, bound], faces (F, 3) int32.

    `clean` applies `clean_mesh` at the normalised scale. Raises ValueError naming the file like `read_mesh`, and for a
    mesh without faces or extent.
    """
    vertices, faces = read_mesh(path)
    try:
        if clean:
            vertices, faces = clean_mesh(vertices, faces, merge_distance=0)  # stray vertices have no say in the scale
        if len(faces):
            vertices = normalize_mesh(vertices, bound)
        if clean and len(faces):
            vertices, faces = clean_mesh(vertices, faces, MERGE_DISTANCE)
        if len(faces) == 0:
            raise ValueError("has no faces" + (" after cleaning" if clean else ""))
        return normalize_mesh(vertices, bound).astype(np.float32), faces
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def sort_mesh(vertices: Any, faces: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same mesh with its vertices in y-z-x order, each face turned to start at its lowest vertex, and the faces in
    lexicographic order; ties keep their order.

    Returns vertices (V, 3), faces (F, 3) int32. Raises ValueError like `check_mesh`.
    """
    vertices, faces = check_mesh(vertices, faces)
    ranks = vertex_ranks(vertices, _Y_Z_X)
    faces = rotate_to_lowest(ranks[faces], ranks[faces])
    faces = faces[face_order_by_vertices(faces)]
    return vertices[np.argsort(ranks)], faces.astype(np.int32)


def vertex_ranks(vertices: np.ndarray, axes: tuple[int, int, int]) -> np.ndarray:
    """(V,) int64: each vertex's place when sorted by its coordinates in the order of `axes`, ties by index."""
    ranks = np.empty(len(vertices), dtype=np.int64)
    ranks[np.lexsort([vertices[:, axis] for axis in reversed(axes)])] = np.arange(len(vertices))
    return ranks


def rotate_to_lowest(faces: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """`faces` (F, 3), each turned (not mirrored) to begin with the corner that has the lowest of its `keys` (F, 3)."""
    turns = (keys.argmin(axis=1)[:, None] + np.arange(3)) % 3
    return np.take_along_axis(faces, turns, axis=1)


def face_order_by_vertices(faces: np.ndarray) -> np.ndarray:
    """(F,) the order that sorts `faces` (F, 3) lexicographically, ties by index."""
    return np.lexsort(faces.T[::-1])
