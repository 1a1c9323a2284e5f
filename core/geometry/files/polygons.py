"""Polygons, strips and fans to triangles."""

from itertools import islice, product

import numpy as np

MAX_CONCAVE_CORNERS = 10_000  # of one polygon: clipping ears takes time quadratic in them
FANS_TRIED = 8  # corners that a fan is tried from before ears are clipped one by one
TESTS_A_CORNER = 20  # whether it is an ear, on average; only polygons that cross themselves take more, and have none
FLAT = 1e-9  # a triangle of less than this share of its polygon's area has no direction


def triangulate(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(F, 3) triangles of P polygons, in their order: n - 2 of each with n corners, none of those with fewer than 3.

    A polygon may be concave, and may hold holes joined to its rim by bridge edges. It is cut without gaps or overlaps
    as seen along its normal, and every corner stays, so that neighbours still meet.

    Args:
        vertices: (V, 3).
        corners: (N,) indices of vertices, one polygon after the other.
        sizes: (P,) the number of corners of each.
    Raises:
        ValueError: an index is out of range, or a concave polygon has more than 10,000 corners.
    """
    if len(corners) and not (corners.min() >= 0 and corners.max() < len(vertices)):
        wrong = corners.max() if corners.max() >= len(vertices) else corners.min()
        raise ValueError(f"a face has index {wrong}, there are {len(vertices)} vertices")
    if len(sizes) and (sizes == sizes[0]).all() and sizes[0] >= 3:
        return _cut(vertices, corners.reshape(-1, sizes[0])).reshape(-1, 3)
    starts = np.cumsum(sizes) - sizes
    counts = np.maximum(sizes - 2, 0)
    places = np.cumsum(counts) - counts
    triangles = np.empty((counts.sum(), 3), corners.dtype)
    for size in np.unique(sizes[sizes >= 3]).tolist():
        chosen = np.flatnonzero(sizes == size)
        polygons = corners[starts[chosen, None] + np.arange(size)]
        triangles[places[chosen, None] + np.arange(size - 2)] = _cut(vertices, polygons)
    return triangles


def fan(count: int, start: int = 0) -> np.ndarray:
    """(count - 2, 3) the triangles of a fan around corner `start` of `count` corners."""
    middle = np.arange(1, count - 1)
    return (np.stack([np.zeros_like(middle), middle, middle + 1], axis=1) + start) % max(count, 1)


def strip(count: int) -> np.ndarray:
    """(count - 2, 3) the triangles of a strip: every second is turned, so that all face the same way."""
    first = np.arange(max(count - 2, 0))
    odd = first % 2
    return np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)


def join(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """One (V, 3) float64 and (F, 3) of several: the vertices one after the other, the indices moved along.

    Parts without faces are points; they are left out where any part has faces.
    """
    parts = [part for part in parts if len(part[1])] or parts
    offsets = np.cumsum([0] + [len(vertices) for vertices, _ in parts])
    vertices = [np.zeros((0, 3))] + [np.asarray(v, np.float64) for v, _ in parts]
    faces = [np.zeros((0, 3), np.int64)] + [f + o for (_, f), o in zip(parts, offsets, strict=False)]
    return np.concatenate(vertices), np.concatenate(faces)


# ---------------------------------------------------------------------------------------------------------------------
# Polygons of one size


def _cut(vertices: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """(P, n - 2, 3) triangles of polygons (P, n), both as indices of vertices (V, 3)."""
    size = polygons.shape[1]
    triangles = polygons[:, fan(size)]
    if size == 3:
        return triangles
    points = vertices[polygons]
    points -= points[:, :1].copy()
    normals = _cross(points[:, 1:-1], points[:, 2:])  # (P, n - 2, 3) of the fan's triangles
    normal = normals.sum(axis=1)
    square = np.einsum("pk,pk->p", normal, normal)
    # A fan all of whose triangles face along the polygon's normal covers it exactly once. Without area any cut is good.
    along = np.einsum("ptk,pk->pt", normals, normal)
    open_ones = np.flatnonzero((along <= FLAT * square[:, None]).any(axis=1) & (square > 0))
    if not len(open_ones):
        return triangles
    flat, area = _flatten(points[open_ones], normal[open_ones])
    left = np.ones(len(open_ones), bool)
    for start in range(1, min(size, FANS_TRIED)):
        cut = fan(size, start)
        good = left & (_areas(flat, cut) > FLAT * area[:, None]).all(axis=1)
        triangles[open_ones[good]] = polygons[open_ones[good]][:, cut]
        left &= ~good
    for index in np.flatnonzero(left).tolist():
        polygon = open_ones[index]
        triangles[polygon] = polygons[polygon][_clip_ears(flat[index], float(area[index]))]
    return triangles


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(..., 3) what np.cross gives, faster."""
    ux, uy, uz, vx, vy, vz = (w[..., k] for w in (u, v) for k in range(3))
    return np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=-1)


