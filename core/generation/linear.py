"""A decoder's Linear layers laid out for generation, as modules that take their place in a copy of the decoder."""

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.kernels import LANES
from core.kernels.structs import Linear as LinearStruct
from core.model.decoder import MeshDecoder, SelfAttention
from core.model.face_decoder import FaceDecoder

Decoder = TypeVar("Decoder", MeshDecoder, FaceDecoder)

# A single row of float32 is faster by a plain product while a matrix is small enough for the caches.
SMALL_MATRIX = 2**20
# Rows that oneDNN packs weights for; the layout serves any number.
PACKED_ROWS = 16


class PackedLinear(nn.Module):
    """A Linear layer in oneDNN's packed layout, which reads memory at its full rate for few rows."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = None if linear.bias is None else linear.bias.detach()
        weight = linear.weight.detach().contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class BlockedLinear(nn.Module):
    """Linear layers of one input in the layout of our kernels (blocked_linear.hpp): sixteen outputs side by side.

    Args:
        linears: their outputs follow one another.
    """

    def __init__(self, *linears: nn.Linear):
        super().__init__()
        weight = torch.cat([linear.weight.detach() for linear in linears])
        self.out_features, self.in_features = weight.shape
        more = -self.out_features % LANES
        self.panels = F.pad(weight, (0, 0, 0, more)).unflatten(0, (-1, LANES)).transpose(1, 2).contiguous()
        biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
        self.bias = F.pad(torch.cat(biases), (0, more)) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        """The plain product, for checks; steps go through the kernels."""
        y = F.linear(x, self.panels.transpose(1, 2).flatten(0, 1), self.bias)
        return y[..., : self.out_features]

    def struct(self) -> LinearStruct:
        """What the kernels read; it is valid as long as this module lives."""
        bias = None if self.bias is None else self.bias.data_ptr()
        return LinearStruct(self.panels.data_ptr(), bias, self.in_features, self.out_features)


class FusedSelfAttention(nn.Module):
    """The token decoder's self-attention with one product for queries, keys and values."""

    def __init__(self, attention: SelfAttention):
        super().__init__()
        self.num_heads = attention.num_heads
        linears = (attention.q_proj, attention.k_proj, attention.v_proj)
        outputs = sum(linear.out_features for linear in linears)
        self.qkv = nn.utils.skip_init(nn.Linear, linears[0].in_features, outputs, device="meta")
        self.qkv.weight = nn.Parameter(torch.cat([linear.weight.detach() for linear in linears]), requires_grad=False)
        self.qkv.bias = nn.Parameter(torch.cat([linear.bias.detach() for linear in linears]), requires_grad=False)
        self.out_proj = attention.out_proj

    forward = SelfAttention.forward

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (..., H, D) of x (..., C)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        return q, k, v


def lay_out(decoder: Decoder, slots: int, blocked: bool, in_place: bool = False) -> Decoder:
    """A copy of the decoder whose layers' matrices are laid out for steps of a number of slots.

    Args:
        decoder: in evaluation mode; it is returned as it is if it was laid out in place before.
        slots: rows of a step.
        blocked: for our kernels, else for torch's.
        in_place: replace the decoder's own layers, so that no second copy of their weights stays in memory.
    """
    if any(isinstance(module, PackedLinear | BlockedLinear | FusedSelfAttention) for module in decoder.modules()):
        return decoder
    laid_out = decoder if in_place else _share_weights(decoder)

    def make(linear: nn.Linear) -> nn.Module:
        return BlockedLinear(linear) if blocked else PackedLinear(linear) if packs(linear.weight, slots) else linear

    if isinstance(laid_out, MeshDecoder):
        for layer in laid_out.model.layers:
            layer.self_attn = FusedSelfAttention(layer.self_attn)  # type: ignore[arg-type]
            _replace_linears(layer, make)
        laid_out.lm_head = make(laid_out.lm_head)  # type: ignore[assignment]
    else:
        _replace_linears(laid_out.layers, make)  # type: ignore[arg-type]
    return laid_out  # type: ignore[return-value]


def packs(weight: Tensor, slots: int) -> bool:
    """Whether a weight (O, C) is faster packed: on the CPU, unless it is small, in float32 and for one row."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32 and (slots > 1 or weight.numel() >= SMALL_MATRIX)


def structs(modules: Sequence[BlockedLinear]) -> list[LinearStruct]:
    """What the kernels read of several layers."""
    return [module.struct() for module in modules]


def _share_weights(module: nn.Module) -> nn.Module:
    """A copy of the module's tree, of the same tensors, in which modules can be replaced."""
    twin = copy.copy(module)
    twin._modules = {name: child and _share_weights(child) for name, child in module._modules.items()}
    twin.__dict__.pop("after_attention", None)  # compiled for training, of the original's modules
    return twin


def _replace_linears(module: nn.Module, make: Callable[[nn.Linear], nn.Module]) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, make(child))
        else:
            _replace_linears(child, make)
