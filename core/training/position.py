"""Where a run is, how long it has trained, and when its budget is spent."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.training.options import TrainConfig


@dataclass
class Position:
    """Where a run is; stored in checkpoints."""

    step: int = 0
    """Optimizer steps taken."""
    epoch: int = 0
    batch: int = 0
    """Batches of this epoch that each process has used."""
    seconds: float = 0.0
    """Time trained, over all restarts."""
    tokens: float = 0.0
    """Units of loss (tokens) trained on."""

    def advance(self, batches: int, tokens: float, epoch_ended: bool) -> None:
        """Count an optimizer step of so many batches (of this process) and tokens (of all)."""
        self.step += 1
        self.batch += batches
        self.tokens += tokens
        if epoch_ended:
            self.end_epoch()

    def end_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch, self.batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the fields that `state` has; names of other components in it are ignored."""
        for name in {field.name for field in fields(self)} & state.keys():
            setattr(self, name, state[name])


class Clock:
    """Seconds trained.

    Args:
        before: seconds that the run had trained before this process went on with it.
    """

    def __init__(self, before: float):
        self._started = time.monotonic() - before

    def seconds(self) -> float:
        """Seconds trained until now, over all restarts."""
        return time.monotonic() - self._started


class Budget:
    """The limits of a run: epochs, optimizer steps and minutes, whichever comes first.

    Args:
        config: --num_epochs, --max_steps and --max_minutes are read.
        steps_per_epoch: optimizer steps that an epoch has.
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int):
        self.epochs, self.max_steps, self.max_minutes = config.num_epochs, config.max_steps, config.max_minutes
        self.steps_per_epoch = steps_per_epoch
        in_epochs = self.epochs * steps_per_epoch
        self.total_steps = min(in_epochs, self.max_steps) if self.max_steps else in_epochs

    def share(self, position: Position, more_steps: int = 0) -> float:
        """Share of the run in [0, 1] that is done, by whichever limit is nearer.

        Args:
            position: where the run is.
            more_steps: steps to count beyond those that `position` has.
        """
        by_steps = (position.step + more_steps) / self.total_steps
        by_time = position.seconds / (60 * self.max_minutes) if self.max_minutes else 0.0
        return min(max(by_steps, by_time), 1.0)

    def is_spent(self, position: Position) -> bool:
        """Whether the run has reached one of its limits."""
        out_of_steps = 0 < self.max_steps <= position.step
        out_of_time = 0 < self.max_minutes * 60 <= position.seconds
        return position.epoch >= self.epochs or out_of_steps or out_of_time

    def describe(self) -> str:
        """The limits in words."""
        limits = [f"{self.epochs} epochs of {self.steps_per_epoch} steps"]
        limits += [f"{self.max_steps} steps"] if self.max_steps else []
        limits += [f"{self.max_minutes:g} minutes"] if self.max_minutes else []
        return " or ".join(limits) + (" (the first of them)" if len(limits) > 1 else "")
