"""Steps of the token decoder: one id a sequence. All of it stays on the device; ends are looked for now and then."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.generation.cache import SlotCache
from core.generation.constraints import constraints_for
from core.generation.grammar import GrammarStates, checked_prefix
from core.generation.graphs import StepGraphs
from core.generation.linear import lay_out
from core.generation.native_token import NativeTokenKernel, can_use_token_kernel
from core.generation.request import FinishReason, Request
from core.generation.rows import Rows
from core.generation.sampling import SamplingConfig, can_choose, sample, uniform_numbers
from core.model.decoder import MeshDecoder
from core.tokens import BOS, EOS, PAD, Tokenizer

# Steps between two looks at what was written, each of which waits for the device.
EOS_POLL_INTERVAL = {"cpu": 4, "cuda": 32}
# Positions of a condition and prefix that are computed at once.
PREFILL_CHUNK = 512
# Where ended sequences are still computed (GPU), they write to one place beyond their budget.
SPARE = 1


class TokenStepper:
    """The token decoder's `Stepper` (engine.py).

    Args:
        decoder: in evaluation mode.
        tokenizer: of its ids.
        sampling: how ids are chosen.
        slots: sequences side by side.
        take_weights: lay out the decoder's weights in place.
        cache_dtype: of keys and values, if not the decoder's.
    """

    def __init__(
        self,
        decoder: MeshDecoder,
        tokenizer: Tokenizer,
        sampling: SamplingConfig,
        slots: int,
        take_weights: bool = False,
        cache_dtype: torch.dtype | None = None,
    ):
        config, like = decoder.config, decoder.model.embd.weight
        self.sampling, self.slots, self.device = sampling, slots, like.device
        self.grammar, self.max_positions = tokenizer.grammar, decoder.model.embed_positions.num_embeddings
        use_kernel = can_use_token_kernel(decoder, slots)
        self.decoder = lay_out(decoder, slots, blocked=use_kernel, in_place=take_weights)
        head_dim = config.hidden_dim // config.num_heads
        self.cache = SlotCache(config.num_layers, slots, config.num_heads, head_dim, like, cache_dtype)
        self.kernel = NativeTokenKernel(self.decoder, self.cache) if use_kernel else None
        self.states = GrammarStates(tokenizer.grammar, slots, self.device)
        self.rows = Rows(slots, self.device, every=self.cache.masked)
        self.constraints = constraints_for(tokenizer, sampling, slots)
        self.graphs = StepGraphs(self._step, enabled=self.device.type == "cuda" and not self.constraints)
        self.poll_interval = EOS_POLL_INTERVAL.get(self.device.type, 16)
        # The penalty looks at the latest ids; coordinates are the last class of a grammar.
        self.offsets = 1 + torch.arange(sampling.repetition_window, device=self.device)
        self.is_coordinate = self.states.token_class == self.states.num_classes - 1
        self.written = torch.zeros(slots, dtype=torch.long, device=self.device)  # ids of each slot
        self.host_written, self.host_limit = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
        self.last = torch.full((slots,), PAD, device=self.device)  # the id that the next step reads
        self.invalid = torch.zeros(slots, dtype=torch.bool, device=self.device)  # nothing could be chosen
        self.temperature = torch.ones(slots, device=self.device)
        self.written_ids = torch.zeros(slots, 0, dtype=torch.long, device=self.device)  # (slots, budget)
        self.uniform = torch.zeros(slots, 0, device=self.device)  # (slots, budget): what they are drawn with

    # ---- a sequence comes and goes

    def check(self, request: Request) -> None:
        """Raises ValueError for a budget that the positions do not hold, or a wrong prefix."""
        positions = self.max_positions - len(request.condition) - 1  # without the condition and BOS
        if not 0 < request.max_new_tokens <= positions:
            raise ValueError(f"a budget of {request.max_new_tokens} tokens: this decoder holds 1 to {positions}")
        checked_prefix(request.prefix, self.grammar, request.max_new_tokens)

    def admit(self, slot: int, request: Request) -> None:
        """Compute on all but the last id before the first new one, which is the first step's input."""
        prefix = checked_prefix(request.prefix, self.grammar, request.max_new_tokens)
        self._reserve(request.max_new_tokens)
        self._reserve_cache(len(request.condition) + request.max_new_tokens + SPARE)
        self.cache.clear(slot)
        known = torch.as_tensor(np.concatenate([[BOS], prefix]), device=self.device)
        self._prefill(slot, torch.cat([request.condition, self.decoder.model.embd(known[:-1])]))
        self.last[slot], self.invalid[slot] = known[-1], False
        self.temperature[slot] = request.temperature or self.sampling.temperature
        self.written_ids[slot, : len(prefix)] = known[1:]
        numbers = uniform_numbers(request.seed, request.max_new_tokens)
        self.uniform[slot, : request.max_new_tokens] = numbers.to(self.device)
        self.written[slot] = len(prefix)
        self.host_written[slot], self.host_limit[slot] = len(prefix), request.max_new_tokens
        self.states.begin(slot, prefix, request.max_faces)
        for constraint in self.constraints:
            constraint.begin(slot, prefix)
        self.rows.set([*self.rows.slots, slot])

    def _prefill(self, slot: int, x: Tensor) -> None:
        """Fill a slot's cache with positions (T, C)."""
        x = x + self.decoder.model.embed_positions.weight[: len(x)]
        *layers, last = self.decoder.model.layers
        for chunk in x.split(PREFILL_CHUNK) if len(x) else ():
            if self.kernel is not None:
                self.kernel.prefill(slot, chunk)
                continue
            for i, layer in enumerate(layers):
                chunk = layer(chunk, partial(self.cache.attend_chunk, i, slot))
            _, k, v = last.self_attn.heads(chunk)  # type: ignore[union-attr, operator]
            self.cache.write_chunk(len(layers), slot, k, v)  # nothing reads the last layer's states
            self.cache.filled(slot, len(chunk))

    def _reserve(self, budget: int) -> None:
        more = budget + SPARE - self.written_ids.shape[1]
        if more > 0:
            self.graphs.forget()
            self.written_ids, self.uniform = (F.pad(table, (0, more)) for table in (self.written_ids, self.uniform))

    def _reserve_cache(self, capacity: int) -> None:
        if capacity > self.cache.capacity:
            self.graphs.forget()
            self.cache.reserve(capacity)

    def fork(self, source: int, target: int, seed: int | None = None) -> None:
        """See `Stepper`."""
        for table in (self.written, self.last, self.invalid, self.temperature, self.written_ids, self.uniform):
            table[target] = table[source]
        if seed is not None:
            limit = int(self.host_limit[source])
            self.uniform[target, :limit] = uniform_numbers(seed, limit).to(self.device)
        for counts in (self.host_written, self.host_limit):
            counts[target] = counts[source]
        self.cache.fork(source, target)
        self.states.fork(source, target)
        prefix = self.ids(source)
        for constraint in self.constraints:
            constraint.begin(target, prefix)
        self.rows.set([*self.rows.slots, target])

    def release(self, slot: int) -> None:
        """See `Stepper`."""
        self.states.budgeted.discard(slot)
        if slot in self.rows.slots:
            self.rows.set([other for other in self.rows.slots if other != slot])

    def ids(self, slot: int) -> np.ndarray:
        """See `Stepper`."""
        ids = self.written_ids[slot, : self.host_written[slot]].cpu().numpy().copy()  # the next request writes there
        ends = np.flatnonzero(ids == EOS)
        return ids[: ends[0]] if len(ends) else ids

    # ---- a step

    def step(self) -> dict[int, FinishReason]:
        """See `Stepper`; steps until the next look."""
        running = self.rows.slots
        if not running:
            return {}
        left = int((self.host_limit[running] - self.host_written[running]).min())
        for _ in range(min(left, self.poll_interval)):
            self.graphs(self.cache.bound(self.rows), bool(self.states.budgeted))
            self.cache.count_on_host(self.rows)
            self.host_written[running] += 1
        return self._poll()

    def _step(self, bound: int, budgeted: bool) -> None:
        """One id of every row; without constraints, on the device alone.

        Args:
            bound: positions that masked attention spans.
            budgeted: some sequence has a face budget; an argument because each case is recorded.
        """
        rows = self.rows
        # Logits, and what may come.
        logits = self._logits(bound)  # (B, V)
        self.cache.count_on_device(rows)
        logits = self.states.mask_(logits, rows)
        if self.sampling.repetition_penalty != 1:
            self._penalise(logits)
        for constraint in self.constraints:
            constraint.mask_(logits, rows.computed)
        # Draw; a sequence that has become invalid writes EOS, which is an index at least.
        place = rows.index * self.uniform.shape[1] + rows.gather(self.written)
        invalid = rows.gather(self.invalid) | ~can_choose(logits)
        uniform = self.uniform.view(-1)[place]
        ids = sample(logits, self.sampling, uniform, rows.gather(self.temperature)).masked_fill(invalid, EOS)
        # Commit.
        rows.scatter(self.invalid, invalid)
        self.written_ids.view(-1)[place] = ids
        rows.increment(self.written)
        self.states.advance(ids, rows)
        rows.scatter(self.last, ids)
        for constraint in self.constraints:
            constraint.feed(rows.computed, ids.tolist())

    def _logits(self, bound: int) -> Tensor:
        """(B, V) float32 after the next position of each row."""
        cache, rows = self.cache, self.rows
        if self.kernel is not None and cache.native:
            return self.kernel.step(rows.host_index, self.last)
        model, step = self.decoder.model, cache.step(rows, bound)
        x = model.embd(rows.gather(self.last)) + model.embed_positions(rows.gather(cache.lengths))
        for i, layer in enumerate(model.layers):
            x = layer(x, partial(cache.attend, i, step))
        return self.decoder.lm_head(x).float()

    def _penalise(self, logits: Tensor) -> None:
        """Lower the logits (B, V) of the coordinates among a row's latest ids."""
        latest = self.rows.gather(self.written).unsqueeze(1) - self.offsets  # (B, W)
        ids = self.rows.gather(self.written_ids).gather(1, latest.clamp(min=0))
        ids = ids.masked_fill(latest < 0, PAD)
        seen = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, ids, True) & self.is_coordinate
        logits -= seen * math.log(self.sampling.repetition_penalty)

    def _poll(self) -> dict[int, FinishReason]:
        last, invalid = self.last.cpu().numpy(), self.invalid.cpu().numpy()
        ended: dict[int, FinishReason] = {}
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
