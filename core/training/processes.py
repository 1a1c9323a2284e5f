"""Several processes as one: a common stop signal, and sums over all of them without touching the device."""

import os
import signal
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from core.training.log import Sums

# Others wait while one process writes a checkpoint or generates the pictures of an evaluation.
PATIENCE = timedelta(hours=6)
WORKER_GRACE = 30  # seconds that a data worker outlives a SIGTERM


class CpuCollectives:
    """Sums of a few numbers over all processes, through the CPU: the device's queue is not waited for."""

    def __init__(self) -> None:
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if several else (0, 1)
        self.is_main = self.rank == 0
        self.group: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if several else None

    def sum(self, values: Sequence[float]) -> list[float]:
        """Element-wise sums; all processes call it with as many values, and all get the same."""
        if self.group is None:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.group)
        sums: list[float] = tensor.tolist()
        return sums

    def sum_metrics(self, metrics: Sums) -> Sums:
        """Sums and counts of metrics over all processes, by name in alphabetical order; all have the same names."""
        names = sorted(metrics)
        flat = self.sum([number for name in names for number in metrics[name]])
        return {name: (flat[2 * k], flat[2 * k + 1]) for k, name in enumerate(names)}

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return self.sum([float(flag)])[0] > 0

    def run_on_main(self, action: Callable[[], None]) -> None:
        """Run `action` on the main process while the others wait.

        Raises:
            OSError, ValueError: `action` failed; on the other processes SystemExit, so that none is left waiting.
        """
        failure: Exception | None = None
        if self.is_main:
            try:
                action()
            except (OSError, ValueError) as error:
                failure = error
        if self.any(failure is not None):
            raise failure or SystemExit(1)


class StopSignal:
    """Within the `with` block SIGTERM (what a scheduler sends before it takes the machine) only sets `received`.

    A launcher that was ended itself counts too: accelerate's passes no signal on, and its process would train for ever.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._before: Any = None
        launched = "LOCAL_RANK" in os.environ or "ACCELERATE_MIXED_PRECISION" in os.environ
        self._launcher = os.getppid() if launched else None

    @property
    def received(self) -> bool:
        return self._signalled or (self._launcher is not None and os.getppid() != self._launcher)

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self._signalled = True

    def __enter__(self) -> "StopSignal":
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)


def outlive_sigterm(_worker: int) -> None:
    """For a data worker (`worker_init_fn`): a scheduler signals every process, but the step under way needs its data.

    The worker goes when the training process closes it, or by the alarm.
    """
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(WORKER_GRACE))
