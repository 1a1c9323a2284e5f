"""Auto-regressive decoder of faces: one step of the transformer writes one face, a fourth of the token decoder's steps.

The stream is the same (LR_ABSCO), cut into groups of an op and a vertex (`core/groups.py`). The state of an unfinished
mesh is a function of the groups before, so each step observes it: the face that the next one attaches to, the open
boundary about it, the input points that no face covers yet. Layers are pre-norm with RMSNorm (arXiv 1910.07467), rotary
positions (arXiv 2104.09864), normalised queries and keys (arXiv 2302.05442) and SwiGLU MLPs (arXiv 2002.05202).
"""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.groups import StepConfig, Steps, batch_steps
from core.model.coordinate_priors import PriorInputs, VertexHistory, point_density, to_bins, vertex_key
from core.model.decoder import DecoderConfig
from core.model.face_head import AXES, StepContext, StepHead, VertexDistribution, kind_index
from core.model.face_input import Points, StepInput, count_features
from core.model.layers import Attend
from core.model.packed import packed_attention, packing
from meto.surface import END, NUM_KINDS, RIGHT, START_PHASE, THIRD, TURN_PHASE

ROPE_BASE = 10000.0
RMS_EPS = 1e-6
MLP_MULTIPLE = 16


def rotary_angles(positions: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (N, head_dim / 2) of rotary positions (N,), float32."""
    frequencies = ROPE_BASE ** (-torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    angles = positions.float().unsqueeze(1) * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """x (N, H, D) rotated by angles (N, D / 2), the first half of the channels against the second."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = (angle.unsqueeze(1).to(x.dtype) for angle in angles)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2)) times a gain, computed in float32; the result has x's type."""

    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), RMS_EPS).to(x.dtype)


