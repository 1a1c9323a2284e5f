"""The grammar of each tokenizer as one finite-state table: token class, next state, where a sequence may end.

    table = grammar("LR_ABSCO", bins=512)
    table.validate(tokens)          # None, or Violation(position, reason)

A constrained sampler needs nothing else. It keeps (state, open splits) a sequence and does for every token

    c = token_class[token]
    allowed = next_state[int(open > 0), state] >= 0          # (C,) what may come now
    state, open = next_state[int(open > 0), state, c], max(open + open_change[c], 0)

and may end where `accepts[int(open > 0), state]`. Only CLERS opens splits: S opens one, E closes the latest and goes on
at its other side (three values), and an E with none open must be followed by EOM, which ends the sub-mesh.

The relative values of LR and CLERS may lead off the grid although every token is of the right class: a table with a few
states cannot see that, decoding does.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from meto._arrays import as_tokens

Backend = Literal["LR_ABSCO", "LR", "CLERS"]
BACKENDS: tuple[Backend, ...] = ("LR_ABSCO", "LR", "CLERS")
MIN_BINS, MAX_BINS = 2, 65536
VALUES_PER_VERTEX, VALUES_PER_FACE = 3, 9


class Violation(NamedTuple):
    """Where a token sequence leaves the grammar, and why; `position` is its length when it ends too early."""

    position: int
    reason: str


@dataclass(frozen=True, eq=False)
class Grammar:
    """A tokenizer's grammar over S states and C token classes. Arrays are read-only.

    A state is named by what is owed: state n is "n more coordinates", state 0 "a whole vertex group is done".
    """

    class_names: tuple[str, ...]
    """The C classes, e.g. ("L", "R", "BOM", "coordinate"); coordinates come last."""
    token_class: np.ndarray
    """(num_tokens,) uint8: the class of each token."""
    next_state: np.ndarray
    """(2, S, C) int16: [is a split open?, state, class] -> next state, -1 where the class is not allowed."""
    open_change: np.ndarray
    """(C,) int8: what a class does to the number of open splits, which never falls below 0."""
    accepts: np.ndarray
    """(2, S) bool: [is a split open?, state]: may the sequence end here?"""
    start: int
    """The state before the first token. It does not accept: a mesh without faces is none."""

    @property
    def num_tokens(self) -> int:
        return len(self.token_class)

    @property
    def num_states(self) -> int:
        return self.next_state.shape[1]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def validate(self, tokens: Any) -> Violation | None:
        """The first position at which `tokens` (T,), of any integer type, leaves the grammar, or None.

        Raises ValueError if `tokens` is not a one-dimensional array of integers.
        """
        tokens = as_tokens(tokens)
        unknown = (tokens < 0) | (tokens >= self.num_tokens)
        end = int(np.argmax(unknown)) if unknown.any() else len(tokens)
        classes = self.token_class[tokens[:end]]
        states, is_open = self._trace(classes)
        bad = self.next_state[is_open[:-1], states[:-1], classes] < 0
        if bad.any():
            at = int(np.argmax(bad))
            name = self.class_names[classes[at]]
            return Violation(at, f"{name} (token {tokens[at]}) where only {self._expected(states[at], is_open[at])}")
        if end < len(tokens):
            return Violation(end, f"token {tokens[end]} is not in [0, {self.num_tokens})")
        if not self.accepts[is_open[-1], states[-1]]:
            return Violation(end, f"the sequence ends where only {self._expected(states[-1], is_open[-1])}")
        return None

    def _trace(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """State and "is a split open?" before each of the T tokens and after the last, (T + 1,) each.

        Right up to the first token that is not allowed, and only there: every class but the coordinates leads to one
        state wherever it is allowed, so a token's state follows from the latest such class and the distance to it.
        """
        coordinate = self.num_classes - 1
        position = np.arange(len(classes) + 1)
        count = np.concatenate(([0], np.cumsum(self.open_change[classes], dtype=np.int64)))
        is_bom = np.concatenate(([False], classes == self._bom))
        is_open = (count - count[np.maximum.accumulate(np.where(is_bom, position, 0))] > 0).astype(np.intp)

        is_op = np.concatenate(([True], classes != coordinate))
        latest = np.maximum.accumulate(np.where(is_op, position, 0))  # 1 + the latest op's position, 0 for none
        entered = self.next_state.max(axis=1)  # (2, C)
        after = np.concatenate(([self.start], entered[is_open[:-1], classes]))
        return self._run_of_coordinates(after[latest], position - latest), is_open

    def _run_of_coordinates(self, state: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The state that `count` coordinates lead to from `state`; any state where one of them is not allowed."""
        runs = [np.arange(self.num_states)]
        for _ in range(VALUES_PER_FACE):
            runs.append(self.next_state[0, :, -1][runs[-1]])
        # The naive tokenizer's coordinates go on for ever, in rounds of nine; the others' are refused by the tenth.
        count = np.where(count > VALUES_PER_FACE, (count - 1) % VALUES_PER_FACE + 1, count)
        return np.stack(runs)[count, state]

    @property
    def _bom(self) -> int:
        return self.class_names.index("BOM") if "BOM" in self.class_names else -1

    def _expected(self, state: int, is_open: int) -> str:
        names = [name for name, to in zip(self.class_names, self.next_state[is_open, state], strict=True) if to >= 0]
        if self.accepts[is_open, state]:
            names.append("the end")
        owed = f" ({state} owed)" if names == ["coordinate"] and state <= VALUES_PER_FACE else ""
        return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) + owed + " may come"


