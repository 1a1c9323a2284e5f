"""Steps of the face decoder: a group, so about a face, a sequence."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.generation.cache import SlotCache
from core.generation.face_state import FaceState, Status
from core.generation.grammar import checked_prefix
from core.generation.linear import lay_out
from core.generation.native_face import NativeFaceBackend, NativeSurfaces, can_use_face_kernel
from core.generation.request import FinishReason, Request
from core.generation.sampling import SamplingConfig
from core.generation.torch_face import TorchFaceBackend
from core.model.face_decoder import FaceDecoder, faces_before
from core.model.face_input import count_features
from core.tokens import ID_OFFSET, Tokenizer
from meto.surface import NUM_KINDS, Observation, to_groups, to_tokens


class FaceBackend(Protocol):
    """What computes the steps of a `FaceState`."""

    def prefill(self, slot: int, x: Tensor, need_states: bool) -> Tensor:
        """Fill a slot's cache with embedded positions (T, C) -> their states (T, C), undefined unless needed."""

    def step(self, state: FaceState) -> None:
        """Commit one group or more to each running slot, or end it: `state.status` tells."""


class FaceStepper:
    """The face decoder's `Stepper` (engine.py): requests in and ids out of a `FaceState`, which a backend steps.

    Args:
        decoder: in evaluation mode.
        tokenizer: of its ids, LR_ABSCO.
        sampling: how each part of a group is chosen.
        slots: sequences side by side.
        take_weights: lay out the weights of the decoder's layers in place.
        cache_dtype: of keys and values, if not the decoder's.
    """

    def __init__(
        self,
        decoder: FaceDecoder,
        tokenizer: Tokenizer,
        sampling: SamplingConfig,
        slots: int,
        take_weights: bool = False,
        cache_dtype: torch.dtype | None = None,
    ):
        self.slots, self.grammar, self.max_tokens = slots, tokenizer.grammar, decoder.config.max_seq_length
        config, like = decoder.config, decoder.norm.weight
        use_kernel = can_use_face_kernel(decoder, slots)
        self.decoder = lay_out(decoder, slots, blocked=use_kernel, in_place=take_weights)
        head_dim = config.hidden_dim // config.num_heads
        self.cache = SlotCache(config.num_layers, slots, config.num_heads, head_dim, like, cache_dtype)
        surfaces = NativeSurfaces(decoder, slots) if use_kernel else decoder.steps.surfaces(slots, decoder.bins)
        self.state = FaceState(decoder, sampling, slots, surfaces, self.cache)
        backend = NativeFaceBackend if use_kernel else TorchFaceBackend
        self.backend: FaceBackend = backend(self.decoder, self.state)

    # ---- a sequence comes and goes

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
        """See `Stepper`."""
        state, groups, size = self.state, self._prefix_groups(request), len(request.condition)
        state.begin(slot, request)
        x = request.condition
        if len(groups):
            x = torch.cat([x, self._embed_prefix(slot, groups, request.points).to(x.dtype)])
        # A vertex's key is made from the state after it, so those of two groups or more are needed.
        states = self.backend.prefill(slot, x, need_states=len(groups) > 1)
        for group in groups[:, None]:
            state.commit(np.array([slot]), group)
        if len(groups):
            head = self.decoder.head
            has_keys = len(groups) > 1
            state.set_written(slot, (lambda vertices: head.keys(states[size + 1 :], vertices)) if has_keys else None)
        state.rows.set([*state.rows.slots, slot])

    def _embed_prefix(self, slot: int, groups: np.ndarray, points: np.ndarray | None) -> Tensor:
        """The inputs (G, C) of the steps that wrote the groups."""
        decoder, state, device = self.decoder, self.state, self.state.device
        seen = decoder.steps.surfaces(1, decoder.bins).replay(groups, points)
        observed = Observation(*(torch.as_tensor(part, device=device) for part in seen))
        before = torch.as_tensor(np.append(NUM_KINDS, groups[:-1, 0]), device=device)
        counts = None
        if decoder.counted:
            kinds = torch.as_tensor(groups[:, 0], device=device)
            wished = torch.full_like(kinds, int(state.wished[slot]), dtype=torch.long)
            faces = faces_before(kinds, torch.arange(len(groups), device=device))
            counts = count_features(wished, faces, observed.open_edges)
        row = torch.full((len(groups),), slot, device=device)
        return decoder.input(observed, state.points, row, before, counts)

    def fork(self, source: int, target: int, seed: int | None = None) -> None:
        """See `Stepper`."""
        self.state.fork(source, target, seed)
        self.state.rows.set([*self.state.rows.slots, target])

    def release(self, slot: int) -> None:
        """See `Stepper`."""
        self.state.release(slot)
        rows = self.state.rows
        if slot in rows.slots:
            rows.set([other for other in rows.slots if other != slot])

    def ids(self, slot: int) -> np.ndarray:
        """See `Stepper`."""
        state = self.state
        ids = to_tokens(state.groups[slot, : state.written[slot]]) + ID_OFFSET
        return ids[: state.max_ids[slot]].astype(np.int64)

    # ---- a step

    def step(self) -> dict[int, FinishReason]:
        """See `Stepper`."""
        state, running = self.state, self.state.rows.slots
        if not running:
            return {}
        self.backend.step(state)
        ended: dict[int, FinishReason] = {}
        for slot in running:
            status = state.status[slot]
            if status == Status.STOP:
                ended[slot] = "faces" if state.at_face_limit(np.array([slot]))[0] else "eos"
            elif status != Status.RUNNING:
                ended[slot] = "tokens" if status == Status.LENGTH else "invalid"
        if ended:
            state.rows.set([slot for slot in running if slot not in ended])
        return ended
