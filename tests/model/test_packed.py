"""Packed sequences against torch's attention on each sequence by itself."""

import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from core.model import packed
from core.model.decoder import DecoderConfig, MeshDecoder
from core.model.layers import merge_heads, split_heads

LENGTHS, HEADS, DIM = (5, 300, 128, 1, 129), 3, 24


def inputs(dtype=torch.float32):
    torch.manual_seed(0)
    return [(2 * torch.randn(sum(LENGTHS), DIM)).to(dtype).requires_grad_() for _ in range(3)]


def one_by_one(q, k, v):
    parts = [[split_heads(x[None], HEADS) for x in p] for p in zip(*(x.split(LENGTHS) for x in (q, k, v)), strict=True)]
    return torch.cat([merge_heads(F.scaled_dot_product_attention(*p, is_causal=True))[0] for p in parts])


def with_gradients(function, tensors):
    out = function(*tensors)
    weights = torch.linspace(-1, 1, out.numel()).view_as(out).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, tensors, weights)]


def by_head(tensors):
    return [x.unflatten(-1, (HEADS, -1)) for x in tensors]


def blocked(q, k, v):
    return packed.packed_attention(*by_head((q, k, v)), LENGTHS)


@pytest.mark.parametrize("kept", [packed.KEPT_PROBABILITIES, 0])
def test_blocked_attention_is_exact_in_float32(monkeypatch, kept):
    monkeypatch.setattr(packed, "KEPT_PROBABILITIES", kept)
    for ours, theirs in zip(with_gradients(blocked, inputs()), with_gradients(one_by_one, inputs()), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_blocked_attention_in_bf16_is_as_near_to_float32_as_torchs():
    exact = with_gradients(one_by_one, [x.detach().float().requires_grad_() for x in inputs(torch.bfloat16)])
    with torch.autocast("cpu", torch.bfloat16):  # no product of its own is cast
        ours = with_gradients(blocked, inputs(torch.bfloat16))
    theirs = with_gradients(one_by_one, inputs(torch.bfloat16))
    for a, b, c in zip(ours, theirs, exact, strict=True):
        assert a.dtype == torch.bfloat16
        assert (a - c).norm() < 1.3 * (b - c).norm() + 1e-3 * c.norm()


def test_padding_for_attention_alone():
    ours = with_gradients(lambda *x: packed._by_padding(*by_head(x), LENGTHS), inputs())
    for a, b in zip(ours, with_gradients(one_by_one, inputs()), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("module", "name", "causal"),
    [
        ("flash_attn", "flash_attn_varlen_func", {"causal": True}),
        ("torch.nn.attention.varlen", "varlen_attn", {"window_size": (-1, 0)}),
    ],
)
def test_the_kernels_without_padding_are_called_right(monkeypatch, module, name, causal):
    """They need a GPU; this stands in for them, by their documented arguments."""

    def varlen(q, k, v, starts_q, starts_k, longest_q, longest_k, **options):
        assert starts_q.dtype == starts_k.dtype == torch.int32
        assert longest_q == longest_k == max(LENGTHS)
        assert options == causal
        bounds = zip(starts_q[:-1].tolist(), starts_q[1:].tolist(), strict=True)
        rows = [[x[a:b].transpose(0, 1)[None] for x in (q, k, v)] for a, b in bounds]
        return torch.cat([F.scaled_dot_product_attention(*r, is_causal=True)[0].transpose(0, 1) for r in rows])

    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: varlen}))
    tensors = inputs()
    out = packed._without_padding(packed._varlen_kernel.__wrapped__(), *by_head(tensors), LENGTHS)
    assert torch.allclose(out, one_by_one(*tensors), atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_decoder_on_packed_sequences_is_the_decoder(checkpointing):
    torch.manual_seed(0)
    config = DecoderConfig(max_seq_length=40, hidden_dim=24, num_layers=2, num_heads=3, dropout=0.0)
    decoder, condition = MeshDecoder(config, 20, 4), torch.randn(3, 4, 24)
    ids, lengths = torch.randint(1, 20, (3, 30)), torch.tensor([30, 7, 19])
    is_real = torch.arange(30) < lengths[:, None]
    decoder.model.checkpointing = checkpointing
    states = decoder.forward_packed(condition, ids, is_real)
    whole = decoder(condition, ids)
    expected = torch.cat([row[: 4 + length] for row, length in zip(whole, lengths, strict=True)])
    assert torch.allclose(states, expected, atol=1e-5)
    names, parameters = zip(*decoder.model.named_parameters(), strict=True)
    ours, theirs = (torch.autograd.grad(x.square().sum(), parameters) for x in (states, expected))
    for name, a, b in zip(names, ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-3, rtol=1e-4), name


def test_a_sequence_beyond_the_positions():
    decoder = MeshDecoder(DecoderConfig(max_seq_length=9, hidden_dim=8, num_layers=1, num_heads=1), 20, 4)
    with pytest.raises(ValueError, match="--max_seq_length"):
        decoder.forward_packed(torch.zeros(1, 4, 8), torch.ones(1, 30, dtype=torch.long), torch.ones(1, 30) > 0)


def test_compiled_layers_are_the_layers(monkeypatch):
    """Through the compiler's front and autograd; what it makes for a device is left to that device."""
    config = DecoderConfig(max_seq_length=40, hidden_dim=24, num_layers=2, num_heads=3, dropout=0.0)
    decoder, condition = MeshDecoder(config, 20, 4), torch.randn(2, 4, 24)
    names = list(decoder.state_dict())
    batches = [(torch.randint(1, 20, (2, n)), torch.arange(n) < torch.tensor([[n], [n - 3]])) for n in (9, 14, 21)]
    before = [decoder.forward_packed(condition, *batch) for batch in batches]
    compiled, compile_function = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **more: compile_function(f, backend=note, **more))

    def note(graph, _inputs):
        compiled.append(graph)
        return graph.forward

    decoder.model.compile_layers()
    for batch, expected in zip(batches, before, strict=True):
        states = decoder.forward_packed(condition, *batch)
        assert torch.allclose(states, expected, atol=1e-5)
        states.square().sum().backward()
    assert 1 <= len(compiled) <= 2 * config.num_layers, "not anew for each batch"
    assert list(decoder.state_dict()) == names
