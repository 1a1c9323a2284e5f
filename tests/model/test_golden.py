"""The model against the reference's own numbers (tests/golden/model_golden.json; another record: MODEL_GOLDEN=path)."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.config import PRESETS, with_overrides
from core.generation import SamplingConfig, generate
from core.model.arae import ArAE
from core.tokens import BOS, EOS, Tokenizer

RECORD = Path(os.environ.get("MODEL_GOLDEN", Path(__file__).parents[1] / "golden" / "model_golden.json"))
TOLERANCE = 1e-4
CONSTANTS = "basis"  # buffers of this ending are computed here, not stored


def fill(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Parameters by the record's fill rule (tests/golden/README.md)."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith(CONSTANTS):
            continue
        i = np.arange(int(np.prod(shape)), dtype=np.float64)
        base = 1.0 if ("norm" in name or ".ln" in name) and name.endswith("weight") else 0.0
        w = base + 0.06 * np.sin(0.7390851 * i + 1e-4 * i * i + zlib.crc32(name.encode()) % 1000)
        state[name] = torch.from_numpy(w.astype(np.float32)).reshape(shape)
    return state


def load_filled(model: nn.Module, shapes: dict[str, list[int]]) -> None:
    """Fill the model by the rule; strict, so the names and shapes must be exactly the record's."""
    model.load_state_dict(fill(shapes), strict=True)
    model.eval()


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(RECORD.read_text())


@pytest.fixture(scope="module")
def config(golden):
    return with_overrides(PRESETS["ArAE"][1], **golden["config"])


@pytest.fixture(scope="module")
def tokenizer(config) -> Tokenizer:
    return Tokenizer(config.tokenizer)


@pytest.fixture(scope="module")
def model(config, tokenizer, golden) -> ArAE:
    model = ArAE(config.model, tokenizer.vocab_size)
    load_filled(model, golden["state"])
    return model


@pytest.fixture(scope="module")
def inputs(golden, config):
    count, vocab, seed = golden["T"], golden["vocab"], golden["seed"]
    i = torch.arange(2 * config.model.point_encoder.point_num * 3, dtype=torch.float64)
    points = (0.9 * torch.sin(12.9898 * i + seed)).float().reshape(2, -1, 3)
    tokens = ((torch.arange(2 * count) * 7919 + 31 * seed) % (vocab - 3) + 3).reshape(2, count)
    ids = torch.cat([torch.full((2, 1), BOS), tokens, torch.full((2, 1), EOS)], dim=1)
    return {"ids": ids, "num_faces": torch.tensor([700, 1500]), "points": points}


def test_vocabulary(tokenizer, golden):
    assert tokenizer.vocab_size == golden["vocab"]


@torch.no_grad()
def test_latent(model, inputs, golden):
    latent, expected = model.encode(points=inputs["points"]), golden["latent"]
    assert latent.mean().item() == pytest.approx(expected["mean"], abs=TOLERANCE)
    assert latent.std().item() == pytest.approx(expected["std"], abs=TOLERANCE)
    assert latent[0, 0, :8].tolist() == pytest.approx(expected["first"], abs=TOLERANCE)
    assert latent[1, -1, -8:].tolist() == pytest.approx(expected["last"], abs=TOLERANCE)


@torch.no_grad()
def test_losses(model, inputs, golden):
    output = model(**inputs)
    assert output.loss_ce.item() == pytest.approx(golden["loss_ce"], abs=TOLERANCE)
    assert output.loss_kl.item() == pytest.approx(golden["loss_kl"], abs=TOLERANCE)
    weight = model.config.point_encoder.kl_weight
    assert output.loss.item() == pytest.approx(golden["loss_ce"] + weight * golden["loss_kl"], abs=TOLERANCE)
    assert output.labels.tolist() == inputs["ids"][:, 1:].flatten().tolist()


@torch.no_grad()
def test_logits(model, inputs, golden):
    encoded = model.encode(points=inputs["points"])
    hidden = model.mesh_decoder(model.condition(encoded, inputs["num_faces"]), inputs["ids"])
    logits, expected = model.mesh_decoder.lm_head(hidden), golden["logits"]
    assert logits.mean().item() == pytest.approx(expected["mean"], abs=TOLERANCE)
    assert logits.std().item() == pytest.approx(expected["std"], abs=TOLERANCE)
    assert logits[0, model.config.num_cond_tokens, :8].tolist() == pytest.approx(expected["row_bos"], abs=TOLERANCE)
    assert logits[1, -1, -8:].tolist() == pytest.approx(expected["row_last"], abs=TOLERANCE)


@torch.no_grad()
def test_greedy_generation(model, tokenizer, inputs, golden):
    encoded = model.encode(points=inputs["points"][:1])
    condition = model.condition(encoded, torch.tensor([700]))
    greedy = SamplingConfig(generate_mode="greedy")
    # A mesh that its budget cuts keeps its whole faces only: a few tokens more than the record has are asked for.
    (made,) = generate(model.mesh_decoder, condition, tokenizer, 88, greedy, seeds=[0])
    expected = golden["greedy"]
    if EOS in expected:
        assert made.ids.tolist() == expected[: expected.index(EOS)]
        assert made.finished
    else:
        assert made.ids[: len(expected)].tolist() == expected
