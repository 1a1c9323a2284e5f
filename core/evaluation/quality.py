"""How well a mesh is laid out: what of it is open, and how even its faces are.

Boundary edge ratio and topology score follow Mesh-RFT (Liu et al., NeurIPS 2025, arXiv 2505.16761, section 3.2): the
share of edges with one face; and 0.4 quad ratio + 0.2 angle quality + 0.3 aspect ratio + 0.1 adjacent consistency of
the quads that the triangles pair into. What the paper's text says of those four is their names, so the formulas here
are ours. The scale is 0 to 1, the paper's 0 to 100.
"""

from typing import NamedTuple

import numpy as np

from core.data.finish import drop_degenerate, merge_vertices
from core.data.mesh import Mesh, cross, lengths
from core.evaluation.distances import Figures
from core.evaluation.edges import find_edges

QUAD, ANGLE, ASPECT, ADJACENT = 0.4, 0.2, 0.3, 0.1  # weights of the topology score
FLAT = 30.0  # degrees between two triangles that may pair
LAYOUT = ("boundary_edge_ratio", "topology_score", "quad_ratio", "valence", "aspect")


class Quads(NamedTuple):
    """Pairs of triangles that are taken for quads.

    corners: (Q, 4, 3) in order around each    faces: (Q, 2) the two triangles    edge: (Q,) that they share
    """

    corners: np.ndarray
    faces: np.ndarray
    edge: np.ndarray


def layout(mesh: Mesh) -> Figures:
    """The figures that `LAYOUT` names; faces without area are left out, vertices at the very same place are one.

    boundary_edge_ratio: edges of one face / edges    topology_score: see above
    quad_ratio: share of the triangles that pair into quads    valence: mean number of edges at a vertex
    aspect: mean over the triangles of the longest side by the height on it, 1 for three equal sides
    """
    mesh = drop_degenerate(merge_vertices(mesh))
    if len(mesh.faces) == 0:
        return {"boundary_edge_ratio": None, "topology_score": 0.0, "quad_ratio": 0.0, "valence": None, "aspect": None}
    edges = find_edges(mesh.faces)
    quads = pair_triangles(mesh)
    ratio = 2 * len(quads.faces) / len(mesh.faces)
    return {
        "boundary_edge_ratio": float((edges.faces_at == 1).mean()),
        "topology_score": topology_score(mesh, quads),
        "quad_ratio": ratio,
        "valence": 2 * len(edges.ends) / len(np.unique(mesh.faces)),
        "aspect": float(triangle_aspects(mesh.vertices[mesh.faces].astype(np.float64)).mean()),
    }


def topology_score(mesh: Mesh, quads: Quads) -> float:
    """0 (no two triangles pair) to 1 (all pair into squares of one size)."""
    if len(quads.faces) == 0:
        return 0.0
    ratio = 2 * len(quads.faces) / len(mesh.faces)
    angle = float(angle_qualities(quads.corners).mean())
    sides = np.stack([lengths(quads.corners[:, j] - quads.corners[:, j - 1]) for j in range(4)])
    aspect = float((sides.min(axis=0) / np.maximum(sides.max(axis=0), 1e-300)).mean())
    return QUAD * ratio + ANGLE * angle + ASPECT * aspect + ADJACENT * _adjacent_consistency(mesh, quads)


def angle_qualities(corners: np.ndarray) -> np.ndarray:
    """(Q,) 1 for four right angles, 0 for angles that are 90 degrees off in the mean; of quads (Q, 4, 3)."""
    off = []
    for j in range(4):
        u, v = corners[:, j - 1] - corners[:, j], corners[:, (j + 1) % 4] - corners[:, j]
        cosine = np.einsum("qi,qi->q", u, v) / np.maximum(lengths(u) * lengths(v), 1e-300)
        off.append(np.abs(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))) - 90))
    return 1 - np.mean(off, axis=0) / 90


