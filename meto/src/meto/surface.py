"""Unfinished surfaces: what is known before each face is made, for models that make one face a step.

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


class Shown(NamedTuple):
    """What is known before each of R steps.

    phase: (R,) int32, START_PHASE (only BOM may come), TURN_PHASE (L, R, BOM or the end), SECOND_PHASE, THIRD_PHASE
    open_edges: (R,) int32 half edges that have no twin yet
    waiting: (R, 2) int32 whether the edge that L attaches to waits for a face, and R's; 0 in the other phases
    gate: (R, 9) int32 the face that the next one attaches to, (tip, start, end) on the grid, x, y, z each; in the
        phases SECOND and THIRD the vertices of a first face that are known; -1 where there is none
    neighbours: (R, 12) int32 vertices of the open boundary at which the next face would close it: two for L (behind
        the end, ahead of the tip), two for R (ahead of the start, behind the tip); in the phases SECOND and THIRD the
        first two for the vertex to come; -1 where there is none
    points: (R, 2 * near + spread) int32 indices of points that no face covers: about the middle of the edge that L
        attaches to and of R's (about the vertices known, in the phases SECOND and THIRD), from the nearest on and ever
        sparser with the distance; and some spread over all, from the lowest in y-z-x order; -1 where there are fewer
    uncovered: (R,) float32 share of the points that no face covers
    open_vertices: (R, 2 * open * 3) int32 vertices of the open boundary, x, y, z each: the nearest to the middle of the
        edge that L attaches to, then of R's (to the vertices known, in the phases SECOND and THIRD), nearest first,
        those of the gate left out; -1 where there are fewer
    """

    phase: np.ndarray
    open_edges: np.ndarray
    waiting: np.ndarray
    gate: np.ndarray
    neighbours: np.ndarray
    points: np.ndarray
    uncovered: np.ndarray
    open_vertices: np.ndarray


class SurfaceBatch:
    """B unfinished surfaces in lock-step.

    discrete_bins: of the grid.
    near, spread: points that are shown, see `Shown`.
    cover: a point is covered by a face that is no farther away, in the frame of [-1, 1].
    open: vertices of the open boundary that are shown about each edge, see `Shown`.
    Raises ValueError for numbers that are out of range.
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

    def begin(self, surface: int, points: Any = None, judged: bool = False) -> None:
        """Begin a surface anew, with the points (N, 3) of its target, in [-1, 1], or none; `judged`: for `misfits`."""
        self._surfaces.reset(surface)
        if points is not None:
            self._surfaces.set_points(surface, points, judged)

    def feed(self, groups: Any) -> None:
        """Take a group (kind, x, y, z) for each surface, (B, 4); a kind of -1 or END feeds nothing.

        Raises ValueError for one that may not come next; those before it have been taken.
        """
        self._surfaces.feed(groups)

    def shown(self) -> Shown:
        """What is known now, a row a surface."""
        return self._tidy(self._surfaces.shown())

    def misfits(self, groups: Any, end_cover: float = 0.0) -> np.ndarray:
        """How badly groups that may come next would fit the target's points, in nats: exp(-misfit) is a weight.

        A face should lie near points, cover some that no face covers, and leave fewer edges open; the end should leave
        no points uncovered.

        Args:
            groups: (B, K, 4) candidates of each surface; a kind of -1 is none.
            end_cover: no end that is not among the candidates before this share of the points is covered.

        Returns:
            (B, K + 1) float32; the last is of an end, if it is not among the candidates: it gets likelier the longer
            no face has covered a point. Infinite where a group may not come; 0 for a surface that is not judged.
        """
        return self._surfaces.misfits(np.asarray(groups).reshape(-1, 4), end_cover)

    def choose(self, which: Any, candidates: Any, uniform: Any, end_cover: float = 0.0) -> np.ndarray:
        """One of several candidates, or the end, for some surfaces: drawn with weights exp(-misfit), see `misfits`.

        Args:
            which: (R,) the surfaces.
            candidates: (R, K, 4) groups that may come next in each.
            uniform: (R,) numbers in [0, 1) that they are drawn by.
            end_cover: as of `misfits`.

        Returns:
            (R, 4) int32. Raises ValueError for a surface that there is not, or other shapes.
        """
        return self._surfaces.choose(which, np.asarray(candidates).reshape(-1, 4), uniform, end_cover)

    def replay(self, groups: Any, points: Any = None) -> Shown:
        """What is known before each group (G, 4) of a whole stream, whose target has the points (N, 3), or none.

        The surfaces of this batch stay as they are. Raises ValueError for a group that may not come where it does.
        """
        cloud = np.zeros((0, 3), np.float32) if points is None else points
        return self._tidy(self._surfaces.replay(groups, cloud))

    def native(self) -> tuple[int, int, int, int]:
        """For native code that makes many steps without Python: addresses of this batch and of three C functions.

        All are given the batch, `const int64_t* which, int64_t count` surfaces, and then:

        `int32_t show(..., const Shown* out)`: writes what is known of each in the row of its number (`Shown` of
        include/meto/shown.hpp).
        `int32_t choose(..., const int32_t* candidates, int64_t each, const float* uniform, double end_cover, int32_t*
        groups)`: see the method, of `each` candidates (count, each, 4) for each surface -> (count, 4).
        `int32_t feed(..., const int32_t* groups)`: feeds each its group (count, 4), the end being none.

        They return 0, or 1 at a group that may not come next. They are good for as long as this object lives, need no
        GIL, and check no number.
        """
        return self._surfaces.native()

    def _tidy(self, arrays: tuple[np.ndarray, ...]) -> Shown:
        shown = Shown(*arrays)
        shown = shown if self.num_points else shown._replace(points=shown.points[:, :0])
        return shown if self.num_open else shown._replace(open_vertices=shown.open_vertices[:, :0])


def estimate_normals(points: Any, neighbours: int = 8) -> np.ndarray:
    """(N, 3) float32 unit normals of a point cloud (N, 3), of either sign.

    Of each point's nearest `neighbours` (itself included) the direction of the least spread (Hoppe et al. 1992, section
    3.2). Raises ValueError for other shapes, or fewer than 3 neighbours.
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
