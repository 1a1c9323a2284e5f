"""FSDP: parameters, gradients and moments divided among the processes (arXiv 2304.11277), on GPUs and on the CPU.

By torch's `fully_shard` itself, as accelerate quietly replicates the model where the processes are on the CPU.
"""

import os
from typing import Any

import torch
from torch import nn

SETTING = "ACCELERATE_USE_FSDP"  # how `accelerate launch` passes on `distributed_type: FSDP`


def wanted(flag: bool) -> bool:
    """Whether to shard: by --shard or by accelerate's configuration, whose setting is removed: we shard ourselves."""
    return os.environ.pop(SETTING, "false").lower() in ("true", "1") or flag


def shard(model: nn.Module, device: torch.device) -> nn.Module:
    """Divide the model among all processes, layer by layer; its parameters' names stay as they are.

    Raises:
        ValueError: there is only one process.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if not dist.is_initialized() or dist.get_world_size() == 1:
        raise ValueError("--shard: one process has nothing to share with; start several (acc_configs/fsdp.yaml)")
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            for layer in module:
                fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def is_sharded(model: nn.Module) -> bool:
    """Whether it is one of `shard`'s: it computes only together with the other processes."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def reshard(model: nn.Module) -> None:
    """Free the parameters gathered for the last forward pass, so that each process holds its own parts alone."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def full_tensor(tensor: Any) -> Any:
    """A sharded tensor gathered from all processes, each of which has to call this; any other tensor unchanged."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
