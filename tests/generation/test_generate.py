"""Generation: against a slow loop without a cache, alone and in a batch, within the grammar, from a prefix."""

import numpy as np
import pytest
import torch

from core.generation import SamplingConfig, generate
from core.generation.grammar import whole_faces
from core.generation.sampling import sample
from core.model.decoder import DecoderConfig, MeshDecoder
from core.tokens import BOS, EOS, ID_OFFSET, Tokenizer, TokenizerConfig
from meto import Decoder

TOKENIZERS = {
    "LR_ABSCO": TokenizerConfig(discrete_bins=8),
    "LR": TokenizerConfig(discrete_bins=8, meto_backend="LR"),
    "CLERS": TokenizerConfig(discrete_bins=8, meto_backend="CLERS"),
    "naive": TokenizerConfig(discrete_bins=8, use_meto=False),
}
GREEDY = SamplingConfig(generate_mode="greedy")
SAMPLE = SamplingConfig(generate_mode="sample", top_k=5)
COND, DIM, BUDGET = 3, 16, 60


def make(name: str, seed: int = 0) -> tuple[MeshDecoder, Tokenizer]:
    """A small random decoder whose choices vary: its head is scaled up."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(TOKENIZERS[name])
    config = DecoderConfig(max_seq_length=64, hidden_dim=DIM, num_layers=2, num_heads=2)
    decoder = MeshDecoder(config, tokenizer.vocab_size, COND).eval()
    with torch.no_grad():
        decoder.model.embd.weight.mul_(50)
        decoder.lm_head.weight.mul_(50)
    return decoder, tokenizer


def conditions(count: int) -> torch.Tensor:
    return torch.randn(count, COND, DIM, generator=torch.Generator().manual_seed(7))


def slow_greedy(decoder: MeshDecoder, condition: torch.Tensor, tokenizer: Tokenizer, budget: int) -> list[int]:
    """The obvious loop, the oracle: everything computed anew for each token, the grammar asked id by id."""
    ids: list[int] = []
    while len(ids) < budget:
        hidden = decoder(condition, torch.tensor([[BOS, *ids]]))
        logits = decoder.lm_head(hidden[0, -1])
        for candidate in logits.argsort(descending=True).tolist():
            wrong = tokenizer.grammar.validate(np.array([*ids, candidate]))
            if (wrong is None or wrong.position > len(ids)) and stays_on_grid([*ids, candidate], tokenizer):
                break
        if candidate == EOS:
            break
        ids.append(candidate)
    return ids


def stays_on_grid(ids: list[int], tokenizer: Tokenizer) -> bool:
    """Whether meto's own decoder takes the ids: relative coordinates may leave the grid."""
    if not tokenizer.config.use_meto or ids[-1] == EOS:
        return True
    decoder = Decoder(tokenizer.config.discrete_bins, tokenizer.config.meto_backend)
    try:
        decoder.feed(np.array(ids) - ID_OFFSET)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", TOKENIZERS)
@torch.no_grad()
def test_equals_the_loop_without_a_cache(name):
    decoder, tokenizer = make(name)
    (made,) = generate(decoder, conditions(1), tokenizer, BUDGET, GREEDY, [0])
    slow = slow_greedy(decoder, conditions(1), tokenizer, BUDGET)
    assert made.ids.tolist() == whole_faces(np.array(slow), tokenizer.grammar).tolist()


@pytest.mark.parametrize("config", [GREEDY, SAMPLE], ids=["greedy", "sample"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_batch_equals_singles(name, config):
    decoder, tokenizer = make(name)
    seeds = [3, 1, 4, 1, 5]
    batch = generate(decoder, conditions(5), tokenizer, BUDGET, config, seeds)
    for i, made in enumerate(batch):
        (alone,) = generate(decoder, conditions(5)[i : i + 1], tokenizer, BUDGET, config, seeds[i : i + 1])
        assert made.ids.tolist() == alone.ids.tolist()
        assert made.finished == alone.finished


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_is_sampled_obeys_the_grammar(name):
    decoder, tokenizer = make(name)
    everything = SamplingConfig(generate_mode="sample", top_k=1000)
    for made in generate(decoder, conditions(16), tokenizer, BUDGET, everything, range(16)):
        ids = [*made.ids, EOS] if made.finished else made.ids
        wrong = tokenizer.grammar.validate(np.array(ids))
        assert wrong is None or (not made.finished and wrong.position == len(ids))
        assert stays_on_grid(made.ids.tolist(), tokenizer)


def test_seeds_differ_and_repeat():
    decoder, tokenizer = make("LR_ABSCO")
    same = conditions(1).expand(3, -1, -1)
    first, second, again = generate(decoder, same, tokenizer, BUDGET, SAMPLE, [1, 2, 1])
    assert first.ids.tolist() == again.ids.tolist() != second.ids.tolist()


@pytest.mark.parametrize("config", [GREEDY, SAMPLE], ids=["greedy", "sample"])
def test_prefix_is_continued_as_if_uninterrupted(config):
    decoder, tokenizer = make("LR_ABSCO")
    (whole,) = generate(decoder, conditions(1), tokenizer, BUDGET, config, [5])
    prefix = whole.ids[:17]
    (resumed,) = generate(decoder, conditions(1), tokenizer, BUDGET, config, [5], prefix=prefix)
    assert resumed.ids.tolist() == whole.ids.tolist()


def test_bad_requests_are_named():
    decoder, tokenizer = make("LR_ABSCO")
    with pytest.raises(ValueError, match="2 seeds for 1 sequences"):
        generate(decoder, conditions(1), tokenizer, BUDGET, GREEDY, [1, 2])
    with pytest.raises(ValueError, match="budget of 1000 tokens"):
        generate(decoder, conditions(1), tokenizer, 1000, GREEDY, [1])
    with pytest.raises(ValueError, match="breaks the grammar at position 0"):
        generate(decoder, conditions(1), tokenizer, BUDGET, GREEDY, [1], prefix=np.array([9, 9]))
    with pytest.raises(ValueError, match="leaves nothing"):
        generate(decoder, conditions(1), tokenizer, 5, GREEDY, [1], prefix=np.full(5, 5))


def test_sampling_follows_the_distribution():
    logits = torch.tensor([2.0, -torch.inf, 1.0, 0.0, -3.0])
    config = SamplingConfig(generate_mode="sample", top_k=3, temperature=2.0)
    uniform = torch.linspace(0, 1, 10001)[:-1]
    drawn = sample(logits.expand(10000, -1), config, uniform).bincount(minlength=5) / 10000
    expected = (torch.tensor([2.0, -torch.inf, 1.0, 0.0, -torch.inf]) / 2).softmax(-1)
    assert torch.allclose(drawn, expected, atol=1e-3)


@pytest.mark.parametrize(("option", "value"), [("top_k", 0), ("temperature", 0.0)])
def test_bad_sampling_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"--{option} {value}"):
        SamplingConfig(**{option: value})
