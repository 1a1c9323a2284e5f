"""Exponential moving average of the weights: less noisy than the latest ones, for evaluation and release."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.training.shard import is_sharded, reshard


class Ema:
    """The average over steps, `decay` of it kept at each step; sharded where the parameters are.

    Args:
        model: as it trains, its weights loaded: the average starts from them.
        decay: in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.model = model
        self.averages = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        parameters = dict(self.model.named_parameters())
        return ((average, parameters[name].detach()) for name, average in self.averages.items())

    @torch.no_grad()
    def update(self) -> None:
        averages, parameters = zip(*self._pairs(), strict=True)
        torch._foreach_lerp_(averages, parameters, 1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the `with` block the model has the averages as its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        if is_sharded(self.model):
            reshard(self.model)
        for average, parameter in self._pairs():
            kept = parameter.clone()
            parameter.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Continue from averages by parameter name, given as full tensors."""
        for name, average in self.averages.items():
            average.copy_(shard_like(average, weights[name]))


def shard_like(target: Tensor, full: Tensor) -> Tensor:
    """A full tensor, sharded as `target` is if that is sharded."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(target, DTensor):
        return full
    return distribute_tensor(full.to(target.device), target.device_mesh, target.placements)
