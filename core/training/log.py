"""What a run logs: the console's messages, log.txt, metrics.jsonl, and the curves and pictures of the trackers."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.logging import RichHandler

LOG_NAME = "log.txt"
METRICS_NAME = "metrics.jsonl"
PICTURES = "pictures"

# (sum, count) of each metric: what a mean is made of, and adds up over batches and processes.
Sums = dict[str, tuple[float, float]]

log = logging.getLogger("core")


def setup_logging(workspace: Path, is_main: bool) -> Console:
    """Messages of `core` to the console and WORKSPACE/log.txt; of other processes than the main one, errors alone."""
    console = Console(stderr=True)
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.propagate = False
    log.setLevel(logging.INFO if is_main else logging.ERROR)
    if console.is_terminal:
        log.addHandler(RichHandler(console=console, show_path=False, show_level=False, log_time_format="[%X]"))
    else:
        plain = logging.StreamHandler(sys.stderr)
        plain.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(plain)
    if is_main:
        file = logging.FileHandler(workspace / LOG_NAME)
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(file)
    return console


class Window:
    """Means of the metrics since the last report; its sums go into checkpoints, so that reports survive a restart."""

    def __init__(self) -> None:
        self.sums: Sums = {}

    def add(self, sums: Mapping[str, tuple[float, float]]) -> None:
        for name, (total, count) in sums.items():
            before = self.sums.get(name, (0.0, 0.0))
            self.sums[name] = (before[0] + total, before[1] + count)

    def means(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in self.sums.items() if count}

    def clear(self) -> None:
        self.sums = {}


def numbers(metrics: dict[str, tuple[Any, Any]]) -> Sums:
    """Metrics as plain numbers."""
    return {name: (float(total), float(count)) for name, (total, count) in metrics.items()}


def add_up(sums: Iterable[Sums]) -> Sums:
    """Element-wise sums of several metrics."""
    window = Window()
    for part in sums:
        window.add(part)
    return window.sums


class MetricsFile:
    """WORKSPACE/metrics.jsonl: one object a report, `step` and `split` (train or test) among its keys."""

    def __init__(self, workspace: Path, step: int):
        """Opens it to continue after `step`: what a killed run reported beyond that will be reported again."""
        self.path = workspace / METRICS_NAME
        kept = [line for line in self._lines() if _step_of(line) <= step]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(kept))
        temporary.replace(self.path)

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines(keepends=True) if self.path.exists() else []

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "split": split, **values}) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except json.JSONDecodeError:  # the last line of a killed process
        return float("inf")


class Trackers:
    """Curves and pictures: TensorBoard (WORKSPACE/tensorboard), and wandb where asked for; main process only."""

    def __init__(self, accelerator: Any, workspace: Path, step: int, use_wandb: bool):
        self.accelerator = accelerator
        self.pictures = workspace / PICTURES
        # Points that a killed run wrote beyond its last checkpoint are taken out.
        options: dict[str, dict[str, Any]] = {"tensorboard": {"purge_step": step + 1} if step else {}}
        if use_wandb:
            run_id = "".join(c if c.isalnum() else "-" for c in str(workspace.resolve()).strip("/"))[-120:]
            options["wandb"] = {"dir": str(workspace), "name": workspace.name, "id": run_id, "resume": "allow"}
        accelerator.init_trackers("tensorboard", init_kwargs=options)

    def scalars(self, split: str, values: Mapping[str, float], step: int) -> None:
        self.accelerator.log({f"{split}/{name}": value for name, value in values.items()}, step=step)

    def images(self, images: Mapping[str, np.ndarray], step: int) -> None:
        """Pictures (H, W, 3) uint8 by name, also to WORKSPACE/pictures."""
        from PIL import Image

        self.pictures.mkdir(exist_ok=True)
        for name, image in images.items():
            Image.fromarray(image).save(self.pictures / f"{name}-{step:08d}.png")
            for tracker in self.accelerator.trackers:
                options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
                tracker.log_images({name: image[None]}, step=step, **options)

    def close(self) -> None:
        self.accelerator.end_training()


def banner(lines: Iterable[tuple[str, str]]) -> None:
    """What trains on what, one fact a line, before the first step."""
    for name, text in lines:
        log.info("%-12s %s", name, text)


def memory(device: torch.device) -> str:
    """The most memory used so far: of the GPU, else this process's resident set."""
    if device.type == "cuda":
        return f"GPU {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"
    import psutil

    return f"RSS {psutil.Process().memory_info().rss / 2**30:.1f} GiB"


def free_memory(device: torch.device) -> float:
    """Bytes that a process can have on its device: of the GPU, else its share of what is free of the machine's."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    import psutil

    return float(psutil.virtual_memory().available) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def duration(seconds: float) -> str:
    """Seconds as 1:02:03, or 3 d 4:05:06."""
    days, rest = divmod(int(seconds + 0.5), 86400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock
