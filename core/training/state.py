"""What a model in training consists of, as plain dictionaries: the same whether it is replicated, sharded or neither.

Parameters and moments go by parameter name, so a checkpoint of several processes loads in one, and the other way round.
"""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn
from torch.optim import Optimizer

# Imported inside: torch.distributed's checkpoint package takes a second, and inference does without it.


def snapshot(
    model: nn.Module, optimizers: Sequence[Optimizer], scaler: Any
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights on the CPU, and the state of optimizers and gradient scaler; every process has to call it.

    Args:
        model: as accelerate prepared it.
        optimizers: torch's own; at least one step has been taken.
        scaler: of fp16 gradients, or None.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, moments = get_state_dict(model, optimizers, options=options)
    state = {
        "optimizer": moments,
        "kinds": _kinds(optimizers),
        "scaler": scaler.state_dict() if scaler is not None else {},
    }
    return cast(dict[str, Tensor], weights), state


def restore(model: nn.Module, optimizers: Sequence[Optimizer], scaler: Any, state: dict[str, Any]) -> None:
    """Load into optimizers and scaler the state that `snapshot` took; weights are loaded before the model is prepared.

    Raises:
        ValueError: the state is that of other optimizers.
    """
    if (before := state.get("kinds", ["AdamW"])) != (now := _kinds(optimizers)):
        raise ValueError(
            f"the run's checkpoint is of {' and '.join(before)}, and --optimizer now asks for {' and '.join(now)}: "
            "continue with the same, or begin another run from its weights with --resume"
        )
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

    decays = [group["weight_decay"] for each in optimizers for group in each.param_groups]
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    set_optimizer_state_dict(model, optimizers, state["optimizer"], options=options)
    for group, decay in zip((group for each in optimizers for group in each.param_groups), decays, strict=True):
        group["weight_decay"] = decay  # the option, not what it was when the checkpoint was written
    if scaler is not None and state["scaler"]:
        scaler.load_state_dict(state["scaler"])


def _kinds(optimizers: Sequence[Optimizer]) -> list[str]:
    return [type(each).__name__ for each in optimizers]


def stored_bytes(model: nn.Module) -> tuple[int, int]:
    """Sizes of a checkpoint's weights and of the optimizer's moments, at most."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    moments = sum(2 * 4 * p.numel() for p in model.parameters() if p.requires_grad)
    return weights, moments
