"""A tokenizer's grammar as masks: the state of each sequence, by lookups on the device, closed at a face budget."""

import numpy as np
import torch
from torch import Tensor

from core.generation.rows import Rows
from core.tokens import EOS
from meto import Grammar

NO_BUDGET = 2**31 - 1  # faces
VALUES_PER_FACE = 9  # of a sub-mesh's first face; states 1 to 9 of a grammar owe so many coordinates
# What may follow depends on the faces left beyond those that open splits need: none (the mesh must be closed), one
# (nothing that takes two may begin), or more.
CLOSE, LAST, FREE = range(3)


def whole_faces(ids: np.ndarray, grammar: Grammar) -> np.ndarray:
    """The ids (T,) of a sequence without those of an unfinished last face."""
    coordinate = grammar.num_classes - 1
    classes = grammar.token_class[ids]
    tail = classes[-(VALUES_PER_FACE + 1) :]
    ops = np.flatnonzero(tail != coordinate)
    if "BOM" not in grammar.class_names:  # faces are runs of nine coordinates
        return ids[: len(ids) - len(ids) % VALUES_PER_FACE]
    if len(ops) == 0:
        return ids
    entered = grammar.next_state[:, :, classes[len(ids) - len(tail) + ops[-1]]]
    owed = int(entered[entered <= VALUES_PER_FACE].max(initial=0))
    given = len(tail) - 1 - int(ops[-1])
    return ids if given == owed else ids[: len(ids) - given - 1]


def checked_prefix(prefix: np.ndarray | None, grammar: Grammar, budget: int) -> np.ndarray:
    """The ids (T,) int64 that a sequence begins with.

    Raises:
        ValueError: they break the grammar, end, or leave nothing of a budget of ids.
    """
    if prefix is None or len(prefix) == 0:
        return np.zeros(0, np.int64)
    if len(prefix) >= budget:
        raise ValueError(f"a prefix of {len(prefix)} tokens leaves nothing of a budget of {budget}")
    wrong = grammar.validate(prefix)
    if wrong is not None and wrong.position < len(prefix):  # a violation at its end: it is only unfinished
        raise ValueError(f"the prefix breaks the grammar at position {wrong.position}: {wrong.reason}")
    if wrong is None:
        raise ValueError(f"the prefix of {len(prefix)} tokens has ended already: leave its EOS ({EOS}) out")
    return np.asarray(prefix, np.int64)


class GrammarStates:
    """The grammar state of each slot's sequence, on the device.

    Args:
        grammar: over model ids.
        slots: sequences.
        device: where the logits are.
    """

    def __init__(self, grammar: Grammar, slots: int, device: torch.device):
        self.grammar, self.device = grammar, device
        self.num_states, self.num_classes = grammar.num_states, grammar.num_classes
        self.opens_splits = bool((grammar.open_change != 0).any())
        self.token_class = self._put(grammar.token_class)  # (V,)
        self.next_state = self._put(grammar.next_state).flatten()  # (2 * S * C,)
        self.open_change = self._put(grammar.open_change)  # (C,)
        allowed = allowed_classes(grammar)[..., grammar.token_class]  # (3, 2, S, V)
        # One row of this is added to a sequence's logits: 0 for the ids that may follow, minus infinity for others.
        self.bias = self._put(np.where(allowed, 0, -np.inf), torch.float32).flatten(0, 2)
        self.state = torch.full((slots,), grammar.start, device=device)
        self.open = torch.zeros(slots, dtype=torch.long, device=device)
        self.faces = torch.zeros(slots, dtype=torch.long, device=device)
        self.max_faces = torch.full((slots,), NO_BUDGET, device=device)
        self.budgeted: set[int] = set()  # slots with a face budget: while there is none, faces are not counted

    def _put(self, array: np.ndarray, dtype: torch.dtype = torch.long) -> Tensor:
        return torch.as_tensor(np.asarray(array), dtype=dtype, device=self.device)

    def begin(self, slot: int, prefix: np.ndarray, max_faces: int) -> None:
        """A new sequence of a slot, after its prefix (T,)."""
        state, opened, faces = trace(self.grammar, prefix)
        self.state[slot], self.open[slot], self.faces[slot] = state, opened, faces
        self.max_faces[slot] = max_faces or NO_BUDGET
        self.budgeted.discard(slot)
        if max_faces:
            self.budgeted.add(slot)

    def fork(self, source: int, target: int) -> None:
        """Overwrite the slot `target` with a copy of `source`."""
        for table in (self.state, self.open, self.faces, self.max_faces):
            table[target] = table[source]
        self.budgeted.discard(target)
        if source in self.budgeted:
            self.budgeted.add(target)

    def closed_by_budget(self, slot: int) -> bool:
        """Whether a sequence has used up its face budget (waits for the device)."""
        return slot in self.budgeted and int(self.faces[slot] + self.open[slot]) >= int(self.max_faces[slot])

    def mask_(self, logits: Tensor, rows: Rows) -> Tensor:
        """Set the logits (B, V) float32 of ids that may not come next to minus infinity, in place."""
        row = rows.gather(self.state)
        if self.opens_splits:
            row = row + (rows.gather(self.open) > 0) * self.num_states
        if self.budgeted:
            spare = rows.gather(self.max_faces) - rows.gather(self.faces) - rows.gather(self.open)
            row = row + spare.clamp(CLOSE, FREE) * (2 * self.num_states)
        else:
            row = row + FREE * 2 * self.num_states
        return logits.add_(self.bias[row])

    def advance(self, ids: Tensor, rows: Rows) -> None:
        """Advance each row by one allowed id (B,)."""
        state, classes = rows.gather(self.state), self.token_class[ids]
        place = state * self.num_classes + classes
        if self.budgeted:
            rows.scatter(self.faces, rows.gather(self.faces) + (state == 1))  # the last coordinate that was owed
        if self.opens_splits:
            opened = rows.gather(self.open)
            place = place + (opened > 0) * (self.num_states * self.num_classes)
            rows.scatter(self.open, (opened + self.open_change[classes]).clamp(min=0))
        rows.scatter(self.state, self.next_state[place])


def allowed_classes(grammar: Grammar) -> np.ndarray:
    """Whether a class may come: (3, 2, S, C) bool [faces left, is a split open?, state, class].

    With no face left, a mesh that may end must; otherwise only what ends the latest open branch may come.
    """
    allowed = np.repeat(grammar.next_state[None] >= 0, 3, axis=0)
    allowed[LAST][..., grammar.open_change > 0] = False
    allowed[CLOSE][..., grammar.open_change > 0] = False
    ends_branch = grammar.open_change < 0
    rows = (allowed[level].reshape(-1, grammar.num_classes) for level in (CLOSE, FREE))
    for closing, free in zip(*rows, strict=True):
        if free[EOS]:
            closing[:] = np.arange(grammar.num_classes) == EOS
        elif (free & ends_branch).any():
            closing[:] = free & ends_branch
    return allowed


def trace(grammar: Grammar, ids: np.ndarray) -> tuple[int, int, int]:
    """State, open splits and whole faces after ids (T,) that obey the grammar."""
    state, opened, faces = grammar.start, 0, 0
    for token_class in grammar.token_class[ids].tolist():
        faces += state == 1
        state, opened = (
            int(grammar.next_state[int(opened > 0), state, token_class]),
            max(opened + int(grammar.open_change[token_class]), 0),
        )
    return state, opened, faces
