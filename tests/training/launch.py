"""Starts, watches and kills training processes: main.py on a small preset, or toy_run.py, alone or under torchrun."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
MAIN, TOY = ROOT / "main.py", Path(__file__).with_name("toy_run.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
# What these tests say of bytes and of small differences holds on the CPU.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
CLOCKED = ("tokens_per_second", "mfu")  # curves that follow the clock
PATIENCE = 900  # seconds, on a machine that others keep busy


def start(words, processes=1):
    """A started process; `words` are a script and its arguments."""
    command = TORCHRUN if processes == 2 else [sys.executable]
    pipe = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, *map(str, words)], cwd=ROOT, env=ENVIRONMENT, **pipe)


def run(words, processes=1):
    """Exit status and standard error of a run that ends by itself."""
    with start(words, processes) as process:
        errors = process.communicate(timeout=PATIENCE)[1]
    return process.returncode, errors


def reports(workspace, split="train"):
    """The lines of metrics.jsonl, without what follows the clock; a line that is being written does not count."""
    file = workspace / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [{k: v for k, v in line.items() if k not in CLOCKED} for line in found if line["split"] == split]


def curve(workspace, *names):
    return [[line[name] for name in names] for line in reports(workspace)]


def last_step(workspace):
    """The last step that has been reported (with --log_every 1: taken), 0 before the first."""
    return max((line["step"] for line in reports(workspace)), default=0)


def kill(process):
    """Launcher and processes at once: they are in sessions of their own."""
    for each in [*psutil.Process(process.pid).children(recursive=True), process]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)


def wait_for(condition, process=None, seconds=PATIENCE):
    """The first true value of `condition()`; None once the time is over or the process has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and (process is None or process.poll() is None):
        if value := condition():
            return value
        time.sleep(0.01)
    return None
