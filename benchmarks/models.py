"""Models that benchmarks time: with random weights, or with those that ship; requests to them, and a training step."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from core.config import PRESETS, Config
from core.data.batch import Batch
from core.data.mesh import normalize, sample_surface
from core.data.shapes import make_shape
from core.generation import Engine, Request
from core.generation.sampling import SamplingConfig
from core.model.arae import ArAE
from core.model.face_decoder import FaceDecoder
from core.tokens import EOS, Tokenizer
from core.training.optim import step_optimizers
from core.training.weights import load_weights

SHIPPED = "ArAE-tiny"
SHIPPED_WEIGHTS = Path(__file__).parents[1] / "pretrained/ArAE-tiny/model.safetensors"
SHAPES_SEED = 99
ENDLESS = torch.tensor([0.0, 0.0, -2.8, -100.0])  # biases of L, R, BOM and END: 3 % of drawn groups begin a sub-mesh


def random_model(config: Config, device: torch.device, dtype: torch.dtype) -> ArAE:
    """Every matrix random, made on the device and in its type; it never ends a mesh by itself."""
    with torch.device("meta"):
        model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size)
    model = model.to(dtype).to_empty(device=device).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or ".ln" in name or name.endswith("bias"):
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                parameter.normal_(std=0.02)
        if isinstance(model.mesh_decoder, FaceDecoder):
            model.mesh_decoder.head.ops.bias.copy_(ENDLESS)
        else:
            never_end(model.mesh_decoder)
    return model


def never_end(decoder: Any) -> None:
    """Make EOS of a token decoder the least likely: a norm's output has mean 0, so that a constant row of the head and
    a shift of the norm make a bias."""
    decoder.model.layers[-1].final_layer_norm.bias.fill_(0.1)
    decoder.lm_head.weight[EOS] = -1.0


def shipped(device: torch.device, dtype: torch.dtype) -> ArAE:
    """ArAE-tiny with the weights of this repository."""
    config = PRESETS[SHIPPED][1]
    model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size)
    load_weights(model, SHIPPED_WEIGHTS, strict=True)
    return model.to(device, dtype).eval()


def clouds(config: Config, count: int) -> list[np.ndarray]:
    """(N, 3) points of `count` procedural shapes."""
    points = config.model.point_encoder.point_num
    meshes = [normalize(make_shape(SHAPES_SEED, k)[0])[0] for k in range(count)]
    return [sample_surface(mesh, points, np.random.default_rng(k)).astype(np.float32) for k, mesh in enumerate(meshes)]


@torch.inference_mode()
def requests(model: ArAE, config: Config, count: int, budget: int, seed: int = 0) -> list[Request]:
    """Request k for a mesh of `clouds(...)[k]`, with this budget of ids and seed `seed + k`."""
    weight = next(model.parameters())
    made = []
    for k, points in enumerate(clouds(config, count)):
        given = torch.as_tensor(points, device=weight.device)[None].to(weight.dtype)
        faces = torch.tensor([min(config.data.max_face_length, 4000)], device=weight.device)
        condition = model.condition(model.encode(given), faces)[0]
        made.append(Request(condition, seed + k, budget, points=points, key=k))
    return made


def runner(
    decoder: Any,
    tokenizer: Tokenizer,
    asked: Sequence[Request],
    sampling: SamplingConfig,
    slots: int,
    cache: torch.dtype | None = None,
) -> Callable[[], list[np.ndarray]]:
    """Generates all that is asked for, `slots` at a time, and returns the ids of each in order of the requests."""
    engine = Engine(decoder, tokenizer, sampling, slots, cache_dtype=cache)

    def run() -> list[np.ndarray]:
        made = {request.key: each.ids for request, each in engine.run(asked)}
        return [made[request.key] for request in asked]

    return run


def face_count(tokenizer: Tokenizer, sequences: Sequence[np.ndarray]) -> int:
    """Faces of all these ids together."""
    return sum(len(tokenizer.decode(ids)[1]) for ids in sequences)


# ---- training -------------------------------------------------------------------------------------------------------


def own_loss(model: ArAE, batch: Batch) -> Tensor:
    """The model's loss, on packed sequences."""
    return model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps).loss


def train_step(
    model: ArAE,
    batch: Batch,
    optimizers: Sequence[tuple[Optimizer, float]],
    position: float = 0.5,
    warmup_ratio: float = 0.02,
    loss_of: Callable[[ArAE, Batch], Tensor] = own_loss,
) -> float:
    """A step as the trainer makes it: bf16 autocast, clipped gradients, the rate of this position in the run.

    Args:
        optimizers: of `core.training.optim.build_optimizers`.

    Returns:
        The loss.
    """
    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
        loss = loss_of(model, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    step_optimizers(optimizers, max(position, 1e-4), warmup_ratio)
    return loss.item()
