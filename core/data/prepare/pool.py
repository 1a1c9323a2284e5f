"""Worker processes for inputs that may crash them, hang them or eat their memory.

The workers live long and share nothing. Each has a few inputs waiting in its pipe and answers them in turn, so when it
dies or falls silent it is the first unanswered one that did it: that input is given up with the reason, the others go
to another worker, and a new process takes the dead one's place. Outcomes come in the order of the inputs.
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from core.data.prepare.inputs import Item
from core.data.prepare.options import Task
from core.data.prepare.worker import Outcome, process

WAITING = 4  # inputs in a worker's pipe, so that it never waits for the parent
AHEAD = 4096  # inputs handed out beyond the oldest unanswered one
START_SECONDS = 120.0
FAILED_STARTS = 3
MIB = 1 << 20
Function = Callable[[Item, Task, Path], Outcome]

RECYCLED = 0  # exit code of a worker that wants to be replaced: nobody's fault


def serve(pipe: Connection, task: Task, scratch: Path, function: Function) -> None:
    """A worker's life: say ready, then answer inputs until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    logging.disable(logging.CRITICAL)  # of libraries, about files: outcomes say what is worth saying
    os.environ["LP_NUM_THREADS"] = "0"  # software OpenGL: the processes already share out the cores
    _warm_up(task)
    limit_memory(task.limits.memory)
    pipe.send(None)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is gone
        while (item := pipe.recv()) is not None:
            outcome = function(item, task, scratch)
            for left in scratch.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            pipe.send(outcome)
            if any(reason == "memory" for reason, _ in outcome.rejected):
                raise SystemExit(RECYCLED)  # what such a file leaves behind would fall to the next one


def _warm_up(task: Task) -> None:
    """Import and start what files will need, before the limit and outside of anyone's time."""
    import scipy.sparse.csgraph
    import scipy.spatial  # noqa: F401
    import trimesh  # noqa: F401

    if task.content.views:
        from core.data.prepare.pictures import warm_up

        warm_up(task.content)


def limit_memory(mib: int) -> None:
    """Let this process's address space grow by `mib` MiB beyond what it is (Linux; elsewhere there is no limit)."""
    with contextlib.suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + mib * MIB, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Worker:
    """The parent's side of one worker."""

    def __init__(self, context: Any, task: Task, folder: Path, function: Function):
        self.scratch = Path(tempfile.mkdtemp(dir=folder))
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, task, self.scratch, function), daemon=True)
        with _nameless_main():
            self.process.start()
        other.close()
        self.waiting: deque[tuple[int, Item]] = deque()
        self.ready = False
        self.timeout = task.limits.timeout
        self.deadline = time.monotonic() + START_SECONDS

    def give(self, index: int, item: Item) -> None:
        if not self.waiting:
            self.deadline = time.monotonic() + self.timeout
        self.waiting.append((index, item))
        with contextlib.suppress(BrokenPipeError):  # it died just now: the wait that follows finds out
            self.pipe.send(item)

    def answered(self) -> int:
        """The index of the input that an outcome has just come for."""
        self.deadline = time.monotonic() + self.timeout
        return self.waiting.popleft()[0]

    def stop(self) -> int:
        """End it, and return its exit code."""
        self.process.join(0.2 if self.process.exitcode is None else 0)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.pipe.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self.process.exitcode


class Pool:
    """`workers` processes that run `function` on inputs.

    Use as a context manager: leaving it ends them. Raises RuntimeError if workers die while starting.
    """

    def __init__(self, task: Task, workers: int, scratch: str | Path | None = None, function: Function = process):
        self.task, self.size, self.function = task, workers, function
        methods = multiprocessing.get_all_start_methods()
        # A server that has imported everything forks in milliseconds, and has no threads that a fork could freeze.
        self.context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            self.context.set_forkserver_preload(["core.data.prepare.pool", "trimesh", "scipy.sparse.csgraph"])
        self.folder = Path(tempfile.mkdtemp(prefix="prepare-", dir=scratch))
        self.workers: list[_Worker] = []
        self.failed_starts = 0

    def __enter__(self) -> "Pool":
        self.workers = [self._worker() for _ in range(self.size)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.stop()
        self.workers = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def _worker(self) -> _Worker:
        return _Worker(self.context, self.task, self.folder, self.function)

    def map(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, outcome) of each input, in their order."""
        source = enumerate(items)
        todo: deque[tuple[int, Item]] = deque()  # given back by workers that died, the earliest first
        done: dict[int, tuple[Item, Outcome]] = {}
        following = 0
        exhausted = False
        while True:
            while following in done:
                yield done.pop(following)
                following += 1
            for worker in self.workers:
                while worker.ready and len(worker.waiting) < WAITING:
                    if not todo and not exhausted and len(done) < AHEAD:
                        one = next(source, None)
                        exhausted = one is None
                        todo.extend([one] if one else [])
                    if not todo:
                        break
                    worker.give(*todo.popleft())
            if exhausted and not todo and not done and not any(w.waiting for w in self.workers):
                return
            self._listen(todo, done)

    def _listen(self, todo: deque[tuple[int, Item]], done: dict[int, tuple[Item, Outcome]]) -> None:
        """Wait for what workers have to say, or for the first that has taken too long."""
        busy = [w for w in self.workers if w.waiting or not w.ready]
        patience = max(0.0, min(w.deadline for w in busy) - time.monotonic())
        speaking = set(multiprocessing.connection.wait([w.pipe for w in self.workers], timeout=patience))
        for k, worker in enumerate(self.workers):
            if worker.pipe in speaking:
                try:
                    while worker.pipe.poll():
                        self._hear(worker, worker.pipe.recv(), done)
                except (EOFError, ConnectionResetError):
                    self.workers[k] = self._replace(worker, "crash", todo, done)
            elif (worker.waiting or not worker.ready) and time.monotonic() > worker.deadline:
                worker.process.kill()
                self.workers[k] = self._replace(worker, "time", todo, done)

    def _hear(self, worker: _Worker, message: Outcome | None, done: dict[int, tuple[Item, Outcome]]) -> None:
        if message is None:
            worker.ready, self.failed_starts = True, 0
        else:
            item = worker.waiting[0][1]
            done[worker.answered()] = (item, message)

    def _replace(
        self, worker: _Worker, reason: str, todo: deque[tuple[int, Item]], done: dict[int, tuple[Item, Outcome]]
    ) -> _Worker:
        code = worker.stop()
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts == FAILED_STARTS:
                raise RuntimeError(f"worker processes die while they start (exit code {code})")
        elif worker.waiting and (reason == "time" or code != RECYCLED):
            detail = f"gave no answer within {self.task.limits.timeout:g} s (--timeout)"
            if reason == "crash":
                detail = f"the process that read it died of {_cause(code)}"
            index, item = worker.waiting.popleft()
            done[index] = (item, Outcome(rejected=[(reason, detail)]))
        todo.extendleft(reversed(worker.waiting))
        return self._worker()


@contextlib.contextmanager
def _nameless_main() -> Iterator[None]:
    """Children start by importing the parent's script again, with all that it imports: here they need nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