def check_bins(bins: int) -> int:
    """`bins` as an int; ValueError unless it is a whole number in [2, 65536]."""
    if not isinstance(bins, (int, np.integer)) or not MIN_BINS <= bins <= MAX_BINS:
        raise ValueError(f"discrete_bins must be a whole number in [{MIN_BINS}, {MAX_BINS}], got {bins!r}")
    return int(bins)


def grammar(backend: str, bins: int) -> Grammar:
    """The grammar of `backend` ("LR_ABSCO", "LR" or "CLERS"); ValueError for another one or bad `bins`."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: it is one of {', '.join(BACKENDS)}")
    return _clers(check_bins(bins)) if backend == "CLERS" else _lr(check_bins(bins), 1 if backend == "LR_ABSCO" else 2)


def naive_grammar(bins: int) -> Grammar:
    """The grammar of the naive tokenizer: nine coordinates a face, at least one face."""
    return _naive(check_bins(bins))


# ---- the tables ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _lr(bins: int, values_per_bin: int) -> Grammar:
    """States: 0 ready, 1 to 9 coordinates owed, 10 the start."""
    names = ("L", "R", "BOM", "coordinate")
    table = _empty_table(num_states=11, num_classes=len(names))
    left, right, bom, coordinate = range(4)
    table[:, 1:10, coordinate] = np.arange(9)
    table[:, 0, [left, right]] = VALUES_PER_VERTEX
    table[:, [0, 10], bom] = VALUES_PER_FACE
    return _build(names, [1, 1, 1, values_per_bin * bins], table, [0] * 4, accepting=[0], start=10)


@lru_cache(maxsize=32)
def _clers(bins: int) -> Grammar:
    """States: 0 ready, 1 to 9 coordinates owed, 10 the start, 11 after a sub-mesh's last E, 12 after EOM."""
    names = ("C", "L", "E", "R", "S", "BOM", "EOM", "coordinate")
    table = _empty_table(num_states=13, num_classes=len(names))
    c, left, end, right, split, bom, eom, coordinate = range(8)
    table[:, 1:10, coordinate] = np.arange(9)
    table[:, 0, [c, left, right, split]] = VALUES_PER_VERTEX
    table[:, 0, end] = [11, VALUES_PER_VERTEX]  # without and with a split open
    table[:, 11, eom] = 12
    table[:, [10, 12], bom] = VALUES_PER_FACE
    return _build(names, [1] * 7 + [4 * bins], table, [0, 0, -1, 0, 1, 0, 0, 0], accepting=[12], start=10)


@lru_cache(maxsize=32)
def _naive(bins: int) -> Grammar:
    """States: 0 a face is done, 1 to 8 coordinates owed, 9 the start (nine owed)."""
    table = _empty_table(num_states=10, num_classes=1)
    table[:, 1:10, 0] = np.arange(9)
    table[:, 0, 0] = VALUES_PER_FACE - 1
    return _build(("coordinate",), [bins], table, [0], accepting=[0], start=9)


def _empty_table(num_states: int, num_classes: int) -> np.ndarray:
    return np.full((2, num_states, num_classes), -1, dtype=np.int16)


def _build(
    names: tuple[str, ...],
    tokens_per_class: list[int],
    table: np.ndarray,
    change: list[int],
    accepting: list[int],
    start: int,
) -> Grammar:
    token_class = np.repeat(np.arange(len(names), dtype=np.uint8), tokens_per_class)
    open_change = np.array(change, dtype=np.int8)
    accepts = np.zeros(table.shape[:2], dtype=bool)
    accepts[0, accepting] = True
    for array in (token_class, table, open_change, accepts):
        array.flags.writeable = False
    return Grammar(names, token_class, table, open_change, accepts, start)
