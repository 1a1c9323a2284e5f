"""FSDP: parameters, gradients and moments divided among the processes (arXiv 2304.11277), on GPUs and on the CPU.

By torch's `fully_shard` itself, as accelerate quietly replicates the model where the processes are on the CPU.
"""

import os
from typing import Any

import torch
from torch import nn

SETTING = "ACCELERATE_USE_FSDP"  # how `accelerate launch` passes on `distributed_type: FSDP`


def wanted(flag: bool) -> bool:
    """Whether to shard: by --shard or by accelerate's configuration, which is then told that we do it ourselves."""
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
    """Give back what is still whole of the last forward pass, so that the parameters are each process's own parts."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(tensor: Any) -> Any:
    """The whole of a sharded tensor (all processes have to call it); another one as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
