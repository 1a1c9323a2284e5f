"""Faces that cut through others: candidates from a tree of bounding boxes, then an exact test of each pair.

The test finds the segment in which two triangles' planes and surfaces meet (T. Möller, "A fast triangle-triangle
intersection test", 1997), so it needs no exception for neighbours: faces that share an edge or a corner meet there and
nowhere else unless they really cut. Faces that only touch (a wall that stands on a floor) do not count, nor do
duplicates, which are counted on their own; faces of one plane that overlap do.
"""

import numpy as np

from core.geometry.vectors import cross, lengths

TOLERANCE = 1e-5  # of the mesh's diagonal: closer is touching
CHUNK = 1 << 17  # pairs tested at a time, for the memory


def intersecting_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) whether a face cuts through another of vertices (V, 3), faces (F, 3).

    Degenerate faces and duplicates cut nothing.
    """
    cut = np.zeros(len(faces), bool)
    corners = vertices[faces].astype(np.float64)  # (F, 3, 3)
    proper = np.flatnonzero(has_area(corners))
    if len(proper) < 2:
        return cut
    low = corners.min(axis=(0, 1))
    corners = (corners[proper] - low) / max(float(np.linalg.norm(corners.max(axis=(0, 1)) - low)), 1e-300)
    ids = np.sort(faces[proper], axis=1)
    pairs = overlapping_boxes(corners.min(axis=1), corners.max(axis=1))
    for start in range(0, len(pairs), CHUNK):
        a, b = pairs[start : start + CHUNK].T
        different = (ids[a] != ids[b]).any(axis=1)
        a, b = a[different], b[different]
        hit = crossing(corners[a], corners[b])
        cut[proper[a[hit]]] = cut[proper[b[hit]]] = True
    return cut


def has_area(corners: np.ndarray) -> np.ndarray:
    """(F,) whether triangles (F, 3, 3) have three corners that are not in a line."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    longest = np.maximum(np.maximum(lengths(u), lengths(v)), lengths(v - u))
    return lengths(cross(u, v)) > 1e-6 * longest**2


def overlapping_boxes(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(P, 2) pairs a < b of boxes that overlap or touch, from corners (N, 3) each.

    A full binary tree over the boxes in Morton order is descended against itself, a level at a time.
    """
    count = len(low)
    depth = max(int(np.ceil(np.log2(max(count, 1)))), 0)
    order = np.argsort(_morton((low + high) / 2), kind="stable")
    levels = [(_pad(low[order], 1 << depth, np.inf), _pad(high[order], 1 << depth, -np.inf))]
    for _ in range(depth):
        lows, highs = levels[-1]
        levels.append((lows.reshape(-1, 2, 3).min(axis=1), highs.reshape(-1, 2, 3).max(axis=1)))
    a = b = np.zeros(1, np.int64)
    for lows, highs in levels[-2::-1]:
        a, b = (np.concatenate(x) for x in ((2 * a, 2 * a, 2 * a + 1, 2 * a + 1), (2 * b, 2 * b + 1, 2 * b, 2 * b + 1)))
        a, b = a[a <= b], b[a <= b]
        meet = ((lows[a] <= highs[b]) & (lows[b] <= highs[a])).all(axis=1)
        a, b = a[meet], b[meet]
    a, b = a[a < b], b[a < b]
    return np.sort(np.stack([order[a], order[b]], axis=1), axis=1)


def _pad(rows: np.ndarray, size: int, value: float) -> np.ndarray:
    return np.concatenate([rows, np.full((size - len(rows), 3), value)])


def _morton(centers: np.ndarray) -> np.ndarray:
    """(N,) the bits of the three coordinates, 10 each, woven into one number: neighbours get near numbers."""
    low, extent = centers.min(axis=0), np.ptp(centers, axis=0)
    cells = ((centers - low) / np.maximum(extent.max(), 1e-300) * 1023).astype(np.int64)
    key = np.zeros(len(cells), np.int64)
    for bit in range(10):
        for axis in range(3):
            key |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return key


def crossing(p: np.ndarray, q: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """(P,) whether triangles p and q (P, 3, 3) share a segment or an area that is longer than `tolerance`.

    A shared segment counts where each triangle has corners on both sides of the other's plane.
    """
    normal_p, normal_q = _normals(p), _normals(q)
    side_p, side_q = _sides(p, q, normal_q, tolerance), _sides(q, p, normal_p, tolerance)
    hit = np.zeros(len(p), bool)
    flat = ~side_p.any(axis=1) | ~side_q.any(axis=1)
    rows = np.flatnonzero(flat)
    hit[rows] = _overlap_in_plane(p[rows], q[rows], normal_q[rows], tolerance)
    rows = np.flatnonzero(~flat & _straddles(side_p) & _straddles(side_q))
    line = cross(normal_p[rows], normal_q[rows])
    line /= np.maximum(lengths(line), 1e-300)[:, None]
    low_p, high_p = _interval(p[rows], side_p[rows], line)
    low_q, high_q = _interval(q[rows], side_q[rows], line)
    hit[rows] = np.minimum(high_p, high_q) - np.maximum(low_p, low_q) > tolerance
    return hit


def _normals(corners: np.ndarray) -> np.ndarray:
    normals = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(lengths(normals), 1e-300)[:, None]


def _sides(p: np.ndarray, q: np.ndarray, normal: np.ndarray, tolerance: float) -> np.ndarray:
    """(P, 3) signed distances of p's corners from q's plane, those within the tolerance exactly 0."""
    distance = np.einsum("pji,pi->pj", p - q[:, :1], normal)
    return np.where(np.abs(distance) <= tolerance, 0.0, distance)


def _straddles(side: np.ndarray) -> np.ndarray:
    return (side.min(axis=1) < 0) & (side.max(axis=1) > 0)


def _interval(corners: np.ndarray, side: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,), (P,): from where to where along `line` (P, 3) a triangle lies in the other's plane."""
    at = np.einsum("pji,pi->pj", corners, line)
    after, side_after = np.roll(at, -1, axis=1), np.roll(side, -1, axis=1)
    cuts = side * side_after < 0
    share = side / np.where(cuts, side - side_after, 1.0)
    places = np.concatenate([at + (after - at) * share, at], axis=1)  # (P, 6): cut edges, and corners in the plane
    valid = np.concatenate([cuts, side == 0], axis=1)
    return np.where(valid, places, np.inf).min(axis=1), np.where(valid, places, -np.inf).max(axis=1)


def _overlap_in_plane(p: np.ndarray, q: np.ndarray, normal: np.ndarray, tolerance: float) -> np.ndarray:
    """(P,) whether triangles of one plane overlap: no line along any of their six edges has them on either side."""
    overlap = np.ones(len(p), bool)
    for triangle in (p, q):
        for j in range(3):
            across = cross(triangle[:, (j + 1) % 3] - triangle[:, j], normal)
            across /= np.maximum(lengths(across), 1e-300)[:, None]
            on_p, on_q = np.einsum("pji,pi->pj", p, across), np.einsum("pji,pi->pj", q, across)
            depth = np.minimum(on_p.max(axis=1), on_q.max(axis=1)) - np.maximum(on_p.min(axis=1), on_q.min(axis=1))
            overlap &= depth > tolerance
    return overlap
