"""What stands for `process` in the pool's tests: an input does what its name says."""

import os
import signal
import time
from pathlib import Path

from core.data.prepare.inputs import Item
from core.data.prepare.options import Task
from core.data.prepare.worker import Outcome


def act(item: Item, task: Task, scratch: Path) -> Outcome:
    what = item.name.split("-")[0]
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "exit":
        os._exit(3)
    elif what == "hang":
        time.sleep(1000)
    elif what == "eat":
        try:
            bytearray(4 << 30)
        except MemoryError:
            return Outcome(rejected=[("memory", "too much")])
    (scratch / "left").write_text("behind")
    return Outcome(digest=item.name)
