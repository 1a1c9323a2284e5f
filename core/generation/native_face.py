"""Steps of a small face decoder as one call of the CPU's kernel (kernels/face_step.hpp)."""

import ctypes
import weakref

import numpy as np
import torch
from torch import Tensor, nn

from core import kernels
from core.generation.face_state import FaceState
from core.generation.linear import SMALL_MATRIX, BlockedLinear
from core.generation.linear import structs as linear_structs
from core.generation.native_token import KERNEL_SLOTS
from core.generation.sampling import SamplingConfig
from core.generation.uniforms import BLOCK
from core.kernels import structs
from core.model.coordinate_priors import REACH
from core.model.face_decoder import FaceDecoder, rotary_angles
from core.model.face_head import CHOSEN, StepHead
from core.model.face_input import POINT_WIDTH, PointSet, StepInput, fourier, to_unit

# Steps of one call, unless a sequence ends; what the engine looks at between calls waits so long.
STEPS_PER_CALL = 16


def can_use_face_kernel(decoder: FaceDecoder, slots: int) -> bool:
    """Whether the kernel takes this decoder, and its calls save more than they cost: a small float32 one, few rows."""
    weight, config, head = decoder.norm.weight, decoder.config, decoder.head
    inner = decoder.layers[0].fc1.out_features  # type: ignore[union-attr]
    small = slots <= KERNEL_SLOTS and config.hidden_dim * int(inner) < SMALL_MATRIX  # type: ignore[arg-type]
    sizes = (config.hidden_dim, decoder.bins, head.hidden[0].out_features)
    even = all(size % kernels.LANES == 0 for size in sizes)  # type: ignore[operator]
    fits = even and config.hidden_dim // config.num_heads in kernels.HEAD_DIMS
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    return small and fits and on_cpu and kernels.load() is not None


class NativeSurfaces:
    """Unfinished surfaces that the kernel owns and observes; see `meto.SurfaceBatch`."""

    def __init__(self, decoder: FaceDecoder, slots: int):
        config = decoder.steps
        sizes = (slots, decoder.bins, config.near_points, config.spread_points, config.near_open)
        self.handle = kernels.function("surfaces_create")(*sizes, config.cover_distance)
        weakref.finalize(self, kernels.function("surfaces_destroy"), self.handle)

    def begin(self, surface: int, points: np.ndarray, with_cost: bool, with_faces: bool) -> None:
        """Restart a surface with the points (N, 3) of its target."""
        points = np.ascontiguousarray(points, np.float32)
        function = kernels.function("surfaces_begin")
        function(self.handle, surface, points.ctypes.data, len(points), with_cost, with_faces)

    def fork(self, source: int, target: int) -> None:
        """Overwrite the surface `target` with a copy of `source`."""
        kernels.function("surfaces_fork")(self.handle, source, target)

    def release(self, surface: int) -> None:
        """Free the memory of a surface."""
        kernels.function("surfaces_release")(self.handle, surface)

    def commit(self, groups: np.ndarray, surfaces: np.ndarray) -> None:
        """Append a group (R, 4) to each of the surfaces (R,).

        Raises:
            ValueError: a group that may not come next.
        """
        function = kernels.function("surfaces_commit")
        for surface, group in zip(surfaces.tolist(), np.ascontiguousarray(groups, np.int32), strict=True):
            if function(self.handle, surface, group.ctypes.data, 1) != 1:
                raise ValueError(f"the group {group.tolist()} may not come next")


