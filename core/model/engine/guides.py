"""What may come next beyond the grammar, asked of the host at every step: by option, or for relative coordinates.

A guide sees every id of every slot, so the device is waited for at each step; steps have none unless they need one.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.model.engine.faces import GuardedStream
from core.model.sampling import SamplingConfig
from core.tokens import EOS, ID_OFFSET, PAD, Tokenizer
from meto import BatchDecoder

RELATIVE = ("LR", "CLERS")


class Guide(Protocol):
    """Follows the ids of all slots."""

    def begin(self, slot: int, prefix: np.ndarray) -> None:
        """A new sequence, after its prefix (T,)."""

    def feed(self, slots: Sequence[int], ids: Sequence[int]) -> None:
        """Take one id of each of these slots."""

    def mask_(self, logits: Tensor, slots: Sequence[int]) -> None:
        """Put the logits (B, V) of ids that these slots refuse at minus infinity."""


def guides_for(tokenizer: Tokenizer, sampling: SamplingConfig, slots: int) -> list[Guide]:
    """The guides that these options need."""
    guides: list[Guide] = []
    if tokenizer.config.use_meto and tokenizer.config.meto_backend in RELATIVE:
        guides.append(GridGuide(tokenizer, slots))
    if sampling.refuse_faces:
        guides.append(FacesGuide(tokenizer, slots))
    return guides


class FacesGuide:
    """Refuses duplicate and degenerate faces (`refuse_faces`)."""

    def __init__(self, tokenizer: Tokenizer, slots: int):
        self.tokenizer = tokenizer
        self.streams = [GuardedStream(tokenizer) for _ in range(slots)]

    def begin(self, slot: int, prefix: np.ndarray) -> None:
        """See `Guide`."""
        self.streams[slot] = GuardedStream(self.tokenizer)
        for id in prefix.tolist():
            self.streams[slot].feed(id)

    def feed(self, slots: Sequence[int], ids: Sequence[int]) -> None:
        """See `Guide`."""
        for slot, id in zip(slots, ids, strict=True):
            self.streams[slot].feed(id)

    def mask_(self, logits: Tensor, slots: Sequence[int]) -> None:
        """See `Guide`. On an edge that has every corner of the grid already, none is refused."""
        for row, slot in enumerate(slots):
            refused = self.streams[slot].refused()
            if 0 < len(refused) < self.tokenizer.config.discrete_bins:
                logits[row, refused] = -torch.inf


class GridGuide:
    """Keeps relative coordinates (LR, CLERS) on the grid, which their grammar cannot."""

    def __init__(self, tokenizer: Tokenizer, slots: int):
        self.first = ID_OFFSET + tokenizer.engine.num_special_tokens
        self.decoder = BatchDecoder(slots, tokenizer.config.discrete_bins, tokenizer.config.meto_backend)

    def begin(self, slot: int, prefix: np.ndarray) -> None:
        """See `Guide`."""
        self.decoder.reset(slot)
        table = np.full((self.decoder.batch_size, len(prefix)), -1, np.int64)
        table[slot] = prefix - ID_OFFSET
        self.decoder.feed(table)

    def feed(self, slots: Sequence[int], ids: Sequence[int]) -> None:
        """See `Guide`."""
        tokens = np.full(self.decoder.batch_size, -1, np.int64)
        tokens[list(slots)] = [-1 if id in (EOS, PAD) else id - ID_OFFSET for id in ids]
        self.decoder.feed(tokens)

    def mask_(self, logits: Tensor, slots: Sequence[int]) -> None:
        """See `Guide`."""
        ranges = self.decoder.value_ranges + ID_OFFSET  # (slots, 2)
        for row, (first, last) in enumerate(ranges[list(slots)].tolist()):
            if last > ID_OFFSET:
                logits[row, self.first : first] = -torch.inf
                logits[row, last:] = -torch.inf
