"""Steps of the face decoder by torch, in the shape that a GPU wants.

    observe on the host -> one copy -> a device part of fixed shape -> one copy back -> choose and commit on the host

The device part (`TorchFaceBackend.draw`) takes one table and returns one; no shape depends on a value, and nothing
waits for the device. So a step has one synchronisation, and the part can be recorded as a CUDA graph.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.generation.face_state import DRAWS, FaceState, Status
from core.generation.sampling import can_choose, sample
from core.model.coordinate_priors import PriorInputs, VertexHistory
from core.model.face_decoder import FaceDecoder, rotary_angles
from core.model.face_head import AXES, CHOSEN, StepContext, VertexDistribution
from core.model.face_input import count_features
from meto.surface import BOM, END, NUM_KINDS, RIGHT, SECOND, THIRD, TURN_PHASE, Observation

# Positions of a condition and prefix that are computed at once.
PREFILL_CHUNK = 512
# Vertices of the history that a step spans are rounded up to it, so that few shapes occur.
HISTORY_BLOCK = {"cpu": 64, "cuda": 512}
# Refused corners of an edge that a step has room for; doubled where an edge has more.
REFUSED_ROOM = 8
FORCED = (BOM, -1, SECOND, THIRD)  # the kind of each phase; in TURN it is drawn


class StepInputs(NamedTuple):
    """The inputs of the device part for B rows: arrays (B, ...) of four bytes an element, or their device tensors.

    Attributes:
        observed: see `meto.surface.Observation`.
        last: (B, 4) the group written before, of kind NUM_KINDS where there is none.
        counts: (B, 3) groups written, faces written, faces wished.
        allowed: (B, 4) the kinds that may come in the phase TURN.
        refused: (B, 2, R, 3) corners that L and R, or the one kind that comes, may not have; -2 for none.
        temperatures: (B, 2) float32 of structure and of coordinates.
        uniform: (B, K, DRAWS) float32 for the candidates.
    """

    observed: Observation
    last: Any
    counts: Any
    allowed: Any
    refused: Any
    temperatures: Any
    uniform: Any


FLOATS = ("uncovered", "temperatures", "uniform")


class StepTable:
    """`StepInputs` as one table (B, W) of int32, which crosses to the device in one copy."""

    def __init__(self, inputs: StepInputs):
        names = (*Observation._fields, *StepInputs._fields[1:])
        arrays = dict(zip(names, (*inputs.observed, *inputs[1:]), strict=True))
        self.shapes = {name: array.shape[1:] for name, array in arrays.items()}
        parts = [np.ascontiguousarray(self._cast(name, array)).view(np.int32) for name, array in arrays.items()]
        self.array = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    @staticmethod
    def _cast(name: str, array: np.ndarray) -> np.ndarray:
        return np.asarray(array, np.float32 if name in FLOATS else np.int32)

    def unpack(self, table: Tensor) -> StepInputs:
        """The inputs as views of the device's copy (B, W)."""
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        views = []
        for (name, shape), part in zip(self.shapes.items(), table.split(sizes, dim=1), strict=True):
            part = part.view(torch.float32) if name in FLOATS else part
            views.append(part.reshape(len(table), *shape))
        split = len(Observation._fields)
        return StepInputs(Observation(*views[:split]), *views[split:])


