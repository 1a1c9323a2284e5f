"""A random face decoder that benchmarks/generate.py measures, and whether what it generates is right."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.models import ENDLESS, runner
from core.generation import Request
from core.generation.sampling import SamplingConfig
from core.groups import StepConfig, batch_steps
from core.model.decoder import DecoderConfig
from core.model.face_decoder import FaceDecoder
from core.tokens import BOS, EOS, Tokenizer

POINTS = 1024


def small_decoder(tokenizer: Tokenizer, width: int, layers: int, heads: int) -> FaceDecoder:
    """Random, from seed 0; it never ends by itself, and 3 % of its groups begin a sub-mesh when drawn."""
    torch.manual_seed(0)
    config = DecoderConfig("face", max_seq_length=4096, hidden_dim=width, num_layers=layers, num_heads=heads)
    decoder = FaceDecoder(config, StepConfig(), tokenizer.config.discrete_bins).eval().requires_grad_(False)
    decoder.head.ops.bias.copy_(ENDLESS)
    return decoder


def surface_points(count: int) -> list[np.ndarray]:
    """Of `count` spheres, (POINTS, 3) each."""
    normals = np.random.default_rng(0).normal(size=(count, POINTS, 3))
    return list((0.9 * normals / np.linalg.norm(normals, axis=-1, keepdims=True)).astype(np.float32))


def face_requests(conditions: Tensor, budget: int) -> list[Request]:
    """One for each condition (B, S, C), with a sphere's points and seed k."""
    clouds = surface_points(len(conditions))
    return [Request(row, k, budget, points=clouds[k], key=k) for k, row in enumerate(conditions)]


def checks(decoder: FaceDecoder, tokenizer: Tokenizer, conditions: Tensor, budget: int) -> dict[str, bool]:
    """In float32: every group of greedy meshes is the likeliest by one pass without a cache; batches equal singles."""
    greedy, sampling = SamplingConfig("greedy"), SamplingConfig("sample")
    batch = len(conditions)

    def made(how: SamplingConfig, slots: int) -> list[np.ndarray]:
        return runner(decoder, tokenizer, face_requests(conditions, budget), how, slots)()

    meshes = {how.generate_mode: made(how, batch) for how in (greedy, sampling)}
    clouds = surface_points(batch)
    likeliest = all(
        is_likeliest(decoder, conditions[k], ids, clouds[k]) for k, ids in enumerate(meshes[greedy.generate_mode])
    )
    singles = [made(how, 1) for how in (greedy, sampling)]
    same = all(
        np.array_equal(a, b)
        for one_by_one, together in zip(singles, meshes.values(), strict=True)
        for a, b in zip(one_by_one, together, strict=True)
    )
    return {"face_greedy_is_likeliest": likeliest, "face_batch_equals_singles": same}


@torch.inference_mode()
def is_likeliest(decoder: FaceDecoder, condition: Tensor, ids: np.ndarray, cloud: np.ndarray) -> bool:
    """Whether the decoder would choose each group of a mesh after those before; its end is the budget's."""
    points = torch.from_numpy(cloud)[None]
    steps = batch_steps(torch.tensor([[BOS, *ids, EOS]]), points, decoder.steps, decoder.bins)
    predicted = decoder(condition[None], steps, points, predict=True).predicted
    return len(ids) > 0 and torch.equal(predicted[:-1], steps.groups[:-1])
