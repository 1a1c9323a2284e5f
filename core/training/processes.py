"""Several processes as one: a common stop signal, and sums agreed on without touching the device."""

import os
import signal
from collections.abc import Sequence
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

# Others wait while one process writes a checkpoint or generates the pictures of an evaluation.
PATIENCE = timedelta(hours=6)
WORKER_GRACE = 30  # seconds that a data worker outlives a SIGTERM


class Agreement:
    """Sums of a few numbers over all processes, through the CPU: the device's queue is not waited for."""

    def __init__(self) -> None:
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self.group: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if several else None

    def sum(self, values: Sequence[float]) -> list[float]:
        """Element-wise sums; all processes call it with as many values, and all get the same."""
        if self.group is None:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.group)
        return tensor.tolist()

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return self.sum([float(flag)])[0] > 0


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
