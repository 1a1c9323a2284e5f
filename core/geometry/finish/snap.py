"""Vertices move to where the planes of the points about them meet: quantising is undone, as far as points tell."""

import numpy as np

from core.geometry.distance import near_pairs, point_triangle_distances
from core.geometry.finish.working import WorkingMesh, normals

ROUNDS = 3
STAY = 0.05  # how much a vertex wants to stay where it is, as a share of a point's weight on its face
NEAR = 2.0  # steps of the grid within which a face must lie for a point to be its


def snap_vertices(mesh: WorkingMesh, step: float) -> int:
    """Move vertices so that faces go through the points that are theirs; returns how many moved.

    A point belongs to the face nearest to it; its distance from that face's plane is a linear function of the face's
    corners while the normal is held, so that all vertices are found at once by least squares, a few times over. None
    moves by more than half a step along any axis, and none where a face would turn over or come to cross another.

    Args:
        mesh: changed.
        step: of the grid that the vertices were quantised to, as a share of the diagonal.
    """
    if mesh.support is None or step <= 0 or len(mesh.faces) == 0:
        return 0
    home, wanted = mesh.vertices, mesh.vertices.copy()
    face, points = _owners(mesh, NEAR * step)
    if len(points) == 0:
        return 0
    for _ in range(ROUNDS):
        wanted = np.clip(_fit(wanted, mesh.faces[face], points), home - step / 2, home + step / 2)
    vertices = np.where(np.isin(np.arange(len(home)), mesh.faces[face])[:, None], wanted, home)
    return _move(mesh, vertices)


def _owners(mesh: WorkingMesh, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """(P,) the nearest face of each point that has one near, and (P, 3) the points."""
    assert mesh.support is not None
    points, corners = mesh.support.points, mesh.vertices[mesh.faces]
    n, f = near_pairs(points, corners, distance)
    away = point_triangle_distances(points[n], corners[f])
    order = np.lexsort((f, away, n))
    first = np.unique(n[order], return_index=True)[1]
    return f[order][first], points[n[order][first]]


def _fit(vertices: np.ndarray, corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(V, 3) vertices of least squared distance between points (P, 3) and the planes of their faces (P, 3)."""
    from scipy.sparse import coo_array, eye_array
    from scipy.sparse.linalg import splu

    at = vertices[corners]
    normal = normals(at)
    weights = _barycentric(points, at)  # (P, 3)
    values = weights[:, :, None] * normal[:, None, :]  # (P, corner, axis)
    rows = np.broadcast_to(np.arange(len(points))[:, None, None], values.shape)
    columns = 3 * corners[:, :, None] + np.arange(3)
    count = vertices.size
    system = coo_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(len(points), count)).tocsc()
    off = np.einsum("pi,pi->p", points, normal) - system @ vertices.ravel()
    stay = STAY * max(len(points) / max(len(np.unique(corners)), 1), 1e-9)
    matrix = (system.T @ system + stay * eye_array(count)).tocsc()
    return vertices + splu(matrix).solve(system.T @ off).reshape(-1, 3)


def _barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(P, 3) coordinates of the foot of each point on its triangle's plane, held within the triangle."""
    a, u, v = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    w = points - a
    uu, uv, vv, wu, wv = (np.einsum("pi,pi->p", x, y) for x, y in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    area = np.maximum(uu * vv - uv * uv, 1e-300)
    s, t = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    three = np.clip(np.stack([1 - s - t, s, t], axis=1), 0, 1)
    return three / three.sum(axis=1, keepdims=True)


def _move(mesh: WorkingMesh, vertices: np.ndarray) -> int:
    """Move all vertices at once if that may be, else by halves, down to each by itself; returns how many moved."""
    moved, stack = 0, [np.flatnonzero((vertices != mesh.vertices).any(axis=1))]
    while stack:
        some = stack.pop()
        if len(some) == 0:
            continue
        trial = mesh.vertices.copy()
        trial[some] = vertices[some]
        if mesh.try_change(trial, mesh.faces, mesh.ids):
            moved += len(some)
        elif len(some) > 1:
            stack += [some[len(some) // 2 :], some[: len(some) // 2]]
    return moved
