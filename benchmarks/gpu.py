"""Generation and training on a GPU: rates, shares of what the card can do, and whether results agree with the CPU's.

    python benchmarks/gpu.py [--quick] [--device cuda]

1. Agreement: the weights that ship generate in float32 on both devices (greedy groups of the first faces are compared),
   and on the GPU with steps recorded as graphs and without, and in a batch and alone (random token decoder, float32).
2. The full-size presets `ArAE` and `ArAE-face`, random, in bfloat16: ids and faces a second of 1 and of 16 sequences
   after their prefill. Faces are counted in what was written: a step of the face decoder that begins a sub-mesh writes
   no face yet. bandwidth_share: the time in which memory could be read once (weights and cache of a step over the rate
   measured here) over the step's time.
3. The weights that ship, bfloat16, plain sampling and the preset's guided one: faces a second of 1 and 64 meshes.
4. A training step (forward, backward, clipping, the preset's optimizers; bf16 autocast) of both full-size presets on a
   mesh of 3,840 faces, and of ArAE-tiny on 256 meshes: ids a second, share of the rate of matrix products (MFU), peak
   memory.

On a CPU it runs with --quick, to see that it works. The last line is one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.generate_shipped import faces_per_second
from benchmarks.machine import finish, seconds
from benchmarks.meshes import dataset_of
from benchmarks.models import SHAPES_SEED, SHIPPED, face_count, random_model, requests, runner, shipped, train_step
from core import cli
from core.config import PRESETS, Config
from core.data.batch import Batch, collate
from core.data.mesh import Mesh, normalize
from core.data.shapes import make_shape
from core.data.sources import PackedMeshes
from core.generation import Engine
from core.generation.sampling import SamplingConfig
from core.model.arae import ArAE
from core.tokens import PAD, Tokenizer
from core.training import estimate
from core.training.optim import build_optimizers
from core.training.steps import seed_all

FULL, FULL_FACE = "ArAE", "ArAE-face"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="the smallest presets in place of the full-size ones")
    options = parser.parse_args()
    device = torch.device(options.device)
    cli.use_threads(0)
    full, full_face = ("ArAE-nano", "ArAE-nano-face") if options.quick else (FULL, FULL_FACE)
    figures: dict[str, Any] = {"name": "gpu", "torch": torch.__version__}
    rate = memory_rate(device)
    figures["memory_gb_per_s"] = rate / 1e9
    parts: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("agreement", lambda: agreement(device)),
        ("generation_token", lambda: generation(full, device, rate, options.quick)),
        ("generation_face", lambda: generation(full_face, device, rate, options.quick)),
        ("generation_tiny", lambda: tiny_generation(device, options.quick)),
        ("training_token", lambda: training(full, device, options.quick)),
        ("training_face", lambda: training(full_face, device, options.quick)),
        ("training_tiny", lambda: training(SHIPPED, device, options.quick, 8 if options.quick else 256)),
    ]
    for name, part in parts:
        begun = time.perf_counter()
        figures[name] = part()
        print(f"{name} ({time.perf_counter() - begun:.0f} s): {json.dumps(figures[name])}", flush=True)
    return finish(figures, device)


def memory_rate(device: torch.device) -> float:
    """Bytes a second of reading a large buffer."""
    buffer = torch.ones(2**30 if device.type == "cuda" else 2**26, dtype=torch.float32, device=device)
    buffer.sum()
    return max(buffer.numel() * 4 / seconds(buffer.sum, device) for _ in range(5))


# ---- 1 --------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def agreement(device: torch.device) -> dict[str, Any]:
    torch.backends.cuda.matmul.allow_tf32 = False
    config = PRESETS[SHIPPED][1]
    greedy = SamplingConfig("greedy", refuse_faces=True)
    made = []
    for where in (torch.device("cpu"), device):
        model = shipped(where, torch.float32)
        made.append(
            runner(model.mesh_decoder, Tokenizer(config.tokenizer), requests(model, config, 4, 400), greedy, 4)()
        )
    out: dict[str, Any] = {"cpu_ids_equal_until": [first_difference(made[0][k], made[1][k]) for k in range(4)]}
    out["cpu_ids"] = [len(made[0][k]) for k in range(4)]
    nano = PRESETS["ArAE-nano"][1]
    model = random_model(nano, device, torch.float32)
    runs = {}
    for name, slots, graphs in (("batch", 8, True), ("singles", 1, True), ("no_graphs", 8, False)):
        engine = Engine(model.mesh_decoder, Tokenizer(nano.tokenizer), SamplingConfig("sample"), slots)
        if not graphs:
            engine.stepper.graphs.enabled = False  # type: ignore[attr-defined]
        runs[name] = {r.key: g.ids for r, g in engine.run(requests(model, nano, 8, 300))}
    for name in ("singles", "no_graphs"):
        out[f"batch_equals_{name}"] = sum(np.array_equal(runs["batch"][k], runs[name][k]) for k in range(8)) / 8
    return out


def first_difference(a: np.ndarray, b: np.ndarray) -> int:
    shared = min(len(a), len(b))
    different = np.flatnonzero(a[:shared] != b[:shared])
    return int(different[0]) if len(different) else shared


# ---- 2, 3 -----------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def generation(preset: str, device: torch.device, rate: float, quick: bool) -> dict[str, Any]:
    """Steps of 1 and 16 sequences side by side, after a prefill and after some more."""
    config = PRESETS[preset][1]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = random_model(config, device, dtype)
    tokenizer, out = Tokenizer(config.tokenizer), {}
    looks, begin = (2, 1) if quick else (8, 4)
    face = config.model.decoder.decoder == "face"
    for slots in (1, 16):
        engine = Engine(model.mesh_decoder, tokenizer, SamplingConfig("sample"), slots)
        stepper: Any = engine.stepper
        if face:
            looks, begin = (4, 2) if quick else (96, 16)
        for slot, request in enumerate(requests(model, config, slots, 400 if quick else 4000)):
            stepper.admit(slot, request)
        for _ in range(begin):
            stepper.step()
        before, faces = int(stepper.cache.host_lengths[0]), _faces(stepper, tokenizer)
        times = [seconds(stepper.step, device) for _ in range(looks)]
        steps = (int(stepper.cache.host_lengths[0]) - before) / looks
        step = statistics.median(times) / steps
        faces_a_step = (_faces(stepper, tokenizer) - faces) / (steps * looks)
        layers = config.model.decoder.num_layers
        weights = sum(p.numel() * p.element_size() for p in model.mesh_decoder.parameters())
        if not face:
            weights -= model.mesh_decoder.model.embed_positions.weight.nbytes  # type: ignore[union-attr]
        cached = 2 * layers * slots * before * config.model.decoder.hidden_dim * 2
        out[f"b{slots}"] = {
            "ms_a_step": round(1e3 * step, 3),
            ("groups_per_s" if face else "ids_per_s"): round(slots / step, 1),
            "faces_per_s": round(faces_a_step / step, 1),
            "positions": before,
            "bandwidth_share": round((weights + cached) / rate / step, 3),
        }
        if not face:
            out[f"b{slots}"]["graphs"] = sum(g is not None for g in stepper.graphs.graphs.values())
    return out


def _faces(stepper: Any, tokenizer: Tokenizer) -> int:
    """That all slots have written so far."""
    return face_count(tokenizer, [stepper.ids(slot) for slot in range(stepper.slots)])


def tiny_generation(device: torch.device, quick: bool) -> dict[str, Any]:
    """Faces a second of the weights that ship, meshes ended by themselves."""
    return faces_per_second(1, 4, 4, 100, device) if quick else faces_per_second(2, 64, 64, device=device)


# ---- 4 --------------------------------------------------------------------------------------------------------------


def training(preset: str, device: torch.device, quick: bool, count: int = 1) -> dict[str, Any]:
    config = PRESETS[preset][1]
    tokenizer, tiny = Tokenizer(config.tokenizer), count > 1
    if tiny:
        torch.manual_seed(0)
        model = ArAE(config.model, tokenizer.vocab_size).to(device)
    else:
        model = random_model(config, device, torch.float32)
    model.train()
    decoder: Any = model.mesh_decoder
    (decoder if config.model.decoder.decoder == "face" else decoder.model).checkpointing = not tiny
    optimizers = build_optimizers(model, config.train)
    batch = training_batch(config, count, quick).to(device)
    lengths = [int(n) - 1 for n in (batch.ids != PAD).sum(1)]

    def step() -> None:
        seed_all("step")
        train_step(model, batch, optimizers)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    step()
    spent = min(seconds(step, device) for _ in range(1 if quick else 4))
    flops = estimate.step_flops(config.model, tokenizer.vocab_size, lengths)
    peak = estimate.matmul_peak(device, "bf16")
    out = {
        "s_a_step": round(spent, 3),
        "faces": int(batch.num_faces.sum()),
        "faces_per_s": round(int(batch.num_faces.sum()) / spent, 1),
        "ids_per_s": round(sum(lengths) / spent, 1),
        "mfu": round(flops / spent / peak, 3),
    }
    if device.type == "cuda":
        out["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    return out


def training_batch(config: Config, count: int, quick: bool) -> Batch:
    """Procedural shapes; at full size one mesh that fills most of the face limit, of many of them side by side."""
    most = config.data.max_face_length
    if count == 1 and not quick:
        meshes = [tiled_spheres(3900)]
    else:
        meshes = [mesh for k in range(40 + 4 * count) if len((mesh := make_shape(SHAPES_SEED, k)[0]).faces) <= most]
    source = PackedMeshes([normalize(mesh)[0] for mesh in meshes], [str(k) for k in range(len(meshes))])
    dataset = dataset_of(source, config, train=False, max_face_length=max(most, 4000), testset_size=count)
    return collate([dataset[k] for k in range(min(count, len(dataset)))])


def tiled_spheres(faces: int) -> Mesh:
    """About so many faces: icospheres of 320 in a row of rows."""
    import trimesh

    ball = trimesh.creation.icosphere(2, 0.4)
    spheres = [ball.copy().apply_translation((k % 4, k // 4, 0)) for k in range(faces // len(ball.faces))]
    whole = trimesh.util.concatenate(spheres)
    return Mesh(np.asarray(whole.vertices, np.float32), np.asarray(whole.faces, np.int32))


if __name__ == "__main__":
    sys.exit(cli.run(main))
