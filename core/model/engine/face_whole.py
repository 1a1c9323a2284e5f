"""A step of a small face decoder as one call of the CPU's kernel, and what that is pointed at."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from core.model import native
from core.model.engine.draws import BLOCK
from core.model.engine.face_layout import PREFILL_CHUNK, FaceLayout
from core.model.engine.linear import Panels
from core.model.face_decoder import rotary_angles
from core.model.face_head import CHOSEN
from core.model.face_input import POINT_WIDTH, PointSet, StepInput, fourier, to_unit
from core.model.face_maps import REACH
from core.model.sampling import SamplingConfig
from meto.surface import Shown

if TYPE_CHECKING:
    from core.model.engine.face_stepper import FaceStepper
    from core.model.face_decoder import FaceDecoder

GATE = 9  # numbers of a gate
# What a step came to: an end was written, there is room for no more ids, or the logits were no numbers.
GOES_ON, ENDED, FULL, INVALID = range(4)
# Steps of one call, unless a sequence ends: what is looked at between them waits so long.
STEPS_PER_CALL = 16


class WholeFaceStep:
    """Several steps in one call, from what is shown to the group that is taken. The structures are face_step.hpp's.

    Args:
        decoder: whose weights are pointed at.
        layout: of its layers, with panels.
        sampling: how each part of a group is chosen.
        slots: sequences side by side.

    Attributes:
        looks: a list gets, of every step, the states (B, C) and the logits (B, 4 + 3 * bins) of the kinds and of y, z
            and x where they are chosen (for tests).
    """

    def __init__(self, decoder: FaceDecoder, layout: FaceLayout, sampling: SamplingConfig, slots: int):
        self.decoder, self.layout, self.slots = decoder, layout, slots
        self.heads = _Head(decoder)
        self.capacity = 0
        self.looks: list[tuple[np.ndarray, ...]] | None = None
        self.gates = np.full((slots, 0, GATE), -1, np.int32)  # after each group of each slot
        self.counts = np.zeros(slots, np.int64)  # points
        self.endings = np.full(slots, GOES_ON, np.int64)
        self.shown: Shown | None = None  # where `run` has its steps shown
        self._make_room_for_points(0)
        rest = struct.pack("dq", sampling.end_cover, sampling.refuse_faces)
        self.choice = ctypes.create_string_buffer(sampling_structure(sampling) + rest)

    def _make_room_for_points(self, count: int) -> None:
        room = -(-count // native.LANES) * native.LANES
        shape = (self.slots, 3, room)
        self.positions, self.places, self.normals = (np.zeros(shape, np.float32) for _ in range(3))
        self.cells = np.zeros(shape, np.int32)

    def admit(self, stepper: FaceStepper, slot: int, gates: np.ndarray) -> None:
        """A slot's tables are filled, and perhaps larger than before.

        Args:
            gates: (G, 9) after each group of the prefix but the last.
        """
        room, points = stepper.vertices.shape[1], stepper.cloud.shape[1]
        if room > self.gates.shape[1]:
            more = room - self.gates.shape[1]
            self.gates = np.pad(self.gates, ((0, 0), (0, more), (0, 0)), constant_values=-1)
        self.gates[slot, : len(gates)] = gates
        if points > self.places.shape[2]:
            self._make_room_for_points(points)
            for each in range(self.slots):
                self._take_points(stepper, each)
        else:
            self._take_points(stepper, slot)
        self._point_at_decoder(stepper)
        self._point_at_tables(stepper)

    def _take_points(self, stepper: FaceStepper, slot: int) -> None:
        places = stepper.places[slot]
        count = int((~places[:, 0].isnan()).sum())
        self.counts[slot] = count
        for table, of in ((self.positions, stepper.cloud[slot]), (self.normals, stepper.normals[slot])):
            table[slot, :, :count] = of[:count].T.numpy()
        self.places[slot, :, :count] = places[:count].T.numpy()
        self.cells[slot, :, :count] = places[:count].long().clamp(0, self.decoder.bins - 1).T.numpy()

    def _point_at_decoder(self, stepper: FaceStepper) -> None:
        decoder, cache, head = self.decoder, stepper.cache, self.heads
        if cache.capacity == self.capacity:
            return
        self.capacity = cache.capacity
        self.running, self.prefilling = native.face_run(cache.dtype), native.face_prefill(cache.dtype)
        layers: list[int] = []
        for i, layer in enumerate(self.layout.layers):
            assert layer.panels is not None
            for panels in layer.panels:
                layers += panels.structure()
            module = layer.layer
            norms = (module.norm1, module.norm2, module.q_norm, module.k_norm)
            layers += [norm.weight.data_ptr() for norm in norms]
            layers += [cache.keys[i].data_ptr(), cache.values[i].data_ptr()]
        self.layers = native.structure(layers)
        self.angles = rotary_angles(torch.arange(cache.capacity), stepper.head_dim)
        steps, config = decoder.steps, decoder.config
        sizes = [config.hidden_dim, config.num_heads, decoder.bins, steps.near_points, steps.spread_points]
        numbers = [*sizes, int(decoder.counted), steps.near_open, len(self.layout.layers), head.fourier.shape[1]]
        numbers += [table.data_ptr() for table in (head.fourier, head.places, head.offsets)]
        numbers += [decoder.input.kind.weight.data_ptr(), decoder.input.phase.weight.data_ptr()]
        numbers += [*head.near.structure(), *head.spread.structure(), *head.open.structure()]
        numbers += [number for panels in head.input for number in panels.structure()]
        numbers += [ctypes.addressof(self.layers), decoder.norm.weight.data_ptr()]
        numbers += [angle.data_ptr() for angle in self.angles]
        numbers += [*head.ops.structure(), *head.key.structure(), decoder.head.kind.weight.data_ptr()]
        numbers += [number for panels in (*head.copy, head.query) for number in panels.structure()]
        numbers += [number for panels in head.open_scores for number in panels.structure()] or [0] * 3 * Panels.NUMBERS
        numbers += [table.weight.data_ptr() for table in decoder.head.values]  # type: ignore[operator]
        numbers += [number for panels in (*head.first, *head.second) for number in panels.structure()]
        self.structure = native.structure([*numbers, head.fading.data_ptr()])

    def _point_at_tables(self, stepper: FaceStepper) -> None:
        room, points = stepper.vertices.shape[1], self.places.shape[2]
        pointers = [stepper.keys.data_ptr(), stepper.vertices.data_ptr(), self.gates.ctypes.data]
        pointers += [stepper.used.data_ptr(), stepper.density.data_ptr()]
        arrays = (self.positions, self.places, self.normals, self.cells, self.counts)
        pointers += [array.ctypes.data for array in arrays]
        self.tables = native.structure([room, points, int(stepper.cloud.shape[1] > 0), *pointers])

    def prefill(self, stepper: FaceStepper, slot: int, x: Tensor, read: bool) -> Tensor:
        """See `FaceLayout.prefill`, which knows how to use several threads."""
        self._point_at_decoder(stepper)
        cache, states = stepper.cache, x.clone(memory_format=torch.contiguous_format)
        assert self.prefilling is not None
        for chunk in states.split(PREFILL_CHUNK):  # each is written in place
            numbers = (self.capacity, slot, int(cache.host_lengths[slot]), len(chunk), int(read))
            status = self.prefilling(ctypes.addressof(self.structure), *numbers, chunk.data_ptr())
            assert status == 0
            cache.filled(slot, len(chunk))
        return self.layout.norm(states) if read else states

    def run(self, stepper: FaceStepper) -> np.ndarray:
        """Steps of the running slots until one of them ends, or STEPS_PER_CALL; the stepper's tables are counted on.

        Returns:
            (slots,) GOES_ON, ENDED, FULL or INVALID.
        """
        slots, cache, draws = stepper.rows.host_index, stepper.cache, stepper.draws
        steps = min(draws.steps(slots, stepper.written[slots]), STEPS_PER_CALL if self.looks is None else 1)
        numbers = [steps, len(slots), stepper.candidates, self.capacity, torch.get_num_threads(), BLOCK]
        numbers += [slots.ctypes.data, *stepper.surfaces.native()]
        counts = [cache.host_lengths, stepper.before, stepper.written, stepper.faces, stepper.num_ids]
        budgets = [stepper.wished, stepper.max_faces, stepper.max_ids]
        self.shown = self.shown or stepper.surfaces.shown()
        self.endings[slots] = GOES_ON
        arrays: list[np.ndarray] = [draws.table, *budgets, *counts, stepper.groups, self.endings]
        pointers = [array.ctypes.data for array in arrays] + self._looked_at(len(slots))
        shown = self.shown
        parts = (shown.phase, shown.open_edges, shown.waiting, shown.gate, shown.neighbours, shown.points)
        known = native.structure([array.ctypes.data for array in (*parts, shown.uncovered, shown.open_vertices)])
        run = native.structure([*numbers, *pointers])
        assert self.running is not None
        status = self.running(*map(ctypes.addressof, (self.structure, self.tables, known, run, self.choice)))
        assert status == 0
        cache.count_from_host()
        return self.endings

    def _looked_at(self, rows: int) -> list[int]:
        """Where the step's states and logits go."""
        if self.looks is None:
            return [0, 0]
        widths = (self.decoder.config.hidden_dim, len(CHOSEN) + 3 * self.decoder.bins)
        self.looks.append(tuple(np.zeros((rows, width), np.float32) for width in widths))
        return [array.ctypes.data for array in self.looks[-1]]


