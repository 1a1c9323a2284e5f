"""The unfinished meshes of all slots of the face decoder: their tables, and the rules that hold for any backend."""

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.generation.cache import SlotCache
from core.generation.request import Request
from core.generation.rows import Rows
from core.generation.sampling import SamplingConfig
from core.generation.uniforms import Uniforms
from core.kernels import LANES
from core.model.coordinate_priors import point_density, to_bins
from core.model.face_decoder import FaceDecoder
from core.model.face_head import POINTER_DIM
from core.model.face_input import Points
from meto.surface import BOM, END, NUM_KINDS, SECOND, Observation, estimate_normals

DRAWS = 5  # numbers of a candidate: kind, which vertex, and three coordinates


class Status(IntEnum):
    """What a step came to (structs.hpp has the same)."""

    RUNNING = 0
    STOP = 1  # END was written
    LENGTH = 2  # the budget of ids is used up
    INVALID = 3  # logits were NaN or infinite


class Surfaces(Protocol):
    """The surfaces of all slots; `meto.SurfaceBatch` is one, and the native backend has its own."""

    def begin(self, surface: int, points: np.ndarray, with_cost: bool, with_faces: bool) -> None: ...

    def fork(self, source: int, target: int) -> None: ...

    def release(self, surface: int) -> None: ...

    def commit(self, groups: np.ndarray, surfaces: np.ndarray) -> None: ...


