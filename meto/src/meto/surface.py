"""Unfinished surfaces: what is observed before each face, for models that write one face a step.

A stream of LR_ABSCO tokens is cut into groups (kind, x, y, z), kinds LEFT, RIGHT, BOM, SECOND, THIRD and END: L and R
with their vertex are a group each, BOM and its three vertices three groups, and one ends the stream.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meto import _core

LEFT, RIGHT, BOM, SECOND, THIRD, END = range(6)
NUM_KINDS = 6
START_PHASE, TURN_PHASE, SECOND_PHASE, THIRD_PHASE = range(4)
NUM_PHASES = 4
NUM_SPECIAL = 3  # of LR_ABSCO: coordinate q is token q + 3


class Observation(NamedTuple):
    """What is observed of unfinished surfaces before a step, a row for each of R surfaces or steps.

    Fields are numpy arrays; a caller may keep tensors in them.

    phase: (R,) int32, START_PHASE (only BOM may come), TURN_PHASE (L, R, BOM or the end), SECOND_PHASE, THIRD_PHASE
    open_edges: (R,) int32 half edges without a twin
    waiting: (R, 2) int32 whether the edges that L and R attach to are open; 0 in the other phases
    gate: (R, 9) int32 the face that the next one attaches to, (tip, start, end) on the grid, x, y, z each; in the
        phases SECOND and THIRD the vertices of a first face so far; -1 where there is none
    neighbours: (R, 12) int32 vertices of the open boundary with which the next face would close a second edge: two for
        L (behind the end, ahead of the tip), two for R (ahead of the start, behind the tip); in the phases SECOND and
        THIRD the first two are for the vertex to come; -1 where there is none
    points: (R, 2 * near + spread) int32 indices of uncovered points: about the middle of the edge that L attaches to
        and of R's (about the vertices so far, in the phases SECOND and THIRD), nearest first and sparser with the
        distance; then some spread over all, lowest first in y-z-x order; -1 where there are fewer
    uncovered: (R,) float32 share of the points that no face covers
    open_vertices: (R, 2 * open * 3) int32 vertices of the open boundary, x, y, z each: those nearest to the middle of
        the edge that L attaches to, then of R's (to the vertices so far, in the phases SECOND and THIRD), nearest
        first, without those of the gate; -1 where there are fewer
    """

    phase: Any
    open_edges: Any
    waiting: Any
    gate: Any
    neighbours: Any
    points: Any
    uncovered: Any
    open_vertices: Any


class SurfaceBatch:
    """B unfinished surfaces side by side, each read a group at a time.

    Args:
        batch_size: B.
        discrete_bins: bins of the grid along an axis.
        near, spread: points that are observed, see `Observation`.
        cover: distance from a face within which it covers a point, in the frame of [-1, 1].
        open: vertices of the open boundary that are observed about each edge, see `Observation`.

    Raises:
        ValueError: a number that is out of range.
    """

    def __init__(
        self,
        batch_size: int,
        discrete_bins: int,
        near: int = 16,
        spread: int = 16,
        cover: float = 0.03,
        open: int = 0,
    ) -> None:
        self._surfaces = _core.SurfaceBatch(batch_size, discrete_bins, near, spread, cover, open)
        self.batch_size, self.num_points, self.num_open = batch_size, 2 * near + spread, open

    def begin(self, surface: int, points: Any = None, with_cost: bool = False, with_faces: bool = False) -> None:
        """Restart a surface.

        Args:
            points: (N, 3) of its target, in [-1, 1]; None for none.
            with_cost: keep what `placement_costs` and `choose` need.
            with_faces: keep what `refused_corners` needs.
        """
        self._surfaces.begin(surface, _cloud(points), with_cost, with_faces)

    def fork(self, source: int, target: int) -> None:
        """Overwrite the surface `target` with a copy of `source`; the two go on independently."""
        self._surfaces.fork(source, target)

    def release(self, surface: int) -> None:
        """Free the memory of a surface; `begin` or `fork` uses it again."""
        self._surfaces.release(surface)

    def commit(self, groups: Any, surfaces: Any = None) -> None:
        """Append a group (kind, x, y, z) to each of some surfaces; a kind of -1 or END appends nothing.

        Args:
            groups: (R, 4).
            surfaces: (R,) their numbers; None for all.

        Raises:
            ValueError: a group that may not come next; those before it have been appended.
        """
        self._surfaces.commit(self._numbers(surfaces), groups)

    def observe(self, surfaces: Any = None) -> Observation:
        """The observation of some surfaces (R,), or of all: a row each."""
        return self._without_empty(self._surfaces.observe(self._numbers(surfaces)))

    def refused_corners(self, surfaces: Any = None, width: int = 8) -> tuple[np.ndarray, int]:
        """Vertices with which the next face would repeat another or have no area, of surfaces begun `with_faces`.

        Args:
            surfaces: (R,) their numbers; None for all.
            width: room for vertices, in each list.

        Returns:
            (R, 2, width, 3) int32 for the kinds LEFT and RIGHT (in the phases SECOND and THIRD the first is for the
            kind that comes), -2 beyond the last; and how many the longest list has.
        """
        table, needed = self._surfaces.refused_corners(self._numbers(surfaces), width)
        return table.reshape(-1, 2, width, 3), needed

    def placement_costs(self, groups: Any, end_cover: float = 0.0) -> np.ndarray:
        """The costs, in nats, of groups that may come next: guided sampling draws with weights exp(-cost).

        A face should lie near points, cover some that no face covers, and close open edges; the end should leave no
        points uncovered.

        Args:
            groups: (B, K, 4) candidates of each surface; a kind of -1 is none.
            end_cover: an end that no candidate sampled is not offered before this share of the points is covered.

        Returns:
            (B, K + 1) float32; the last is of such an end, which gets cheaper the longer no face has covered a point.
            Infinite where a group may not come; 0 for a surface without points or begun without `with_cost`.
        """
        return self._surfaces.placement_costs(np.asarray(groups).reshape(-1, 4), end_cover)

    def choose(self, surfaces: Any, candidates: Any, uniform: Any, end_cover: float = 0.0) -> np.ndarray:
        """Draw one of several candidates, or the end, for some surfaces, with weights exp(-cost).

        Args:
            surfaces: (R,) their numbers.
            candidates: (R, K, 4) groups that may come next in each.
            uniform: (R,) numbers in [0, 1) to draw with.
            end_cover: as of `placement_costs`.

        Returns:
            (R, 4) int32.

        Raises:
            ValueError: the number of no surface, or arrays of other shapes.
        """
        return self._surfaces.choose(surfaces, np.asarray(candidates).reshape(-1, 4), uniform, end_cover)

    def replay(self, groups: Any, points: Any = None) -> Observation:
        """The observations before each group (G, 4) of a whole stream, whose target has the points (N, 3), or none.

        The surfaces of this batch stay as they are. Raises ValueError for a group that may not come where it does.
        """
        return self._without_empty(self._surfaces.replay(groups, _cloud(points)))

    def _numbers(self, surfaces: Any) -> Any:
        return np.arange(self.batch_size) if surfaces is None else surfaces

    def _without_empty(self, arrays: tuple[np.ndarray, ...]) -> Observation:
        """The native side writes one column where there are none."""
        seen = Observation(*arrays)
        seen = seen if self.num_points else seen._replace(points=seen.points[:, :0])
        return seen if self.num_open else seen._replace(open_vertices=seen.open_vertices[:, :0])


def _cloud(points: Any) -> Any:
    return np.zeros((0, 3), np.float32) if points is None else points


def estimate_normals(points: Any, neighbours: int = 8) -> np.ndarray:
    """Unit normals (N, 3) float32 of a point cloud (N, 3), of either sign.

    A normal is the direction in which the point's nearest `neighbours` (itself included) spread the least (Hoppe et al.
    1992, section 3.2). Raises ValueError for other shapes, or fewer than 3 neighbours.
    """
    return _core.estimate_normals(points, neighbours)


def to_groups(tokens: Any) -> np.ndarray:
    """Groups (G, 4) int32 of a well-formed stream of LR_ABSCO tokens (T,), END last; its coordinates are 0.

    Raises ValueError where the number of tokens cannot be.
    """
    tokens = np.asarray(tokens, np.int64).reshape(-1)
    is_bom = tokens == BOM
    is_op = tokens < NUM_SPECIAL
    # A group begins at each op, and at the fourth and seventh token after BOM, whose vertices have no op of their own.
    kinds = np.where(is_op, tokens, -1)
    for offset, kind in ((4, SECOND), (7, THIRD)):
        at = np.flatnonzero(is_bom) + offset
        if len(at) and at[-1] >= len(tokens):
            raise ValueError(f"{len(tokens)} tokens end inside the face that begins at {at[-1] - offset}")
        kinds[at] = np.where(kinds[at] < 0, kind, -2)
    begins = np.flatnonzero(kinds >= 0)
    first = begins + (kinds[begins] <= BOM)  # of the coordinates
    if (kinds == -2).any() or (len(first) and first[-1] + 3 != len(tokens)) or (np.diff(first) < 3).any():
        raise ValueError(f"{len(tokens)} tokens are no whole vertex groups")
    groups = np.zeros((len(begins) + 1, 4), np.int32)
    groups[:-1, 0] = kinds[begins]
    if len(first):
        groups[:-1, 1:] = tokens[first[:, None] + np.arange(3)] - NUM_SPECIAL
    groups[-1, 0] = END
    return groups


def to_tokens(groups: Any) -> np.ndarray:
    """The LR_ABSCO tokens (T,) int32 of groups (G, 4); END writes nothing."""
    groups = np.asarray(groups).reshape(-1, 4)
    groups = groups[groups[:, 0] < END]
    rows = np.concatenate([groups[:, :1], groups[:, 1:] + NUM_SPECIAL], axis=1)
    wanted = np.ones(rows.shape, bool)
    wanted[:, 0] = groups[:, 0] <= BOM
    return rows[wanted].astype(np.int32)