def _adjacent_consistency(mesh: Mesh, quads: Quads) -> float:
    """Mean over quads that share an edge of the smaller area by the larger one; 1 where none do."""
    quad_of = np.full(len(mesh.faces), -1)
    quad_of[quads.faces.reshape(-1)] = np.repeat(np.arange(len(quads.faces)), 2)
    one, two, _ = _shared(mesh)
    a, b = quad_of[one], quad_of[two]
    neighbours = (a >= 0) & (b >= 0) & (a != b)
    if not neighbours.any():
        return 1.0
    diagonals = quads.corners[:, 2] - quads.corners[:, 0], quads.corners[:, 3] - quads.corners[:, 1]
    areas = lengths(cross(*diagonals)) / 2
    a, b = areas[a[neighbours]], areas[b[neighbours]]
    return float((np.minimum(a, b) / np.maximum(np.maximum(a, b), 1e-300)).mean())


def pair_triangles(mesh: Mesh) -> Quads:
    """Pair triangles over shared edges into quads, the most rectangular first; each triangle is in one at most.

    Two may pair that lie within 30 degrees of a plane, wound either way, and whose quad is convex.
    """
    one, two, edge = _shared(mesh)
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    ends = find_edges(mesh.faces).ends[edge]
    apex = [_apex(mesh.faces[f], ends) for f in (one, two)]
    a, b = (mesh.vertices[ends[:, j]].astype(np.float64) for j in range(2))
    p, q = (mesh.vertices[x].astype(np.float64) for x in apex)
    quads = np.stack([a, p, b, q], axis=1)
    good = _is_flat(a, b, p, q) & _is_convex(quads)
    quality = angle_qualities(quads)
    order = np.flatnonzero(good)[np.lexsort((edge[good], -np.round(quality[good], 9)))]
    free, chosen = np.ones(len(corners), bool), []
    for k in order:
        if free[one[k]] and free[two[k]]:
            free[one[k]] = free[two[k]] = False
            chosen.append(k)
    k = np.array(chosen, np.int64)
    return Quads(quads[k], np.stack([one[k], two[k]], axis=1), edge[k])


def _shared(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of exactly two faces: (E,) one face, (E,) the other, (E,) the edge as `find_edges` counts."""
    edges = find_edges(mesh.faces)
    order = np.argsort(edges.label, kind="stable")
    starts = np.flatnonzero(edges.faces_at[edges.label[order]] == 2)[::2]
    return order[starts] // 3, order[starts + 1] // 3, edges.label[order[starts]]


def _apex(faces: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(E,) the vertex of each face (E, 3) that is no end (E, 2) of the edge."""
    other = (faces != ends[:, :1]) & (faces != ends[:, 1:])
    return faces[np.arange(len(faces)), other.argmax(axis=1)]


def _is_flat(a: np.ndarray, b: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(E,) whether triangles on either side of the edges from a to b lie within FLAT degrees of a plane."""
    u, v = cross(b - a, p - a), cross(q - a, b - a)
    cosine = np.einsum("ei,ei->e", u, v) / np.maximum(lengths(u) * lengths(v), 1e-300)
    return cosine >= np.cos(np.deg2rad(FLAT))


def _is_convex(quads: np.ndarray) -> np.ndarray:
    """(E,) whether every corner of a quad (E, 4, 3) turns the same way."""
    normal = cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
    turns = [
        np.einsum("ei,ei->e", cross(quads[:, j] - quads[:, j - 1], quads[:, (j + 1) % 4] - quads[:, j]), normal)
        for j in range(4)
    ]
    return (np.min(turns, axis=0) > 0) | (np.max(turns, axis=0) < 0)


def triangle_aspects(corners: np.ndarray) -> np.ndarray:
    """(F,) longest side by the height on it, of triangles (F, 3, 3), in units of the equilateral one's."""
    sides = np.stack([lengths(corners[:, j] - corners[:, j - 1]) for j in range(3)])
    double_area = lengths(cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    return sides.max(axis=0) ** 2 / np.maximum(double_area, 1e-300) * np.sqrt(3) / 2
