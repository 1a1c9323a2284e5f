"""A step of the token decoder: one id a sequence. All of it stays on the device; ends are looked for now and then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.model.engine.cache import SlotCache
from core.model.engine.grammar import GrammarStates, checked_prefix
from core.model.engine.graphs import StepGraphs
from core.model.engine.guides import guides_for
from core.model.engine.layout import laid_out
from core.model.engine.requests import Ending, Request
from core.model.engine.rows import Rows
from core.model.sampling import SamplingConfig, can_choose, sample, uniform_numbers
from core.tokens import BOS, EOS, PAD, Tokenizer

if TYPE_CHECKING:
    from core.model.decoder import MeshDecoder

# Each look at what was written waits for the device.
STEPS_PER_LOOK = {"cpu": 4, "cuda": 32}
# Positions of a condition and prefix that are computed at once.
PREFILL_CHUNK = 512
# Where sequences that have ended are computed on all the same (GPU), they write to one place more than they may fill.
SPARE = 1


class TokenStepper:
    """See `Stepper`.

    Args:
        decoder: in evaluation mode.
        tokenizer: of its ids.
        sampling: how ids are chosen.
        slots: sequences side by side.
        take_weights: the decoder may be left without its weights.
        cache_dtype: of keys and values, if not the decoder's.
    """

    def __init__(
        self,
        decoder: MeshDecoder,
        tokenizer: Tokenizer,
        sampling: SamplingConfig,
        slots: int,
        take_weights: bool,
        cache_dtype: torch.dtype | None = None,
    ):
        self.layout = laid_out(decoder, slots, take_weights)
        self.sampling, self.slots = sampling, slots
        self.grammar, self.max_positions = tokenizer.grammar, len(self.layout.positions)
        config, like = decoder.config, self.layout.tokens
        self.device = like.device
        head_dim = config.hidden_dim // config.num_heads
        self.cache = SlotCache(config.num_layers, slots, config.num_heads, head_dim, like, cache_dtype)
        self.states = GrammarStates(tokenizer.grammar, slots, self.device)
        self.rows = Rows(slots, self.device, every=self.cache.masked)
        self.guides = guides_for(tokenizer, sampling, slots)
        self.graphs = StepGraphs(self._step, enabled=self.device.type == "cuda" and not self.guides)
        self.steps_per_look = STEPS_PER_LOOK.get(self.device.type, 16)
        # The latest ids are looked back on from the next one, and coordinates are the last class of a grammar.
        self.offsets = 1 + torch.arange(sampling.repetition_window, device=self.device)
        self.is_coordinate = self.states.token_class == self.states.num_classes - 1
        self.written = torch.zeros(slots, dtype=torch.long, device=self.device)  # ids of each slot
        self.host_written, self.host_limit = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
        self.last = torch.full((slots,), PAD, device=self.device)  # the id that the next step reads
        self.invalid = torch.zeros(slots, dtype=torch.bool, device=self.device)  # nothing could be chosen
        self.written_ids = torch.zeros(slots, 0, dtype=torch.long, device=self.device)  # (slots, budget)
        self.uniform = torch.zeros(slots, 0, device=self.device)  # (slots, budget): what they are drawn with

    def check(self, request: Request) -> None:
        """Raises ValueError for a budget that the positions do not hold, or a wrong prefix."""
        positions = self.max_positions - len(request.condition) - 1  # less the condition and BOS
        if not 0 < request.max_new_tokens <= positions:
            raise ValueError(f"a budget of {request.max_new_tokens} tokens: this decoder holds 1 to {positions}")
        checked_prefix(request.prefix, self.grammar, request.max_new_tokens)

    def admit(self, slot: int, request: Request) -> None:
        """Compute on everything but the last id before the first new one; that one is the first step's input."""
        prefix = checked_prefix(request.prefix, self.grammar, request.max_new_tokens)
        self._reserve(request.max_new_tokens)
        self._reserve_cache(len(request.condition) + request.max_new_tokens + SPARE)
        self.cache.clear(slot)
        known = torch.as_tensor(np.concatenate([[BOS], prefix]), device=self.device)
        self._prefill(slot, torch.cat([request.condition, self.layout.tokens[known[:-1]]]))
        self.last[slot], self.invalid[slot] = known[-1], False
        self.written_ids[slot, : len(prefix)] = known[1:]
        self.uniform[slot, : request.max_new_tokens] = uniform_numbers(request.seed, request.max_new_tokens).to(
            self.device
        )
        self.written[slot] = len(prefix)
        self.host_written[slot], self.host_limit[slot] = len(prefix), request.max_new_tokens
        self.states.begin(slot, prefix, request.max_faces)
        for guide in self.guides:
            guide.begin(slot, prefix)
        self.rows.set([*self.rows.slots, slot])

    def _prefill(self, slot: int, x: Tensor) -> None:
        x = x + self.layout.positions[: len(x)]
        for chunk in x.split(PREFILL_CHUNK) if len(x) else ():
            self.layout.prefill(self.cache, slot, chunk)

    def _reserve(self, budget: int) -> None:
        more = budget + SPARE - self.written_ids.shape[1]
        if more > 0:
            self.graphs.forget()
            self.written_ids, self.uniform = (F.pad(table, (0, more)) for table in (self.written_ids, self.uniform))

    def _reserve_cache(self, capacity: int) -> None:
        if capacity > self.cache.capacity:
            self.graphs.forget()
            self.cache.reserve(capacity)

    def advance(self) -> dict[int, Ending]:
        """Steps of all running slots until the next look, and what was seen."""
        running = self.rows.slots
        if not running:
            return {}
        left = int((self.host_limit[running] - self.host_written[running]).min())
        for _ in range(min(left, self.steps_per_look)):
            self.graphs(self.cache.bound(self.rows), bool(self.states.budgeted))
            self.cache.count_on_host(self.rows)
            self.host_written[running] += 1
        return self._look()

    def _step(self, bound: int, budgeted: bool) -> None:
        """One id of every row; without guides, on the device alone.

        Args:
            bound: positions that masked attention spans.
            budgeted: some sequence has a face budget; told because a recorded step is one for each case.
        """
        rows = self.rows
        logits = self.layout.step(self.cache, rows, bound, self.last)
        self.cache.count_on_device(rows)
        logits = self.states.mask_(logits, rows)
        if self.sampling.repetition_penalty != 1:
            self._penalise(logits)
        for guide in self.guides:
            guide.mask_(logits, self._computed())
        place = rows.index * self.uniform.shape[1] + rows.of(self.written)
        invalid = rows.of(self.invalid) | ~can_choose(
            logits
        )  # from then on: it has ended, and EOS is an index at least
        ids = sample(logits, self.sampling, self.uniform.view(-1)[place]).masked_fill(invalid, EOS)
        rows.put(self.invalid, invalid)
        self.written_ids.view(-1)[place] = ids
        rows.count(self.written)
        self.states.advance(ids, rows)
        rows.put(self.last, ids)
        for guide in self.guides:
            guide.feed(self._computed(), ids.tolist())

    def _computed(self) -> Sequence[int]:
        """The slot of each row."""
        return range(self.slots) if self.rows.every else self.rows.slots

    def _penalise(self, logits: Tensor) -> None:
        """Lower the logits (B, V) of the coordinates among a row's latest ids."""
        latest = self.rows.of(self.written).unsqueeze(1) - self.offsets  # (B, W)
        held = self.rows.of(self.written_ids).gather(1, latest.clamp(min=0))
        held = held.masked_fill(latest < 0, PAD)
        seen = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, held, True) & self.is_coordinate
        logits -= seen * math.log(self.sampling.repetition_penalty)

    def _look(self) -> dict[int, Ending]:
        last, invalid = self.last.cpu().numpy(), self.invalid.cpu().numpy()
        ended: dict[int, Ending] = {}
        for slot in self.rows.slots:
            if invalid[slot]:
                ended[slot] = "invalid"
            elif last[slot] in (EOS, PAD):
                ended[slot] = "faces" if self.states.closed_by_budget(slot) else "eos"
            elif self.host_written[slot] >= self.host_limit[slot]:
                ended[slot] = "tokens"
        if ended:
            self.rows.set([slot for slot in self.rows.slots if slot not in ended])
        return ended

    def ids(self, slot: int) -> np.ndarray:
        """(T,) ids of a slot so far."""
        ids = self.written_ids[slot, : self.host_written[slot]].cpu().numpy().copy()  # the next request writes there
        ends = np.flatnonzero(ids == EOS)
        return ids[: ends[0]] if len(ends) else ids

    def release(self, slot: int) -> None:
        """Free a slot."""
        self.states.budgeted.discard(slot)
        if slot in self.rows.slots:
            self.rows.set([each for each in self.rows.slots if each != slot])
