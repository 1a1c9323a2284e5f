"""Open edges that belong together are found by assignment over the whole mesh, and their ends welded."""

from typing import NamedTuple

import numpy as np

from core.geometry.finish.working import WorkingMesh, edge_defects, normals
from core.geometry.vectors import lengths

UNMATCHED = 1.0  # what it costs an open edge to stay without another
DISTANCE, DIRECTION, FOLD, SAME_WAY = 0.7, 0.6, 0.5, 0.3  # what speaks against a pair, each at its worst
EDGE_SHARE = 0.5  # of the shorter edge: ends farther apart are not of one place
ROUNDS = (0.5, 1.0, 1.0, 1.0)  # shares of the distance allowed, the near ones first


class Pairs(NamedTuple):
    """first, second: (P,) rows of open edges    crossed: (P,) whether the ends meet crosswise    cost: (P,)"""

    first: np.ndarray
    second: np.ndarray
    crosswise: np.ndarray
    cost: np.ndarray


def weld_open_edges(mesh: WorkingMesh, distance: float, edge_share: float = EDGE_SHARE) -> int:
    """Join open edges that belong together by welding their ends; returns how many vertices went.

    Args:
        mesh: changed.
        distance: how far apart ends may be, as a share of the diagonal.
        edge_share: how far, as a share of the shorter of the two edges.
    """
    count = len(np.unique(mesh.faces))
    home = mesh.vertices.copy()  # no vertex may end farther from where it came than ends may be apart
    for share in ROUNDS:
        before = len(mesh.faces), mesh.defects()
        edges, face = mesh.open_edges()
        pairs = candidates(mesh, edges, face, share * distance, share * edge_share)
        for k in match(pairs, len(edges)):
            _weld(mesh, edges[pairs.first[k]], edges[pairs.second[k]], bool(pairs.crosswise[k]), home, distance)
        if share == 1 and before == (len(mesh.faces), mesh.defects()):
            break
    return count - len(np.unique(mesh.faces))


def candidates(mesh: WorkingMesh, edges: np.ndarray, face: np.ndarray, distance: float, edge_share: float) -> Pairs:
    """Every two open edges of different faces whose ends are near enough to one another, and what speaks against each.

    Edges that run opposite ways are wanted: so do the two sides of an edge of a surface that is wound one way.
    """
    from scipy.spatial import cKDTree

    ends = mesh.vertices[edges]  # (E, 2, 3)
    along = ends[:, 1] - ends[:, 0]
    length = lengths(along)
    near = cKDTree(ends.mean(axis=1)).query_pairs(distance, output_type="ndarray") if len(edges) else np.zeros((0, 2))
    near = near.astype(np.int64)
    near = near[face[near[:, 0]] != face[near[:, 1]]]
    i, j = near.T
    across = np.maximum(lengths(ends[i, 0] - ends[j, 1]), lengths(ends[i, 1] - ends[j, 0]))
    beside = np.maximum(lengths(ends[i, 0] - ends[j, 0]), lengths(ends[i, 1] - ends[j, 1]))
    crosswise = across <= beside
    apart = np.where(crosswise, across, beside)
    limit = np.minimum(distance, edge_share * np.minimum(length[i], length[j]))
    normal = normals(mesh.vertices[mesh.faces[face]])
    cosine = np.einsum("pi,pi->p", normal[i], normal[j]) * np.where(crosswise, 1, -1)
    aligned = np.abs(np.einsum("pi,pi->p", along[i], along[j])) / np.maximum(length[i] * length[j], 1e-300)
    cost = DISTANCE * apart / np.maximum(limit, 1e-300) + DIRECTION * (1 - aligned) + FOLD * (1 - cosine) / 2
    cost += SAME_WAY * ~crosswise
    good = (apart <= limit) & (cost < UNMATCHED)
    order = np.lexsort((j[good], i[good], cost[good]))
    return Pairs(*(x[good][order] for x in (i, j, crosswise, cost)))


def match(pairs: Pairs, count: int) -> list[int]:
    """Rows of pairs such that no edge is in two of them and the cost is least over the whole mesh; the cheapest first.

    The assignment gives each edge another or itself. Where it goes round in a ring of three or more, the cheapest pairs
    of the ring are taken.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    i, j, _, cost = pairs
    if len(i) == 0:
        return []
    label = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(count, count)), directed=False)[1]
    row_of = {(min(a, b), max(a, b)): k for k, (a, b) in reversed(list(enumerate(zip(i, j, strict=True))))}
    chosen: set[int] = set()
    for part in np.unique(label[i]):
        members = np.flatnonzero(label == part)
        place = np.zeros(count, np.int64)
        place[members] = np.arange(len(members))
        mine = label[i] == part
        table = np.full((len(members), len(members)), 1e3)
        np.fill_diagonal(table, UNMATCHED)
        a, b = place[i[mine]], place[j[mine]]
        table[a, b] = table[b, a] = cost[mine]
        partner = members[linear_sum_assignment(table)[1]]
        chosen |= {row_of[min(m, p), max(m, p)] for m, p in zip(members, partner, strict=True) if m != p}
    taken: set[int] = set()
    result = []
    for k in sorted(chosen):  # pairs come in the order of their cost
        if not {i[k], j[k]} & taken:
            taken |= {i[k], j[k]}
            result.append(k)
    return result


def _weld(
    mesh: WorkingMesh, one: np.ndarray, other: np.ndarray, crosswise: bool, home: np.ndarray, distance: float
) -> bool:
    """Weld the ends of two open edges, where that leaves fewer edges open; the best place of three is tried first."""
    if not np.isin(np.concatenate([one, other]), mesh.faces).all():
        return False  # a weld before this one took an end
    partners = list(zip(one.tolist(), other[::-1].tolist() if crosswise else other.tolist(), strict=True))
    partners = [(a, b) for a, b in partners if a != b]
    renamed = np.arange(len(mesh.vertices))
    for a, b in partners:
        renamed[renamed == renamed[b]] = renamed[a]
    faces = renamed[mesh.faces]
    whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces, ids = faces[whole], mesh.ids[whole]
    if not partners or edge_defects(faces)[0] >= mesh.defects()[0]:
        return False
    options: list[tuple[float, int, np.ndarray]] = []
    for share in (0.5, 0.0, 1.0):
        vertices = mesh.vertices.copy()
        for a, b in partners:
            vertices[renamed[a]] = (1 - share) * mesh.vertices[a] + share * mesh.vertices[b]
        moved = sorted({int(renamed[a]) for a, _ in partners})
        if (lengths(vertices[moved] - home[moved]) > distance).any():
            continue
        around = faces[np.isin(faces, moved).any(axis=1)]
        error = mesh.support.error(vertices[around]) if mesh.support else 0.0
        options.append((error, len(options), vertices))
    return any(mesh.try_change(vertices, faces, ids) for _, _, vertices in sorted(options, key=lambda o: o[:2]))
