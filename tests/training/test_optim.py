"""Optimizer groups and the schedule."""

import pytest
import torch
from torch import nn

from core.training.optim import build_optimizer, build_optimizers, learning_rate
from core.training.options import TrainConfig


def test_matrices_decay_and_vectors_do_not():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Embedding(5, 4))
    optimizer = build_optimizer(model, 1e-3, 0.5)
    assert optimizer.defaults["betas"] == (0.9, 0.95)
    matrices, vectors = optimizer.param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.5, 0.0)
    assert [p.ndim for p in matrices["params"]] == [2, 2]
    assert [p.ndim for p in vectors["params"]] == [1, 1, 1]


def test_frozen_parameters_are_left_out():
    model = nn.Linear(3, 4)
    model.weight.requires_grad_(False)
    assert [p.shape for g in build_optimizer(model, 1e-3, 0.1).param_groups for p in g["params"]] == [torch.Size([4])]
    model.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        build_optimizer(model, 1e-3, 0.1)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(2, 3)
        self.mesh_decoder = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 6), nn.LayerNorm(6))


def test_muon_has_the_decoders_matrices_and_adamw_the_rest():
    model = Model()
    (muon, muon_rate), (adamw, rate) = build_optimizers(model, TrainConfig(optimizer="muon", lr=1e-3, muon_lr=0.03))
    assert (type(muon).__name__, muon_rate, type(adamw).__name__, rate) == ("Muon", 0.03, "AdamW", 1e-3)
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [(6, 4)]
    theirs = {id(p) for optimizer in (muon, adamw) for g in optimizer.param_groups for p in g["params"]}
    assert theirs == {id(p) for p in model.parameters()}
    model.mesh_decoder.requires_grad_(False)
    with pytest.raises(ValueError, match="muon: every matrix of the decoder is frozen"):
        build_optimizers(model, TrainConfig(optimizer="muon"))
    with pytest.raises(ValueError, match="for the decoder of an ArAE"):
        build_optimizers(nn.Linear(3, 4), TrainConfig(optimizer="muon"))
    with pytest.raises(ValueError, match="--muon_lr 0: a positive number"):
        TrainConfig(muon_lr=0)


@pytest.mark.parametrize(
    ("position", "warmup", "rate"),
    [(0.05, 0.1, 0.5), (0.1, 0.1, 1.0), (0.55, 0.1, 0.55), (1.0, 0.1, 0.1), (0.0, 0.0, 1.0), (1.5, 0.0, 0.1)],
)
def test_learning_rate(position, warmup, rate):
    assert learning_rate(position, 2.0, warmup) == pytest.approx(2 * rate)
