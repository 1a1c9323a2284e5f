"""A small decoder and its requests, for tests of the engine."""

import pytest
import torch

from core import kernels
from core.generation import Engine, Request
from core.generation.face_stepper import FaceStepper
from core.generation.rows import Rows
from core.generation.sampling import SamplingConfig
from core.model.decoder import DecoderConfig, MeshDecoder
from core.tokens import EOS, Tokenizer, TokenizerConfig

TOKENIZERS = {
    "LR_ABSCO": TokenizerConfig(discrete_bins=16),
    "LR": TokenizerConfig(discrete_bins=16, meto_backend="LR"),
    "CLERS": TokenizerConfig(discrete_bins=16, meto_backend="CLERS"),
    "naive": TokenizerConfig(discrete_bins=16, use_meto=False),
}
GREEDY, SAMPLE = SamplingConfig(generate_mode="greedy"), SamplingConfig(top_k=8)
COND, DIM, BUDGET = 5, 64, 90  # a head of 16, which the native kernel takes


def make(
    name: str = "LR_ABSCO", ends: bool = True, config: TokenizerConfig | None = None
) -> tuple[MeshDecoder, Tokenizer]:
    """A small random decoder whose choices vary; one that does not end never likes EOS."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(config or TOKENIZERS[name])
    sizes = DecoderConfig(max_seq_length=128, hidden_dim=DIM, num_layers=2, num_heads=4)
    decoder = MeshDecoder(sizes, tokenizer.vocab_size, COND).eval()
    with torch.no_grad():
        decoder.model.embd.weight.mul_(50)
        decoder.lm_head.weight.mul_(50)
        if not ends:
            decoder.model.layers[-1].final_layer_norm.bias.fill_(0.1)
            decoder.lm_head.weight[EOS] = -1e3
    return decoder, tokenizer


def requests(count: int, budget: int = BUDGET, **options) -> list[Request]:
    rows = torch.randn(count, COND, DIM, generator=torch.Generator().manual_seed(7))
    return [Request(row, seed, budget, key=seed, **options) for seed, row in enumerate(rows)]


def run(made_of, asked: list[Request], config=SAMPLE, slots: int = 1, masked: bool = False, **options) -> dict:
    """Results by key; `masked` takes the way of attention that GPUs take."""
    engine = masked_engine(*made_of, config, slots) if masked else Engine(*made_of, config, slots)
    return {request.key: made for request, made in engine.run(iter(asked), **options)}


def masked_engine(*arguments) -> Engine:
    """An engine that computes all slots under a mask and without kernels, as on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "load", lambda: None)
        engine = Engine(*arguments)
    stepper = engine.stepper
    owner = stepper.state if isinstance(stepper, FaceStepper) else stepper
    stepper.cache.masked = True
    owner.rows = Rows(stepper.slots, owner.device, every=True)
    return engine


def as_lists(made: dict) -> dict:
    return {key: (each.ids.tolist(), each.finish_reason) for key, each in made.items()}
