"""The slots that a step runs."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Rows:
    """The slots that a step runs, on the host and on the device; made when slots come or go, used while they run.

    Attributes:
        slots: the running ones, ascending; `host_index` is the same as an array.
        index: (B,) the slots that are computed, on the device: the running ones, or all where `live` tells which run.
        live: (slots,) 1 for running slots, else 0; None where only running ones are computed.

    Args:
        total: all slots.
        device: where `index` and `live` are.
        every: compute all slots whatever runs in them, so that no shape and no address changes (GPU).
    """

    def __init__(self, total: int, device: torch.device, every: bool = False):
        self.total, self.every, self.device = total, every, device
        self.slots: list[int] = []
        self.host_index = np.zeros(0, np.int64)
        self.all = every
        self.index = torch.arange(total if every else 0, device=device)
        self.live = torch.zeros(total, dtype=torch.long, device=device) if every else None

    def set(self, slots: Sequence[int]) -> None:
        """Run these slots from now on."""
        self.slots = sorted(slots)
        self.host_index = np.array(self.slots, np.int64)
        if self.live is not None:
            self.live.copy_(torch.tensor([int(slot in self.slots) for slot in range(self.total)]))
        else:
            self.all = len(self.slots) == self.total
            self.index = torch.tensor(self.slots, dtype=torch.long, device=self.device)

    @property
    def computed(self) -> np.ndarray:
        """(B,) the slots that are computed, on the host."""
        return np.arange(self.total) if self.every else self.host_index

    def gather(self, table: Tensor) -> Tensor:
        """The rows (B, ...) of a table (slots, ...)."""
        return table if self.all else table[self.index]

    def scatter(self, table: Tensor, values: Tensor) -> None:
        """Write values (B, ...) to their rows of a table (slots, ...), in place."""
        if self.all:
            table.copy_(values)
        else:
            table[self.index] = values

    def increment(self, counts: Tensor) -> None:
        """Add one, in place, to the counts (slots,) of the running slots."""
        if self.live is not None:
            counts += self.live
        elif self.all:
            counts += 1
        else:
            counts[self.index] += 1
