"""The smallest preset with random weights: enough to see every path from points to files."""

import numpy as np
import pytest
import torch

from core.config import PRESETS, with_overrides
from core.data.mesh import Mesh, save
from core.inference.generator import MeshGenerator
from core.model.arae import ArAE
from core.tokens import Tokenizer

NANO = PRESETS["ArAE-nano"][1]
NO_FACES = np.zeros((0, 3), np.int32)


@pytest.fixture(autouse=True)
def one_thread():
    """Two torch threads on two busy cores stand in each other's way."""
    torch.set_num_threads(1)


def make_generator(**options) -> MeshGenerator:
    torch.manual_seed(0)
    config = with_overrides(NANO, **options)
    tokenizer = Tokenizer(config.tokenizer)
    return MeshGenerator(ArAE(config.model, tokenizer.vocab_size), tokenizer, torch.device("cpu"))


@pytest.fixture(scope="module")
def generator() -> MeshGenerator:
    return make_generator()


def clouds(count: int) -> np.ndarray:
    """(count, 256, 3) points in [-0.95, 0.95], all different."""
    return np.random.default_rng(7).uniform(-0.95, 0.95, (count, 256, 3)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Five point clouds, each in a place of its own."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for k, points in enumerate(clouds(5)):
        save(inputs / f"c{k}.ply", Mesh(points * (k + 1) + 10 * k, NO_FACES))
    return inputs
