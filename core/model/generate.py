"""Sampling of mesh tokens under their grammar: batched, one allocation of KV cache, the grammar as device tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.model.decoder import KVCache, MeshDecoder
from core.tokens import BOS, EOS, PAD
from meto import Grammar

# Finished sequences are looked for, and progress is told, once in so many steps: each look waits for the device.
STEPS_PER_LOOK = 16


@dataclass(frozen=True)
class SamplingConfig:
    generate_mode: Literal["greedy", "sample"] = "sample"
    """greedy: the likeliest token at each step; sample: drawn from the likeliest --top_k."""
    top_k: int = 10
    """Tokens to draw from (generate_mode sample)."""
    temperature: float = 1.0
    """Divides the logits before drawing (generate_mode sample)."""

    def __post_init__(self):
        if self.top_k < 1:
            raise ValueError(f"--top_k {self.top_k}: at least 1 is needed")
        if not self.temperature > 0:
            raise ValueError(f"--temperature {self.temperature}: a positive number is needed")


class Generated(NamedTuple):
    """One generated sequence.

    Attributes:
        ids: (T,) mesh ids, without BOS and EOS.
        finished: it ended with EOS; else the budget cut it.
    """

    ids: np.ndarray
    finished: bool


class GrammarTable:
    """The state of each sequence of a batch in a grammar, as lookups on the device.

    Args:
        grammar: over model ids.
        batch: sequences.
        device: where the logits are.
    """

    def __init__(self, grammar: Grammar, batch: int, device: torch.device):
        def put(array: np.ndarray) -> Tensor:
            return torch.as_tensor(np.asarray(array), dtype=torch.long, device=device)

        self.token_class = put(grammar.token_class)  # (V,)
        self.next_state = put(grammar.next_state)  # (2, S, C)
        self.open_change = put(grammar.open_change)  # (C,)
        # Which ids may follow, for each (some split open?, state): one row of this table masks a sequence's logits.
        self.allowed = self.next_state[:, :, self.token_class] >= 0  # (2, S, V)
        self.state = torch.full((batch,), grammar.start, device=device)
        self.open = torch.zeros(batch, dtype=torch.long, device=device)

    def mask(self, logits: Tensor) -> Tensor:
        """Logits (B, V) with those of ids that may not come next at minus infinity."""
        allowed = self.allowed[(self.open > 0).long(), self.state]
        return logits.masked_fill(~allowed, -torch.inf)

    def advance(self, ids: Tensor) -> None:
        """Take one allowed id (B,) for each sequence."""
        classes = self.token_class[ids]
        after = self.next_state[(self.open > 0).long(), self.state, classes]
        self.open = (self.open + self.open_change[classes]).clamp(min=0)
        self.state = after


def sample(logits: Tensor, config: SamplingConfig, uniform: Tensor) -> Tensor:
    """One id for each row of logits (B, V).

    Args:
        logits: masked by the grammar.
        config: how to choose.
        uniform: (B,) numbers in [0, 1): the place in the cumulative distribution that is drawn.
    """
    if config.generate_mode == "greedy":
        return logits.argmax(-1)
    values, ids = logits.float().topk(min(config.top_k, logits.shape[-1]))  # (B, K), descending
    cumulative = (values / config.temperature).softmax(-1).cumsum(-1)
    # Scaled by the total so that rounding cannot leave the draw beyond the last possible id.
    place = (cumulative <= uniform.unsqueeze(-1) * cumulative[:, -1:]).sum(-1, keepdim=True)
    return ids.gather(-1, place.clamp(max=values.shape[-1] - 1)).squeeze(-1)


def uniform_numbers(seeds: Sequence[int], count: int, device: torch.device) -> Tensor:
    """(B, count) numbers in [0, 1), row i from seed i alone: what is drawn does not depend on the batch."""
    rows = [torch.rand(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(device)


@torch.inference_mode()
def generate(
    decoder: MeshDecoder,
    condition: Tensor,
    grammar: Grammar,
    max_new_tokens: int,
    config: SamplingConfig,
    seeds: Sequence[int],
    prefix: np.ndarray | None = None,
    on_tokens: Callable[[np.ndarray], None] | None = None,
) -> list[Generated]:
    """Generate one sequence for each row of the condition.

    Args:
        decoder: in evaluation mode.
        condition: (B, S, C) condition tokens, in the decoder's dtype.
        grammar: over model ids; an id that it does not allow cannot be drawn.
        max_new_tokens: budget after BOS, EOS included.
        config: greedy or sampling, and its settings.
        seeds: one for each sequence: the same seed and condition give the same sequence in any batch.
        prefix: (T,) ids with which each sequence begins; they count towards the budget.
        on_tokens: called now and then with all ids so far (B, T), PAD after the end.

    Raises:
        ValueError: not one seed a sequence, a budget that the decoder's positions do not hold, or a prefix that
            breaks the grammar or leaves nothing of the budget.
    """
    batch, device = condition.shape[0], condition.device
    if len(seeds) != batch:
        raise ValueError(f"{len(seeds)} seeds for {batch} sequences: one for each is needed")
    positions = decoder.model.embed_positions.num_embeddings - condition.shape[1] - 1  # less the condition and BOS
    if not 0 < max_new_tokens <= positions:
        raise ValueError(f"a budget of {max_new_tokens} tokens: this decoder holds 1 to {positions}")
    prefix = _checked_prefix(prefix, grammar, max_new_tokens)
    ids = torch.full((batch, max_new_tokens), PAD, device=device)
    ids[:, : len(prefix)] = torch.as_tensor(prefix, device=device)
    uniform = uniform_numbers(seeds, max_new_tokens, device)
    cache = KVCache(decoder.config, batch, condition.shape[1] + max_new_tokens, like=condition)
    table = GrammarTable(grammar, batch, device)
    for column in ids[:, : len(prefix)].T:
        table.advance(column)
    start = torch.cat([torch.full((batch, 1), BOS, device=device), ids[:, : len(prefix)]], dim=1)
    hidden = decoder.model(torch.cat([condition, decoder.model.embd(start)], dim=1), cache)
    for step in range(len(prefix), max_new_tokens):
        logits = table.mask(decoder.lm_head(hidden[:, -1]))
        ids[:, step] = sample(logits, config, uniform[:, step])
        table.advance(ids[:, step])
        last = step + 1 == max_new_tokens
        if last or step % STEPS_PER_LOOK == STEPS_PER_LOOK - 1:
            if on_tokens is not None:
                on_tokens(ids[:, : step + 1].cpu().numpy())
            if last or bool((ids[:, : step + 1] == EOS).any(dim=1).all()):
                break
        hidden = decoder.model(decoder.model.embd(ids[:, step : step + 1]), cache)
    return [_trim(row) for row in ids.cpu().numpy()]


def _trim(row: np.ndarray) -> Generated:
    ends = np.flatnonzero(row == EOS)
    return Generated(row[: ends[0]], True) if len(ends) else Generated(row[row != PAD], False)


def _checked_prefix(prefix: np.ndarray | None, grammar: Grammar, budget: int) -> np.ndarray:
    if prefix is None or len(prefix) == 0:
        return np.zeros(0, np.int64)
    if len(prefix) >= budget:
        raise ValueError(f"a prefix of {len(prefix)} tokens leaves nothing of a budget of {budget}")
    wrong = grammar.validate(prefix)
    if wrong is not None and wrong.position < len(prefix):  # at its end: it only goes on
        raise ValueError(f"the prefix breaks the grammar at position {wrong.position}: {wrong.reason}")
    return np.asarray(prefix, np.int64)
