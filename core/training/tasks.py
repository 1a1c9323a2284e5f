"""What is trained: the tasks that the loop (trainer.py) is given. The loop knows nothing about meshes."""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

Metrics = dict[str, tuple[Any, Any]]
"""(sum, count) by name: means come out right over batches and processes of any size."""


class Task(Protocol):
    """A model, its data and its loss. `batch` is whatever the task's own batches are."""

    name: str

    def build_model(self) -> nn.Module:
        """The model with fresh weights, on the CPU; called once, with torch seeded."""

    def build_data(self) -> None:
        """Read or make the data sets; called once, before what follows. Raises ValueError where there are none."""

    def describe(self) -> list[tuple[str, str]]:
        """(subject, fact) lines about the data for the start of the log."""

    def num_batches(self, epoch: int, world: int) -> int:
        """Batches that each of `world` processes gets in an epoch."""

    def batches(self, epoch: int, start: int, rank: int, world: int) -> Iterable[Any]:
        """This process's batches of an epoch from number `start` on; the same for the same arguments, always."""

    def to(self, batch: Any, device: torch.device) -> Any:
        """The batch on a device."""

    def weight(self, batch: Any) -> float:
        """How many equal parts (tokens, samples) the batch's loss is the mean of."""

    def names(self, batch: Any) -> list[str]:
        """The names of its samples, for the report on a loss that is not finite."""

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        """Mean loss of a batch, and what else is worth a curve."""

    def evaluate(self, model: nn.Module, accelerator: Any) -> dict[str, float]:
        """Metrics on the test split, equal on every process; the lowest `loss` makes the best checkpoint."""

    def pictures(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Pictures (H, W, 3) uint8 by name; called after an evaluation, on the main process alone."""
