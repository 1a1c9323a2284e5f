"""Near-duplicates: the same object turned about the y axis, mirrored, moved, scaled, renumbered or cut into other
triangles has the same signature, but for rounding.

A signature is made of the vertices alone, about the upright axis through their mean: how their heights and their
distances from the axis are distributed, and the magnitude of their Fourier series around it, which neither a turn nor a
mirror changes. Two meshes are near-duplicates if they have as many vertices and faces, and signatures that close.
"""

import numpy as np

from core.data.mesh import Mesh

QUANTILES = 12
ORDERS = 8  # of the Fourier series
SIZE = 3 * QUANTILES + 4 * ORDERS
TOLERANCE = 3e-3  # of any number of a signature; files round to 1e-6 to 1e-4, different meshes are 1e-2 apart


def signature(mesh: Mesh) -> np.ndarray:
    """(SIZE,) float32 of a clean mesh."""
    points = mesh.vertices.astype(np.float64)
    points = points - points.mean(axis=0)
    points /= np.sqrt((points**2).sum() / len(points))
    height = points[:, 1]
    radius, angle = np.hypot(points[:, 0], points[:, 2]), np.arctan2(points[:, 2], points[:, 0])
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    heights, radii, distances = (_means(np.sort(x), shares) for x in (height, radius, np.hypot(height, radius)))
    waves = np.exp(1j * np.arange(1, ORDERS + 1)[:, None] * angle)  # (ORDERS, V)
    # Every weight vanishes on the axis, where an angle means nothing.
    weights = np.stack([radius, radius * height, radius**2, radius * height**2], axis=1)  # (V, 4)
    series = np.abs(waves @ weights) / np.sqrt(len(points))
    return np.concatenate([heights, radii, distances, series.T.ravel()]).astype(np.float32)


def _means(ordered: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles of a sorted array, each the mean over its share: single values would jump where ranks swap."""
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    ends = np.linspace(0, len(ordered), len(shares) + 1)
    at = np.interp(ends, np.arange(len(sums)), sums)
    return np.diff(at) / np.diff(ends)


class Seen:
    """The signatures so far, by counts of vertices and faces."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], list[str]] = {}
        self._known: dict[tuple[int, int], np.ndarray] = {}

    def find(self, mesh_size: tuple[int, int], one: np.ndarray) -> str | None:
        """The name of the first near-duplicate, or None. mesh_size: (vertices, faces)."""
        names = self._names.get(mesh_size)
        if not names:
            return None
        close = np.abs(self._known[mesh_size][: len(names)] - one).max(axis=1) <= TOLERANCE
        return names[int(np.argmax(close))] if close.any() else None

    def add(self, mesh_size: tuple[int, int], one: np.ndarray, name: str) -> None:
        names = self._names.setdefault(mesh_size, [])
        rows = self._known.setdefault(mesh_size, np.empty((1, SIZE), np.float32))
        if len(names) == len(rows):
            rows = self._known[mesh_size] = np.concatenate([rows, np.empty_like(rows)])  # doubled: adding stays cheap
        rows[len(names)] = one
        names.append(name)