def _flatten(points: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons (P, n, 3) as (P, n, 2), seen from where their normals (P, 3) point to, and their areas (P,)."""
    length = np.linalg.norm(normal, axis=1)
    normal = normal / np.where(length > 0, length, 1)[:, None]
    right = np.cross(np.eye(3)[np.abs(normal).argmin(axis=1)], normal)  # across any direction that is not the normal's
    right /= np.maximum(np.linalg.norm(right, axis=1), 1e-300)[:, None]
    up = np.cross(normal, right)
    return np.stack([np.einsum("pnk,pk->pn", points, axis) for axis in (right, up)], axis=2), length / 2


def _areas(flat: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(P, T) signed areas of the triangles (T, 3) of polygons (P, n, 2)."""
    a, b, c = (flat[:, triangles[:, k]] for k in range(3))
    return _turn(a, b, c) / 2


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Twice the signed area of a triangle (..., 2) each: positive where a, b, c turn left."""
    u, v = b - a, c - a
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def _clip_ears(flat: np.ndarray, area: float) -> np.ndarray:
    """(n - 2, 3) triangles of one polygon (n, 2): ear after ear is cut off.

    An ear is a corner that turns left and whose triangle holds no other corner. Where corners lie in line there may be
    none: then others may touch its rim, or a corner that is straight goes. Where a polygon crosses itself and has none
    of these, the corner that turns left most is cut.
    """
    if len(flat) > MAX_CONCAVE_CORNERS:
        raise ValueError(f"a concave polygon has {len(flat)} corners, at most {MAX_CONCAVE_CORNERS} can be cut")
    left = list(range(len(flat)))
    triangles = []
    at, tests = 0, TESTS_A_CORNER * len(flat)
    while len(left) > 3:
        ring = flat[left]
        turns = _turn(np.roll(ring, 1, axis=0), ring, np.roll(ring, -1, axis=0))
        order = np.roll(np.flatnonzero(turns > 2 * FLAT * area), -at).tolist()
        straight = np.flatnonzero(np.abs(turns) <= 2 * FLAT * area).tolist()
        at = straight[0] if straight else int(turns.argmax())
        for may_touch, k in islice(product((False, True), order), tests):
            tests -= 1
            if _is_ear(ring, k, may_touch):
                at = k
                break
        triangles.append((left[at - 1], left[at], left[(at + 1) % len(left)]))
        del left[at]
    return np.array([*triangles, left])


def _is_ear(ring: np.ndarray, at: int, may_touch: bool) -> bool:
    """Whether no other corner lies in the triangle at `at` (or on it, unless that may be), and no edge crosses the cut.

    At bridges a corner comes twice: what lies exactly at the triangle's own corners is not in it.
    """
    a, b, c = ring[at - 1], ring[at], ring[(at + 1) % len(ring)]
    beyond = _turn(c, a, ring)
    sides = np.minimum(np.minimum(_turn(a, b, ring), _turn(b, c, ring)), beyond)
    held = ring[sides > 0 if may_touch else sides >= 0]
    if not ((held == a).all(axis=1) | (held == b).all(axis=1) | (held == c).all(axis=1)).all():
        return False
    after = np.roll(ring, -1, axis=0)
    crossing = (beyond * np.roll(beyond, -1) < 0) & (_turn(ring, after, a) * _turn(ring, after, c) < 0)
    return not bool(crossing.any())


def with_holes(vertices: np.ndarray, rings: list[np.ndarray]) -> np.ndarray:
    """The corners of a polygon with holes as one ring: each hole is joined to the rim by an edge there and back.

    Args:
        vertices: (V, 3).
        rings: indices of the rim, then of each hole.
    """
    rim, *holes = rings
    points = vertices[np.concatenate(rings)] - vertices[rim[0]]
    outline = points[: len(rim)]
    flat, _ = _flatten(points[None], _cross(outline, np.roll(outline, -1, axis=0)).sum(axis=0, keepdims=True))
    place = dict(zip(np.concatenate(rings).tolist(), flat[0], strict=True))
    ring = rim.tolist()
    turn = _signed(np.array([place[k] for k in ring]))
    # From the right to the left, so that no hole stands between another and the rim that it is joined to.
    for hole in sorted((hole.tolist() for hole in holes), key=lambda hole: -max(place[k][0] for k in hole)):
        if _signed(np.array([place[k] for k in hole])) * turn > 0:
            hole = hole[::-1]
        tip = max(range(len(hole)), key=lambda k: place[hole[k]][0])
        at = _visible(np.array([place[k] for k in ring]), place[hole[tip]])
        ring = ring[: at + 1] + hole[tip:] + hole[: tip + 1] + ring[at:]
    return np.array(ring)


def _signed(ring: np.ndarray) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _visible(ring: np.ndarray, tip: np.ndarray) -> int:
    """The nearest corner of a ring (n, 2), not left of `tip`, that is reached from there within the polygon.

    A corner that bridges already end at comes several times: the one is meant whose two edges have `tip` between them.
    """
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    left, right = _turn(ring, after, tip), _turn(ring, tip, before)
    between = np.where(_turn(before, ring, after) > 0, (left >= 0) & (right >= 0), (left >= 0) | (right >= 0))
    distance = np.where((ring[:, 0] >= tip[0]) & between, np.linalg.norm(ring - tip, axis=1), np.inf)
    for at in distance.argsort().tolist():
        corner = ring[at]
        sides = _turn(np.broadcast_to(tip, ring.shape), np.broadcast_to(corner, ring.shape), ring)
        cuts = (sides * np.roll(sides, -1) < 0) & (_turn(ring, after, tip) * _turn(ring, after, corner) < 0)
        if not cuts.any():
            return at
    return 0
