"""Gaps between rims are bridged, where that lets more edges be closed than it opens."""

import numpy as np

from core.geometry.finish.ears import fill_ears
from core.geometry.finish.working import WorkingMesh, crosses_any, is_sliver
from core.geometry.vectors import unique_rows

NEAR = 8  # vertices of rims that are thought of for each open edge
MOST_TRIALS = 400  # so that large meshes take no minutes


def fill_bridges(mesh: WorkingMesh, demand: float) -> int:
    """Add triangles between an open edge and a vertex of another place on a rim, and the ears that are there then.

    Such a triangle leaves one more edge open than there was, so it stays only if ears close two or more.

    Args:
        mesh: changed.
        demand: share of each triangle's area that points must speak for.

    Returns:
        How many faces were added.
    """
    before = len(mesh.faces)
    tried: set[tuple] = set()
    while mesh.support is not None and len(tried) < MOST_TRIALS:
        if not _bridge_one(mesh, demand, tried):
            break
    return len(mesh.faces) - before


def _bridge_one(mesh: WorkingMesh, demand: float, tried: set[tuple]) -> bool:
    """Whether one of the triangles that were not tried yet could stay; the nearest vertex first."""
    for triangle in _candidates(mesh, demand, tried):
        tried.add(tuple(sorted(triangle.tolist())))
        state, opened = mesh.state(), mesh.defects()[0]
        if not mesh.try_change(mesh.vertices, mesh.faces, mesh.ids, triangle[None]):
            continue
        fill_ears(mesh, demand)
        if mesh.defects()[0] < opened:
            return True
        mesh.restore(state)
        if len(tried) >= MOST_TRIALS:
            break
    return False


def _candidates(mesh: WorkingMesh, demand: float, tried: set[tuple]) -> np.ndarray:
    """(N, 3) triangles on an open edge, wound as its face asks, each with a vertex near it that is on a rim."""
    from scipy.spatial import cKDTree

    assert mesh.support is not None
    edges = mesh.open_edges()[0]
    if len(edges) == 0:
        return np.zeros((0, 3), np.int64)
    rim = np.unique(edges)
    away, near = cKDTree(mesh.vertices[rim]).query(mesh.vertices[edges].mean(axis=1), k=min(NEAR, len(rim)))
    third = rim[near.reshape(-1)]
    triangles = np.concatenate([np.repeat(edges[:, ::-1], near.size // len(edges), axis=0), third[:, None]], axis=1)
    triangles = triangles[np.argsort(away.reshape(-1), kind="stable")]
    triangles = triangles[(triangles[:, :2] != triangles[:, 2:]).all(axis=1)]
    triangles = triangles[np.sort(unique_rows(np.sort(triangles, axis=1))[0])]
    new = np.array([tuple(sorted(triangle)) not in tried for triangle in triangles.tolist()], bool)
    triangles = triangles[new & ~is_sliver(mesh.vertices[triangles])]
    if len(triangles) == 0:
        return triangles
    triangles = triangles[mesh.support.shares(mesh.vertices[triangles]) >= demand]
    return triangles[~crosses_any(mesh.vertices[triangles], mesh.vertices[mesh.faces])]
