"""The mesh that everything passes around, and what is checked of it."""

from typing import NamedTuple

import numpy as np

# Longest sides that a mesh may have, and how far from the origin it may lie: its results are written as float32, whose
# numbers end at 1e-38 and 3e38.
SMALLEST, LARGEST = 1e-30, 1e30


class Mesh(NamedTuple):
    """A triangle mesh, or a point cloud where there are no faces.

    vertices: (V, 3) float32; float64 as read from a file, so that small things far from the origin keep their shape
    faces: (F, 3) int32, counter-clockwise seen from outside; (0, 3) for a point cloud
    """

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def is_points(self) -> bool:
        return len(self.faces) == 0


def check(mesh: Mesh, name: str = "mesh") -> None:
    """Raise ValueError (naming `name` and the value) for a mesh that nothing can be made from."""
    vertices, faces = mesh
    if len(vertices) == 0:
        raise ValueError(f"{name}: neither faces nor points")
    bad = np.flatnonzero(~np.isfinite(vertices).all(axis=1))
    if len(bad):
        raise ValueError(f"{name}: vertex {bad[0]} is {vertices[bad[0]].tolist()}; every coordinate must be finite")
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise ValueError(f"{name}: a face uses vertex {faces.max()} (or {faces.min()}) of {len(vertices)}")
    used = vertices[used_vertices(mesh)] if len(faces) else vertices
    try:
        bounding_box(used)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def used_vertices(mesh: Mesh) -> np.ndarray:
    """(V,) bool: the vertices that a face has."""
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    return used


def bounding_box(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """Bounding box: centre (3,) and half the longest side, float64.

    Raises ValueError for a box that cannot be scaled to a given size: what is computed with it would not be finite.
    """
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        side, farthest = float((high - low).max()), float(np.maximum(-low, high).max())
    if not SMALLEST <= side <= LARGEST:
        raise ValueError(f"its longest side is {side:g}; {SMALLEST:g} to {LARGEST:g} can be computed with")
    if not farthest <= LARGEST:
        raise ValueError(f"it reaches {farthest:g} from the origin; at most {LARGEST:g} can be computed with")
    return (low + high) / 2, side / 2