def sampling_structure(sampling: SamplingConfig) -> bytes:
    """The C structure `Sampling`."""
    numbers = (sampling.generate_mode == "greedy", sampling.top_k)
    return struct.pack("2q3d", *numbers, sampling.temperature, sampling.top_p, sampling.min_p)


class _Head:
    """What a step needs beside the layers, as the kernel reads it."""

    def __init__(self, decoder: FaceDecoder):
        shown, head, bins = decoder.input, decoder.head, decoder.bins
        self.fourier = _fourier_table(to_unit(torch.arange(bins), bins), shown.frequencies)
        self.places, self.offsets, rest = _input_tables(shown)
        self.fading = torch.exp(torch.arange(bins) / -REACH)
        self.near = _PointPanels(shown.near_set if shown.near else None)
        self.spread = _PointPanels(shown.spread_set if shown.spread else None)
        self.open = _PointPanels(shown.open_set if shown.open else None)
        self.open_scores = []
        if head.open:
            linears = (head.open_query, head.open_key[0], head.open_key[2])
            self.open_scores = [Panels([linear]) for linear in linears]  # type: ignore[list-item]
        self.input = [Panels([rest]), Panels([shown.fc2])]
        self.ops, self.key, self.query = Panels([head.ops]), Panels([head.key]), Panels([head.query])
        self.copy = [Panels([head.copy[0]]), Panels([head.copy[2]])]  # type: ignore[list-item]
        self.first = [Panels([hidden]) for hidden in head.hidden]  # type: ignore[list-item]
        pairs = zip(head.logits, head.weights, strict=True)
        self.second = [Panels([logits, weights]) for logits, weights in pairs]  # type: ignore[list-item]


