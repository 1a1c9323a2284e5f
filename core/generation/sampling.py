"""Choosing one id from logits: greedy, or drawn under top-k, top-p, min-p and temperature."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplingConfig:
    generate_mode: Literal["greedy", "sample"] = "sample"
    """greedy: the likeliest token at each step; sample: drawn from the likeliest --top_k."""
    top_k: int = 10
    """Tokens to draw from (generate_mode sample)."""
    temperature: float = 1.0
    """Divides the logits before drawing (generate_mode sample)."""
    structure_temperature: float | None = None
    """The same for all but coordinates: which kind of face, which vertex; None is --temperature (face decoder)."""
    top_p: float = 1.0
    """Draw from the likeliest tokens that have this much probability together; 1: all (generate_mode sample)."""
    min_p: float = 0.0
    """Draw only tokens at least this share as likely as the likeliest; 0: all (generate_mode sample)."""
    repetition_penalty: float = 1.0
    """Divides the odds of coordinates that the last --repetition_window ids hold; 1 is none, above 1 avoids them."""
    repetition_window: int = 48
    """Ids that --repetition_penalty looks back on; a face takes about four."""
    end_cover: float = 0.0
    """Do not end before the faces cover this share of the input points; 0: whenever the model likes (face decoder)."""
    candidates: int = 1
    """Groups to draw at each step; those that fit the input points well are the likeliest to be chosen among them (face
    decoder, generate_mode sample). 1: no choice."""
    refuse_faces: bool = False
    """Never draw a face that the mesh already has, nor one without area because two of its corners coincide; with the
    face decoder nor one across an edge that has two faces already."""

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ValueError(f"--top_k {self.top_k}: at least 1 is needed")
        if not self.temperature > 0:
            raise ValueError(f"--temperature {self.temperature}: a positive number is needed")
        if self.structure_temperature is not None and not self.structure_temperature > 0:
            raise ValueError(f"--structure_temperature {self.structure_temperature}: a positive number is needed")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"--top_p {self.top_p}: a number above 0, up to 1, is needed")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"--min_p {self.min_p}: a number from 0 to 1 is needed")
        if not self.repetition_penalty > 0:
            raise ValueError(f"--repetition_penalty {self.repetition_penalty}: a positive number is needed")
        if not 0 <= self.end_cover <= 1:
            raise ValueError(f"--end_cover {self.end_cover}: a share from 0 to 1 is needed")
        if not 1 <= self.candidates <= 256:
            raise ValueError(f"--candidates {self.candidates}: a number from 1 to 256 is needed")
        if self.repetition_window < 1:
            raise ValueError(f"--repetition_window {self.repetition_window}: at least 1 is needed")

    @property
    def num_candidates(self) -> int:
        """Groups that a step really draws: greedy decoding has but one."""
        return 1 if self.generate_mode == "greedy" else self.candidates


def sample(logits: Tensor, config: SamplingConfig, uniform: Tensor, temperature: Tensor | None = None) -> Tensor:
    """One id for each row of logits (B, V).

    Args:
        logits: masked by the grammar: minus infinity where an id may not come.
        config: how to choose.
        uniform: (B,) numbers in [0, 1): the place in the cumulative distribution that is drawn.
        temperature: (B,) in place of the config's.
    """
    if config.generate_mode == "greedy":
        return logits.argmax(-1)
    values, ids = logits.float().topk(min(config.top_k, logits.shape[-1]))  # (B, K), descending
    values = values / (config.temperature if temperature is None else temperature.unsqueeze(-1))
    probabilities = values.softmax(-1)
    cumulative = probabilities.cumsum(-1)
    # Both keep the likeliest ids, which are the beginning of the cumulative distribution.
    total = cumulative[:, -1:]
    if config.min_p > 0:
        kept = (probabilities >= config.min_p * probabilities[:, :1]).sum(-1, keepdim=True)
        total = cumulative.gather(-1, kept - 1)
    if config.top_p < 1:
        kept = (cumulative < config.top_p * cumulative[:, -1:]).sum(-1, keepdim=True)
        total = torch.minimum(total, cumulative.gather(-1, kept.clamp(max=values.shape[-1] - 1)))
    # Below the total, so that rounding cannot leave the draw beyond the last possible id.
    passed = (cumulative <= uniform.unsqueeze(-1) * total) & (cumulative < total)
    return ids.gather(-1, passed.sum(-1, keepdim=True)).squeeze(-1)


def can_choose(logits: Tensor) -> Tensor:
    """(B,) whether `sample` has something to choose from: no logit of (B, V) is NaN or infinite, and some id may come.

    Otherwise `sample` returns an id, but one that means nothing.
    """
    return logits.amax(-1).isfinite()


def uniform_numbers(seed: int, count: int) -> Tensor:
    """(count,) numbers in [0, 1), on the CPU: the n-th id of a sequence is drawn with its seed's n-th number."""
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))
