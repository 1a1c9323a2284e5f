"""Merging of vertices that lie closer together than a distance.

The first of a cluster is kept, every other vertex goes to a kept one closer than the distance. So no two vertices that
remain are that close, and none moves further than the distance: a chain of close vertices is thinned out, it does not
collapse into a point.
"""

import math
from itertools import product

import numpy as np

_FAR = 1e300


def merge_close(points: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Thin out `points` (N, 3), finite: returns kept (K,), ascending, and index (N,): each point's position in `kept`.

    With distance 0 only equal points are merged.
    """
    kept, index = _merge_equal(points)
    if distance > 0 and len(kept) > 1:
        target = _nearest_kept(points[kept].astype(np.float64), distance)  # (K,) each one's target among `kept`
        survives = target == np.arange(len(kept))
        position = np.cumsum(survives) - 1
        kept, index = kept[survives], position[target][index]
    return kept, index


def _merge_equal(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort(points.T[::-1])  # stable: of equal points the first comes first
    ordered = points[order]
    is_new = np.ones(len(points), dtype=bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = order[is_new]
    kept = np.sort(first)
    index = np.empty(len(points), dtype=np.int64)
    index[order] = np.searchsorted(kept, first)[np.cumsum(is_new) - 1]
    return kept, index


def _nearest_kept(points: np.ndarray, distance: float) -> np.ndarray:
    """For each of the distinct `points` (N, 3) the index of the one that it is merged into (itself when kept)."""
    target = np.arange(len(points))
    with np.errstate(over="ignore"):
        grid = np.clip(points / distance, -_FAR, _FAR)  # (N, 3) in units of the distance
    kept_in_cell: dict[tuple[float, ...], list[tuple[list[float], int]]] = {}
    neighbours = list(product((-1.0, 0.0, 1.0), repeat=3))
    # Few points of a mesh have company, so the loop over the grid's cells runs over few.
    for i in np.flatnonzero(_has_company(grid)):
        point = points[i].tolist()
        cell = tuple(np.floor(grid[i]).tolist())
        best = distance
        for step in neighbours:
            for other, j in kept_in_cell.get((cell[0] + step[0], cell[1] + step[1], cell[2] + step[2]), ()):
                apart = math.dist(point, other)
                if apart < best:
                    best, target[i] = apart, j
        if target[i] == i:
            kept_in_cell.setdefault(cell, []).append((point, int(i)))
    return target


def _has_company(grid: np.ndarray) -> np.ndarray:
    """(N,) bool: may another point of `grid` (N, 3) be closer than 1? Never False where one is.

    On an axis two such points share a cell of size 2, or they do after a shift by half a cell: so in space they share
    one in at least one of eight shifted grids.
    """
    company = np.zeros(len(grid), dtype=bool)
    multipliers = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
    for shift in product((0.0, 0.5), repeat=3):
        cells = np.fmod(np.floor(grid / 2 + shift), 2.0**52).astype(np.int64)
        keys = (cells.astype(np.uint64) * multipliers).sum(axis=1, dtype=np.uint64)  # a collision costs time only
        order = np.argsort(keys)
        same = keys[order][1:] == keys[order][:-1]
        company[order[1:][same]] = True
        company[order[:-1][same]] = True
    return company
