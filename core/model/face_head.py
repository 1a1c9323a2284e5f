"""What the face decoder writes at a step: a kind, and a vertex that is either one written before or new.

The distribution of a group is p(kind) p(vertex | kind). The vertex is a mixture of whole vertices, copied from the open
boundary about the gate or from anywhere earlier in the mesh, and of a new one, whose y, z and x are each given those
before. The likelihood is exact, so it compares with that of any other model of the same token stream.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.coordinate_priors import (
    NUM_PRIORS,
    CoordinatePriors,
    KnownPriors,
    PriorInputs,
    VertexHistory,
    vertex_key,
)
from core.model.face_input import POINT_FREQUENCIES, edge_anchors, fourier, open_offsets, to_unit
from meto.surface import BOM, END, LEFT, NUM_KINDS, RIGHT, SECOND, THIRD

AXES = (1, 2, 0)  # y, z, x: the order in which sub-meshes begin, too
# The kinds that are chosen among in the phase TURN: L, R, BOM and END; in every other phase there is but one.
CHOSEN = (LEFT, RIGHT, BOM, END)
NEIGHBOURS = 2  # of the open boundary that a kind may close
NUM_REFERENCES = 6  # tip, start, end, the parallelogram's corner, and the two neighbours
POINTER_DIM = 64
OPEN_HIDDEN = 64
OPEN_BIAS = -5.0  # initial bias of open vertices' scores, so that weights trained without them keep what they know


class StepHead(nn.Module):
    """The networks from a step's state to its logits; `VertexDistribution` combines them.

    Args:
        dim: channels of the state.
        bins: of the grid.
        hidden: width of the heads' hidden layers.
        open: vertices of the open boundary that can be copied, about each edge.
    """

    def __init__(self, dim: int, bins: int, hidden: int, open: int = 0):
        super().__init__()
        self.bins, self.open = bins, open
        self.frequencies = max(1, math.ceil(math.log2(bins)))
        self.ops = nn.Linear(dim, len(CHOSEN))
        self.kind = nn.Embedding(NUM_KINDS, dim)
        self.copy = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, 1 + NEIGHBOURS))
        self.query = nn.Linear(dim, POINTER_DIM)
        self.key = nn.Linear(dim + 3 * (2 * self.frequencies + 1), POINTER_DIM)
        self.values = nn.ModuleList(nn.Embedding(bins, dim) for _ in range(2))
        self.hidden = nn.ModuleList(nn.Linear(dim, hidden) for _ in range(3))
        self.logits = nn.ModuleList(nn.Linear(hidden, bins) for _ in range(3))
        self.weights = nn.ModuleList(nn.Linear(hidden, NUM_REFERENCES + count) for count in NUM_PRIORS)
        if open:
            self.open_query = nn.Linear(dim, POINTER_DIM + 1)  # and a bias
            self.open_key = nn.Sequential(
                nn.Linear(3 * (2 * POINT_FREQUENCIES + 1), OPEN_HIDDEN), nn.GELU(), nn.Linear(OPEN_HIDDEN, POINTER_DIM)
            )
            nn.init.zeros_(self.open_query.weight)
            nn.init.zeros_(self.open_query.bias)
            nn.init.constant_(self.open_query.bias[-1:], OPEN_BIAS)
        for module in (*self.values, self.kind):
            nn.init.normal_(module.weight, std=0.02)

    def kind_logits(self, hidden: Tensor) -> Tensor:
        """(N, 4) over `CHOSEN`, float32."""
        return self.ops(hidden).float()

    def keys(self, hidden: Tensor, vertices: Tensor) -> Tensor:
        """Keys (N, POINTER_DIM) of vertices (N, 3) on the grid, from the states (N, dim) after each was written."""
        places = fourier(to_unit(vertices, self.bins), self.frequencies)
        return self.key(torch.cat([hidden, places.to(hidden.dtype)], dim=-1))

    def open_scores(self, state: Tensor, offsets: Tensor) -> Tensor:
        """(N, open) logits of copying vertices of the open boundary at these offsets (N, open, 3) from the edge."""
        query = self.open_query(state)
        keys = self.open_key(fourier(offsets, POINT_FREQUENCIES).to(query.dtype))  # (N, open, POINTER_DIM)
        scores = torch.einsum("nc,nkc->nk", query[:, :-1], keys) * POINTER_DIM**-0.5
        return scores + query[:, -1:]


def kind_index(kinds: Tensor) -> Tensor:
    """The place of each kind in `CHOSEN`; 0 for those that are never chosen."""
    places = [CHOSEN.index(kind) if kind in CHOSEN else 0 for kind in range(NUM_KINDS)]
    return torch.tensor(places, device=kinds.device)[kinds.long()]


@dataclass
class StepContext:
    """What the distributions of N steps are made from, beside their hidden states.

    Attributes:
        gate, neighbours, open_vertices, phase: (N, 9), (N, 12), (N, 2 * open * 3), (N,), as in `Observation`.
        keys: (B, J, POINTER_DIM) of the vertices written before; `history` tells which step sees which.
        history, priors: of the same N steps.
    """

    gate: Tensor
    neighbours: Tensor
    open_vertices: Tensor
    phase: Tensor
    keys: Tensor
    history: VertexHistory
    priors: PriorInputs


class VertexDistribution:
    """The distribution of the vertices that N steps write: which vertex it is, then y, z and x of a new one.

    Call `which_logits`, then for k = 0, 1, 2 `logits(k)` and `condition_on(k, value)`.

    Args:
        head: the networks.
        hidden: (N, dim).
        kinds: (N,) of the groups, none of them the end.
        groups: (N, 4) int32 what is written, if that is known: the priors then take less time on a CPU.
    """

    def __init__(
        self, head: StepHead, hidden: Tensor, kinds: Tensor, context: StepContext, groups: Tensor | None = None
    ):
        self.head, self.context = head, context
        kinds = kinds.long()
        self.state = hidden + head.kind(kinds)
        beside = _copies(kinds, context.neighbours)
        near = context.open_vertices.new_zeros(len(kinds), 2, head.open, 3)
        if head.open:
            near = context.open_vertices.unflatten(1, (2, -1, 3))
        self.copies = torch.cat([beside, _of_side(kinds, near)], dim=1)  # (N, 2 + open, 3)
        # The corners of the face that a step attaches to, or of a first face so far.
        self.corners = context.gate.view(-1, 3, 3).long().masked_fill((kinds == BOM).view(-1, 1, 1), -2)
        self.references = _references(kinds, context.gate, beside)
        self.right = kinds == RIGHT
        self.priors: CoordinatePriors | KnownPriors
        if groups is not None and KnownPriors.can_compute(context.priors):
            self.priors = KnownPriors(context.priors, context.history, self.right, groups)
        else:
            self.priors = CoordinatePriors(context.priors, context.history, self.right)

    def which_logits(self) -> Tensor:
        """(N, 1 + 2 + open + J) float32: a new vertex, one of `copies`, or one of the history; -inf where none is."""
        head, history = self.head, self.context.history
        near = head.copy(self.state).float()
        if head.open:
            near = torch.cat([near, head.open_scores(self.state, self._open_offsets()).float()], dim=1)
        near = near.masked_fill(F.pad((self.copies < 0).any(-1), (1, 0)), -torch.inf)
        scores = history.pad(head.query(self.state)) @ self.context.keys.transpose(1, 2)  # (B, T, J)
        hidden = ~history.seen | self._of_gate(history)
        scores = (scores.float() * POINTER_DIM**-0.5).masked_fill(hidden, -torch.inf)
        return torch.cat([near, history.rows(scores)], dim=1)

    def _open_offsets(self) -> Tensor:
        """The offsets (N, open, 3) of the open boundary's vertices on the kind's side from its edge."""
        gate, bins = self.context.gate.unflatten(1, (3, 3)), self.head.bins
        known = (gate >= 0).all(-1, keepdim=True)
        anchors = edge_anchors(self.context.phase, to_unit(gate, bins).masked_fill(~known, 0))
        offsets, _ = open_offsets(self.context.open_vertices, anchors, bins)
        return torch.where(self.right.view(-1, 1, 1), offsets[:, 1], offsets[:, 0])

    def _of_gate(self, history: VertexHistory) -> Tensor:
        """(B, T, J) the vertices of the gate, with which the face would have no area or be there twice."""
        corners = vertex_key(history.pad(self.corners)).unsqueeze(2).unbind(3)  # each (B, T, 1)
        before = vertex_key(history.vertices).unsqueeze(1)  # (B, 1, J)
        return (corners[0] == before) | (corners[1] == before) | (corners[2] == before)

    def logits(self, k: int) -> Tensor:
        """(N, bins) float32 of the k-th coordinate, of axis AXES[k], given those conditioned on."""
        head, axis = self.head, AXES[k]
        hidden = F.gelu(head.hidden[k](self.state))
        weights = head.weights[k](hidden).float()
        logits = head.logits[k](hidden).float()
        with torch.no_grad():
            priors = self.priors.features(k, axis)
        logits = logits + torch.einsum("nm,nmb->nb", weights[:, NUM_REFERENCES:], priors)
        references = self.references[:, :, axis]
        inside = (references >= 0) & (references < head.bins)
        bonus = weights[:, :NUM_REFERENCES].masked_fill(~inside, 0)
        return logits.scatter_add(1, references.clamp(0, head.bins - 1), bonus)

    def condition_on(self, k: int, value: Tensor) -> None:
        """Condition what follows on the k-th coordinate (N,)."""
        if k < 2:
            self.state = self.state + self.head.values[k](value)
            with torch.no_grad():
                self.priors.fix(AXES[k], value)


def _copies(kinds: Tensor, neighbours: Tensor) -> Tensor:
    """(N, 2, 3) vertices with which a face of this kind would close a second edge; -1 where there is none."""
    return _of_side(kinds, neighbours.view(-1, 2, NEIGHBOURS, 3))


def _of_side(kinds: Tensor, pairs: Tensor) -> Tensor:
    """(N, K, 3) of vertices (N, 2, K, 3) those on the side that a kind attaches to; -1 for BOM."""
    chosen = torch.where((kinds == RIGHT).view(-1, 1, 1), pairs[:, 1].long(), pairs[:, 0].long())
    return chosen.masked_fill((kinds == BOM).view(-1, 1, 1), -1)


def _references(kinds: Tensor, gate: Tensor, copies: Tensor) -> Tensor:
    """(N, 6, 3) vertices whose coordinates a new one may share; off the grid where there is none."""
    gate = gate.view(-1, 3, 3).long()
    tip, start, end = gate.unbind(1)
    corner = tip + torch.where((kinds == RIGHT).unsqueeze(1), start - end, end - start)
    first_face = (kinds == BOM) | (kinds == SECOND) | (kinds == THIRD)
    corner = corner.masked_fill(first_face.unsqueeze(1), -1)
    gate = gate.masked_fill((kinds == BOM).view(-1, 1, 1), -1)
    return torch.cat([gate, corner.unsqueeze(1), copies], dim=1)
