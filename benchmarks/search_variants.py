"""What benchmarks/search.py changes in the face decoder beyond its options, for as long as a row is trained.

Each variant is a context in which the models made have it. Those that lost live only here.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.groups import Steps
from core.model import coordinate_priors, face_decoder, face_head, face_input
from core.model.face_decoder import FaceDecoder, FaceLayer, rotary_angles
from core.model.face_head import StepHead, VertexDistribution
from core.model.face_input import Points, StepInput
from core.model.packed import Packing, packed_attention, packing
from meto.surface import NUM_KINDS

Variant = Callable[[], contextlib.AbstractContextManager]
VERTICES, OFFSETS = 21, 18  # columns of the places of gate and neighbours, and of their offsets from the gate's tip


def _after_init(module: type, add: Callable[[Any], None]) -> Any:
    """Models made meanwhile get `add` called on each module of this type."""
    original = module.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        add(self)

    return patch.object(module, "__init__", init)


@contextlib.contextmanager
def _all(*patches: Any) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


# ---- layers ---------------------------------------------------------------------------------------------------------


def learned_positions() -> Any:
    """A table of positions, added before the first layer, in place of rotary ones."""
    forward = FaceLayer.forward

    def add(decoder: FaceDecoder) -> None:
        decoder.layers[0].positions = nn.Embedding(1024, decoder.config.hidden_dim)  # type: ignore[union-attr]
        nn.init.normal_(decoder.layers[0].positions.weight, std=0.02)  # type: ignore[union-attr, arg-type]

    def with_positions(self: Any, x: Tensor, positions: Tensor, lengths: Any) -> Tensor:
        return forward(self, x + self.positions(positions) if hasattr(self, "positions") else x, positions, lengths)

    return _all(
        _after_init(FaceDecoder, add),
        patch.object(FaceLayer, "forward", with_positions),
        patch.object(face_decoder, "rotary_angles", lambda positions, head_dim: positions),
        patch.object(face_decoder, "rotate", lambda x, angles: x),
    )


def no_positions() -> Any:
    return patch.object(face_decoder, "rotate", lambda x, angles: x)


def no_qk_norm() -> Any:
    def split(self: Any, qkv: Tensor, angles: Any) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        return face_decoder.rotate(q, angles), face_decoder.rotate(k, angles), v

    return patch.object(FaceLayer, "split", split)


class _LayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


def layer_norm() -> Any:
    """In place of RMSNorm, everywhere."""
    return patch.object(face_decoder, "RMSNorm", _LayerNorm)


def post_norm() -> Any:
    """norm(x + f(x)) in place of x + f(norm(x))."""

    def heads(self: Any, x: Tensor, angles: Any) -> Any:
        return self.split(self.qkv(x), angles)

    def after_attention(self: Any, x: Tensor, attended: Tensor) -> Tensor:
        x = self.norm1(x + self.out(attended))
        gate, value = self.fc1(x).chunk(2, dim=-1)
        return self.norm2(x + self.fc2(F.silu(gate) * value))

    return _all(patch.object(FaceLayer, "heads", heads), patch.object(FaceLayer, "after_attention", after_attention))


def _mlp(function: Callable[[Any, Tensor], Tensor]) -> Any:
    def after_attention(self: Any, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.out(attended)
        return x + self.fc2(function(self, self.fc1(self.norm2(x))))

    return patch.object(FaceLayer, "after_attention", after_attention)


def geglu() -> Any:
    def function(layer: Any, x: Tensor) -> Tensor:
        gate, value = x.chunk(2, dim=-1)
        return F.gelu(gate) * value

    return _mlp(function)


def _plain(activation: Callable[[Tensor], Tensor]) -> Any:
    """Two matrices with as many weights as the three of a gated MLP."""

    def widen(layer: Any) -> None:
        dim, inner = layer.fc2.out_features, layer.fc2.in_features * 3 // 2
        layer.fc1, layer.fc2 = nn.Linear(dim, inner, bias=False), nn.Linear(inner, dim, bias=False)

    return _all(_after_init(FaceLayer, widen), _mlp(lambda layer, x: activation(x)))


def gelu() -> Any:
    return _plain(F.gelu)


def squared_relu() -> Any:
    """relu(x)^2 (arXiv 2109.08668)."""
    return _plain(lambda x: F.relu(x).square())


class _CrossAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads, self.norm = heads, face_decoder.RMSNorm(dim)
        self.q, self.kv, self.out = (nn.Linear(dim, n * dim, bias=False) for n in (1, 2, 1))
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, condition: Tensor, packed: Packing) -> Tensor:
        q = packed.pad(self.q(self.norm(x))).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(condition).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(packed.rows(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)))


def cross_attention() -> Any:
    """To the condition after each layer, in place of the condition as a prefix."""

    def add(layer: FaceLayer) -> None:
        layer.cross = _CrossAttention(layer.qkv.in_features, layer.num_heads)

    def through_layers(self: Any, condition: Tensor, steps: Steps, points: Any) -> tuple[Tensor, Tensor, Tensor]:
        lengths = steps.lengths.tolist()
        packed = packing(tuple(lengths), condition.device)
        before = F.pad(steps.groups[:-1, 0].long(), (1, 0)).masked_fill(packed.number == 0, NUM_KINDS)
        given = None if points is None else Points(points, steps.normals)
        x = self.input(steps.observed, given, packed.row, before).to(condition.dtype)
        angles = rotary_angles(packed.number, self.config.hidden_dim // self.config.num_heads)
        for layer in self.layers:
            x = layer(x, angles, partial(packed_attention, lengths=lengths))
            x = x + layer.cross(x, condition, packed)
        return self.norm(x), packed.number, packed.row

    return _all(_after_init(FaceLayer, add), patch.object(FaceDecoder, "_through_layers", through_layers))


# ---- input ----------------------------------------------------------------------------------------------------------


def _vertex_features(change: Callable[[Tensor, int, int], Tensor | None]) -> Any:
    """What `fourier` makes of the vertices, or of their offsets, is what `change` gives, where it gives something."""
    original = face_input.fourier

    def features(x: Tensor, frequencies: int, lowest: int = 0) -> Tensor:
        made = change(x, frequencies, lowest) if x.ndim == 2 and x.shape[1] in (VERTICES, OFFSETS) else None
        return original(x, frequencies, lowest) if made is None else made

    return patch.object(face_input, "fourier", features)


def _without(columns: int) -> Any:
    original = face_input.fourier
    return _vertex_features(
        lambda x, frequencies, lowest: (
            torch.zeros_like(original(x, frequencies, lowest)) if x.shape[1] == columns else None
        )
    )


def no_places() -> Any:
    """The gate and its neighbours relative to the tip alone."""
    return _without(VERTICES)


def no_offsets() -> Any:
    """Their places alone."""
    return _without(OFFSETS)


def _offsets(change: Callable[[Tensor], Tensor]) -> Any:
    """The six offsets (N, 6, 3) are what `change` makes of them."""
    original = face_input.fourier

    def features(x: Tensor, frequencies: int, lowest: int) -> Tensor | None:
        if x.shape[1] != OFFSETS:
            return None
        return original(change(x.unflatten(1, (6, 3))).flatten(1), frequencies, lowest)

    return _vertex_features(features)


def from_midpoint() -> Any:
    """Offsets from the middle of the edge that the gate was made on, in place of those from its tip."""

    def change(x: Tensor) -> Tensor:
        return (x != 0).any(-1, keepdim=True) * (x - x[:, :2].mean(1, keepdim=True))

    return _offsets(change)


def own_frame() -> Any:
    """Offsets in the gate's own frame: along the edge that it was made on, across it, and along its normal."""

    def change(x: Tensor) -> Tensor:
        start, end = x[:, 0], x[:, 1]
        along = F.normalize(end - start, dim=-1)
        normal = F.normalize(torch.linalg.cross(start, end), dim=-1)
        frame = torch.stack([along, torch.linalg.cross(normal, along), normal], dim=1)  # (N, 3, 3)
        flat = frame.square().sum((1, 2)) < 2.5  # no triangle
        frame = torch.where(flat.view(-1, 1, 1), torch.eye(3, device=x.device), frame)
        return x @ frame.transpose(1, 2)

    return _offsets(change)


