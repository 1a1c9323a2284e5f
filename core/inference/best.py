"""Which of several meshes of one input is nearest to it."""

import numpy as np

from core.data.mesh import Mesh, sample_surface
from core.data.metrics import chamfer_of_points


def distance_to_points(mesh: Mesh, points: np.ndarray) -> float:
    """Two-sided Chamfer distance of a mesh, by as many samples of its surface, to points (N, 3).

    Infinite for a mesh without area.
    """
    if mesh.is_points:
        return float("inf")
    try:
        samples = sample_surface(mesh, len(points), np.random.default_rng(0))
    except ValueError:
        return float("inf")
    return chamfer_of_points(samples, points)
