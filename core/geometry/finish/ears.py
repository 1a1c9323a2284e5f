"""Corners of rims that cannot be closed whole are closed one by one, as far as it goes."""

import numpy as np

from core.geometry.finish.working import WorkingMesh, crosses_any, is_sliver, normals
from core.geometry.vectors import lengths, unique_rows

FOLD = 0.5  # what a fold back costs, in lengths of the edge
WORST_FOLD = -0.8  # cosine between the normals of neighbours below which a new face lies on the old one
# ... and above which it goes on from one of them. What stands upright on both, as a ledge in a cup's rim would, is so
# near the rim's points that they speak for it whether or not there is surface.
GOES_ON = 0.5
MOST = 2000  # ears cut off one mesh, at most


def fill_ears(mesh: WorkingMesh, demand: float) -> int:
    """Add the triangles between two open edges that meet, the one with the shortest third side first.

    Each leaves fewer open edges than there were. A rim of which one part cannot be closed, for something is in the way,
    is so made as short as it can be.

    Args:
        mesh: changed.
        demand: share of each triangle's area that points must speak for.

    Returns:
        How many faces were added.
    """
    added = 0
    refused: set[tuple] = set()
    if mesh.support is None:
        return 0
    while added < MOST:
        ears, cost = _ears(mesh, demand, refused)
        found = False
        for k in np.argsort(cost, kind="stable"):
            ear = ears[k]
            refused.add(tuple(sorted(ear.tolist())))
            if mesh.try_change(mesh.vertices, mesh.faces, mesh.ids, ear[None]):
                added, found = added + 1, True
                break
        if not found:
            return added
    return added


def _ears(mesh: WorkingMesh, demand: float, refused: set[tuple]) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) triangles on two open edges, and (N,) what they cost; those that may not be are left out."""
    edges, face = mesh.open_edges()
    pairs = _meeting(edges)
    if len(pairs) == 0:
        return np.zeros((0, 3), np.int64), np.zeros(0)
    first, second = pairs.T
    # Corners: the end of the one that is not shared, what is shared, the end of the other.
    ends, others = edges[first], edges[second]
    shared = np.where((ends[:, :1] == others).any(axis=1), ends[:, 0], ends[:, 1])
    a, b = ends.sum(axis=1) - shared, others.sum(axis=1) - shared
    # A face runs along an edge as the face beyond does not.
    forward = ends[:, 0] == a
    ears = np.where(forward[:, None], np.stack([b, shared, a], axis=1), np.stack([a, shared, b], axis=1))
    corners = mesh.vertices[ears]
    good = (a != b) & ~is_sliver(corners)
    good &= np.array([tuple(sorted(ear)) not in refused for ear in ears.tolist()], bool)
    normal, beyond = normals(corners), normals(mesh.vertices[mesh.faces[face]])
    agree = others[:, 0] == shared  # the second edge goes on where the first one ends
    agree = np.where(forward, agree, others[:, 1] == shared)
    one = np.einsum("ni,ni->n", normal, beyond[first])
    two = np.einsum("ni,ni->n", normal, beyond[second]) * np.where(agree, 1, -1)
    good &= (np.minimum(one, two) > WORST_FOLD) & (np.maximum(one, two) > GOES_ON)
    third = lengths(mesh.vertices[a] - mesh.vertices[b])
    span = np.stack([lengths(mesh.vertices[x] - mesh.vertices[shared]) for x in (a, b)])
    cost = third + FOLD * ((1 - one) * span[0] + (1 - two) * span[1]) / 2
    rows = np.flatnonzero(good)
    assert mesh.support is not None
    rows = rows[mesh.support.shares(corners[rows]) >= demand] if len(rows) else rows
    rows = rows[~crosses_any(corners[rows], mesh.vertices[mesh.faces])] if len(rows) else rows
    rows = rows[unique_rows(np.sort(ears[rows], axis=1))[0]] if len(rows) else rows
    return ears[rows], cost[rows]


def _meeting(edges: np.ndarray) -> np.ndarray:
    """(P, 2) every two open edges that have a vertex in common."""
    order = np.argsort(edges.reshape(-1), kind="stable")
    at, edge = edges.reshape(-1)[order], order // 2
    found = [np.zeros((0, 2), np.int64)]
    for step in range(1, 8):  # so many of a vertex's edges are paired
        if step >= len(at):
            break
        same = at[step:] == at[:-step]
        found.append(np.stack([edge[:-step][same], edge[step:][same]], axis=1))
    return np.concatenate(found)