class FaceLayer(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        dim = config.hidden_dim
        self.num_heads, self.dropout = config.num_heads, config.dropout
        # Two thirds of the usual width: the gate is a third matrix.
        inner = (config.intermediate_dim or 4 * dim) * 2 // 3 // MLP_MULTIPLE * MLP_MULTIPLE
        self.norm1, self.norm2 = RMSNorm(dim), RMSNorm(dim)
        self.q_norm, self.k_norm = RMSNorm(dim // config.num_heads), RMSNorm(dim // config.num_heads)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.fc1 = nn.Linear(dim, 2 * inner, bias=False)
        self.fc2 = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """x (N, C) and the rotary angles of its positions -> (N, C)."""
        return self.after_attention(x, attend(*self.heads(x, angles)))

    def heads(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (N, H, D) of x (N, C), the first two normalised and rotated."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        return rotate(self.q_norm(q), angles), rotate(self.k_norm(k), angles), v

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """The position-wise part: output projection, norm and MLP."""
        x = x + F.dropout(self.out(attended), self.dropout, self.training)
        gate, value = self.fc1(self.norm2(x)).chunk(2, dim=-1)
        return x + F.dropout(self.fc2(F.silu(gate) * value), self.dropout, self.training)


def faces_before(kinds: Tensor, number: Tensor) -> Tensor:
    """(N,) faces that a mesh has before each step, by the kinds (N,) and the steps' numbers (N,) within their mesh."""
    makes_face = (kinds <= RIGHT) | (kinds == THIRD)
    total = makes_face.long().cumsum(0) - makes_face.long()  # of all meshes so far
    at_start = torch.arange(len(kinds), device=kinds.device) - number
    return total - total[at_start]


class GroupLoss(NamedTuple):
    """The losses of a batch's groups, one mesh after the other.

    Attributes:
        kind: (K,) nats of the kinds where there was a choice.
        vertex: (M,) nats of the vertices.
        kind_hit: (K,) bool, the true kind was the likeliest.
        vertex_hit: (M, 3) bool, the true y, z and x were the likeliest of a new vertex, given the true ones before.
        predicted: (N, 4) the likeliest groups, each given the true ones before it; None unless asked for.
    """

    kind: Tensor
    vertex: Tensor
    kind_hit: Tensor
    vertex_hit: Tensor
    predicted: Tensor | None = None

    @property
    def nats(self) -> Tensor:
        """The negative log likelihood of the whole batch."""
        return self.kind.sum() + self.vertex.sum()


class FaceDecoder(nn.Module):
    """The decoder: input, layers, head.

    Args:
        config: sizes; positions are rotary, so `max_seq_length` bounds what is trained on and generated, not the model.
        steps: what each step observes.
        bins: of the tokenizer's grid.
        counted: the faces left of the wished count are an input of each step.
    """

    def __init__(self, config: DecoderConfig, steps: StepConfig, bins: int, counted: bool = False):
        super().__init__()
        self.config, self.steps, self.bins, self.counted = config, steps, bins, counted
        dim = config.hidden_dim
        self.input = StepInput(dim, bins, steps.near_points, steps.spread_points, counted, steps.near_open)
        self.layers = nn.ModuleList(FaceLayer(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(dim)
        self.head = StepHead(dim, bins, config.head_dim or 2 * dim, steps.near_open)
        self.checkpointing = False
        for layer in self.layers:
            assert isinstance(layer, FaceLayer)
            for linear in (layer.out, layer.fc2):
                nn.init.normal_(linear.weight, std=0.5 / (linear.in_features * 2 * config.num_layers) ** 0.5)

    def compile_layers(self) -> None:
        """torch.compile the position-wise part of each layer."""
        for layer in self.layers:
            assert isinstance(layer, FaceLayer)
            layer.after_attention = torch.compile(layer.after_attention, dynamic=True)  # type: ignore[method-assign]

    def make_steps(self, ids: Tensor, points: Tensor | None, normals: Tensor | None = None) -> Steps:
        """The steps of padded sequences (B, T) [BOS, ids, EOS, PAD ...], if the loader has not made them."""
        return batch_steps(ids, points, self.steps, self.bins, normals)

    def forward(
        self,
        condition: Tensor,
        steps: Steps,
        points: Tensor | None,
        predict: bool = False,
        num_faces: Tensor | None = None,
    ) -> GroupLoss:
        """Likelihoods of whole meshes.

        Args:
            condition: (B, S, C) condition tokens.
            steps: of the B meshes.
            points: (B, P, 3) input points, which the steps' observations index; None where there are none.
            predict: also compute the likeliest groups.
            num_faces: (B,) wished face counts, <= 0 for unknown; None: all are unknown.
        """
        hidden, number, row = self._through_layers(condition, steps, points, num_faces)
        if points is None:
            points = condition.new_zeros(len(condition), 0, 3)
        kinds = steps.groups[:, 0].long()
        turn = steps.observed.phase == TURN_PHASE
        kind_logits, target = self.head.kind_logits(hidden[turn]), kind_index(kinds[turn])
        kind = F.cross_entropy(kind_logits, target, reduction="none")
        written = kinds != END
        context = self._context(hidden, steps, points, number, row, written)
        vertex = steps.groups[written, 1:].long()
        distribution = VertexDistribution(self.head, hidden[written], kinds[written], context, steps.groups[written])
        nats, hits, likeliest = _vertex_nats(distribution, vertex, predict)
        if steps.learned is not None:
            nats = nats.masked_fill(~steps.learned[written], 0)
        predicted = None
        if predict:
            predicted = steps.groups.clone()
            assert likeliest is not None
            predicted[written, 1:] = likeliest.to(predicted.dtype)
            # L and R may stand for each other; another kind would leave the true ones after it without a place.
            turned = torch.where(target < 2, kind_logits[:, :2].argmax(-1), kinds[turn])
            predicted[turn, 0] = turned.to(predicted.dtype)
        return GroupLoss(kind, nats, kind_logits.argmax(-1) == target, hits, predicted)

    def _through_layers(
        self, condition: Tensor, steps: Steps, points: Tensor | None, num_faces: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states (N, C) of the steps, and each one's number within its mesh and its mesh."""
        size, device = condition.shape[1], condition.device
        lengths = steps.lengths.tolist()
        packed = packing(tuple(lengths), device)
        row, number = packed.row, packed.number
        before = F.pad(steps.groups[:-1, 0].long(), (1, 0)).masked_fill(number == 0, NUM_KINDS)
        counts = None
        if self.counted and num_faces is not None:
            counts = count_features(num_faces[row], faces_before(steps.groups[:, 0], number), steps.observed.open_edges)
        given = None if points is None else Points(points, steps.normals)
        x = self.input(steps.observed, given, row, before, counts).to(condition.dtype)
        x = torch.cat([part for pair in zip(condition, x.split(lengths), strict=True) for part in pair])
        whole = [size + n for n in lengths]
        positions = packing(tuple(whole), device).number
        angles = rotary_angles(positions, self.config.hidden_dim // self.config.num_heads)
        attend = partial(packed_attention, lengths=whole)
        for layer in self.layers:
            if self.checkpointing and self.training:
                x = checkpoint(layer, x, angles, attend, use_reentrant=False)
            else:
                x = layer(x, angles, attend)
        return self.norm(x[positions >= size]), number, row

    def near(self, points: Tensor) -> Tensor:
        """Of observed points (N, 2 * near + spread), those about the left and the right edge (N, 2, near)."""
        return points[:, : 2 * self.steps.near_points].view(len(points), 2, self.steps.near_points).long()

    def _context(
        self,
        hidden: Tensor,
        steps: Steps,
        points: Tensor,
        number: Tensor,
        row: Tensor,
        written: Tensor,
    ) -> StepContext:
        lengths = (steps.lengths - 1).tolist()  # without the end
        history = VertexHistory.from_meshes(steps.groups[written, 1:].long(), lengths)
        after = steps.observed.phase != START_PHASE  # the states after a vertex: all but each mesh's first
        keys = history.pad(self.head.keys(hidden[after], steps.groups[written, 1:]))
        places = to_bins(points, self.bins)
        used = steps.first_use[row] < number.view(-1, 1, 1)
        observed = steps.observed
        near = self.near(observed.points)
        priors = PriorInputs(used, point_density(places, self.bins), places, steps.normals, near, row)
        gate, neighbours = observed.gate[written], observed.neighbours[written]
        open_vertices, phase = observed.open_vertices[written], observed.phase[written]
        return StepContext(gate, neighbours, open_vertices, phase, keys, history, priors.select(written))


def _vertex_nats(
    distribution: VertexDistribution, vertex: Tensor, predict: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Nats (M,) of the true vertices (M, 3), whether each coordinate was the likeliest (M, 3), the likeliest (M, 3)."""
    history = distribution.context.history
    which = distribution.which_logits().log_softmax(-1)
    new, hits, likeliest = which[:, 0], [], vertex.clone()
    for k, axis in enumerate(AXES):
        logits = distribution.logits(k)
        new = new - F.cross_entropy(logits, vertex[:, axis], reduction="none")
        best = logits.argmax(-1)
        hits.append(best == vertex[:, axis])
        likeliest[:, axis] = best
        distribution.condition_on(k, vertex[:, axis])
    before = vertex_key(history.vertices).unsqueeze(1) == vertex_key(history.pad(vertex)).unsqueeze(2)  # (B, T, J)
    same = torch.cat([(distribution.copies == vertex.unsqueeze(1)).all(-1), history.rows(before)], dim=1)
    copied = which[:, 1:].masked_fill(~same, -torch.inf)
    nats = -torch.cat([new.unsqueeze(1), copied], dim=1).logsumexp(1)
    if not predict:
        return nats, torch.stack(hits, 1), None
    choice = which.argmax(-1)
    candidates = torch.cat([distribution.copies, history.rows(_vertices_by_row(history))], dim=1)
    chosen = candidates[torch.arange(len(choice), device=choice.device), (choice - 1).clamp(min=0)]
    return nats, torch.stack(hits, 1), torch.where((choice > 0).unsqueeze(1), chosen, likeliest)


def _vertices_by_row(history: VertexHistory) -> Tensor:
    """(B, T, J, 3)."""
    return history.vertices.unsqueeze(1).expand(-1, history.seen.shape[1], -1, -1)
