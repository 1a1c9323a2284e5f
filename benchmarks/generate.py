"""The generation engine against transformers' generate(), against the rate of memory, and its own memory.

    python benchmarks/generate.py [--quick] [--threads N] [--ids N] [--rounds N] [--parts 1 2 3 4]

1. A decoder of 4 layers, 256 wide, after 257 condition tokens: 1,000 ids each, in turns with transformers' `generate()`
   on the same weights (dynamic cache, the grammar as a `prefix_allowed_tokens_fn`, inference mode, the same threads;
   generate_baseline.py), at batch 1 and at batch 16: of one length, so that nothing is padded. Figures are named
   `{ours}_over_generate_{theirs}`, for example b16_over_generate_b1: tokens/s in total at batch 16 over those of
   `generate()` at batch 1, sampling. Each is a median over the rounds, by the clock and by processor time, with the
   least and the largest of the rounds. Weights and arithmetic are float32 in both. The engine keeps keys and values in
   float16; b16_float32 keeps them in float32, as `generate()` does. generate_b16_free is `generate()` without a
   grammar, so what a faster way of asking for it could reach at most. The weights are random, but EOS is never likely
   and BOM is as rare as in artists' meshes. face: the faces/s of a face decoder of the same sizes and grid (512 bins),
   with 1,024 input points and meshes of the same 1,000 ids, over the faces/s of `generate()`, both counted in the
   meshes. Greedy ids are compared with `generate()`'s one by one, the face decoder's greedy groups with the likeliest
   by one pass without a cache, and a batch of 16 with its singles (generate_face.py).
2. The full-size preset `ArAE`, random, in bfloat16, one sequence after its prefill: bandwidth_share is the least time
   in which memory could be read once (weights and cache of a step over the rate measured here) over the step's time;
   products_share the time of the step's linear layers and attention alone, by torch, over it.
3. The full-size preset loaded from a file and generating in a process of its own, whose resident peak is taken:
   peak_gb_1000 and peak_gb_4000 faces. The cache is filled with zeros up to the last faces (--whole computes all of it,
   which takes an hour): the same memory is written, whatever the numbers in it.
4. The weights that ship, ArAE-tiny: faces/s with the preset's own options and by plain sampling, one mesh and 16 side
   by side (generate_shipped.py).

The last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import generate_baseline, generate_face, generate_full, generate_shipped
from benchmarks.machine import finish, medians, rates, ratios, timed
from benchmarks.models import face_count, never_end, runner
from core import cli
from core.generation import Request
from core.generation.sampling import SamplingConfig
from core.model.decoder import DecoderConfig, MeshDecoder
from core.tokens import Tokenizer, TokenizerConfig

COND, WIDTH, LAYERS, HEADS = 257, 256, 4, 4
BATCH = 16
SAMPLE, GREEDY = SamplingConfig("sample"), SamplingConfig("greedy")
FACE_BUDGETS = (1000, 4000)
PARTS = (1, 2, 3, 4)
# What is printed of part 1: ours, theirs. Of face decoders the faces/s are compared, else the tokens/s.
PAIRS = (
    *(("b1", "generate_b1"), ("b16", "generate_b1"), ("b16", "generate_b16")),
    *(("b16_float32", "generate_b16"), ("b16", "generate_b16_free")),
    *(("face_b1", "generate_b1"), ("face_b16", "generate_b1"), ("face_b16", "generate_b16")),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", type=int, choices=PARTS, default=PARTS, help="(default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="short sequences, one round, a small model in parts 2 and 3"
    )
    parser.add_argument("--ids", type=int, default=0, help="of a sequence in part 1 (default: 1000)")
    parser.add_argument("--rounds", type=int, default=0, help="of parts 1 and 4 (default: 3)")
    parser.add_argument("--whole", action="store_true", help="part 3 generates every face (an hour)")
    parser.add_argument("--threads", type=int, default=0, help="torch's threads (default: as the commands)")
    options = parser.parse_args()
    threads = cli.use_threads(options.threads)
    quick, parts = options.quick, options.parts
    rounds = options.rounds or (1 if quick else 3)
    figures: dict[str, Any] = {"name": "generate", "threads": threads, "rounds": rounds}
    if 1 in parts:
        figures |= against_generate(options.ids or (20 if quick else 1000), rounds)
    if 2 in parts:
        figures |= generate_full.against_memory("ArAE-nano", 2**24) if quick else generate_full.against_memory()
    if 3 in parts:
        preset, budgets = ("ArAE-nano", (40,)) if quick else ("ArAE", FACE_BUDGETS)
        figures |= {f"peak_gb_{faces}": peak(preset, faces, threads, options.whole) for faces in budgets}
    if 4 in parts:
        figures |= generate_shipped.faces_per_second(rounds, *((2, 2, 40) if quick else ()))
    return finish(figures)


# ---- 1 --------------------------------------------------------------------------------------------------------------


def small_decoder() -> tuple[MeshDecoder, Tokenizer]:
    """Random, from seed 0; it never ends by itself, and begins a sub-mesh about as often as artists' meshes do."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(TokenizerConfig())
    config = DecoderConfig(max_seq_length=4096, hidden_dim=WIDTH, num_layers=LAYERS, num_heads=HEADS)
    decoder = MeshDecoder(config, tokenizer.vocab_size, COND).eval().requires_grad_(False)
    never_end(decoder)
    decoder.lm_head.weight[tokenizer.grammar.class_names.index("BOM")] = -0.13
    return decoder, tokenizer


