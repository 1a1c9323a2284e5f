"""Linear layers laid out for few rows: on the CPU oneDNN's packed weights read memory at its full rate."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.native import LANES

# A single row of float32 is faster by a plain product while a matrix is small enough for the caches.
SMALL_MATRIX = 2**20
# Rows for which weights are packed; the layout serves any number.
PACKED_ROWS = 16


class Projection:
    """x (N, C) -> x @ weight.T + bias (N, O).

    Args:
        linears: one layer, or several of the same input whose outputs follow one another.
        slots: rows of a step.
        take: leave the layers without their weights, which live on here.
        plain: keep the weight (O, C) as it is as well, for a kernel of ours that makes the steps; what is packed then
            serves the prefill alone, whatever the slots.

    Attributes:
        weight: (O, C), or oneDNN's layout of it.
        plain: (O, C) where it was asked for.
    """

    def __init__(self, linears: Sequence[nn.Linear], slots: int, take: bool = False, plain: bool = False):
        weights = [linear.weight.detach() for linear in linears]
        self.weight = torch.cat(weights) if len(weights) > 1 else weights[0]  # (O, C)
        biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self.outputs, self.inputs = self.weight.shape
        self.plain = self.weight.contiguous() if plain else None
        self.packed = packs(self.weight, PACKED_ROWS if plain else slots)
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), PACKED_ROWS)
        if take:
            for linear in linears:
                linear.weight.data = linear.weight.new_empty(0)

    def __call__(self, x: Tensor) -> Tensor:
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return F.linear(x, self.weight, self.bias)

    def relu(self, x: Tensor) -> Tensor:
        """The same, and negative values zero."""
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "relu", [], "")
        return F.linear(x, self.weight, self.bias).relu_()


def packs(weight: Tensor, slots: int) -> bool:
    """Whether a weight (O, C) is faster packed: on the CPU, unless it is small, in float32 and for one row."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32 and (slots > 1 or weight.numel() >= SMALL_MATRIX)


class Panels:
    """x @ weight.T + bias for our kernels (native/panels.hpp): sixteen outputs side by side, zeros beyond the last.

    Args:
        linears: of the same input; their outputs follow one another.
    """

    NUMBERS = 4  # of its structure

    def __init__(self, linears: Sequence[nn.Linear]):
        weight = torch.cat([linear.weight.detach() for linear in linears])
        self.outputs, self.inputs = weight.shape
        more = -self.outputs % LANES
        self.panels = F.pad(weight, (0, 0, 0, more)).unflatten(0, (-1, LANES)).transpose(1, 2).contiguous()
        biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
        self.bias = F.pad(torch.cat(biases), (0, more)) if biases else None

    def structure(self) -> list[int]:
        """Of the C structure `Linear`."""
        bias = 0 if self.bias is None else self.bias.data_ptr()
        return [self.panels.data_ptr(), bias, self.inputs, self.outputs]