def _fourier_table(values: Tensor, frequencies: int, lowest: int = 0) -> Tensor:
    """(N, 1 + 2 * frequencies) of values (N,)."""
    return fourier(values.unsqueeze(1), frequencies, lowest).contiguous()


def _input_tables(shown: StepInput) -> tuple[Tensor, Tensor, nn.Linear]:
    """The input's first layer, taken apart: a sum of rows in place of most of its product.

    Returns:
        places: (21, bins + 1, O) what it makes of each coordinate of each vertex shown; last: of one that is unknown.
        offsets: (18, 2 * bins, O) what it makes of each difference from the tip, from 1 - bins on, likewise.
        rest: the layer of all other features, those of the faces left and of the open boundary last.
    """
    weight, bins, frequencies = shown.fc1.weight.detach(), shown.bins, shown.frequencies
    values = to_unit(torch.arange(bins), bins), torch.arange(1 - bins, bins) * (2 / bins)
    tables, first = [], 0
    for count, value, lowest in zip((3 * 7, 3 * 6), values, (0, -1), strict=True):
        features = _fourier_table(torch.cat([value, value.new_zeros(1)]), frequencies, lowest)
        # `fourier`'s order: all values, then all sines, then all cosines.
        place = torch.arange(count).unsqueeze(1)
        waves = place * frequencies + torch.arange(frequencies)
        columns = first + torch.cat([place, count + waves, count * (1 + frequencies) + waves], dim=1)
        tables.append(torch.einsum("nf,ovf->vno", features, weight[:, columns]).contiguous())
        first += count * features.shape[1]
    joined = [weight[:, first:]]
    joined += [shown.counts.weight.detach()] if shown.counted else []
    joined += [shown.opens.weight.detach()] if shown.open else []
    rest_weight = torch.cat(joined, dim=1)
    rest = nn.utils.skip_init(nn.Linear, rest_weight.shape[1], shown.fc1.out_features)
    rest.weight.data, rest.bias.data = rest_weight, shown.fc1.bias.detach()
    return tables[0], tables[1], rest


class _PointPanels:
    def __init__(self, points: PointSet | None):
        self.panels = [] if points is None else [Panels([points.fc1]), Panels([points.fc2])]
        self.empty = torch.zeros(POINT_WIDTH) if points is None else points.empty.detach()

    def structure(self) -> list[int]:
        linears = [number for panels in self.panels for number in panels.structure()] or [0] * (2 * Panels.NUMBERS)
        return [*linears, self.empty.data_ptr()]