class TorchFaceBackend:
    """The `FaceBackend` of any device.

    Args:
        decoder: laid out for torch.
        state: of all slots; its surfaces are `meto.SurfaceBatch`.
    """

    def __init__(self, decoder: FaceDecoder, state: FaceState):
        self.decoder, self.state, self.device = decoder, state, state.device
        self.head_dim = decoder.config.hidden_dim // decoder.config.num_heads
        self.history_block = HISTORY_BLOCK.get(self.device.type, 512)
        self.refused_room = REFUSED_ROOM
        self.forced = torch.tensor(FORCED, device=self.device)
        self.chosen = torch.tensor(CHOSEN, device=self.device)

    def prefill(self, slot: int, x: Tensor, need_states: bool) -> Tensor:
        """See `FaceBackend`."""
        cache, states = self.state.cache, []
        angles = rotary_angles(torch.arange(len(x), device=self.device), self.head_dim)
        *layers, last = self.decoder.layers
        for chunk, *turned in zip(*(part.split(PREFILL_CHUNK) for part in (x, *angles)), strict=True):
            for i, layer in enumerate(layers):
                chunk = layer(chunk, tuple(turned), partial(cache.attend_chunk, i, slot))
            if need_states:
                chunk = last(chunk, tuple(turned), partial(cache.attend_chunk, len(layers), slot))
            else:  # nothing reads the last layer's states
                _, k, v = last.heads(chunk, tuple(turned))  # type: ignore[operator]
                cache.write_chunk(len(layers), slot, k, v)
            cache.filled(slot, len(chunk))
            states.append(chunk)
        return self.decoder.norm(torch.cat(states)) if states and need_states else x

    # ---- the host's parts

    @torch.inference_mode()
    def step(self, state: FaceState) -> None:
        """See `FaceBackend`; one group of each running slot."""
        computed, running = state.rows.computed, state.rows.host_index
        inputs, last_uniform = self._observe(state, computed)
        groups, valid = self._run_device(state, inputs)
        if state.rows.every:
            groups, valid, last_uniform = groups[running], valid[running], last_uniform[running]
        state.status[running[~valid]] = Status.INVALID
        slots, chosen = running[valid], groups[valid, 0]
        if state.sampling.num_candidates > 1 and len(slots):
            cover = state.sampling.end_cover
            chosen = state.surfaces.choose(slots, groups[valid], last_uniform[valid], cover)  # type: ignore[attr-defined]
        state.commit(slots, chosen)

    def _observe(self, state: FaceState, slots: np.ndarray) -> tuple[StepInputs, np.ndarray]:
        """The inputs of these slots (B,), and the numbers (B,) that choose among their candidates."""
        surfaces, sampling, count = state.surfaces, state.sampling, len(slots)
        observed = surfaces.observe(slots)  # type: ignore[attr-defined]
        refused = np.zeros((count, 2, 0, 3), np.int32)
        if sampling.refuse_faces:
            refused, needed = surfaces.refused_corners(slots, self.refused_room)  # type: ignore[attr-defined]
            while needed > self.refused_room:
                self.refused_room *= 2
                refused, needed = surfaces.refused_corners(slots, self.refused_room)  # type: ignore[attr-defined]
        numbers = state.uniforms.next_uniforms(slots, state.written[slots])
        uniform = numbers[:, : DRAWS * sampling.num_candidates].reshape(count, -1, DRAWS)
        counts = np.stack([state.written[slots], state.faces[slots], state.wished[slots]], axis=1)
        allowed = state.allowed_kinds(slots, observed)
        temperatures = state.temperatures[slots]
        inputs = StepInputs(observed, state.last_groups(slots), counts, allowed, refused, temperatures, uniform)
        return inputs, numbers[:, -1]

    def _run_device(self, state: FaceState, inputs: StepInputs) -> tuple[np.ndarray, np.ndarray]:
        """Candidates (B, K, 4) and whether a row's logits were numbers (B,)."""
        table, cache = StepTable(inputs), state.cache
        host = torch.from_numpy(table.array)
        if self.device.type == "cuda":
            host = host.pin_memory()
        bound = cache.bound(state.rows) if cache.masked else 0
        out = self.draw(table, host.to(self.device, non_blocking=True), bound, self._history_span(state))
        cache.count_on_host(state.rows)
        results = out.cpu().numpy()  # the step's one synchronisation
        return results[:, :-1].reshape(len(results), -1, 4), results[:, -1] != 0

    def _history_span(self, state: FaceState) -> int:
        """Vertices of the history that the next step spans."""
        longest = max(int(state.written[state.rows.host_index].max()), 1)
        return min(-(-longest // self.history_block) * self.history_block, state.vertices.shape[1])

    # ---- the device's part

    def draw(self, table: StepTable, packed: Tensor, bound: int, span: int) -> Tensor:
        """Candidates (B, K * 4) and whether a row's logits were numbers (B, 1), as int32.

        Args:
            table: tells how the packed inputs are laid out.
            packed: (B, W) on the device.
            bound: positions that masked attention spans.
            span: vertices of the history.
        """
        inputs = table.unpack(packed)
        hidden = self._states(inputs, bound)  # (B, C)
        kinds, valid = self._draw_kinds(inputs, hidden)  # (B, K) each
        vertices, writes_valid = self._draw_vertices(inputs, hidden, kinds, span)  # (B, K, 3), (B, K)
        groups = torch.cat([kinds.unsqueeze(-1), vertices.masked_fill((kinds == END).unsqueeze(-1), 0)], dim=-1)
        valid = valid & (writes_valid | (kinds == END))
        return torch.cat([groups.flatten(1), valid.all(1, keepdim=True)], dim=1).int()

    def _states(self, inputs: StepInputs, bound: int) -> Tensor:
        """States (B, C) of the steps; the group written before gets into the device's tables, with its key."""
        decoder, state, rows = self.decoder, self.state, self.state.rows
        observed, index = inputs.observed, rows.index
        kind, vertex = inputs.last[:, 0].long(), inputs.last[:, 1:].long()
        written, faces, wished = inputs.counts.long().unbind(1)
        # The input, and the layers on one position of each row.
        counts = count_features(wished, faces, observed.open_edges) if decoder.counted else None
        x = decoder.input(observed, state.points, index, kind, counts).to(decoder.norm.weight.dtype)
        angles = rotary_angles(rows.gather(state.cache.lengths), self.head_dim)
        step = state.cache.step(rows, bound)
        for i, layer in enumerate(decoder.layers):
            x = layer(x, angles, partial(state.cache.attend, i, step))
        state.cache.count_on_device(rows)
        hidden = decoder.norm(x)
        # The vertex before. A row that has none writes to the last place, which nothing reads before it is overwritten.
        place = torch.where(written > 0, written - 1, state.vertices.shape[1] - 1)
        state.vertices[index, place] = vertex
        state.keys[index, place] = decoder.head.keys(hidden, vertex)
        has_vertex = (kind < NUM_KINDS).view(-1, 1, 1).expand(-1, 3, 1)
        used = rows.gather(state.used)  # (B, 3, bins)
        rows.scatter(state.used, used | torch.zeros_like(used).scatter(2, vertex.unsqueeze(-1), has_vertex))
        return hidden

    def _draw_kinds(self, inputs: StepInputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Kinds (B, K), and whether they could be drawn (B, K)."""
        phase, count = inputs.observed.phase, inputs.uniform.shape[1]
        turn = (phase == TURN_PHASE).unsqueeze(1)  # (B, 1)
        logits = self.decoder.head.kind_logits(hidden).masked_fill(inputs.allowed == 0, -torch.inf)  # (B, 4)
        valid = can_choose(logits).unsqueeze(1) | ~turn
        logits = logits.repeat_interleave(count, dim=0)  # (B * K, 4)
        choice = self._sample(inputs, logits, 0).unflatten(0, (-1, count))
        forced = self.forced[phase.long()].unsqueeze(1)
        kinds = torch.where(turn, self.chosen[choice], forced)
        return kinds, valid.expand_as(kinds)

    def _draw_vertices(self, inputs: StepInputs, hidden: Tensor, kinds: Tensor, span: int) -> tuple[Tensor, Tensor]:
        """Vertices (B, K, 3) of candidates of these kinds (B, K), and whether they could be drawn (B, K)."""
        count, kind = kinds.shape[1], kinds.flatten()
        row = torch.arange(len(hidden), device=self.device).repeat_interleave(count)  # (N,), N = B * K
        context = self._context(inputs, row, span)
        distribution = VertexDistribution(self.decoder.head, hidden[row], kind.masked_fill(kind == END, BOM), context)
        refused = self._refused(inputs, kind, row)  # (N, R, 3)
        # A vertex that is copied.
        logits = distribution.which_logits()
        known = torch.cat([distribution.copies, context.history.vertices[row]], dim=1)  # (N, 2 + open + J, 3)
        same = (known.unsqueeze(2) == refused.unsqueeze(1)).all(-1).any(-1)
        logits[:, 1:] = logits[:, 1:].masked_fill(same, -torch.inf)
        valid = can_choose(logits)
        choice = self._sample(inputs, logits, 1)
        copied = known[torch.arange(len(known), device=self.device), (choice - 1).clamp(min=0)]
        # A new one, coordinate by coordinate.
        is_new, vertex = choice == 0, torch.zeros_like(copied)
        for k, axis in enumerate(AXES):
            logits = distribution.logits(k)
            if k == len(AXES) - 1:
                others = [other for other in range(3) if other != axis]
                hits = (refused[..., others] == vertex[:, None, others]).all(-1)  # (N, R)
                blocked = torch.zeros_like(logits).scatter_add(1, refused[..., axis].clamp(min=0), hits.float())
                logits = logits.masked_fill(blocked > 0, -torch.inf)
            valid = valid & (can_choose(logits) | ~is_new)
            value = self._sample(inputs, logits, 2 + k)
            vertex[:, axis] = value
            distribution.condition_on(k, value)
        vertex = torch.where(is_new.unsqueeze(1), vertex, copied)
        return vertex.unflatten(0, (-1, count)), valid.view(-1, count)

    def _context(self, inputs: StepInputs, row: Tensor, span: int) -> StepContext:
        """The context of rows of candidates (N,)."""
        state, rows, observed = self.state, self.state.rows, inputs.observed
        vertices, keys = rows.gather(state.vertices)[:, :span], rows.gather(state.keys)[:, :span]
        written = inputs.counts[:, 0].view(-1, 1, 1)
        seen = (torch.arange(span, device=self.device) < written).expand(-1, inputs.uniform.shape[1], -1)  # (B, K, J)
        places, normals = (rows.gather(table).transpose(1, 2) for table in (state.places, state.normals))
        near = self.decoder.near(observed.points)[row]
        used, density = rows.gather(state.used)[row], rows.gather(state.density)
        priors = PriorInputs(used, density, places, normals, near, row, rows.gather(state.num_points))
        gate, neighbours = observed.gate[row], observed.neighbours[row]
        open_vertices, phase = observed.open_vertices[row], observed.phase[row]
        return StepContext(gate, neighbours, open_vertices, phase, keys, VertexHistory(vertices, seen), priors)

    def _refused(self, inputs: StepInputs, kind: Tensor, row: Tensor) -> Tensor:
        """(N, R, 3) corners that candidates of these kinds (N,) may not have; -2 for none."""
        both = inputs.refused.long()[row]
        refused = torch.where((kind == RIGHT).view(-1, 1, 1), both[:, 1], both[:, 0])
        return refused.masked_fill(((kind == BOM) | (kind == END)).view(-1, 1, 1), -2)

    def _sample(self, inputs: StepInputs, logits: Tensor, number: int) -> Tensor:
        """(N,) ids of logits (N, V) by each candidate's `number`-th number; the first two are of structure."""
        uniform = inputs.uniform[..., number]  # (B, K)
        temperature = inputs.temperatures[:, int(number >= 2)].unsqueeze(1).expand_as(uniform)
        return sample(logits, self.state.sampling, uniform.flatten(), temperature.flatten())
