"""Layouts of weights: modules that compute what the Linear layers did, swapped into a copy or in place."""

import pytest
import torch
from torch import nn

from core.generation.linear import BlockedLinear, FusedSelfAttention, PackedLinear, lay_out
from core.model.layers import causal_attention
from tests.generation import small, test_face_decoder


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 5])
def test_layouts_compute_the_same_product(rows, bias):
    torch.manual_seed(0)
    linear, other = nn.Linear(48, 37, bias=bias), nn.Linear(48, 20, bias=bias)
    x = torch.randn(rows, 48)
    with torch.no_grad():
        torch.testing.assert_close(BlockedLinear(linear)(x), linear(x))
        torch.testing.assert_close(BlockedLinear(linear, other)(x), torch.cat([linear(x), other(x)], dim=1))
        torch.testing.assert_close(PackedLinear(linear)(x), linear(x))


def test_fused_attention_is_the_same():
    attention = small.make()[0].model.layers[0].self_attn
    x = torch.randn(2, 7, small.DIM)
    with torch.no_grad():
        torch.testing.assert_close(
            FusedSelfAttention(attention)(x, causal_attention), attention(x, causal_attention), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("kind", ["token", "face"])
def test_a_copy_leaves_the_decoder_as_it_is_and_shares_its_other_weights(kind, blocked):
    decoder = small.make()[0] if kind == "token" else test_face_decoder.make()
    before = {name: tensor.data_ptr() for name, tensor in decoder.state_dict().items()}
    laid_out = lay_out(decoder, slots=4, blocked=blocked)
    assert {name: tensor.data_ptr() for name, tensor in decoder.state_dict().items()} == before
    assert laid_out is not decoder
    layer = (laid_out.model if kind == "token" else laid_out).layers[0]
    assert isinstance(layer.fc1, BlockedLinear if blocked else PackedLinear)
    shared = {name for name, tensor in laid_out.state_dict().items() if before.get(name) == tensor.data_ptr()}
    assert any("norm" in name for name in shared)
    assert not any(name.endswith("layers.0.fc1.weight") for name in shared)


@pytest.mark.parametrize("kind", ["token", "face"])
def test_in_place_the_decoder_gives_its_weights_once(kind):
    decoder = small.make()[0] if kind == "token" else test_face_decoder.make()
    assert lay_out(decoder, slots=4, blocked=True, in_place=True) is decoder
    assert not any(name.endswith("layers.0.fc1.weight") for name in decoder.state_dict())
    assert lay_out(decoder, slots=4, blocked=False) is decoder  # it is laid out already
