"""A step of the face decoder: a group, so about a face, a sequence. The unfinished meshes are kept on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.groups import Steps
from core.model.engine.cache import SlotCache
from core.model.engine.draws import Draws
from core.model.engine.face_layout import FaceLayout
from core.model.engine.face_whole import ENDED, FULL, GATE, GOES_ON, INVALID, WholeFaceStep
from core.model.engine.faces import GroupGuard
from core.model.engine.grammar import checked_prefix
from core.model.engine.requests import Ending, Request
from core.model.engine.rows import Rows
from core.model.face_decoder import faces_before, rotary_angles
from core.model.face_head import AXES, CHOSEN, POINTER_DIM, StepContext, VertexDistribution
from core.model.face_input import count_features
from core.model.face_maps import Earlier, MapInputs, point_density, to_bins
from core.model.sampling import SamplingConfig, can_choose, sample
from core.tokens import ID_OFFSET, Tokenizer
from meto.surface import (
    BOM,
    END,
    NUM_KINDS,
    SECOND,
    THIRD,
    TURN_PHASE,
    Shown,
    estimate_normals,
    to_groups,
    to_tokens,
)

if TYPE_CHECKING:
    from core.model.face_decoder import FaceDecoder

DRAWS = 5  # of a candidate: its kind, which vertex, and three coordinates
FORCED = np.array([BOM, -1, SECOND, THIRD])  # the kind of each phase; in TURN it is chosen
END_CHOICE = CHOSEN.index(END)


class FaceStepper:
    """See `Stepper`.

    Args:
        decoder: in evaluation mode.
        tokenizer: of its ids, LR_ABSCO.
        sampling: how each part of a group is chosen.
        slots: sequences side by side.
        take_weights: the decoder may be left without its layers' weights.
        cache_dtype: of keys and values, if not the decoder's.
    """

    def __init__(
        self,
        decoder: FaceDecoder,
        tokenizer: Tokenizer,
        sampling: SamplingConfig,
        slots: int,
        take_weights: bool,
        cache_dtype: torch.dtype | None = None,
    ):
        self.decoder, self.sampling, self.slots, self.bins = decoder, sampling, slots, decoder.bins
        self.layout = FaceLayout(decoder, slots, take_weights)
        self.grammar, config, like = tokenizer.grammar, decoder.config, decoder.norm.weight
        self.max_tokens, self.device = config.max_seq_length, like.device
        self.head_dim = config.hidden_dim // config.num_heads
        self.cache = SlotCache(config.num_layers, slots, config.num_heads, self.head_dim, like, cache_dtype)
        whole = self.cache.native is not None and self.layout.layers[0].panels is not None
        self.whole_step = WholeFaceStep(decoder, self.layout, sampling, slots) if whole else None
        self.surfaces = decoder.steps.surfaces(slots, self.bins)
        self.rows = Rows(slots, self.device, every=self.cache.masked)
        guarded = sampling.refuse_faces and self.whole_step is None  # which sees to it by itself
        self.guards = [GroupGuard() for _ in range(slots)] if guarded else []
        self.groups = np.zeros((slots, 0, 4), np.int32)  # written
        self.num_ids = np.zeros(slots, np.int64)  # that stand for them
        self.before = np.full(slots, NUM_KINDS)  # the kind written before
        self.written = np.zeros(slots, np.int64)  # groups
        self.faces, self.max_faces, self.max_ids = (np.zeros(slots, np.int64) for _ in range(3))
        self.wished = np.full(slots, -1)  # face counts
        self.candidates = 1 if sampling.generate_mode == "greedy" else sampling.candidates
        self.draws = Draws(slots, DRAWS * self.candidates + (self.candidates > 1))  # the last one takes a candidate
        self.last = np.zeros((slots, 3), np.int64)  # the vertex written before
        self.invalid = np.zeros(slots, bool)  # no group of theirs can be chosen, as `wrong` counts it on the device
        self.wrong = torch.zeros(slots, dtype=torch.long, device=self.device)
        self._tables(like)

    def _tables(self, like: Tensor) -> None:
        """What is kept of every slot on the device, beside the cache."""
        slots, bins, device = self.slots, self.bins, self.device
        self.keys = like.new_zeros(slots, 0, POINTER_DIM)  # of the vertices written
        self.vertices = torch.full((slots, 0, 3), -1, device=device)
        self.used = torch.zeros(slots, 3, bins, dtype=torch.bool, device=device)
        self.cloud = torch.zeros(slots, 0, 3, device=device)
        self.places, self.normals = (torch.zeros(slots, 0, 3, device=device) for _ in range(2))
        self.density = torch.zeros(slots, 3, bins, device=device)

    # ------------------------------------------------------------------ a sequence comes and goes

    def check(self, request: Request) -> None:
        """Raises ValueError for a budget beyond the decoder's, or a wrong prefix."""
        if not 0 < request.max_new_tokens <= self.max_tokens + 1:
            raise ValueError(
                f"a budget of {request.max_new_tokens} tokens: this decoder writes 1 to {self.max_tokens + 1}"
            )
        self._prefix_groups(request)

    def _prefix_groups(self, request: Request) -> np.ndarray:
        prefix = checked_prefix(request.prefix, self.grammar, request.max_new_tokens)
        try:
            return to_groups(prefix - ID_OFFSET)[:-1]
        except ValueError as error:
            raise ValueError(f"the prefix of {len(prefix)} ids does not end with a whole vertex: {error}") from error

    def admit(self, slot: int, request: Request) -> None:
        """Compute on the condition and the prefix."""
        groups, points = self._prefix_groups(request), request.points
        points = np.zeros((0, 3), np.float32) if points is None else np.asarray(points, np.float32)
        self._reserve(slot, request, len(points))
        self.surfaces.begin(slot, points, judged=self.candidates > 1)
        self._show_points(slot, points)
        self.num_ids[slot], self.before[slot], self.written[slot] = 0, NUM_KINDS, 0
        self.faces[slot], self.max_faces[slot] = 0, request.max_faces
        self.max_ids[slot], self.wished[slot] = request.max_new_tokens, request.num_faces
        self.draws.begin(slot, request.seed)
        if self.guards:
            self.guards[slot] = GroupGuard()
        gates = self._prefill(slot, request.condition, groups, points)
        if self.whole_step is not None:
            self.whole_step.admit(self, slot, gates)
        self.rows.set([*self.rows.slots, slot])

    def _reserve(self, slot: int, request: Request, num_points: int) -> None:
        most = request.max_new_tokens // 3 + 2  # no group has fewer than three ids
        self.cache.reserve(len(request.condition) + most)
        self.cache.clear(slot)
        more = most - self.keys.shape[1]
        if more > 0:
            self.keys = F.pad(self.keys, (0, 0, 0, more))
            self.vertices = F.pad(self.vertices, (0, 0, 0, more), value=-1)
            self.groups = np.pad(self.groups, ((0, 0), (0, more), (0, 0)))
        self.vertices[slot], self.used[slot] = -1, False
        if num_points > self.cloud.shape[1]:
            more = num_points - self.cloud.shape[1]
            self.cloud, self.normals = (F.pad(table, (0, 0, 0, more)) for table in (self.cloud, self.normals))
            self.places = F.pad(self.places, (0, 0, 0, more), value=torch.nan)

    def _show_points(self, slot: int, points: np.ndarray) -> None:
        count, given = len(points), torch.as_tensor(points, device=self.device)
        self.places[slot] = torch.nan
        self.cloud[slot, :count] = given
        self.places[slot, :count] = to_bins(given, self.bins)
        self.normals[slot, :count] = torch.as_tensor(estimate_normals(points), device=self.device)
        self.density[slot] = point_density(self.places[slot : slot + 1, :count], self.bins)[0]

    def _prefill(self, slot: int, condition: Tensor, groups: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Fill the cache with the condition and with the steps that wrote the prefix, and take its groups.

        Returns:
            (G, 9) the gates after all of them but the last, whose follows with the next step.
        """
        x, gates = condition, np.zeros((0, GATE), np.int32)
        if len(groups):
            shown = self.surfaces.replay(groups, points)
            gates = shown.gate[1:]
            known = Shown(*(torch.as_tensor(part, device=self.device) for part in shown))  # type: ignore[arg-type]
            steps = Steps(None, *known, self.normals, None, None)
            before = torch.as_tensor(np.append(NUM_KINDS, groups[:-1, 0]), device=self.device)
            row = torch.full((len(groups),), slot, device=self.device)
            faces = faces_before(torch.as_tensor(groups[:, 0]), torch.arange(len(groups))).numpy()
            counts = self._counts(np.full(len(groups), self.wished[slot]), faces, shown.open_edges)
            x = torch.cat([x, self.decoder.input(steps, self._shown_cloud(), row, before, counts).to(x.dtype)])
        read = len(groups) > 1
        whole = self._whole()
        if whole and torch.get_num_threads() == 1:
            hidden = whole.prefill(self, slot, x, read)
        else:
            angles = rotary_angles(self._places(len(x)), self.head_dim)
            hidden = self.layout.prefill(self.cache, slot, x, angles, read)
        for k in range(len(groups)):
            self._take(np.array([slot]), groups[k : k + 1])
        if len(groups) > 1:  # each vertex's key is made of the state after it; the last one's comes with the next step
            vertices = torch.as_tensor(groups[:-1, 1:], device=self.device)
            self.keys[slot, : len(groups) - 1] = self.decoder.head.keys(hidden[len(condition) + 1 :], vertices)
        return gates

    def _places(self, count: int) -> Tensor:
        return torch.arange(count, device=self.device)

    def _shown_cloud(self) -> Tensor | None:
        return self.cloud if self.cloud.shape[1] else None

    def ids(self, slot: int) -> np.ndarray:
        """(T,) ids of a slot so far."""
        ids = to_tokens(self.groups[slot, : self.written[slot]]) + ID_OFFSET
        return ids[: self.max_ids[slot]].astype(np.int64)

    def release(self, slot: int) -> None:
        """Free a slot."""
        if slot in self.rows.slots:
            self.rows.set([each for each in self.rows.slots if each != slot])

    # ------------------------------------------------------------------ a step

    def advance(self) -> dict[int, Ending]:
        """A group of each running slot, or some of each, and those that have ended."""
        if not self.rows.slots:
            return {}
        running = self.rows.slots
        whole = self._whole()
        endings = whole.run(self) if whole else self._advance_by_one()
        ended: dict[int, Ending] = {}
        for slot in running:
            if endings[slot] == ENDED:
                ended[slot] = "faces" if self._has_its_faces(slot) else "eos"
            elif endings[slot] == FULL:
                ended[slot] = "tokens"
            elif endings[slot] == INVALID:
                ended[slot] = "invalid"
        if ended:
            self.rows.set([slot for slot in running if slot not in ended])
        return ended

    def _whole(self) -> WholeFaceStep | None:
        return self.whole_step if self.cache.native else None

    def _advance_by_one(self) -> np.ndarray:
        """(slots,) GOES_ON, ENDED, FULL or INVALID after one more group."""
        running = self.rows.host_index
        groups = self._groups(list(range(self.slots)) if self.rows.every else self.rows.slots)
        if len(groups) > len(running):
            groups = groups[running]
        writes = (groups[:, 0] != END) & ~self.invalid[running]
        self._take(running[writes], groups[writes])
        endings = np.full(self.slots, GOES_ON)
        endings[running[~writes]] = ENDED
        endings[running[self.invalid[running]]] = INVALID
        endings[running[writes & (self.num_ids[running] >= self.max_ids[running])]] = FULL
        return endings

    def _has_its_faces(self, slot: Any) -> Any:
        """Of one slot, or of several: the face budget is used up."""
        return (self.max_faces[slot] > 0) & (self.max_faces[slot] <= self.faces[slot])

    def _take(self, slots: np.ndarray, groups: np.ndarray) -> None:
        """Groups (W, 4) of these slots are settled: keep what follows from them."""
        if len(slots) == 0:
            return
        fed = np.full((self.slots, 4), -1, np.int32)
        fed[slots] = groups
        self.surfaces.feed(fed)
        kinds, vertices = groups[:, 0], groups[:, 1:].astype(np.int64)
        self._keep(slots, vertices)
        self.before[slots], self.last[slots] = kinds, vertices
        self.groups[slots, self.written[slots]] = groups
        self.written[slots] += 1
        self.faces[slots] += (kinds != BOM) & (kinds != SECOND)
        self.num_ids[slots] += np.where(kinds <= BOM, 4, 3)
        if self.guards:
            for slot, (kind, *vertex) in zip(slots.tolist(), groups.tolist(), strict=True):
                self.guards[slot].take(kind, tuple(vertex))

    def _keep(self, slots: np.ndarray, vertices: np.ndarray) -> None:
        """These vertices (W, 3) are written."""
        if self.device.type == "cpu":  # numpy sees the same memory, and takes a fifth of the time
            self.vertices.numpy()[slots, self.written[slots]] = vertices
            self.used.numpy()[slots[:, None], np.arange(3), vertices] = True
            return
        index, on_device = (torch.as_tensor(x, device=self.device) for x in (slots, vertices))
        self.vertices[index, torch.as_tensor(self.written[slots], device=self.device)] = on_device
        self.used[index.unsqueeze(1), self._places(3), on_device] = True

    @torch.inference_mode()
    def _groups(self, slots: list[int]) -> np.ndarray:
        """(B, 4) what comes next in each slot."""
        index = np.asarray(slots)
        drawn = self.draws.of(index, self.written[index])
        uniform = drawn[:, : DRAWS * self.candidates].reshape(len(slots), self.candidates, DRAWS)
        self.wrong.zero_()
        candidates = self._candidates(slots, uniform)
        self.invalid = self.wrong.cpu().numpy() > 0
        groups = candidates[:, 0]
        if self.candidates > 1 and len(valid := np.flatnonzero(~self.invalid[index])):
            draws = drawn[valid, -1]
            groups[valid] = self.surfaces.choose(index[valid], candidates[valid], draws, self.sampling.end_cover)
        return groups

    def _candidates(self, slots: list[int], drawn: np.ndarray) -> np.ndarray:
        """(B, K, 4) groups that may come next in each slot, by numbers (B, K, 5): a row of one computation each."""
        index = np.asarray(slots)
        shown = Shown(*(part[index] for part in self.surfaces.shown()))
        known = Shown(*(torch.as_tensor(part, device=self.device) for part in shown))  # type: ignore[arg-type]
        steps = Steps(None, *known, self.normals, None, None)
        hidden = self._hidden(slots, steps)
        uniform = torch.as_tensor(drawn, device=self.device)
        kinds = self._kinds(slots, hidden, shown, uniform[..., 0])
        groups = np.zeros((kinds.size, 4), np.int32)
        groups[:, 0] = kinds.ravel()
        writing = np.flatnonzero(groups[:, 0] != END)
        if len(writing):
            groups[writing, 1:] = self._vertices(
                slots, writing, groups[writing, 0], hidden, steps, uniform.flatten(0, 1)
            )
        return groups.reshape(*drawn.shape[:2], 4)

    def _hidden(self, slots: list[int], steps: Steps) -> Tensor:
        """(B, C) states of the steps; the vertices written before them get their keys."""
        rows, device = self.rows, self.device
        before = torch.as_tensor(self.before[slots], device=device)
        row = rows.index if len(rows.index) == len(slots) else torch.as_tensor(slots, device=device)
        counts = self._counts(self.wished[slots], self.faces[slots], steps.open_edges)
        x = self.decoder.input(steps, self._shown_cloud(), row, before, counts).to(self.layout.dtype)
        hidden = self.layout.step(self.cache, rows, x, rotary_angles(rows.of(self.cache.lengths), self.head_dim))
        self.cache.advance(rows)
        has = np.flatnonzero(self.written[slots])
        if len(has):
            which = [slots[k] for k in has]
            keys = self.decoder.head.keys(hidden[has], torch.as_tensor(self.last[which], device=device))
            self.keys[which, self.written[which] - 1] = keys
        return hidden

    def _counts(self, wished: np.ndarray, faces: np.ndarray, open_edges: Any) -> Tensor | None:
        """(N, NUM_COUNTS) what the input shows of the faces left; None for a decoder that is not shown them."""
        if not self.decoder.counted:
            return None
        numbers = (torch.as_tensor(x, device=self.device) for x in (wished, faces, open_edges))
        return count_features(*numbers)

    def _kinds(self, slots: list[int], hidden: Tensor, shown: Shown, uniform: Tensor) -> np.ndarray:
        """(B, K) kinds by numbers (B, K); only END at the face budget, and no END while too much is uncovered."""
        kinds = np.repeat(FORCED[shown.phase][:, None], uniform.shape[1], axis=1)
        turn = np.flatnonzero(shown.phase == TURN_PHASE)
        if len(turn):
            logits = self.decoder.head.kind_logits(hidden[turn])
            for k, at in enumerate(turn):
                if self._has_its_faces(slots[at]):
                    logits[k, [c for c in range(len(CHOSEN)) if c != END_CHOICE]] = -torch.inf
                    continue
                if shown.uncovered[at] > 1 - self.sampling.end_cover:
                    logits[k, END_CHOICE] = -torch.inf
                if self.sampling.refuse_faces:
                    for kind in np.flatnonzero(shown.waiting[at] == 0):  # LEFT and RIGHT come first in CHOSEN
                        logits[k, kind] = -torch.inf
            logits = logits.repeat_interleave(uniform.shape[1], dim=0)
            owners = torch.as_tensor(np.repeat(np.asarray(slots)[turn], uniform.shape[1]), device=self.device)
            chosen = self._sample(logits, uniform[turn].flatten(), owners).cpu().numpy()
            kinds[turn] = np.array(CHOSEN)[chosen].reshape(len(turn), -1)
        return kinds

    def _vertices(
        self, slots: list[int], writing: np.ndarray, kinds: np.ndarray, hidden: Tensor, steps: Steps, uniform: Tensor
    ) -> np.ndarray:
        """(W, 3) vertices of those of the candidates (B * K) that write one, of these kinds (W,)."""
        at = writing // self.candidates
        context = self._context(slots, steps, at)
        if len(writing) < len(uniform):
            uniform = uniform[writing]
        hidden = self._rows(hidden, at)
        distribution = VertexDistribution(
            self.decoder.head, hidden, torch.as_tensor(kinds, device=self.device), context
        )
        refused = self._refused([slots[k] for k in at], kinds) if self.guards else None
        logits = distribution.which_logits()
        earlier = context.earlier.vertices[context.maps.row]
        known = torch.cat([distribution.copies, earlier], dim=1)  # (W, 2 + J, 3)
        if refused is not None:
            same = (known.unsqueeze(2) == refused.unsqueeze(1)).all(-1).any(-1)
            logits[:, 1:].masked_fill_(same, -torch.inf)
        owners = torch.as_tensor(np.asarray(slots)[at], device=self.device)
        choice = self._sample(logits, uniform[:, 1], owners)
        vertex = torch.zeros(len(writing), 3, dtype=torch.long, device=self.device)
        if bool((choice == 0).any()):
            for k, axis in enumerate(AXES):
                logits = distribution.logits(k)
                if k == 2 and refused is not None:
                    others = [other for other in range(3) if other != axis]
                    row, corner = (refused[..., others] == vertex[:, None, others]).all(-1).nonzero().unbind(1)
                    logits[row, refused[row, corner, axis]] = -torch.inf
                vertex[:, axis] = self._sample(logits, uniform[:, 2 + k], owners)
                distribution.take(k, vertex[:, axis])
        copied = known[self._places(len(known)), (choice - 1).clamp(min=0)]
        return torch.where((choice == 0).unsqueeze(1), vertex, copied).cpu().numpy()

    def _sample(self, logits: Tensor, uniform: Tensor, owners: Tensor) -> Tensor:
        """`sample` for rows that belong to slots (W,): where it can choose nothing, the slot becomes invalid."""
        self.wrong.index_add_(0, owners, (~can_choose(logits)).long())
        return sample(logits, self.sampling, uniform)

    def _rows(self, table: Tensor, at: np.ndarray) -> Tensor:
        """table[at], itself if that is all of it in order."""
        same = len(at) == len(table) and np.array_equal(at, np.arange(len(at)))
        return table if same else table[torch.as_tensor(at, device=self.device)]

    def _context(self, slots: list[int], steps: Steps, at: np.ndarray) -> StepContext:
        """Of rows (W,), the at[k]-th of the slots each."""
        writers, row, counts = np.unique(at, return_inverse=True, return_counts=True)
        which = [slots[k] for k in writers]
        most = int(self.written[which].max())

        def of(table: Tensor) -> Tensor:
            return table if len(which) == self.slots else table[which]

        written = torch.as_tensor(self.written[which], device=self.device)
        seen = (self._places(most) < written.unsqueeze(1)).unsqueeze(1)  # (B, 1, J)
        alone = len(at) == len(writers)
        seen = seen.expand(-1, int(counts.max()), -1)
        earlier = Earlier(of(self.vertices)[:, :most], seen, None if alone else counts.tolist())
        gate, neighbours, opened, phase, points = (
            self._rows(getattr(steps, name), at) for name in ("gate", "neighbours", "open_vertices", "phase", "points")
        )
        near, used = self.decoder.near(points), self._rows(of(self.used), row)
        shared = of(self.density), of(self.places), of(self.normals)
        maps = MapInputs(used, *shared, near, torch.as_tensor(row, device=self.device))
        return StepContext(gate, neighbours, opened, phase, of(self.keys)[:, :most], earlier, maps)

    def _refused(self, slots: list[int], kinds: np.ndarray) -> Tensor:
        """(W, R, 3) vertices that the next group of each slot may not have; -2 beyond the last."""
        asked = list(zip(slots, kinds.tolist(), strict=True))
        corners = {key: self.guards[key[0]].refused(key[1]) for key in set(asked)}
        table = np.full((len(slots), max(1, *map(len, corners.values())), 3), -2, np.int64)
        for row, key in zip(table, asked, strict=True):
            if corners[key]:
                row[: len(corners[key])] = list(corners[key])
        return torch.as_tensor(table, device=self.device)
