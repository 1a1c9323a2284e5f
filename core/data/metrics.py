"""Distances between two surfaces, from points on each: the one place of the Chamfer distance's formula."""

import numpy as np

from core.data.mesh import Mesh, sample_surface

QUICK_POINTS = 2048


def chamfer_distance(there: np.ndarray, back: np.ndarray) -> float:
    """Chamfer distance from what its two directions found: the mean of their mean nearest distances (not squared).

    Args:
        there: (N,) distance of each point of one surface to the nearest of the other.
        back: (M,) likewise the other way.
    """
    return float((there.mean() + back.mean()) / 2)


def chamfer_of_points(p: np.ndarray, q: np.ndarray) -> float:
    """Chamfer distance of points (N, 3) and (M, 3), in their unit."""
    from scipy.spatial import cKDTree

    return chamfer_distance(cKDTree(q).query(p)[0], cKDTree(p).query(q)[0])


def chamfer(a: Mesh, b: Mesh, count: int = QUICK_POINTS) -> float:
    """Chamfer distance of two surfaces, from `count` points of each: quick, for curves; evaluate.py takes 10,000."""
    p, q = (sample_surface(mesh, count, np.random.default_rng(0)) for mesh in (a, b))
    return chamfer_of_points(p, q)
