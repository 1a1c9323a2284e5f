"""Meshes whose figures are known."""

import numpy as np

from core.data.mesh import Mesh

CUBE_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
CUBE_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5],  # x
        [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],  # y
        [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],  # z
    ],
    np.int32,
)  # fmt: skip


def cube(side: float = 1.0, center: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    """12 faces, outward."""
    return Mesh((CUBE_CORNERS - 0.5) * side + np.array(center), CUBE_FACES)


def square(height: float = 0.0, side: float = 1.0) -> Mesh:
    """Two faces in the plane y = height, facing up."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], np.float64) * side
    return Mesh(corners + [0, height, 0], np.array([[0, 2, 1], [0, 3, 2]], np.int32))


def grid(steps: int, height: float = 0.0) -> Mesh:
    """A unit square in the plane y = height, cut into 2 * steps**2 faces."""
    at = np.linspace(0, 1, steps + 1)
    x, z = np.meshgrid(at, at, indexing="ij")
    vertices = np.stack([x, np.full_like(x, height), z], axis=-1).reshape(-1, 3)
    a = (np.arange(steps)[:, None] * (steps + 1) + np.arange(steps)).reshape(-1)
    b, c, d = a + 1, a + steps + 2, a + steps + 1
    return Mesh(vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32))


def join(*meshes: Mesh) -> Mesh:
    """One mesh of several, their vertices their own."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces).astype(np.int32))


def triangles(*corners: list[list[float]]) -> Mesh:
    """Each triangle with vertices of its own."""
    vertices = np.array(corners, np.float64).reshape(-1, 3)
    return Mesh(vertices, np.arange(len(vertices), dtype=np.int32).reshape(-1, 3))
