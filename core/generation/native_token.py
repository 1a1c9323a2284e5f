"""Steps of a small token decoder as one call of the CPU's kernel (kernels/token_decoder.hpp)."""

import ctypes

import numpy as np
import torch
from torch import Tensor

from core import kernels
from core.generation.cache import SlotCache
from core.generation.linear import SMALL_MATRIX
from core.kernels import structs
from core.model.decoder import MeshDecoder

# Slots up to which one call is faster than oneDNN's products.
KERNEL_SLOTS = 32


def can_use_token_kernel(decoder: MeshDecoder, slots: int) -> bool:
    """Whether the kernel takes this decoder, and its calls save more than they cost: a small float32 one, few rows."""
    weight, config = decoder.model.embd.weight, decoder.config
    hidden = config.intermediate_dim or 4 * config.hidden_dim
    small = slots <= KERNEL_SLOTS and hidden * config.hidden_dim < SMALL_MATRIX
    fits = config.hidden_dim // config.num_heads in kernels.HEAD_DIMS and hidden % kernels.LANES == 0
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    return small and fits and on_cpu and kernels.load() is not None


class NativeTokenKernel:
    """The kernel on one decoder and its cache.

    Args:
        decoder: laid out in blocks; the kernel reads its weights where they are.
        cache: which the kernel writes to.
    """

    def __init__(self, decoder: MeshDecoder, cache: SlotCache):
        self.decoder, self.cache = decoder, cache
        self.struct: structs.TokenDecoder | None = None

    def prefill(self, slot: int, x: Tensor) -> None:
        """Fill a slot's cache with the next embedded positions (T, C)."""
        decoder, cache = self._struct(), self.cache
        function = kernels.function("token_prefill", cache.dtype)
        states = x.clone(memory_format=torch.contiguous_format)
        start = int(cache.host_lengths[slot])
        kernels.check(function(ctypes.byref(decoder), slot, start, len(x), False, states.data_ptr()))
        cache.filled(slot, len(x))

    def step(self, slots: np.ndarray, ids: Tensor) -> Tensor:
        """The next position of these slots (B,), from the last id of each slot (slots,) -> logits (B, V)."""
        decoder, cache = self._struct(), self.cache
        lengths = cache.host_lengths[slots]
        logits = torch.empty(len(slots), self.decoder.lm_head.out_features)
        pointers = (slots.ctypes.data, lengths.ctypes.data, ids.data_ptr(), logits.data_ptr())
        function = kernels.function("token_step", cache.dtype)
        kernels.check(function(ctypes.byref(decoder), len(slots), torch.get_num_threads(), *pointers))
        return logits

    def _struct(self) -> structs.TokenDecoder:
        """What the kernel reads, made again where the cache has grown."""
        decoder, cache = self.decoder, self.cache
        if self.struct is None or self.struct.capacity != cache.capacity:
            layers = (structs.TokenLayer * len(decoder.model.layers))()
            for i, layer in enumerate(decoder.model.layers):
                attention, norms = layer.self_attn, (layer.self_attn_layer_norm, layer.final_layer_norm)
                linears = (attention.qkv, attention.out_proj, layer.fc1, layer.fc2)  # type: ignore[union-attr]
                layers[i] = structs.TokenLayer(
                    *(linear.struct() for linear in linears),  # type: ignore[union-attr, operator]
                    *(tensor.data_ptr() for norm in norms for tensor in (norm.weight, norm.bias)),  # type: ignore
                    *(cache.keys[i].data_ptr(), cache.values[i].data_ptr()),
                )
            width, heads = decoder.config.hidden_dim, decoder.config.num_heads
            tables = (decoder.model.embd.weight, decoder.model.embed_positions.weight)
            pointers = (*(table.data_ptr() for table in tables), layers)
            head = decoder.lm_head.struct()  # type: ignore[operator]
            self.struct = structs.TokenDecoder(width, heads, len(layers), cache.capacity, *pointers, head)
        return self.struct
