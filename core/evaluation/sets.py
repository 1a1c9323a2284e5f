"""Two sets of shapes as sets, by the Chamfer distance of each pair: what is asked of unconditional generation.

Definitions as in PointFlow (Yang et al. 2019, section 5.1), with the Chamfer distance of this project.
"""

from collections.abc import Sequence

import numpy as np

from core.data.mesh import Mesh, normalize, sample_surface
from core.data.metrics import chamfer_distance
from core.evaluation.surface import content_seed


def set_metrics(made: Sequence[Mesh], true: Sequence[Mesh], points: int, seed: int = 0) -> dict[str, float | int]:
    """Of equal numbers of either set, the larger one's chosen at random; each mesh centred, its longest side 1.

    coverage: share of the reference set that is the nearest one to some generated mesh; more is better
    mmd: mean distance of a reference to the nearest generated mesh; less is better
    one_nna: share of both sets whose nearest other mesh is of their own set; 0.5 is best: nobody can tell them apart
    meshes: how many of either
    """
    size = min(len(made), len(true))
    if size == 0:
        return {"meshes": 0}
    rng = np.random.default_rng(seed)
    clouds = [cloud for meshes in (made, true) for cloud in _clouds(_draw(meshes, size, rng), points)]
    distances = pairwise(clouds)
    across = distances[:size, size:]  # (generated, reference)
    return {
        "meshes": size,
        "coverage": len(np.unique(across.argmin(axis=1))) / size,
        "mmd": float(across.min(axis=0).mean()),
        "one_nna": one_nna(distances, size),
    }


def one_nna(distances: np.ndarray, size: int) -> float:
    """Accuracy of the nearest-neighbour classifier, each mesh left out in turn; (N, N), the first `size` of one set."""
    others = distances + np.where(np.eye(len(distances), dtype=bool), np.inf, 0)
    is_made = np.arange(len(distances)) < size
    return float((is_made[others.argmin(axis=1)] == is_made).mean())


def pairwise(clouds: Sequence[np.ndarray]) -> np.ndarray:
    """(N, N) Chamfer distances of point clouds, 0 on the diagonal."""
    from rich.progress import track
    from scipy.spatial import cKDTree

    trees = [cKDTree(cloud) for cloud in clouds]
    distances = np.zeros((len(clouds), len(clouds)))
    for i in track(range(len(clouds)), description="comparing sets", transient=True):
        for j in range(i):
            there, back = trees[j].query(clouds[i])[0], trees[i].query(clouds[j])[0]
            distances[i, j] = distances[j, i] = chamfer_distance(there, back)
    return distances


def _draw(meshes: Sequence[Mesh], size: int, rng: np.random.Generator) -> list[Mesh]:
    return [meshes[k] for k in np.sort(rng.choice(len(meshes), size, replace=False))]


def _clouds(meshes: Sequence[Mesh], points: int) -> list[np.ndarray]:
    units = [normalize(mesh, 0.5)[0] for mesh in meshes]
    return [sample_surface(unit, points, np.random.default_rng(content_seed(unit))) for unit in units]
