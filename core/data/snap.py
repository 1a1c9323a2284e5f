"""A mesh as the tokenizer's grid lets it be said."""

import numpy as np

from core.data.augment import tidy
from core.data.finish import merge_vertices
from core.data.mesh import Mesh


def snap(mesh: Mesh, bins: int) -> Mesh:
    """The mesh as tokens can say it: vertices at the centres of their cells, merged there, and no face lost in one.

    (Quantising again gives the same cells.) The mesh must lie in [-1, 1].
    """
    centers = ((grid_cells(mesh.vertices, bins) + 0.5) / bins * 2 - 1).astype(np.float32)
    return tidy(merge_vertices(Mesh(centers, mesh.faces)))


def grid_cells(vertices: np.ndarray, bins: int) -> np.ndarray:
    """(V, 3) int32 cells of vertices (V, 3) in [-1, 1]."""
    return np.minimum(((vertices + np.float32(1)) * np.float32(bins) / np.float32(2)).astype(np.int32), bins - 1)
