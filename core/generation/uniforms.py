"""The random numbers of sequences that draw several at each step."""

import numpy as np
import torch

# Steps whose numbers are generated at once; all of a long sequence's would be megabytes.
BLOCK = 64


class Uniforms:
    """Numbers (width,) in [0, 1) for each step of each slot: the n-th step's are the n-th `width` of its seed's.

    Attributes:
        table: (slots, BLOCK, width) float32; the numbers of step n of a slot are in row n % BLOCK after `prepare`.
    """

    def __init__(self, slots: int, width: int):
        self.table = np.zeros((slots, BLOCK, width), np.float32)
        self.generators = [torch.Generator() for _ in range(slots)]
        self.blocks = np.full(slots, -1)  # which block of each slot is in the table

    def begin(self, slot: int, seed: int) -> None:
        """Seed a slot."""
        self.generators[slot].manual_seed(seed)
        self.blocks[slot] = -1

    def fork(self, source: int, target: int) -> None:
        """Give `target` the state of `source`: both draw the same from here on."""
        self.generators[target].set_state(self.generators[source].get_state())
        self.table[target], self.blocks[target] = self.table[source], self.blocks[source]

    def prepare(self, slots: np.ndarray, done: np.ndarray) -> int:
        """Fill the table for the next step of slots (B,), after `done` (B,) steps; returns for how many it does."""
        for slot, block in zip(slots.tolist(), (done // BLOCK).tolist(), strict=True):
            while self.blocks[slot] < block:
                numbers = torch.rand(self.table[slot].size, generator=self.generators[slot])
                self.table[slot] = numbers.view(self.table.shape[1:]).numpy()
                self.blocks[slot] += 1
        return int((BLOCK - done % BLOCK).min())

    def next_uniforms(self, slots: np.ndarray, done: np.ndarray) -> np.ndarray:
        """(B, width) for the next step of each of these slots, after `done` (B,) steps."""
        self.prepare(slots, done)
        return self.table[slots, done % BLOCK]
