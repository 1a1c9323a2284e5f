"""The mesh that everything passes around, and what is checked of it."""

from typing import NamedTuple

import numpy as np


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
    extent = float(np.max(used.max(axis=0) - used.min(axis=0)))
    if not 0 < extent < np.inf:
        raise ValueError(f"{name}: its longest side is {extent}; nothing can be seen of it")


def used_vertices(mesh: Mesh) -> np.ndarray:
    """(V,) bool: the vertices that a face has."""
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    return used