class NativeFaceBackend:
    """The `FaceBackend` of small decoders on the CPU.

    Args:
        decoder: laid out in blocks; the kernel reads its weights where they are.
        state: of all slots; its surfaces are `NativeSurfaces`.

    Attributes:
        trace: if a list, it gets the states (B, C) of every step, and the logits (B, 4 + 3 * bins) of kinds and of y, z
            and x where those are drawn (for tests).
    """

    def __init__(self, decoder: FaceDecoder, state: FaceState):
        assert isinstance(state.surfaces, NativeSurfaces)
        self.decoder, self.state, self.surfaces = decoder, state, state.surfaces
        self.weights = _HeadWeights(decoder)
        self.sampling = sampling_struct(state.sampling)
        self.struct: structs.FaceDecoder | None = None
        self.trace: list[tuple[np.ndarray, ...]] | None = None

    def prefill(self, slot: int, x: Tensor, need_states: bool) -> Tensor:
        """See `FaceBackend`."""
        cache, states = self.state.cache, x.clone(memory_format=torch.contiguous_format)
        function, decoder = kernels.function("face_prefill", cache.dtype), self._decoder_struct()
        start = int(cache.host_lengths[slot])
        kernels.check(function(ctypes.byref(decoder), slot, start, len(x), need_states, states.data_ptr()))
        cache.filled(slot, len(x))
        return self.decoder.norm(states) if need_states else states

    def step(self, state: FaceState) -> None:
        """See `FaceBackend`; groups of each running slot until one of them ends, or STEPS_PER_CALL."""
        slots, uniforms = state.rows.host_index, state.uniforms
        steps = min(uniforms.prepare(slots, state.written[slots]), STEPS_PER_CALL if self.trace is None else 1)
        run = structs.FaceRun(
            *(self.surfaces.handle, len(slots), steps, torch.get_num_threads()),
            *(slots.ctypes.data, uniforms.table.ctypes.data, BLOCK, uniforms.table.shape[2]),
            *self._trace_pointers(len(slots)),
        )
        parts = (self._decoder_struct(), self._tables_struct(), run, self.sampling)
        kernels.check(kernels.function("face_steps", state.cache.dtype)(*map(ctypes.byref, parts)))
        state.cache.count_from_host()

    def _trace_pointers(self, rows: int) -> list[int | None]:
        if self.trace is None:
            return [None, None]
        widths = (self.decoder.config.hidden_dim, len(CHOSEN) + 3 * self.decoder.bins)
        self.trace.append(tuple(np.zeros((rows, width), np.float32) for width in widths))
        return [array.ctypes.data for array in self.trace[-1]]

    def _tables_struct(self) -> structs.FaceTables:
        """Where the state's tables are now."""
        state = self.state
        tensors = (state.keys, state.used, state.density, state.cloud, state.places, state.normals, state.cells)
        host: list[np.ndarray] = [state.groups, state.written, state.faces, state.ids, state.cache.host_lengths]
        host += (state.wished, state.max_faces, state.max_ids, state.temperatures, state.status)
        return structs.FaceTables(
            *(state.slots, state.groups.shape[1], state.cloud.shape[2], state.has_points),
            *(tensor.data_ptr() for tensor in (*tensors, state.num_points)),
            *(array.ctypes.data for array in host),
        )

    def _decoder_struct(self) -> structs.FaceDecoder:
        """What the kernel reads of the decoder and writes of the cache, made again where the cache has grown."""
        decoder, cache, weights = self.decoder, self.state.cache, self.weights
        if self.struct is not None and self.struct.capacity == cache.capacity:
            return self.struct
        config, steps, head = decoder.config, decoder.steps, decoder.head
        layers = (structs.FaceLayer * len(decoder.layers))()
        for i, layer in enumerate(decoder.layers):
            linears = (layer.qkv, layer.out, layer.fc1, layer.fc2)
            norms = (layer.norm1, layer.norm2, layer.q_norm, layer.k_norm)
            layers[i] = structs.FaceLayer(
                *linear_structs(linears),  # type: ignore[arg-type]
                *(norm.weight.data_ptr() for norm in norms),  # type: ignore[union-attr, operator]
                *(cache.keys[i].data_ptr(), cache.values[i].data_ptr()),
            )
        self.angles = rotary_angles(torch.arange(cache.capacity), config.hidden_dim // config.num_heads)
        values = (structs.Pointer * 2)(*(table.weight.data_ptr() for table in head.values))  # type: ignore[operator]
        self.struct = structs.FaceDecoder(
            *(config.hidden_dim, config.num_heads, len(layers), cache.capacity, decoder.bins),
            *(steps.near_points, steps.spread_points, decoder.counted, steps.near_open, weights.per_axis),
            *(table.data_ptr() for table in (weights.coordinates, weights.places, weights.offsets)),
            *(decoder.input.kind.weight.data_ptr(), decoder.input.phase.weight.data_ptr()),
            *(points.struct() for points in (weights.near, weights.spread, weights.open)),
            *(*linear_structs(weights.input), layers, decoder.norm.weight.data_ptr()),
            *(angle.data_ptr() for angle in self.angles),
            *(*linear_structs([weights.ops, weights.key]), head.kind.weight.data_ptr()),
            *(linear_structs(weights.which) + [structs.Linear()] * (6 - len(weights.which))),
            *(values, (structs.Linear * 3)(*linear_structs(weights.first))),
            *((structs.Linear * 3)(*linear_structs(weights.second)), weights.fading.data_ptr()),
        )
        return self.struct


def sampling_struct(sampling: SamplingConfig) -> structs.Sampling:
    """What the kernels read of the options."""
    numbers = (sampling.generate_mode == "greedy", sampling.top_k, sampling.top_p, sampling.min_p, sampling.end_cover)
    return structs.Sampling(*numbers, sampling.num_candidates, sampling.refuse_faces)


class _HeadWeights:
    """The weights that a step reads beside the layers', as the kernel wants them."""

    def __init__(self, decoder: FaceDecoder):
        step_input, head, bins = decoder.input, decoder.head, decoder.bins
        self.coordinates = _fourier_table(to_unit(torch.arange(bins), bins), step_input.frequencies)
        self.per_axis = self.coordinates.shape[1]
        self.places, self.offsets, rest = _input_tables(step_input)
        self.fading = torch.exp(torch.arange(bins) / -REACH)
        self.near = _PointSetWeights(step_input.near_set if step_input.near else None)
        self.spread = _PointSetWeights(step_input.spread_set if step_input.spread else None)
        self.open = _PointSetWeights(step_input.open_set if step_input.open else None)
        self.input = [BlockedLinear(rest), BlockedLinear(step_input.fc2)]
        self.ops, self.key = BlockedLinear(head.ops), BlockedLinear(head.key)
        self.which = [BlockedLinear(linear) for linear in _which_linears(head)]
        self.first = [BlockedLinear(hidden) for hidden in head.hidden]  # type: ignore[arg-type]
        pairs = zip(head.logits, head.weights, strict=True)
        self.second = [BlockedLinear(logits, weights) for logits, weights in pairs]  # type: ignore[arg-type]


def _which_linears(head: StepHead) -> list[nn.Linear]:
    linears = [head.copy[0], head.copy[2], head.query]
    linears += [head.open_query, head.open_key[0], head.open_key[2]] if head.open else []
    return linears  # type: ignore[return-value]


def _fourier_table(values: Tensor, frequencies: int, lowest: int = 0) -> Tensor:
    """(N, 1 + 2 * frequencies) of values (N,)."""
    return fourier(values.unsqueeze(1), frequencies, lowest).contiguous()


def _input_tables(step_input: StepInput) -> tuple[Tensor, Tensor, nn.Linear]:
    """The input's first layer, taken apart: sums of table rows replace most of its product.

    Returns:
        places: (21, bins + 1, O) the product with each coordinate of each observed vertex; the last is for none.
        offsets: (18, 2 * bins, O) the product with each difference from the tip, from 1 - bins on, likewise.
        rest: the layer of all other features, those of the faces left and of the open boundary last.
    """
    weight, bins, frequencies = step_input.fc1.weight.detach(), step_input.bins, step_input.frequencies
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
    joined += [step_input.counts.weight.detach()] if step_input.counted else []
    joined += [step_input.opens.weight.detach()] if step_input.open else []
    rest_weight = torch.cat(joined, dim=1)
    rest = nn.utils.skip_init(nn.Linear, rest_weight.shape[1], step_input.fc1.out_features)
    rest.weight.data, rest.bias.data = rest_weight, step_input.fc1.bias.detach()
    return tables[0], tables[1], rest


class _PointSetWeights:
    def __init__(self, points: PointSet | None):
        self.linears = [] if points is None else [BlockedLinear(points.fc1), BlockedLinear(points.fc2)]
        self.empty = torch.zeros(POINT_WIDTH) if points is None else points.empty.detach()

    def struct(self) -> structs.PointSet:
        return structs.PointSet(*(linear_structs(self.linears) or [structs.Linear()] * 2), self.empty.data_ptr())
