"""Polygons to triangles, as a modelling program exports them: vertices welded, quads split, n-gons cut up."""

from functools import lru_cache

import numpy as np

from core.data.shapes.surface import Surface


def weld(points: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Merge points that fall into one cell of a grid of size `distance`; coordinates up to 2^20 cells from 0.

    Returns the kept points (K, 3) and, for each of the (V, 3) given, its index among them (V,).
    """
    # The odd offset keeps modelled coordinates, which like round numbers, away from the cells' borders.
    cells = np.floor(points / distance + 0.3183).astype(np.int64) + (1 << 20)
    keys = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return points[first], inverse


def triangulate(surface: Surface, owner: np.ndarray, style: str = "strip") -> tuple[np.ndarray, np.ndarray]:
    """Triangles (F, 3) of all polygons, and the owner of each triangle's polygon (F,).

    owner: (Q + number of n-gons,), any number carried from polygon to triangles.
    style: how convex n-gons are cut, "strip" (zigzag across) or "fan" (from the first corner).
    Quads take their shorter diagonal, the first one when there is none. Concave n-gons are cut ear by ear.
    """
    quads, owners = [surface.quads], [owner[: len(surface.quads)]]
    for size in {len(ngon) for ngon in surface.ngons}:
        chosen = [k for k, ngon in enumerate(surface.ngons) if len(ngon) == size]
        polygons = np.stack([surface.ngons[k] for k in chosen])
        polygon_owner = owner[len(surface.quads) + np.array(chosen)]
        convex = _is_convex(surface.points[polygons])
        template = _strip(size) if style == "strip" else _fan(size)
        quads.append(polygons[convex][:, template].reshape(-1, 4))
        owners.append(np.repeat(polygon_owner[convex], len(template)))
        for polygon, one in zip(polygons[~convex], polygon_owner[~convex], strict=True):
            ears = cut_ears(_flatten(surface.points[polygon]))
            quads.append(polygon[_strip(size) if ears is None else ears])
            owners.append(np.full(len(quads[-1]), one))
    return _split(surface.points, np.concatenate(quads), np.concatenate(owners))


def _split(points: np.ndarray, quads: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles a quad, less those that repeat a vertex."""
    a, b, c, d = points[quads].swapaxes(0, 1)
    # Equal diagonals (every straight wall) must not be decided by rounding: hence the margin.
    other = ((b - d) ** 2).sum(axis=1) < 0.998 * ((a - c) ** 2).sum(axis=1)
    quads = np.where(other[:, None], np.roll(quads, -1, axis=1), quads)
    triangles = quads[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
    i, j, k = triangles.T
    real = (i != j) & (j != k) & (k != i)
    return triangles[real], np.repeat(owner, 2)[real]


@lru_cache(maxsize=64)
def _strip(size: int) -> np.ndarray:
    rungs = [(i, i + 1, size - 2 - i, size - 1 - i) for i in range((size - 1) // 2)]
    return np.array(rungs)


@lru_cache(maxsize=64)
def _fan(size: int) -> np.ndarray:
    return np.array([(0, i, i + 1, i + 1) for i in range(1, size - 1)])


def _is_convex(corners: np.ndarray) -> np.ndarray:
    """Which of the polygons (K, N, 3) are strictly convex: (K,) bool."""
    edges = np.roll(corners, -1, axis=1) - corners
    turns = np.cross(np.roll(edges, 1, axis=1), edges)
    normal = turns.sum(axis=1, keepdims=True)
    normal = normal / np.linalg.norm(normal, axis=2, keepdims=True)
    lengths = np.linalg.norm(edges, axis=2)
    return np.all((turns * normal).sum(axis=2) > 1e-4 * lengths * np.roll(lengths, 1, axis=1), axis=1)


def _flatten(corners: np.ndarray) -> np.ndarray:
    """A polygon (N, 3) seen from its front along the axis nearest to its normal: (N, 2), counter-clockwise."""
    after = np.roll(corners, -1, axis=0)
    normal = np.cross(corners - corners[0], after - corners[0]).sum(axis=0)
    k = int(np.abs(normal).argmax())
    i, j = (k + 1) % 3, (k + 2) % 3
    return corners[:, [i, j]] if normal[k] > 0 else corners[:, [j, i]]


def cut_ears(outline: np.ndarray) -> np.ndarray | None:
    """Triangles (N - 2, 4) of a polygon (N, 2), counter-clockwise; always the ear with the shortest cut next.

    Collinear corners are fine. None for a polygon that crosses itself, as the uneven rim of a stone may.
    A triangle repeats its last corner, as in Surface. Plain Python: for a dozen corners that is faster than arrays.
    """
    points = [(float(x), float(y)) for x, y in outline]
    ring, triangles = list(range(len(points))), []
    while len(ring) > 3:
        # Corners that are collinear but for rounding or a twist count as collinear, unless nothing else is left.
        best = _best_ear(points, ring, 1e-3)
        best = _best_ear(points, ring, 1e-9) if best is None else best
        if best is None:
            return None
        after = ring[(best + 1) % len(ring)]
        triangles.append((ring[best - 1], ring[best], after, after))
        del ring[best]
    return np.array([*triangles, (*ring, ring[2])])


def _best_ear(points: list[tuple[float, float]], ring: list[int], slack: float) -> int | None:
    best, best_length = None, np.inf
    for k in range(len(ring)):
        a, b, c = ring[k - 1], ring[k], ring[(k + 1) % len(ring)]
        length = (points[a][0] - points[c][0]) ** 2 + (points[a][1] - points[c][1]) ** 2
        if length < best_length and _is_ear(points, ring, (a, b, c), slack * length):
            best, best_length = k, length
    return best


def _is_ear(points: list[tuple[float, float]], ring: list[int], ear: tuple[int, int, int], slack: float) -> bool:
    """Whether corner b is convex and the triangle a, b, c, its border included, holds no other corner."""
    (ax, ay), (bx, by), (cx, cy) = (points[k] for k in ear)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area <= slack:
        return False
    for p in ring:
        if p in ear:
            continue
        x, y = points[p]
        if (
            (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= -slack
            and (cx - bx) * (y - by) - (cy - by) * (x - bx) >= -slack
            and (ax - cx) * (y - cy) - (ay - cy) * (x - cx) >= -slack
        ):
            return False
    return True
