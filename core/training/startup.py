"""Before a run's first step: its processes and devices, and the facts about it for the start of the log."""

import importlib.util
from pathlib import Path
from typing import Any

import torch

from core.training import estimate
from core.training.learner import Learner
from core.training.options import TrainConfig
from core.training.position import Budget
from core.training.processes import CpuCollectives


def make_accelerator(config: TrainConfig) -> Any:
    """accelerate's handle on device and processes, and on the trackers, which write to the workspace.

    Raises:
        ValueError: --use_wandb without the package.
    """
    from accelerate import Accelerator
    from accelerate.utils import ProjectConfiguration

    if config.use_wandb and importlib.util.find_spec("wandb") is None:
        raise ValueError("--use_wandb needs the package wandb: pip install wandb")
    workspace = str(Path(config.workspace).expanduser())
    return Accelerator(
        # Without it accelerate takes a launch of several processes on a machine with no GPU for one process each.
        cpu=not torch.accelerator.is_available(),
        mixed_precision=config.mixed_precision,
        log_with=["tensorboard", "wandb"] if config.use_wandb else ["tensorboard"],
        project_config=ProjectConfiguration(workspace, logging_dir=workspace),
    )


def measure_peak(device: torch.device, precision: str, collectives: CpuCollectives) -> float:
    """Operations a second that the devices of all processes can do in matrix products, measured."""
    return collectives.sum([estimate.matmul_peak(device, precision)])[0]


def facts(
    learner: Learner, budget: Budget, collectives: CpuCollectives, start: Path | None, peak: float
) -> list[tuple[str, str]]:
    """(subject, fact) lines for the start of the log: what trains on what, and for how long.

    Args:
        learner, budget, collectives: of the run.
        start: the checkpoint that it continues from.
        peak: from `measure_peak`; 0: not measured.
    """
    config, task = learner.config, learner.task
    parameters = list(learner.plain_model.parameters())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    total = sum(p.numel() for p in parameters)
    origin = f"continues {start.name}" if start else "starts from " + (config.resume or "random weights")
    device = learner.accelerator.device
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    world, accumulation = collectives.world, config.gradient_accumulation_steps
    processes = f"{world} process(es) of {torch.get_num_threads()} CPU thread(s)"
    processes += " that share weights and optimizer (FSDP)" if learner.sharded else ""
    workspace = Path(config.workspace).expanduser()
    batch = f"{config.batch_size} x {world} process(es) x {accumulation} = "
    return [
        ("training", f"{task.name}: {total:,} parameters, {trained:,} of them trained; {origin}"),
        ("on", f"{device_name}, {processes}, precision {config.mixed_precision}"),
        ("batch", f"{batch}{config.batch_size * world * accumulation} meshes a step"),
        *([("peak", f"{peak / 1e12:.2f} TFLOP/s of matrix products, measured")] if peak else []),
        ("until", budget.describe()),
        *task.describe(),
        ("workspace", f"{workspace} (curves: tensorboard --logdir {workspace})"),
    ]
