"""The machine that a benchmark runs on, and what things take there, by the clock and by processor time.

Processor time is that of all threads of this process. Other programs on the machine change it little, the clock much.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16"}


def machine_name(device: Any = None) -> str:
    """Processor model, cores that this process may use, and vector instructions; of a CUDA device its name before."""
    facts = _cpuinfo()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = facts.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in facts:  # virtual machines often hide the model's name
        model += f" (family {facts['cpu family']}, model {facts['model']})"
    flags = facts.get("flags", "").split()
    name = ", ".join([model, f"{cores} cores", *(word for flag, word in INSTRUCTIONS.items() if flag in flags)])
    if getattr(device, "type", "cpu") != "cuda":
        return name
    import torch

    return f"{torch.cuda.get_device_name(device)}; {name}"


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor; empty elsewhere."""
    try:
        block = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    return dict(tuple(part.strip() for part in line.split(":", 1)) for line in block.splitlines() if ":" in line)


# ---- time -----------------------------------------------------------------------------------------------------------


class Spent(NamedTuple):
    """Seconds by the clock and of processor time."""

    clock: float
    processor: float


def wait(device: Any = None) -> None:
    """Until a CUDA device has done what it was given."""
    if getattr(device, "type", "cpu") == "cuda":
        import torch

        torch.cuda.synchronize(device)


def timed(function: Callable[[], Any], device: Any = None) -> tuple[Any, Spent]:
    """What a function returns, and what it took."""
    wait(device)
    clock, processor = time.perf_counter(), time.process_time()
    result = function()
    wait(device)
    return result, Spent(time.perf_counter() - clock, time.process_time() - processor)


def seconds(function: Callable[[], Any], device: Any = None) -> float:
    """Seconds that a function takes, by the clock."""
    return timed(function, device)[1].clock


def processor_seconds(pid: int) -> float:
    """Processor time that another process has used so far, its start included (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- memory ---------------------------------------------------------------------------------------------------------


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux' getrusage is of no use: it counts what the parent had when it forked
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# ---- figures --------------------------------------------------------------------------------------------------------


def rates(count: float, spent: Spent) -> np.ndarray:
    """(2,) things a second by the clock, and a second of processor time."""
    return count / np.array(spent)


def medians(name: str, rounds: Sequence[np.ndarray], digits: int = 1) -> dict[str, Any]:
    """What is measured in rounds, (2,) by the clock and by processor time each.

    Returns:
        {name} and {name}_cpu_time, the medians of the rounds; {name}_range and {name}_cpu_time_range, the least and the
        largest.
    """
    figures: dict[str, Any] = {}
    for key, values in zip((name, f"{name}_cpu_time"), np.transpose(rounds).tolist(), strict=True):
        figures[key] = round(statistics.median(values), digits)
        figures[f"{key}_range"] = [round(min(values), digits), round(max(values), digits)]
    return figures


def ratios(name: str, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> dict[str, Any]:
    """`medians` of the rates of `ours` over those of `theirs`, which were measured in turns, round by round."""
    return medians(name, list(np.array(ours) / np.array(theirs)), digits=3)


def finish(figures: dict[str, Any], device: Any = None) -> int:
    """Print a benchmark's figures with the machine's name and load: its last line. Returns exit code 0.

    Raises:
        ValueError: a figure is not finite.
    """
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    print(json.dumps({**figures, "machine": machine_name(device), "load": load}, allow_nan=False), flush=True)
    return 0
