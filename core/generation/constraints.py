"""Constraints of the token decoder beyond the grammar, computed on the host: refused faces, relative coordinates.

A constraint reads every id of every slot, so each step waits for the device; most steppers have none.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.generation.faces import GuardedStream
from core.generation.sampling import SamplingConfig
from core.tokens import EOS, ID_OFFSET, PAD, Tokenizer
from meto import BatchDecoder

RELATIVE = ("LR", "CLERS")


class Constraint(Protocol):
    """Follows the ids of all slots."""

    def begin(self, slot: int, prefix: np.ndarray) -> None:
        """A new sequence, after its prefix (T,)."""

    def feed(self, slots: np.ndarray, ids: Sequence[int]) -> None:
        """Append one id to each of these slots."""

    def mask_(self, logits: Tensor, slots: np.ndarray) -> None:
        """Set the logits (B, V) of ids that these slots refuse to minus infinity."""


def constraints_for(tokenizer: Tokenizer, sampling: SamplingConfig, slots: int) -> list[Constraint]:
    """The constraints that these options need."""
    constraints: list[Constraint] = []
    if tokenizer.config.use_meto and tokenizer.config.meto_backend in RELATIVE:
        constraints.append(GridConstraint(tokenizer, slots))
    if sampling.refuse_faces:
        constraints.append(FaceConstraint(tokenizer, slots))
    return constraints


class FaceConstraint:
    """Refuses duplicate and degenerate faces (`refuse_faces`)."""

    def __init__(self, tokenizer: Tokenizer, slots: int):
        self.tokenizer = tokenizer
        self.streams = [GuardedStream(tokenizer) for _ in range(slots)]

    def begin(self, slot: int, prefix: np.ndarray) -> None:
        """See `Constraint`."""
        self.streams[slot] = GuardedStream(self.tokenizer)
        for id in prefix.tolist():
            self.streams[slot].feed(id)

    def feed(self, slots: np.ndarray, ids: Sequence[int]) -> None:
        """See `Constraint`."""
        for slot, id in zip(slots.tolist(), ids, strict=True):
            self.streams[slot].feed(id)

    def mask_(self, logits: Tensor, slots: np.ndarray) -> None:
        """See `Constraint`. On an edge that has every corner of the grid already, none is refused."""
        for row, slot in enumerate(slots.tolist()):
            refused = self.streams[slot].refused()
            if 0 < len(refused) < self.tokenizer.config.discrete_bins:
                logits[row, refused] = -torch.inf


class GridConstraint:
    """Keeps relative coordinates (LR, CLERS) on the grid, which their grammar cannot."""

    def __init__(self, tokenizer: Tokenizer, slots: int):
        self.first = ID_OFFSET + tokenizer.engine.num_special_tokens
        self.decoder = BatchDecoder(slots, tokenizer.config.discrete_bins, tokenizer.config.meto_backend)

    def begin(self, slot: int, prefix: np.ndarray) -> None:
        """See `Constraint`."""
        self.decoder.reset(slot)
        table = np.full((self.decoder.batch_size, len(prefix)), -1, np.int64)
        table[slot] = prefix - ID_OFFSET
        self.decoder.feed(table)

    def feed(self, slots: np.ndarray, ids: Sequence[int]) -> None:
        """See `Constraint`."""
        tokens = np.full(self.decoder.batch_size, -1, np.int64)
        tokens[slots] = [-1 if id in (EOS, PAD) else id - ID_OFFSET for id in ids]
        self.decoder.feed(tokens)

    def mask_(self, logits: Tensor, slots: np.ndarray) -> None:
        """See `Constraint`."""
        ranges = self.decoder.value_ranges + ID_OFFSET  # (slots, 2)
        for row, (first, last) in enumerate(ranges[slots].tolist()):
            if last > ID_OFFSET:
                logits[row, self.first : first] = -torch.inf
                logits[row, last:] = -torch.inf
