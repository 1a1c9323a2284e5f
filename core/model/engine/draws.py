"""The random numbers of sequences that draw many at each step."""

import numpy as np
import torch

# Steps whose numbers are made at once: all of a long sequence's would be megabytes.
BLOCK = 64


class Draws:
    """Numbers (width,) in [0, 1) for each step of each slot: the n-th step's are the n-th `width` of its seed's.

    Attributes:
        table: (slots, BLOCK, width) float32; step n of a slot is row n % BLOCK, once `steps` has been asked.
    """

    def __init__(self, slots: int, width: int):
        self.table = np.zeros((slots, BLOCK, width), np.float32)
        self.generators = [torch.Generator() for _ in range(slots)]
        self.blocks = np.full(slots, -1)  # which block of each slot is in the table

    def begin(self, slot: int, seed: int) -> None:
        """A sequence with this seed."""
        self.generators[slot].manual_seed(seed)
        self.blocks[slot] = -1

    def steps(self, slots: np.ndarray, done: np.ndarray) -> int:
        """Have the numbers of slots (B,) that have done so many steps (B,); returns for how many more they do."""
        for slot, block in zip(slots.tolist(), (done // BLOCK).tolist(), strict=True):
            while self.blocks[slot] < block:
                numbers = torch.rand(self.table[slot].size, generator=self.generators[slot])
                self.table[slot] = numbers.view(self.table.shape[1:]).numpy()
                self.blocks[slot] += 1
        return int((BLOCK - done % BLOCK).min())

    def of(self, slots: np.ndarray, done: np.ndarray) -> np.ndarray:
        """(B, width) of the next step of each of these slots."""
        self.steps(slots, done)
        return self.table[slots, done % BLOCK]