def table_input() -> Any:
    """Learned tables of coordinates and of differences, an axis each, in place of sines and cosines."""
    holder: list[Any] = []

    def add(shown: StepInput) -> None:
        width = 2 * shown.frequencies + 1
        shown.tables = nn.ModuleList(nn.Embedding(3 * n * shown.bins, width) for n in (1, 2))
        holder[:] = [shown]

    def change(x: Tensor, frequencies: int, lowest: int) -> Tensor:
        shown = holder[0]
        bins, which = shown.bins, int(x.shape[1] == OFFSETS)
        at = ((x + 1 + which) * (bins / 2) + which / 2).floor().long()
        at = at.clamp(0, (1 + which) * bins - 1)
        axis = torch.arange(3, device=x.device).repeat(x.shape[1] // 3) * ((1 + which) * bins)
        return shown.tables[which](at + axis).flatten(1)

    return _all(_after_init(StepInput, add), _vertex_features(change))


# ---- head -----------------------------------------------------------------------------------------------------------


class _FourierValue(nn.Module):
    def __init__(self, bins: int, dim: int):
        super().__init__()
        self.bins, self.frequencies = bins, max(1, math.ceil(math.log2(bins)))
        self.linear = nn.Linear(2 * self.frequencies + 1, dim)

    def forward(self, value: Tensor) -> Tensor:
        places = face_input.to_unit(value.unsqueeze(-1), self.bins)
        return self.linear(face_input.fourier(places, self.frequencies))


def fourier_values() -> Any:
    """Coordinates settled already as sines and cosines, in place of a learned table."""

    def add(head: StepHead) -> None:
        dim = head.ops.in_features
        head.values = nn.ModuleList(_FourierValue(head.bins, dim) for _ in range(2))

    return _after_init(StepHead, add)


def tied() -> Any:
    """The logits of y and z and their embeddings share a table (for heads as wide as the state)."""

    def add(head: StepHead) -> None:
        for logits, values in zip(head.logits, head.values, strict=False):
            logits.weight = values.weight

    return _after_init(StepHead, add)


def causal_head() -> Any:
    """A causal transformer layer over a vertex's coordinates, in place of adding up their embeddings."""
    original = VertexDistribution.logits

    def add(head: StepHead) -> None:
        dim = head.ops.in_features
        head.block = nn.TransformerEncoderLayer(dim, 4, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        head.place = nn.Parameter(0.02 * torch.randn(3, dim))

    def logits(self: Any, k: int) -> Tensor:
        state = self.state
        tokens = torch.stack([state, *self.__dict__.setdefault("settled", [])], 1) + self.head.place[: k + 1]
        mask = nn.Transformer.generate_square_subsequent_mask(k + 1, device=state.device, dtype=tokens.dtype)
        self.state = self.head.block(tokens, mask, is_causal=True)[:, -1]
        made = original(self, k)
        self.state = state
        return made

    def condition_on(self: Any, k: int, value: Tensor) -> None:
        if k < 2:
            self.settled.append(self.head.values[k](value))
            with torch.no_grad():
                self.priors.fix(face_head.AXES[k], value)

    return _all(
        _after_init(StepHead, add),
        patch.object(VertexDistribution, "logits", logits),
        patch.object(VertexDistribution, "condition_on", condition_on),
    )


def order(*axes: int) -> Variant:
    """Coordinates are written in this order of the axes."""
    return lambda: _all(patch.object(face_head, "AXES", axes), patch.object(face_decoder, "AXES", axes))


def no_maps() -> Any:
    kinds = coordinate_priors.CoordinatePriors, coordinate_priors.KnownPriors

    def silence(kind: Any) -> Any:
        original = kind.features
        return patch.object(kind, "features", lambda self, k, axis: torch.zeros_like(original(self, k, axis)))

    return _all(*map(silence, kinds))


def no_copies() -> Any:
    """Of the open boundary's vertices."""
    original = face_head._copies
    return patch.object(
        face_head, "_copies", lambda kinds, neighbours: torch.full_like(original(kinds, neighbours), -1)
    )


def no_pointer() -> Any:
    """To vertices anywhere in the mesh."""
    original = VertexDistribution.which_logits

    def which_logits(self: VertexDistribution) -> Tensor:
        logits = original(self)
        return logits.masked_fill(torch.arange(logits.shape[1], device=logits.device) >= 3, -torch.inf)

    return patch.object(VertexDistribution, "which_logits", which_logits)


def no_references() -> Any:
    original = face_head._references
    return patch.object(face_head, "_references", lambda *args: torch.full_like(original(*args), -1))
