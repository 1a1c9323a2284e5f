"""The model as it trains: on its device, replicated or sharded, with its optimizers and moving average."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from core.training import shard
from core.training.ema import Ema
from core.training.log import Sums, add_up, numbers
from core.training.optim import build_optimizers, learning_rate, step_optimizers
from core.training.options import TrainConfig
from core.training.state import restore, snapshot
from core.training.steps import seed_all
from core.training.task import TrainingTask


@dataclass(frozen=True)
class StepResult:
    """What the forward and backward passes of an optimizer step gave on this process."""

    batches: list[Any]
    weights: list[float]
    """Of each batch: the tokens (or samples) that its loss is the mean of."""
    tokens: float
    """Sum of the weights over all batches of the step and all processes."""
    losses: list[float]
    """Mean loss of each batch."""
    grad_norm: float
    """Norm of the whole gradient before clipping, the same on every process."""
    metrics: Sums
    """What the task measured, summed over the batches."""
    flops: float
    """Operations that the model needed."""

    def sums(self) -> Sums:
        """(sum, count) of loss, operations and metrics, to be added up over the processes."""
        loss = sum(loss * weight for loss, weight in zip(self.losses, self.weights, strict=True))
        return add_up([{"loss": (loss, sum(self.weights)), "mfu": (self.flops, 0.0)}, self.metrics])


class Learner:
    """Computes gradients and applies them.

    Args:
        model: on the CPU, its weights loaded.
        task: gives the loss.
        config: optimizer, precision, clipping, moving average and seed are read.
        accelerator: of accelerate.
        sharded: divide the model among the processes (FSDP) instead of replicating it.
    """

    def __init__(
        self, model: nn.Module, task: TrainingTask[Any], config: TrainConfig, accelerator: Any, sharded: bool = False
    ):
        self.task, self.config, self.accelerator, self.sharded = task, config, accelerator, sharded
        self.precision: Callable[[], AbstractContextManager[Any]] = nullcontext
        if sharded:
            # Not through accelerate, which would replicate it; so what its wrapper does for precision is done here.
            self.model = shard.shard(model.to(accelerator.device), accelerator.device)
            self.precision = accelerator.autocast
            built = build_optimizers(self.model, config)
            optimizers = [accelerator.prepare(optimizer) for optimizer, _ in built]
        else:
            built = build_optimizers(model, config)
            self.model, *optimizers = accelerator.prepare(model, *(optimizer for optimizer, _ in built))
        self.optimizers = [(optimizer, rate) for optimizer, (_, rate) in zip(optimizers, built, strict=True)]
        self.ema = Ema(self.plain_model, config.ema) if config.ema else None

    @property
    def plain_model(self) -> nn.Module:
        """The model without the wrapper that waits for other processes (a sharded one is always together with them)."""
        model: nn.Module = self.model if self.sharded else self.accelerator.unwrap_model(self.model)
        return model

    @property
    def _plain_optimizers(self) -> list[Optimizer]:
        """Those of torch, without accelerate's wrapper."""
        return [optimizer.optimizer for optimizer, _ in self.optimizers]

    def compute_gradients(self, batches: list[Any], weights: Sequence[float], tokens: float, step: int) -> StepResult:
        """Forward and backward passes over micro-batches, each counting by its share of the whole step's tokens.

        So several processes and accumulation give the gradient of one large batch, however long its meshes are.

        Args:
            batches: micro-batches of this process.
            weights: tokens of each.
            tokens: those of all micro-batches of all processes.
            step: number of the step, which seeds its random numbers.
        """
        losses, metrics = [], []
        flops = sum(self.task.flops(batch) for batch in batches)
        for k, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            with self._synchronised(k == len(batches) - 1):
                seed_all(self.config.seed, "step", step, k, self.accelerator.process_index)
                batch = self.task.to(batch, self.accelerator.device)
                with self.precision():
                    loss, measured = self.task.loss(self.model, batch)
                self.accelerator.backward(loss * (weight * self.accelerator.num_processes / tokens))
            losses.append(loss.detach())
            metrics.append(measured)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip or math.inf)
        norm = torch.as_tensor(shard.full_tensor(norm), device=losses[0].device)
        *values, norm_value = torch.stack([*losses, norm]).float().tolist()  # one wait for the device
        sums = add_up(map(numbers, metrics))
        return StepResult(batches, list(weights), tokens, values, norm_value, sums, flops)

    def _synchronised(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged once a step, in its last micro-batch's backward pass."""
        return nullcontext() if last else self.accelerator.no_sync(self.model)

    def update(self, position: float) -> float:
        """Apply the gradients; returns the learning rate (the highest of the optimizers is Muon's own).

        Args:
            position: share of the run that is done with this step.
        """
        step_optimizers(self.optimizers, position, self.config.warmup_ratio)
        if self.ema:
            self.ema.update()
        return learning_rate(position, self.config.lr, self.config.warmup_ratio)

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """Within the `with` block the plain model: its averaged weights, no dropout, no gradients, autocast."""
        model = self.plain_model
        model.eval()
        averaged = self.ema.in_place() if self.ema else nullcontext()
        with torch.no_grad(), self.accelerator.autocast(), averaged:
            yield model
        self.model.train()

    # ------------------------------------------------------------------ checkpoints

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, and the state of optimizers, scaler and average, on the CPU; every process has to call it."""
        weights, state = snapshot(self.model, self._plain_optimizers, self.accelerator.scaler)
        if self.ema:
            state["ema"] = {name: shard.full_tensor(average).cpu() for name, average in self.ema.averages.items()}
        return weights, state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the state of optimizers, scaler and average; the model was given its weights when it was made.

        Raises:
            ValueError: the state is that of other optimizers.
        """
        restore(self.model, self._plain_optimizers, self.accelerator.scaler, state)
        if self.ema and "ema" in state:
            self.ema.load(state["ema"])
