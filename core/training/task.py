"""What the training loop asks of a task. The loop knows nothing about meshes; tasks know nothing about processes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from core.data.batch import BatchSampler
from core.training.estimate import Memory
from core.training.options import TrainConfig
from core.training.weights import load_weights

__all__ = ["EpochLoader", "Metrics", "TrainingTask"]

Metrics = dict[str, tuple[Any, Any]]
"""(sum, count) by name: means come out right over batches and processes of any size."""

BatchT = TypeVar("BatchT")


class TrainingTask(ABC, Generic[BatchT]):
    """A model, its data and its loss; `BatchT` is whatever the task's own batches are.

    The loop calls `memory`, `build_model`, `load_start` (of a new run), `build_data` and `describe` once each, in this
    order, and then `batches`, `weight`, `flops`, `to` and `loss` step by step.
    """

    name: ClassVar[str]
    """Of the run, in logs and checkpoints."""
    has_flops: ClassVar[bool] = False
    """Whether `flops` is implemented, so that the share of the machine's speed in use (MFU) can be reported."""

    # ------------------------------------------------------------------ before the first step

    def memory(self, world: int, sharded: bool) -> Memory | None:
        """Estimate the memory of a step, before the model is made; None where there is no estimate.

        Args:
            world: number of processes.
            sharded: whether they divide weights, gradients and moments among them.
        """
        return None

    def with_options(self, **options: Any) -> "TrainingTask[BatchT]":
        """The task with other options of training and the same data, to find out what would fit the memory."""
        raise NotImplementedError(f"{type(self).__name__} estimates its memory, so it needs with_options as well")

    @abstractmethod
    def build_model(self) -> nn.Module:
        """The model with fresh weights, on the CPU; torch is seeded."""

    def load_start(self, model: nn.Module, config: TrainConfig) -> None:
        """Load the weights that a new run starts from: --resume, then --resume2.

        Raises:
            ValueError: the weights cannot be read.
        """
        for path in filter(None, (config.resume, config.resume2)):
            load_weights(model, path, config.align_posemb)

    def build_data(self) -> None:
        """Read or make the data sets; the model is built and has its weights.

        Raises:
            ValueError: there are no data.
        """

    def describe(self) -> list[tuple[str, str]]:
        """(subject, fact) lines about the data for the start of the log."""
        return []

    # ------------------------------------------------------------------ batches

    @abstractmethod
    def num_batches(self, epoch: int, world: int) -> int:
        """Batches that each of `world` processes gets in an epoch."""

    @abstractmethod
    def batches(self, epoch: int, start: int, rank: int, world: int) -> Iterable[BatchT]:
        """This process's batches of an epoch from number `start` on; the same for the same arguments, always."""

    def to(self, batch: BatchT, device: torch.device) -> BatchT:
        """The batch on a device; the default is for batches with a method `to` like a tensor's."""
        moved: BatchT = batch.to(device, non_blocking=True)  # type: ignore[attr-defined]
        return moved

    @abstractmethod
    def weight(self, batch: BatchT) -> float:
        """How many equal parts (tokens, samples) the batch's loss is the mean of."""

    def flops(self, batch: BatchT) -> float:
        """Operations that the model needs for a training step on the batch; see `has_flops`."""
        return 0.0

    def names(self, batch: BatchT) -> list[str]:
        """The names of the batch's samples, for the report on a loss that is not finite."""
        return []

    # ------------------------------------------------------------------ loss and evaluation

    @abstractmethod
    def loss(self, model: nn.Module, batch: BatchT) -> tuple[Tensor, Metrics]:
        """Mean loss of a batch, and what else is worth a curve."""

    def evaluate(self, model: nn.Module, accelerator: Any) -> dict[str, float]:
        """Metrics on the test split, equal on every process; the lowest `loss` makes the best checkpoint."""
        return {}

    def pictures(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Pictures (H, W, 3) uint8 by name; called after an evaluation, on the main process alone."""
        return {}


class EpochLoader(NamedTuple):
    """A loader whose workers stay for all epochs, and the sampler that says which epoch it is."""

    sampler: BatchSampler
    loader: "DataLoader[Any]"

    def epoch(self, epoch: int, start: int) -> Iterable[Any]:
        """The batches of an epoch from number `start` on."""
        self.sampler.set_epoch(epoch, start)
        return self.loader
