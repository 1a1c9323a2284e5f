"""Faces that stand wrong are cut out where what is left can be closed better."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from core.geometry.distance import near_pairs
from core.geometry.finish.ears import fill_ears
from core.geometry.finish.holes import fill_holes, patch
from core.geometry.finish.loops import find_loops
from core.geometry.finish.working import WorkingMesh, crosses_any, sides_of

MOST_TRIALS = 400  # of each kind, so that large meshes take no minutes
MOST_BLOCKERS = 6  # faces that one patch may replace
ROUNDS = 3


class Weights(NamedTuple):
    """What makes a mesh worse, in open edges.

    crossing: a face that cuts another    excess: a face too many at an edge
    uncovered: as many points as a face has on average, without any face within `distance` (a share of the diagonal)
    """

    crossing: float = 2.0
    excess: float = 2.0
    uncovered: float = 3.0
    distance: float = 0.015


WEIGHTS = Weights()


class Energy:
    """How bad a mesh is: open edges, faces too many, crossings, and points that it leaves uncovered."""

    def __init__(self, mesh: WorkingMesh, weights: Weights):
        self.mesh, self.weights = mesh, weights
        self._covered: dict[int, np.ndarray] = {}  # the points that a face covers; faces here never move
        points = 0 if mesh.support is None else len(mesh.support.points)
        self._value = weights.uncovered * len(mesh.faces) / max(points, 1)

    def __call__(self) -> float:
        opened, excess = self.mesh.defects()
        crossing = len({face for pair in self.mesh.crossings for face in pair})
        known = opened + self.weights.excess * excess + self.weights.crossing * crossing
        return known + self._value * self._uncovered()

    def _uncovered(self) -> int:
        if self.mesh.support is None:
            return 0
        points, ids = self.mesh.support.points, self.mesh.ids.tolist()
        new = np.array([row for row, face in enumerate(ids) if face not in self._covered], np.int64)
        if len(new):
            n, f = near_pairs(points, self.mesh.vertices[self.mesh.faces[new]], self.weights.distance)
            for k, row in enumerate(new.tolist()):
                self._covered[ids[row]] = n[f == k]
        seen = np.zeros(len(points), bool)
        for face in ids:
            seen[self._covered[face]] = True
        return int((~seen).sum())


def cut_faces(mesh: WorkingMesh, demand: float, weights: Weights = WEIGHTS) -> int:
    """Cut faces that cross others or are too many at an edge, and those that stand in the way of a patch.

    Each cut, with what closes the hole that it leaves, is kept only if the mesh is better for it.

    Args:
        mesh: changed.
        demand: as for `fill_holes`.
        weights: what makes a mesh worse.

    Returns:
        How many of the faces that were there went.
    """
    ids, energy = set(mesh.ids.tolist()), Energy(mesh, weights)
    for _ in range(ROUNDS):
        before = energy()
        _cut_wrong(mesh, demand, energy)
        _unblock(mesh, demand, energy)
        if energy() >= before:
            break
    return len(ids - set(mesh.ids.tolist()))


def _cut_wrong(mesh: WorkingMesh, demand: float, energy: Energy) -> None:
    """Cut what crosses or is too many, the worst first; each by itself."""
    refused: set[int] = set()
    for _ in range(MOST_TRIALS):
        worst = _worst(mesh, refused)
        if worst is None:
            return
        refused.add(worst)
        keep = mesh.ids != worst
        corners = mesh.faces[~keep].reshape(-1)
        before, state = energy(), mesh.state()
        if not mesh.try_change(mesh.vertices, mesh.faces[keep], mesh.ids[keep]):
            continue
        fill_holes(mesh, demand, corners)
        fill_ears(mesh, demand)
        if energy() >= before:
            mesh.restore(state)


def _worst(mesh: WorkingMesh, refused: set[int]) -> int | None:
    """The id of the face that crosses most others and is most too many, of which less of the mesh hangs."""
    sides = np.sort(sides_of(mesh.faces), axis=1)
    _, label, count = np.unique(sides[:, 0] * len(mesh.vertices) + sides[:, 1], return_inverse=True, return_counts=True)
    at_edge = count[label].reshape(-1, 3)
    crossed = Counter(face for pair in mesh.crossings for face in pair)
    wrong = np.array([crossed[face] for face in mesh.ids.tolist()], float) + 2 * (at_edge > 2).sum(axis=1)
    score = np.where(wrong > 0, wrong + 0.5 * (at_edge == 1).sum(axis=1), -1)
    if mesh.support is not None:
        rows = np.flatnonzero(score > 0)
        score[rows] -= mesh.support.shares(mesh.vertices[mesh.faces[rows]]) if len(rows) else 0
    score[np.isin(mesh.ids, list(refused))] = -np.inf
    score[wrong == 0] = -np.inf
    best = int(score.argmax()) if len(score) else 0
    return int(mesh.ids[best]) if len(score) and np.isfinite(score[best]) else None


def _unblock(mesh: WorkingMesh, demand: float, energy: Energy) -> None:
    """Close rims by patches that cross few faces, and cut those."""
    tried: set[frozenset] = set()
    for _ in range(MOST_TRIALS):
        rims = find_loops(mesh.open_edges()[0], mesh.vertices)
        rim = next((rim for rim in rims if frozenset(rim) not in tried), None)
        if rim is None:
            return
        tried.add(frozenset(rim))
        added = patch(mesh, rim, demand, may_cross=True)
        if added is None:
            continue
        blocks = crosses_any(mesh.vertices[mesh.faces], mesh.vertices[added])
        if blocks.sum() > MOST_BLOCKERS:
            continue
        before, state = energy(), mesh.state()
        around = mesh.faces[blocks].reshape(-1)
        if not mesh.try_change(mesh.vertices, mesh.faces[~blocks], mesh.ids[~blocks], added):
            continue
        fill_holes(mesh, demand, around)
        fill_ears(mesh, demand)
        if energy() >= before:
            mesh.restore(state)
