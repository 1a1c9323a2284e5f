"""What stops a run: a machine without the memory, before the model is made; a bad loss, before weights are touched."""

import itertools
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from core.training import checkpoint, estimate, log
from core.training.learner import StepResult
from core.training.options import TrainConfig
from core.training.position import Position
from core.training.processes import CpuCollectives
from core.training.task import TrainingTask

SMOOTHING = 0.02  # weight of a step in the moving average of the loss
STEPS_TO_KNOW = 50  # that this average needs before anything is called an explosion

logger = logging.getLogger(__name__)


class LossGuard:
    """Stops a run whose loss is not finite, or exceeds --explosion times its moving average and 1 more."""

    def __init__(self, config: TrainConfig, task: TrainingTask[Any], collectives: CpuCollectives, workspace: Path):
        self.config, self.task, self.collectives, self.workspace = config, task, collectives, workspace
        self.smooth_loss = math.nan

    def check(self, result: StepResult, position: Position) -> None:
        """Call on every process before the weights are updated.

        (With fp16 the gradient scaler skips a step of overflown gradients by itself.)

        Raises:
            ValueError: the loss is bad on some process; the samples of each process are written to the workspace.
        """
        bad_norm = not math.isfinite(result.grad_norm) and self.config.mixed_precision != "fp16"
        bad = bad_norm or not all(map(math.isfinite, result.losses))
        exploded = not bad and self._exploded(result.losses, position.step)
        not_finite, exploded = map(bool, self.collectives.sum([float(bad), float(exploded)]))
        if not_finite or exploded:
            self._stop(result, position, not_finite)

    def _exploded(self, losses: list[float], step: int) -> bool:
        factor = self.config.explosion
        if factor == 0 or step < STEPS_TO_KNOW:
            return False
        return sum(losses) / len(losses) > factor * abs(self.smooth_loss) + 1

    def _stop(self, result: StepResult, position: Position, not_finite: bool) -> None:
        what = "is not finite" if not_finite else f"exploded (moving average {self.smooth_loss:.4f})"
        kind = "not-finite" if not_finite else "exploded"
        step = position.step + 1
        file = self.workspace / f"{kind}-step-{step:08d}-process-{self.collectives.rank}.json"
        pairs = zip(result.losses, result.batches, strict=True)
        batches = [{"loss": repr(loss), "samples": self.task.names(batch)} for loss, batch in pairs]
        norm = result.grad_norm
        content = {"step": step, "epoch": position.epoch, "gradient_norm": repr(norm), "batches": batches}
        file.write_text(json.dumps(content, indent=2) + "\n")
        last = checkpoint.latest_checkpoint(self.workspace)
        ignore = "" if not_finite else ", a higher --explosion goes on"
        raise ValueError(
            f"the loss {what} at step {step} (loss {result.losses}, gradient norm {norm:g}); the samples are named in "
            f"{file}; the last checkpoint is {last.name if last else 'none'}; a lower --lr usually helps{ignore}"
        )

    def update(self, total: float, count: float) -> None:
        """Add a step's loss, the mean of `count` parts that sum to `total`, to the moving average."""
        loss = total / count
        known = not math.isnan(self.smooth_loss)
        self.smooth_loss = self.smooth_loss + SMOOTHING * (loss - self.smooth_loss) if known else loss

    def state_dict(self) -> dict[str, Any]:
        """The moving average of the loss."""
        return {"smooth_loss": self.smooth_loss}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with what `state_dict` returned; other names in `state` are ignored."""
        self.smooth_loss = state.get("smooth_loss", math.nan)


class MemoryGuard:
    """Refuses a run that would not fit the memory, before its model is made: it would swap, or be killed later."""

    def __init__(self, config: TrainConfig, device: torch.device, world: int, sharded: bool):
        self.config, self.device, self.world, self.sharded = config, device, world, sharded

    def check(self, task: TrainingTask[Any]) -> None:
        """Compare the task's estimate with the memory that is free.

        Raises:
            ValueError: it is not enough, and --ignore_memory_check is not given.
        """
        need = task.memory(self.world, self.sharded)
        free = log.free_memory(self.device)
        if need is None or need.total <= free:
            return
        text = f"training takes about {estimate.describe(need)}; each process has {free / estimate.GIB:.1f} GiB here"
        if not self.config.ignore_memory_check:
            raise ValueError(f"{text}. {self._what_would_fit(task, free)}--ignore_memory_check starts anyway")
        logger.warning("%s; starting anyway (--ignore_memory_check)", text)

    def _what_would_fit(self, task: TrainingTask[Any], free: float) -> str:
        """The options nearest to those given that fit, as the beginning of a sentence."""
        changes: list[dict[str, Any]] = [{}] if self.config.checkpointing else [{}, {"checkpointing": True}]
        sizes = [n for n in (self.config.batch_size, 2, 1) if n <= self.config.batch_size]
        for size, change in itertools.product(dict.fromkeys(sizes), changes):
            options = {"batch_size": size, **change}
            need = task.with_options(**options).memory(self.world, self.sharded)
            if need is not None and need.total <= free:
                words = [f"--{k}" if v is True else f"--{k} {v}" for k, v in options.items()]
                return f"What would fit: {' '.join(words)}; else "
        return "A smaller --max_seq_length, model, or more processes with --shard would take less; "
