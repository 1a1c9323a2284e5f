"""What a run shows and writes while it trains: the bar, metrics.jsonl, curves and pictures."""

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console

from core.training import log
from core.training.bar import Bar
from core.training.learner import StepResult
from core.training.log import Sums
from core.training.options import TrainConfig
from core.training.position import Budget, Position

logger = logging.getLogger(__name__)


class Progress:
    """Means since the last report, and everything that they are shown and written by.

    The bar is drawn, and everything closed at the end, by a `with` block.

    Args:
        config: --workspace, --log_every, --num_epochs and --use_wandb are read.
        name: of the task.
        accelerator: of accelerate; the main process alone draws and writes.
        console: where the bar is drawn.
        position, budget: where the run is (kept up to date by the loop) and where it ends.
        peak: operations a second that all devices can do, for MFU; 0: not known.
    """

    def __init__(
        self,
        config: TrainConfig,
        name: str,
        accelerator: Any,
        console: Console,
        position: Position,
        budget: Budget,
        peak: float = 0.0,
    ):
        self.config, self.position, self.budget, self.peak = config, position, budget, peak
        self.device, self.is_main = accelerator.device, accelerator.is_main_process
        workspace = Path(config.workspace).expanduser()
        self.window = log.Window()
        self.last_means: dict[str, float] = {}
        self.step_started = time.monotonic()
        self.bar = Bar(console, self.is_main, name)
        self.trackers = log.Trackers(accelerator, workspace, position.step, config.use_wandb)
        self.metrics = log.MetricsFile(workspace, position.step) if self.is_main else None

    def __enter__(self) -> "Progress":
        self.bar.start(self.budget.share(self.position))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        self.trackers.close()

    def start_step(self) -> None:
        """The time of a step runs from here: loading its batches is counted, evaluating and saving are not."""
        self.step_started = time.monotonic()

    def add_step(self, totals: Sums, result: StepResult, rate: float) -> None:
        """Add a step to the means, show them, and report them every --log_every steps.

        Args:
            totals: the result's sums over all processes.
            result: what this process's passes gave.
            rate: the learning rate.
        """
        seconds = time.monotonic() - self.step_started
        self.window.add({**totals, "mfu": (totals["mfu"][0], self.peak * seconds)})
        self.window.add({"tokens_per_second": (result.tokens, seconds)})
        self.window.add({"grad_norm": (result.grad_norm, 1.0), "lr": (rate, 1.0)})
        self.show()
        if self.position.step % self.config.log_every == 0:
            self._report()

    def show(self, force: bool = False) -> None:
        """Draw the bar, or print a line, if it is time or `force`."""
        self.bar.update(self.budget.share(self.position), self._status(), force)

    def _status(self) -> str:
        means = self.window.means() or self.last_means
        parts = [
            f"epoch {min(self.position.epoch + 1, self.config.num_epochs)} step {self.position.step}",
            f"loss {means.get('loss', math.nan):.4f}",
            f"{means.get('tokens_per_second', math.nan):,.0f} tokens/s",
        ]
        if "padding_skipped" in means:
            parts.append(f"packed ({100 * means['padding_skipped']:.0f} % padding saved)")
        if self.peak:
            parts.append(f"MFU {100 * means.get('mfu', math.nan):.0f} %")
        return " | ".join([*parts, log.memory(self.device)])

    def _report(self) -> None:
        means = {**self.window.means(), "epoch": self.position.epoch, "tokens": self.position.tokens}
        self.window.clear()
        self.last_means = means
        self._write("train", means)

    def add_evaluation(self, metrics: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        """Write the metrics and pictures of an evaluation."""
        self._write("test", metrics)
        if self.is_main:
            self.trackers.images(pictures, self.position.step)

    def _write(self, split: str, values: Mapping[str, float]) -> None:
        self.trackers.scalars(split, values, self.position.step)
        if self.metrics:
            self.metrics.write(self.position.step, split, values)

    def finish(self, reason: str) -> None:
        """Show where the run has stopped, and why."""
        self.show(force=True)
        logger.info("%s after %d steps, %s", reason, self.position.step, log.duration(self.position.seconds))
