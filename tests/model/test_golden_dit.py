"""The DiT against the reference's own numbers (tests/golden/model_golden.json; another record: MODEL_GOLDEN=path)."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from core.model.dit import DiT, DiTConfig

RECORD = Path(os.environ.get("MODEL_GOLDEN", Path(__file__).parents[1] / "golden" / "model_golden.json"))
TOLERANCE = 1e-4
CONDITION_TOKENS = 17


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(RECORD.read_text())


def build(golden: dict, residual: str) -> DiT:
    sizes = golden["dit"]["config"]
    config = DiTConfig(sizes["hidden_dim"], sizes["num_heads"], sizes["num_layers"], residual)
    model = DiT(config, sizes["latent_size"], sizes["latent_dim"])
    model.load_state_dict(fill(golden["dit"]["state"]), strict=True)
    return model.eval()


def fill(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Parameters by the record's fill rule (tests/golden/README.md)."""
    state = {}
    for name, shape in shapes.items():
        i = np.arange(int(np.prod(shape)), dtype=np.float64)
        base = 1.0 if ("norm" in name or ".ln" in name) and name.endswith("weight") else 0.0
        w = base + 0.06 * np.sin(0.7390851 * i + 1e-4 * i * i + zlib.crc32(name.encode()) % 1000)
        state[name] = torch.from_numpy(w.astype(np.float32)).reshape(shape)
    return state


@torch.no_grad()
def run(model: DiT, golden: dict) -> torch.Tensor:
    sizes = golden["dit"]["config"]
    i = torch.arange(2 * sizes["latent_size"] * sizes["latent_dim"], dtype=torch.float64)
    x = torch.sin(0.911 * i + golden["seed"]).float().reshape(2, sizes["latent_size"], sizes["latent_dim"])
    i = torch.arange(2 * CONDITION_TOKENS * sizes["hidden_dim"], dtype=torch.float64)
    condition = torch.cos(0.533 * i + golden["seed"]).float().reshape(2, CONDITION_TOKENS, sizes["hidden_dim"])
    return model(x, torch.tensor([10, 900]), condition)


def test_output(golden):
    out, expected = run(build(golden, "normed"), golden), golden["dit"]
    assert out.mean().item() == pytest.approx(expected["mean"], abs=TOLERANCE)
    assert out.std().item() == pytest.approx(expected["std"], abs=TOLERANCE)
    assert out[0, 0, :8].tolist() == pytest.approx(expected["first"], abs=TOLERANCE)
    assert out[1, -1, -8:].tolist() == pytest.approx(expected["last"], abs=TOLERANCE)


def test_the_papers_residual_is_another_function_of_the_same_parameters(golden):
    out = run(build(golden, "stream"), golden)
    assert out.isfinite().all()
    assert abs(out[0, 0, 0].item() - golden["dit"]["first"][0]) > 100 * TOLERANCE
