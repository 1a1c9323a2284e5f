"""The generation engine against transformers' generate(), against the rate of memory, and its own memory.

    python benchmarks/generate.py [--quick] [--threads N]

1. A decoder of 4 layers, 256 wide, after 257 condition tokens: 1,000 ids each, in turns with transformers' `generate()`
   on the same weights (dynamic cache, batch 1, the grammar as a `prefix_allowed_tokens_fn`; generate_baseline.py).
   vs_generate_b1 and _b16 are this engine's tokens/s at batch 1 and in total at 16 over that, sampling; greedy ids are
   compared one by one. Weights and arithmetic are float32 in both; the engine keeps keys and values in float16. The
   weights are random, but EOS is never likely and BOM is as rare as in artists' meshes. _face: the faces/s of a face
   decoder of the same sizes and grid (512 bins), with 1,024 input points and meshes of the same 1,000 ids, over the
   faces/s of the same `generate()` run, both counted in the meshes. Its greedy groups are compared with the likeliest
   by one pass without a cache, and a batch of 16 with its singles (generate_face.py).
2. The full-size preset `ArAE`, random, in bfloat16, one sequence after its prefill: bandwidth_share is the least time
   in which memory could be read once (weights and cache of a step over the rate measured here) over the step's time;
   matmul_share the time of the step's matrix products alone, by torch's fastest kernels, over it.
3. The full-size preset loaded from a file and generating in a process of its own, whose resident peak is taken:
   peak_gb_1000 and peak_gb_4000 faces. The cache is filled up to the last faces without computing it (--whole computes
   all of it, which takes an hour), for memory does not depend on what is in it.

The last line is one JSON object.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import generate_baseline, generate_face, generate_full
from core import cli
from core.generation import Engine, Request
from core.generation.sampling import SamplingConfig
from core.model.decoder import DecoderConfig, MeshDecoder
from core.tokens import EOS, Tokenizer, TokenizerConfig

COND, WIDTH, LAYERS, HEADS = 257, 256, 4, 4
BATCH = 16
SAMPLE, GREEDY = SamplingConfig("sample"), SamplingConfig("greedy")
FACE_BUDGETS = (1000, 4000)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter sequences, one round, no full-size model")
    parser.add_argument("--whole", action="store_true", help="part 3 generates every face (an hour)")
    parser.add_argument("--threads", type=int, default=0, help="torch's threads (default: as the commands)")
    options = parser.parse_args()
    threads = cli.use_threads(options.threads)
    budget, rounds = (200, 1) if options.quick else (1000, 3)
    figures: dict[str, object] = {"name": "generate", "threads": threads}
    figures |= against_generate(budget, rounds)
    if not options.quick:
        figures |= generate_full.against_memory()
        figures |= {f"peak_gb_{faces}": peak(faces, threads, options.whole) for faces in FACE_BUDGETS}
    print(json.dumps(figures))
    return 0


# ---- 1 --------------------------------------------------------------------------------------------------------------


def small_decoder() -> tuple[MeshDecoder, Tokenizer]:
    """Random, from seed 0; it never ends by itself, and begins a sub-mesh about as often as artists' meshes do."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(TokenizerConfig())
    config = DecoderConfig(max_seq_length=4096, hidden_dim=WIDTH, num_layers=LAYERS, num_heads=HEADS)
    decoder = MeshDecoder(config, tokenizer.vocab_size, COND).eval().requires_grad_(False)
    # A norm's output has mean 0, so that a constant row of the head and a shift of the norm make a bias.
    decoder.model.layers[-1].final_layer_norm.bias.fill_(0.1)  # type: ignore[union-attr, operator]
    decoder.lm_head.weight[EOS] = -1.0
    decoder.lm_head.weight[tokenizer.grammar.class_names.index("BOM")] = -0.13
    return decoder, tokenizer


