"""Faces that a mesh already has or that have no area, refused in a stream of ids (in groups by `meto.surface`)."""

from collections import Counter, defaultdict
from typing import NamedTuple

from core.tokens import ID_OFFSET, Tokenizer

Corner = tuple[int, int, int]  # on the grid, its axes in the order in which they are written


class FaceGuard:
    """The faces of one mesh by their edges."""

    def __init__(self) -> None:
        self._third: dict[frozenset[Corner], set[Corner]] = defaultdict(set)

    def add(self, a: Corner, b: Corner, c: Corner) -> None:
        """Remember a face."""
        for edge, third in (((a, b), c), ((b, c), a), ((c, a), b)):
            self._third[frozenset(edge)].add(third)

    def refused_corners(self, a: Corner, b: Corner) -> set[Corner]:
        """Third corners that the edge a-b may not get: its own ends, and those of its faces."""
        return {a, b} | self._third.get(frozenset((a, b)), set())


class Moves(NamedTuple):
    """The ids of the moves; -1 for those that a tokenizer does not have."""

    left: int
    right: int
    first_coordinate: int


class GuardedStream:
    """Follows the ids of one sequence and tells which coordinates would repeat a face or make corners coincide.

    For the tokenizers that write coordinates as they are: LR_ABSCO and the naive one.

    Raises:
        ValueError: another tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer):
        names = tokenizer.grammar.class_names
        if tokenizer.config.use_meto and tokenizer.config.meto_backend != "LR_ABSCO":
            raise ValueError(
                f"--refuse_faces needs coordinates as they are (--meto_backend LR_ABSCO, or --no_use_meto), "
                f"not those of {tokenizer.config.meto_backend}"
            )
        # PAD to BOM are a class each, so their ids are the classes' numbers.
        left, right = (names.index(name) if name in names else -1 for name in ("L", "R"))
        self.moves = Moves(left, right, ID_OFFSET + tokenizer.engine.num_special_tokens)
        self.bins = tokenizer.config.discrete_bins
        self.guard = FaceGuard()
        self.gate: tuple[Corner, Corner, Corner] | None = None  # tip, start and end of the latest face
        self.edge: tuple[Corner, Corner] | None = None  # to which the corner being written will add a face
        self.corners: list[Corner] = []  # of a first face, so far
        self.values: list[int] = []  # of the corner being written

    def feed(self, id: int) -> None:
        """Append the next id, which the grammar allows."""
        if id >= self.moves.first_coordinate:
            self.values.append(id)
            if len(self.values) == 3:
                self._corner(tuple(self.values))  # type: ignore[arg-type]
                self.values = []
        elif self.gate is not None and id in self.moves[:2]:
            tip, start, end = self.gate
            self.edge = (tip, end) if id == self.moves.left else (start, tip)
        else:
            self.edge, self.corners = None, []

    def _corner(self, corner: Corner) -> None:
        if self.edge is not None:
            a, b = self.edge
            self.guard.add(corner, a, b)
            self.gate, self.edge = (corner, a, b), None
            return
        self.corners.append(corner)
        if len(self.corners) == 3:
            self.guard.add(*self.corners)
            self.gate, self.corners = tuple(self.corners), []  # type: ignore[assignment]

    def refused(self) -> list[int]:
        """Ids after which every corner that could still be written would be refused."""
        if self.edge is None and len(self.corners) < 2:
            corners = set(self.corners)
        else:
            corners = self.guard.refused_corners(*(self.edge or self.corners))
        known = len(self.values)
        counts = Counter(corner[known] for corner in corners if list(corner[:known]) == self.values)
        left = self.bins ** (2 - known)  # corners that differ in the values after the next one
        return [value for value, count in counts.items() if count >= left]
