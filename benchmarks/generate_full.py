"""The full-size preset on the CPU: its step against memory and its matrix products, and its resident peak.

Parts 2 and 3 of benchmarks/generate.py. As a process of its own (part 3):

    python -m benchmarks.generate_full PRESET WEIGHTS FACES THREADS --write    # random weights, in bfloat16
    python -m benchmarks.generate_full PRESET WEIGHTS FACES THREADS [--whole]  # load, generate; the last line is JSON
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.machine import peak_bytes, seconds
from benchmarks.models import face_count, random_model
from core import cli
from core.config import PRESETS, Config
from core.generation import Engine, Request
from core.generation.sampling import SamplingConfig
from core.generation.token_stepper import TokenStepper
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.weights import build_loaded

CPU = torch.device("cpu")
STEPS = 20
LAST_FACES = 10  # that are generated when the others' place in the cache is only filled
TOKENS_PER_FACE = 4.4  # of artists' meshes: how long a cache the faces need


# ---- 2 --------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def against_memory(preset: str = "ArAE", buffer_bytes: int = 2**30) -> dict[str, Any]:
    """The step of one sequence after its prefill, against the rate of memory and of torch's products alone.

    Args:
        preset: of a token decoder.
        buffer_bytes: of what is read to know the rate of memory; no processor's cache may hold it.
    """
    config = PRESETS[preset][1]
    model, tokenizer = random_model(config, CPU, torch.bfloat16), Tokenizer(config.tokenizer)
    engine = Engine(model.mesh_decoder, tokenizer, SamplingConfig(), 1, take_weights=True)
    stepper = engine.stepper
    assert isinstance(stepper, TokenStepper)
    condition = torch.randn(config.model.num_cond_tokens, config.model.decoder.hidden_dim).bfloat16()
    request = Request(condition, 0, 4 * (STEPS + 10))
    stepper.check(request)
    stepper.admit(0, request)
    stepper.step()
    layers = stepper.decoder.model.layers
    linears: list[Any] = [stepper.decoder.lm_head]
    for layer in layers:
        linears += [layer.self_attn.qkv, layer.self_attn.out_proj, layer.fc1, layer.fc2]  # type: ignore[union-attr]
    weights = sum(linear.out_features * linear.in_features for linear in linears) * 2
    times: dict[str, list[float]] = {"step": [], "products": [], "rate": []}
    buffer = torch.ones(buffer_bytes // 4, dtype=torch.float32)
    for _ in range(STEPS // stepper.poll_interval):
        times["rate"].append(buffer_bytes / seconds(buffer.sum))
        times["step"].append(seconds(stepper.step) / stepper.poll_interval)
        times["products"].append(seconds(lambda: products(stepper, linears)))
    length = int(stepper.cache.host_lengths[0])
    cached = 2 * len(layers) * length * condition.shape[1] * 2
    step, rate = statistics.median(times["step"]), statistics.median(times["rate"])
    bound = (weights + cached) / rate
    print(
        f"{preset}, bf16, after {length} positions: {1e3 * step:.1f} ms a step; {(weights + cached) / 1e9:.2f} GB at "
        f"{rate / 1e9:.1f} GB/s take {1e3 * bound:.1f} ms, torch's products alone "
        f"{1e3 * statistics.median(times['products']):.1f} ms",
        flush=True,
    )
    of_memory = [(weights + cached) / r / s for r, s in zip(times["rate"], times["step"], strict=True)]
    of_products = [p / s for p, s in zip(times["products"], times["step"], strict=True)]
    return {
        "bandwidth_share": statistics.median(of_memory),
        "bandwidth_share_range": [min(of_memory), max(of_memory)],
        "products_share": statistics.median(of_products),
        "products_share_range": [min(of_products), max(of_products)],
        "full_size_ms_per_token": 1e3 * step,
    }


def products(stepper: TokenStepper, linears: list[Any]) -> None:
    """A step's products by torch and nothing else: its linear layers on every weight, as laid out for the step, and its
    attention (`scaled_dot_product_attention`) to the cache."""
    cache = stepper.cache
    inputs = {each.in_features: torch.ones(1, each.in_features, dtype=torch.bfloat16) for each in linears}
    length = int(cache.host_lengths[0]) + 1
    query = torch.ones(1, cache.heads, 1, cache.head_dim, dtype=torch.bfloat16)
    for linear in linears:
        linear(inputs[linear.in_features])
    for keys, values in zip(cache.keys, cache.values, strict=True):
        F.scaled_dot_product_attention(query, keys[None, :, :length], values[None, :, :length])


# ---- 3 --------------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("weights", type=Path)
    parser.add_argument("faces", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    cli.use_threads(options.threads)
    config = PRESETS[options.preset][1]
    if options.write:
        save_file(random_model(config, CPU, torch.bfloat16).state_dict(), options.weights)
        return 0
    print(json.dumps(generated(config, options.weights, options.faces, options.whole)))
    return 0


@torch.inference_mode()
def generated(config: Config, weights: Path, faces: int, whole: bool) -> dict[str, float]:
    """Load, encode a cloud of points, generate so many faces; the resident peak of it all."""
    tokenizer = Tokenizer(config.tokenizer)
    model = build_loaded(lambda: ArAE(config.model, tokenizer.vocab_size), weights, torch.bfloat16)
    assert isinstance(model, ArAE)
    points = torch.rand(1, config.model.point_encoder.point_num, 3).bfloat16() - 0.5
    condition = model.condition(model.encode(points), torch.tensor([faces]))[0]
    engine = Engine(model.mesh_decoder, tokenizer, SamplingConfig(), 1, take_weights=True)
    loaded = peak_bytes() / 1e9
    budget = int(TOKENS_PER_FACE * faces) + 10
    made = 0
    if whole:
        for _, each in engine.run([Request(condition, 0, 2 * budget, max_faces=faces)]):
            made = face_count(tokenizer, [each.ids])
    else:
        made = last_faces(engine, condition, budget)
    return {"peak_gb": peak_bytes() / 1e9, "loaded_gb": loaded, "generated": made}


def last_faces(engine: Engine, condition: Tensor, budget: int) -> int:
    """Prefill the condition, fill the cache but for the last faces, generate those."""
    stepper = engine.stepper
    assert isinstance(stepper, TokenStepper)
    stepper.admit(0, Request(condition, 0, budget))
    count = budget - int(TOKENS_PER_FACE * LAST_FACES) - len(condition) % 2
    start = int(stepper.cache.host_lengths[0])
    for buffer in (*stepper.cache.keys, *stepper.cache.values):
        buffer[:, start : start + count] = 0
    stepper.cache.filled(0, count)
    stepper.written[0] = stepper.host_written[0] = count
    before = face_count(engine.tokenizer, [stepper.ids(0)[count:]])
    while not stepper.step():
        pass
    return face_count(engine.tokenizer, [stepper.ids(0)[count:]]) - before


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
