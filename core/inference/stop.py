"""When a run has to stop before its end: Ctrl-C, a scheduler's SIGTERM, or the time limit."""

import os
import signal
import time
from types import FrameType
from typing import Any

# As shells and `timeout` have it: 128 + the signal's number, and 124 for time.
EXIT_CODES = {"": 0, "interrupted": 130, "terminated": 143, "out of time": 124}


class Stop:
    """Within the `with` block SIGINT and SIGTERM only set `reason`; calling the object says whether to stop.

    A second Ctrl-C ends at once (KeyboardInterrupt). A launcher that was ended itself counts as SIGTERM: accelerate's
    passes no signal on, and its process would go on for ever.

    Args:
        time_limit: seconds from now on; 0 is none.

    Attributes:
        reason: one of EXIT_CODES; empty while there is none.
    """

    def __init__(self, time_limit: float = 0):
        self.reason = ""
        self._deadline = time.monotonic() + time_limit if time_limit > 0 else None
        self._before: dict[int, Any] = {}
        launched = "LOCAL_RANK" in os.environ or "ACCELERATE_MIXED_PRECISION" in os.environ
        self._launcher = os.getppid() if launched else None

    def __call__(self) -> bool:
        if not self.reason and self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = "out of time"
        if not self.reason and self._launcher is not None and os.getppid() != self._launcher:
            self.reason = "terminated"
        return bool(self.reason)

    @property
    def signalled(self) -> bool:
        """Somebody wants the process gone, and soon."""
        return self() and self.reason != "out of time"

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.reason]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.reason == "interrupted":
            raise KeyboardInterrupt
        self.reason = "interrupted" if number == signal.SIGINT else self.reason or "terminated"

    def __enter__(self) -> "Stop":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
