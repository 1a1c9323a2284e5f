"""Two surfaces to figures. Lengths are in the frame's unit: shares of the reference's bounding-box diagonal."""

import numpy as np

from core.data.metrics import chamfer_distance
from core.evaluation.surface import Surface

Figures = dict[str, float | None]

F_SCORE_SHARES = {"f_score_1": 0.01, "f_score_2": 0.02}  # of the diagonal
# What counts where nothing was generated: a distance of the whole diagonal, no overlap, no agreement.
WORST: Figures = {
    "chamfer": 1.0,
    "hausdorff": 1.0,
    "f_score_1": 0.0,
    "f_score_2": 0.0,
    "normal_consistency": 0.0,
    "normal_consistency_abs": 0.0,
    "edge_chamfer": 1.0,
}


def compare(made: Surface, true: Surface) -> Figures:
    """The figures that `WORST` names.

    chamfer: mean of both directions' mean nearest distances    hausdorff: the largest nearest distance of either
    f_score_k: harmonic mean of the shares of either's points that have one of the other within k % of the diagonal
    normal_consistency: mean cosine between a point's normal and the nearest point's, both directions; _abs: of |cosine|
    edge_chamfer: the Chamfer distance of points on sharp edges; None where neither has any, 1 where only one has
    """
    there, nearest = true.tree.query(made.points)
    back, nearest_back = made.tree.query(true.points)
    cosines = (
        np.einsum("ni,ni->n", made.normals, true.normals[nearest]),
        np.einsum("ni,ni->n", true.normals, made.normals[nearest_back]),
    )
    return {
        "chamfer": chamfer_distance(there, back),
        "hausdorff": float(max(there.max(), back.max())),
        **{name: f_score(there, back, share) for name, share in F_SCORE_SHARES.items()},
        "normal_consistency": float(np.mean([c.mean() for c in cosines])),
        "normal_consistency_abs": float(np.mean([np.abs(c).mean() for c in cosines])),
        "edge_chamfer": edge_chamfer(made, true),
    }


def chamfer(made: Surface, true: Surface) -> float:
    """The Chamfer distance alone."""
    return chamfer_distance(true.tree.query(made.points)[0], made.tree.query(true.points)[0])


def f_score(there: np.ndarray, back: np.ndarray, threshold: float) -> float:
    """Harmonic mean of precision (points of `there` within the threshold) and recall (of `back`)."""
    precision, recall = float((there <= threshold).mean()), float((back <= threshold).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def edge_chamfer(made: Surface, true: Surface) -> float | None:
    empty = len(made.edge_points) == 0, len(true.edge_points) == 0
    if all(empty):
        return None
    if any(empty):
        return WORST["edge_chamfer"]
    there, back = true.edge_tree.query(made.edge_points)[0], made.edge_tree.query(true.edge_points)[0]
    return chamfer_distance(there, back)
