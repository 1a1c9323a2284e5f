"""Optimizer groups and the schedule."""

import pytest
import torch
from torch import nn

from core.training.optim import build_optimizer, learning_rate


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


@pytest.mark.parametrize(
    ("position", "warmup", "rate"),
    [(0.05, 0.1, 0.5), (0.1, 0.1, 1.0), (0.55, 0.1, 0.55), (1.0, 0.1, 0.1), (0.0, 0.0, 1.0), (1.5, 0.0, 0.1)],
)
def test_learning_rate(position, warmup, rate):
    assert learning_rate(position, 2.0, warmup) == pytest.approx(2 * rate)