def against_generate(budget: int, rounds: int) -> dict[str, object]:
    """Part 1."""
    decoder, tokenizer = small_decoder()
    opt = generate_baseline.as_opt(decoder)
    conditions = torch.randn(BATCH, COND, WIDTH)

    def theirs(sampling: SamplingConfig) -> list[np.ndarray]:
        return [generate_baseline.generate(opt, conditions[0], tokenizer, sampling, budget)]

    def ours(sampling: SamplingConfig, size: int, cache: torch.dtype | None = torch.float16) -> Callable[[], list]:
        engine = Engine(decoder, tokenizer, sampling, size, cache_dtype=cache)
        asked = [Request(row, seed, budget, key=seed) for seed, row in enumerate(conditions[:size])]

        def run() -> list[np.ndarray]:
            made = {request.key: each.ids for request, each in engine.run(asked)}
            return [made[key] for key in range(size)]

        return run

    expected = theirs(GREEDY)[0]
    batches = {name: ours(GREEDY, BATCH, cache)() for name, cache in (("float16", torch.float16), ("float32", None))}
    asked = (Request(row, 0, budget, key=i) for i, row in enumerate(conditions))
    one_by_one = {request.key: each.ids for request, each in Engine(decoder, tokenizer, GREEDY).run(asked)}
    same = {
        "identical_greedy": all(same_beginning(made, expected) for made in (batches["float16"][0], one_by_one[0])),
        "batch_equals_singles": all(np.array_equal(batches["float32"][i], one_by_one[i]) for i in range(BATCH)),
        "batch_float16_equals_singles": all(np.array_equal(batches["float16"][i], one_by_one[i]) for i in range(BATCH)),
    }
    face_decoder = generate_face.small_decoder(tokenizer, WIDTH, LAYERS, HEADS)
    same |= generate_face.checks(face_decoder, tokenizer, conditions, budget)
    print(f"greedy ids: {same}", flush=True)

    def by_faces(size: int) -> Callable[[], list]:
        rows = conditions[:size]
        return generate_face.runner(face_decoder, tokenizer, rows, budget, SAMPLE, size, torch.float16)

    runs = {"theirs": lambda: theirs(SAMPLE), "b1": ours(SAMPLE, 1), "b16": ours(SAMPLE, BATCH)}
    runs |= {"face_b1": by_faces(1), "face_b16": by_faces(BATCH)}
    tokens: dict[str, list[float]] = {name: [] for name in runs}
    faces: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, function in runs.items():
            begun = time.perf_counter()
            made = function()
            seconds = time.perf_counter() - begun
            tokens[name].append(sum(map(len, made)) / seconds)
            faces[name].append(sum(len(tokenizer.decode(ids)[1]) for ids in made) / seconds)
        print(f"round {number + 1}: {summary(tokens)} tokens/s, {summary(faces)} faces/s", flush=True)
    return {
        "vs_generate_b1": ratio(tokens["b1"], tokens["theirs"]),
        "vs_generate_b16": ratio(tokens["b16"], tokens["theirs"]),
        "vs_generate_b1_face": ratio(faces["face_b1"], faces["theirs"]),
        "vs_generate_b16_face": ratio(faces["face_b16"], faces["theirs"]),
        "generate_tokens_per_s": statistics.median(tokens["theirs"]),
        "generate_faces_per_s": statistics.median(faces["theirs"]),
        "face_b1_faces_per_s": statistics.median(faces["face_b1"]),
        "face_b16_faces_per_s": statistics.median(faces["face_b16"]),
        **same,
    }


def same_beginning(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal as far as the shorter goes: a cut mesh keeps whole faces only, which `generate()` does not know."""
    size = min(len(a), len(b))
    return size > 0 and bool(np.array_equal(a[:size], b[:size]))


def summary(rates: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {values[-1]:.0f}" for name, values in rates.items())


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


# ---- 3 --------------------------------------------------------------------------------------------------------------


def peak(faces: int, threads: int, whole: bool) -> float:
    """Resident peak (10^9 bytes) of a process that loads the full-size preset and generates so many faces."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.safetensors"
        command = [sys.executable, "-m", "benchmarks.generate_full", str(weights), str(faces), str(threads)]
        root = Path(__file__).parents[1]
        subprocess.run([*command, "--write"], check=True, cwd=root)
        words = subprocess.run(
            [*command, *(["--whole"] if whole else [])], check=True, cwd=root, capture_output=True, text=True
        ).stdout
    said = json.loads(words.splitlines()[-1])
    print(f"{faces} faces: {said}", flush=True)
    return said["peak_gb"]


if __name__ == "__main__":
    sys.exit(cli.run(main))
