"""What the input points say of a piece of surface: whether it lies where they are."""

import numpy as np

from core.geometry.vectors import cross, lengths

# A uniform sample leaves a place farther than REACH mean spacings from all of its points once in some 20 times.
REACH = 2.0
SAMPLES = 16  # places looked at on each triangle
LEAST_POINTS = 16  # fewer say nothing


def _lattice() -> np.ndarray:
    """(SAMPLES, 3) barycentric coordinates spread evenly over a triangle: the centres of its 16 equal parts."""
    n = 4
    up = [(i + 1 / 3, j + 1 / 3) for i in range(n) for j in range(n - i)]
    down = [(i + 2 / 3, j + 2 / 3) for i in range(n - 1) for j in range(n - 1 - i)]
    ab = np.array(up + down) / n
    return np.column_stack([ab, 1 - ab.sum(axis=1)])


LATTICE = _lattice()


class PointSupport:
    """Distances to the input points.

    Args:
        points: (N, 3), in the unit of the mesh.
        tolerance: how far the surface may be off besides.

    Attributes:
        spacing: mean distance from a point to the nearest other one.
        reach: how far from all points a place may be that they still speak for.
    """

    def __init__(self, points: np.ndarray, tolerance: float = 0.0):
        from scipy.spatial import cKDTree

        self.points = np.asarray(points, np.float64)
        self.tree = cKDTree(self.points)
        nearest = self.tree.query(self.points, k=2)[0][:, 1]
        self.spacing = float(nearest.mean())
        self.reach = REACH * self.spacing + tolerance

    @classmethod
    def of(cls, points: np.ndarray | None, tolerance: float = 0.0) -> "PointSupport | None":
        """None where there are no points, or too few to say anything."""
        return None if points is None or len(points) < LEAST_POINTS else cls(points, tolerance)

    def shares(self, corners: np.ndarray) -> np.ndarray:
        """(F,) share of each triangle of (F, 3, 3) that points speak for."""
        return (self._distances(corners) <= self.reach).mean(axis=1)

    def error(self, corners: np.ndarray) -> float:
        """Mean distance of the surface of triangles (F, 3, 3) from the points; 0 for none."""
        weights = lengths(cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        total = weights.sum()
        return float(self._distances(corners).mean(axis=1) @ weights / total) if total > 0 else 0.0

    def _distances(self, corners: np.ndarray) -> np.ndarray:
        places = np.einsum("sk,fki->fsi", LATTICE, corners)
        return self.tree.query(places.reshape(-1, 3), distance_upper_bound=np.inf)[0].reshape(len(corners), SAMPLES)
