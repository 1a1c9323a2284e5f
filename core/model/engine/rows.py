"""Which slots a step runs."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Rows:
    """The slots that a step runs, on the host and on the device; made when slots come or go, used while they run.

    Attributes:
        slots: those with a sequence that goes on.
        index: (B,) the slots that are computed, on the device: these, or all where `live` tells which count.
        live: (B,) 1 where a sequence goes on, else 0; None where it does everywhere.
    """

    def __init__(self, total: int, device: torch.device, every: bool = False):
        """`every`: all slots are computed whatever runs in them, so that nothing changes its shape or place (GPU)."""
        self.total, self.every, self.device = total, every, device
        self.slots: list[int] = []
        self.host_index = np.zeros(0, np.int64)  # the same
        self.all = every
        self.index = torch.arange(total if every else 0, device=device)
        self.live = torch.zeros(total, dtype=torch.long, device=device) if every else None

    def set(self, slots: Sequence[int]) -> None:
        """These run from now on."""
        self.slots = sorted(slots)
        self.host_index = np.array(self.slots, np.int64)
        if self.live is not None:
            self.live.copy_(torch.tensor([int(slot in self.slots) for slot in range(self.total)]))
        else:
            self.all = len(self.slots) == self.total
            self.index = torch.tensor(self.slots, dtype=torch.long, device=self.device)

    def of(self, values: Tensor) -> Tensor:
        """The rows' part (B, ...) of what is kept for all slots."""
        return values if self.all else values[self.index]

    def put(self, table: Tensor, values: Tensor) -> None:
        """Keep values (B, ...) in a table for all slots, in place."""
        if self.all:
            table.copy_(values)
        else:
            table[self.index] = values

    def count(self, counts: Tensor) -> None:
        """Add one, in place, for each sequence that goes on, to counts (slots,) kept for all slots."""
        if self.live is not None:
            counts += self.live
        elif self.all:
            counts += 1
        else:
            counts[self.index] += 1
