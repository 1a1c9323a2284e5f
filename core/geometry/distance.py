"""Distances from points to triangles."""

import numpy as np


def point_triangle_distances(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N,) distance of point n of (N, 3) from triangle n of (N, 3, 3)."""
    a, u, v = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    w = points - a
    uu, uv, vv = (np.einsum("ni,ni->n", x, y) for x, y in ((u, u), (u, v), (v, v)))
    wu, wv, ww = (np.einsum("ni,ni->n", w, x) for x in (u, v, w))
    area = np.maximum(uu * vv - uv * uv, 1e-300)
    s, t = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    inside = (s >= 0) & (t >= 0) & (s + t <= 1)
    to_plane = np.maximum(ww - s * wu - t * wv, 0.0)  # squared: what of w its share in the plane leaves over
    to_sides = [_squared_to_segment(points, corners[:, j], corners[:, (j + 1) % 3]) for j in range(3)]
    return np.sqrt(np.where(inside, to_plane, np.minimum(np.minimum(to_sides[0], to_sides[1]), to_sides[2])))


def _squared_to_segment(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = end - start
    share = np.einsum("ni,ni->n", points - start, along) / np.maximum(np.einsum("ni,ni->n", along, along), 1e-300)
    off = points - start - np.clip(share, 0, 1)[:, None] * along
    return np.einsum("ni,ni->n", off, off)


def near_pairs(points: np.ndarray, corners: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """(P,) points and (P,) triangles that are no farther apart than a distance, every such pair once."""
    found = []
    for start in range(0, len(corners), 512):  # for the memory
        some = corners[start : start + 512]
        low, high = some.min(axis=1) - distance, some.max(axis=1) + distance
        inside = np.ones((len(points), len(some)), bool)
        for axis in range(3):
            inside &= (points[:, None, axis] >= low[:, axis]) & (points[:, None, axis] <= high[:, axis])
        n, f = np.nonzero(inside)
        close = point_triangle_distances(points[n], some[f]) <= distance
        found.append(np.stack([n[close], f[close] + start]))
    pairs = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.int64)
    return pairs[0], pairs[1]