def against_generate(budget: int, rounds: int) -> dict[str, Any]:
    """Part 1."""
    decoder, tokenizer = small_decoder()
    opt = generate_baseline.as_opt(decoder)
    conditions = torch.randn(BATCH, COND, WIDTH)

    def theirs(sampling: SamplingConfig, size: int, grammar: bool = True) -> list[np.ndarray]:
        return generate_baseline.generate(opt, conditions[:size], tokenizer, sampling, budget, grammar)

    def ours(sampling: SamplingConfig, size: int, cache: torch.dtype | None = torch.float16) -> Callable[[], list]:
        asked = [Request(row, seed, budget, key=seed) for seed, row in enumerate(conditions[:size])]
        return runner(decoder, tokenizer, asked, sampling, size, cache)

    face_decoder = generate_face.small_decoder(tokenizer, WIDTH, LAYERS, HEADS)

    def by_faces(size: int) -> Callable[[], list]:
        asked = generate_face.face_requests(conditions[:size], budget)
        return runner(face_decoder, tokenizer, asked, SAMPLE, size, torch.float16)

    expected = theirs(GREEDY, 1)[0]
    batches = {name: ours(GREEDY, BATCH, cache)() for name, cache in (("float16", torch.float16), ("float32", None))}
    asked = [Request(row, 0, budget, key=i) for i, row in enumerate(conditions)]
    one_by_one = runner(decoder, tokenizer, asked, GREEDY, 1)()
    same = {
        "identical_greedy": all(same_beginning(made, expected) for made in (batches["float16"][0], one_by_one[0])),
        "batch_equals_singles": all(np.array_equal(batches["float32"][i], one_by_one[i]) for i in range(BATCH)),
        "batch_float16_equals_singles": all(np.array_equal(batches["float16"][i], one_by_one[i]) for i in range(BATCH)),
    }
    same |= generate_face.checks(face_decoder, tokenizer, conditions, budget)
    print(f"greedy ids: {same}", flush=True)
    runs: dict[str, Callable[[], list]] = {
        "generate_b1": lambda: theirs(SAMPLE, 1),
        "generate_b16": lambda: theirs(SAMPLE, BATCH),
        "generate_b16_free": lambda: theirs(SAMPLE, BATCH, grammar=False),
        "b1": ours(SAMPLE, 1),
        "b16": ours(SAMPLE, BATCH),
        "b16_float32": ours(SAMPLE, BATCH, None),
        "face_b1": by_faces(1),
        "face_b16": by_faces(BATCH),
    }
    return in_turns(runs, tokenizer, rounds) | same


def in_turns(runs: dict[str, Callable[[], list]], tokenizer: Tokenizer, rounds: int) -> dict[str, Any]:
    """Rates of all runs, and the ratios of PAIRS."""
    tokens: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    faces: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, function in runs.items():
            made, spent = timed(function)
            tokens[name].append(rates(sum(map(len, made)), spent))
            # Without a grammar there are no faces to count.
            count = 0 if name.endswith("free") else face_count(tokenizer, made)
            faces[name].append(rates(count, spent))
        for what, each in (("tokens", tokens), ("faces", faces)):
            summary = ", ".join(f"{name} {values[-1][0]:,.0f}" for name, values in each.items())
            print(f"round {number + 1}, {what}/s: {summary}", flush=True)
    figures: dict[str, Any] = {}
    for name, other in PAIRS:
        measured = faces if name.startswith("face") else tokens
        figures |= ratios(f"{name}_over_{other}", measured[name], measured[other])
    for name in runs:
        figures |= medians(f"{name}_tokens_per_s", tokens[name])
        if not name.endswith("free"):
            figures |= medians(f"{name}_faces_per_s", faces[name])
    return figures


def same_beginning(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal as far as the shorter goes: a cut mesh keeps whole faces only, which `generate()` does not know."""
    size = min(len(a), len(b))
    return size > 0 and bool(np.array_equal(a[:size], b[:size]))


# ---- 3 --------------------------------------------------------------------------------------------------------------


def peak(preset: str, faces: int, threads: int, whole: bool) -> float:
    """Resident peak (10^9 bytes) of a process that loads the preset and generates so many faces."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.safetensors"
        command = [sys.executable, "-m", "benchmarks.generate_full", preset, str(weights), str(faces), str(threads)]
        root = Path(__file__).parents[1]
        subprocess.run([*command, "--write"], check=True, cwd=root)
        words = subprocess.run(
            [*command, *(["--whole"] if whole else [])], check=True, cwd=root, stdout=subprocess.PIPE, text=True
        ).stdout
    said = json.loads(words.splitlines()[-1])
    print(f"{preset}, {faces} faces, the cache {'computed' if whole else 'of zeros'}: {said}", flush=True)
    return said["peak_gb"]


if __name__ == "__main__":
    sys.exit(cli.run(main))