class FaceState:
    """The tables of all slots; a table's first dimension is the slot.

    Attributes:
        groups: (slots, room, 4) what was written; on the host, as all down to `status`.
        written, faces, ids: (slots,) counts of groups, faces and ids.
        wished, max_faces, max_ids: (slots,) the wish and the budgets; 0 faces are none.
        temperatures: (slots, 2) of structure and of coordinates.
        status: (slots,) `Status`.
        keys, vertices: (slots, room, POINTER_DIM) and (slots, room, 3) of the vertices written, on the device as all
            below; `vertices` is the torch backend's.
        used, density: (slots, 3, bins) coordinates written, and see `point_density`.
        cloud, places, normals, cells: (slots, 3, P) points in [-1, 1], in bins, their normals, and as bins.
        num_points: (slots,).

    Args:
        decoder: whose steps they are.
        sampling: how groups are chosen.
        slots: sequences side by side.
        surfaces: which observe the unfinished meshes.
        cache: keys and values of the layers.
    """

    def __init__(
        self, decoder: FaceDecoder, sampling: SamplingConfig, slots: int, surfaces: Surfaces, cache: SlotCache
    ):
        self.bins, self.sampling, self.slots = decoder.bins, sampling, slots
        self.surfaces, self.cache, self.device = surfaces, cache, cache.like.device
        self.rows = Rows(slots, self.device, every=cache.masked)
        candidates = sampling.num_candidates
        self.uniforms = Uniforms(slots, DRAWS * candidates + (candidates > 1))  # the last one chooses a candidate
        self.groups = np.zeros((slots, 0, 4), np.int32)
        self.written, self.faces, self.ids = (np.zeros(slots, np.int64) for _ in range(3))
        self.wished, self.max_faces, self.max_ids = (np.zeros(slots, np.int64) for _ in range(3))
        self.temperatures = np.ones((slots, 2), np.float32)
        self.status = np.zeros(slots, np.int32)
        self.keys = cache.like.new_zeros(slots, 0, POINTER_DIM)
        self.vertices = self._table(slots, 0, 3, dtype=torch.long)
        self.used = self._table(slots, 3, self.bins, dtype=torch.bool)
        self.cloud, self.places, self.normals = (self._table(slots, 3, 0) for _ in range(3))
        self.cells = self._table(slots, 3, 0, dtype=torch.int32)
        self.num_points = self._table(slots, dtype=torch.long)
        self.density = self._table(slots, 3, self.bins)

    def _table(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(*shape, dtype=dtype, device=self.device)

    # ---- slots

    def begin(self, slot: int, request: Request) -> None:
        """Reset a slot for a request; its prefix is for `commit`."""
        points = np.zeros((0, 3), np.float32) if request.points is None else np.asarray(request.points, np.float32)
        self._reserve(request, len(points))
        self.cache.clear(slot)
        self.uniforms.begin(slot, request.seed)
        sampling = self.sampling
        with_cost = sampling.num_candidates > 1
        self.surfaces.begin(slot, points, with_cost=with_cost, with_faces=sampling.refuse_faces)
        for counts in (self.written, self.faces, self.ids):
            counts[slot] = 0
        self.wished[slot], self.max_faces[slot] = request.num_faces, request.max_faces
        self.max_ids[slot], self.status[slot] = request.max_new_tokens, Status.RUNNING
        coordinates = request.temperature or sampling.temperature
        # The most specific one: the request's, the engine's, or that of coordinates.
        structure = request.structure_temperature or sampling.structure_temperature or coordinates
        self.temperatures[slot] = structure, coordinates
        self.vertices[slot], self.used[slot] = -1, False
        self._set_points(slot, points, request.normals)

    def _reserve(self, request: Request, num_points: int) -> None:
        room = request.max_new_tokens // 3 + 2  # no group has fewer than three ids
        self.cache.reserve(len(request.condition) + room)
        more = room - self.keys.shape[1]
        if more > 0:
            self.keys = F.pad(self.keys, (0, 0, 0, more))
            self.vertices = F.pad(self.vertices, (0, 0, 0, more), value=-1)
            self.groups = np.pad(self.groups, ((0, 0), (0, more), (0, 0)))
        more = -(-num_points // LANES) * LANES - self.cloud.shape[2]
        if more > 0:
            self.cloud, self.places, self.normals, self.cells = (
                F.pad(table, (0, more)) for table in (self.cloud, self.places, self.normals, self.cells)
            )

    def _set_points(self, slot: int, points: np.ndarray, normals: np.ndarray | None) -> None:
        count, normals = len(points), estimate_normals(points) if normals is None else np.asarray(normals, np.float32)
        cloud = torch.as_tensor(points, device=self.device)
        places = to_bins(cloud, self.bins)
        self.num_points[slot] = count
        self.cloud[slot, :, :count] = cloud.T
        self.places[slot, :, :count] = places.T
        self.normals[slot, :, :count] = torch.as_tensor(normals, device=self.device).T
        self.cells[slot, :, :count] = places.long().clamp(0, self.bins - 1).T.int()
        self.density[slot] = point_density(places[None], self.bins)[0]

    def fork(self, source: int, target: int, seed: int | None = None) -> None:
        """Overwrite the slot `target` with a copy of `source`, which draws by another seed if one is given."""
        for table in self._tables():
            table[target] = table[source]
        self.surfaces.fork(source, target)
        self.cache.fork(source, target)
        if seed is None:
            self.uniforms.fork(source, target)
        else:
            self.uniforms.begin(target, seed)

    def release(self, slot: int) -> None:
        """Free a slot."""
        self.surfaces.release(slot)
        self.cache.clear(slot)

    def _tables(self) -> list[np.ndarray | Tensor]:
        host: list[np.ndarray] = [self.groups, self.written, self.faces, self.ids, self.wished, self.max_faces]
        host += [self.max_ids, self.temperatures, self.status]
        points = [self.cloud, self.places, self.normals, self.cells, self.num_points, self.density]
        return [*host, self.keys, self.vertices, self.used, *points]

    # ---- what steps read

    @property
    def has_points(self) -> bool:
        """Whether any slot has points."""
        return self.cloud.shape[2] > 0

    @property
    def points(self) -> Points | None:
        """The points of all slots, (slots, P, 3) each, or None where there are none."""
        return Points(self.cloud.transpose(1, 2), self.normals.transpose(1, 2)) if self.has_points else None

    def last_groups(self, slots: np.ndarray) -> np.ndarray:
        """(B, 4) the group that each of these slots wrote last; the kind is NUM_KINDS where it has written none."""
        last = self.groups[slots, np.maximum(self.written[slots] - 1, 0)]
        return np.where(self.written[slots, None] > 0, last, [NUM_KINDS, 0, 0, 0])

    def at_face_limit(self, slots: np.ndarray) -> np.ndarray:
        """(B,) whether the face budget of each of these slots is used up."""
        return (self.max_faces[slots] > 0) & (self.max_faces[slots] <= self.faces[slots])

    def allowed_kinds(self, slots: np.ndarray, observed: Observation) -> np.ndarray:
        """(B, 4) whether L, R, BOM and END may come in the phase TURN.

        Only END may at the face limit; it may not while too much is uncovered; with `refuse_faces` L and R may only
        attach to open edges.
        """
        allowed = np.ones((len(slots), 4), bool)
        allowed[:, 3] = observed.uncovered <= 1 - self.sampling.end_cover
        if self.sampling.refuse_faces:
            allowed[:, :2] = observed.waiting != 0
        allowed[self.at_face_limit(slots)] = [False, False, False, True]
        return allowed

    # ---- what steps write

    def commit(self, slots: np.ndarray, groups: np.ndarray) -> None:
        """Settle the next group (B, 4) of each of these slots (B,). The native backend has the same (face_step.hpp)."""
        kinds = groups[:, 0]
        self.status[slots[kinds == END]] = Status.STOP
        slots, groups, kinds = slots[kinds != END], groups[kinds != END], kinds[kinds != END]
        if len(slots) == 0:
            return
        self.surfaces.commit(groups, slots)
        self.groups[slots, self.written[slots]] = groups
        self.written[slots] += 1
        self.faces[slots] += (kinds != BOM) & (kinds != SECOND)
        self.ids[slots] += np.where(kinds <= BOM, 4, 3)
        self.status[slots[self.ids[slots] >= self.max_ids[slots]]] = Status.LENGTH

    def set_written(self, slot: int, embed_keys: Callable[[Tensor], Tensor] | None) -> None:
        """Fill the device's tables with the vertices that were committed as a prefix.

        Args:
            embed_keys: vertices (G - 1, 3) -> their keys; the last vertex gets its own with the next step.
        """
        count = int(self.written[slot])
        vertices = torch.as_tensor(self.groups[slot, :count, 1:], device=self.device).long()
        self.vertices[slot, :count] = vertices
        self.used[slot].scatter_(1, vertices.T, True)
        if embed_keys is not None:
            self.keys[slot, : count - 1] = embed_keys(vertices[:-1])
