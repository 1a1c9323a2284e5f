"""The rims of holes, and the triangles that may close them."""

import heapq
from collections import defaultdict
from collections.abc import Callable

import numpy as np

LONGEST = 30  # edges of a rim up to which the best triangulation is searched; longer ones are closed ear by ear

Cost = Callable[[np.ndarray], np.ndarray]
"""(N, 3) triangles, as places on the rim -> (N,) what each costs; infinite: it may not be."""


def find_loops(edges: np.ndarray, vertices: np.ndarray, longest: int = 200) -> list[list[int]]:
    """The shortest ring of open edges through each open edge, each once, the shortest first.

    Where several rims meet at a vertex a walk could take a wrong turn, and would give one knotted ring of them all.

    Args:
        edges: (E, 2) ends of the open edges.
        vertices: (V, 3).
        longest: rings of more edges are not looked for.

    Returns:
        For each ring its vertices in order; the first two of them are an edge, in the direction of its face.
    """
    near: dict[int, list[tuple[int, float]]] = defaultdict(list)
    span = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    for (a, b), length in zip(edges.tolist(), span.tolist(), strict=True):
        near[a].append((b, length))
        near[b].append((a, length))
    found: dict[frozenset, tuple[float, list[int]]] = {}
    covered: set[tuple[int, int]] = set()
    for (a, b), length in sorted(zip(map(tuple, edges.tolist()), span.tolist(), strict=True), key=lambda e: e[::-1]):
        if (a, b) in covered:
            continue
        path, rest = _shortest_path(near, b, a, longest)
        if path:
            ring = [a, *path[:-1]]
            found.setdefault(frozenset(ring), (length + rest, ring))
            if len(near[a]) == len(near[b]) == 2 and all(len(near[v]) == 2 for v in ring):
                covered |= {(u, v) for u in ring for v in ring}  # a rim of its own: the same from each of its edges
    return [ring for _, ring in sorted(found.values(), key=lambda entry: (entry[0], entry[1]))]


def _shortest_path(near: dict, start: int, end: int, longest: int) -> tuple[list[int], float]:
    """From start to end over open edges, but not the one between them; [] where there is none."""
    heap: list[tuple[float, int, int, int]] = [(0.0, 0, start, -1)]
    before: dict[int, int] = {}
    while heap:
        far, steps, at, source = heapq.heappop(heap)
        if at in before:
            continue
        before[at] = source
        if at == end:
            path = [at]
            while path[-1] != start:
                path.append(before[path[-1]])
            return path[::-1], far
        if steps < longest:
            for other, length in near[at]:
                if other not in before and not (at == start and other == end):
                    heapq.heappush(heap, (far + length, steps + 1, other, at))
    return [], 0.0


def triangulate(count: int, cost: Cost, join: Callable[[tuple, tuple], float]) -> list[tuple[int, int, int]] | None:
    """The cheapest triangulation of a ring of `count` vertices, 0, 1, 2 ... in its order; None where none may be.

    By dynamic programming over the ring's parts up to LONGEST vertices (Barequet and Sharir 1995, with a term for the
    angle between neighbouring triangles as in Liepa 2003), ear by ear above.

    Args:
        count: 3 or more.
        cost: of triangles (i, j, k), i < j < k.
        join: of two triangles that share an edge, or of a triangle (i, j, k) and what lies beyond its edge (i, i + 1),
            which is told by the second being (i, i + 1).
    """
    if count == 3:
        return [(0, 1, 2)] if np.isfinite(cost(np.array([[0, 1, 2]]))[0]) else None
    return _best(count, cost, join) if count <= LONGEST else _ears(count, cost, join)


def _best(count: int, cost: Cost, join: Callable) -> list[tuple[int, int, int]] | None:
    all_three = np.array([(i, j, k) for i in range(count) for j in range(i + 1, count) for k in range(j + 1, count)])
    own = dict(zip(map(tuple, all_three.tolist()), cost(all_three).tolist(), strict=True))
    best: dict[tuple[int, int], tuple[float, int]] = {(i, i + 1): (0.0, -1) for i in range(count - 1)}
    for width in range(2, count):
        for i in range(count - width):
            k = i + width
            options = [(np.inf, -1)]
            for j in range(i + 1, k):
                three = (i, j, k)
                total = own[three] + best[i, j][0] + best[j, k][0]
                if total >= options[0][0]:
                    continue
                total += sum(join(three, _beyond(best, *side)) for side in ((i, j), (j, k)))
                if width == count - 1:
                    total += join(three, (0, count - 1))
                options = min(options, [(total, j)])
            best[i, k] = options[0]
    if not np.isfinite(best[0, count - 1][0]):
        return None
    return _unfold(best, count)


def _beyond(best: dict, i: int, k: int) -> tuple:
    """What lies beyond the edge (i, k): the triangle on it, or, of an edge of the ring, the edge itself."""
    return (i, k) if k == i + 1 else (i, best[i, k][1], k)


def _unfold(best: dict, count: int) -> list[tuple[int, int, int]]:
    triangles, stack = [], [(0, count - 1)]
    while stack:
        i, k = stack.pop()
        if k > i + 1:
            j = best[i, k][1]
            triangles.append((i, j, k))
            stack += [(i, j), (j, k)]
    return triangles


def _ears(count: int, cost: Cost, join: Callable) -> list[tuple[int, int, int]] | None:
    """The cheapest ear first, again and again."""
    ring: list[int] = list(range(count))
    triangles: list[tuple[int, int, int]] = []
    while len(ring) > 3:
        ears = np.array([sorted((ring[k - 1], ring[k], ring[(k + 1) % len(ring)])) for k in range(len(ring))])
        costs = cost(ears)
        k = int(costs.argmin())
        if not np.isfinite(costs[k]):
            return None
        triangles.append((int(ears[k, 0]), int(ears[k, 1]), int(ears[k, 2])))
        del ring[k]
    i, j, k = sorted(ring)
    return [*triangles, (i, j, k)] if np.isfinite(cost(np.array([[i, j, k]]))[0]) else None
