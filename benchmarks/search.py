"""The search over the face decoder: rows that change one thing in ArAE-tiny, trained for the same time each.

    python benchmarks/search.py [--rows NAME ...] [--seeds 0 1 2] [--seconds 150] [--device cpu|cuda]

Trained on the meshes of at most 160 faces of `../shared/data`'s split `train`, less some whole packs on which nats a
face are taken at the end (benchmarks/decoders_data.py). Samples are made beforehand, --samples of each kind of data,
and lie on the device: a row's time is the model's alone. The learning rate follows the time. --lanes rows run at a
time, a process of one thread each; a row that is faster sees more faces. `--rows` takes names, or the beginnings of
names; `--list` prints them. Nothing here looks at `test_pack`.

Prints a line of JSON for each row and seed as it ends, and a table of all. The last line is one JSON object: each row's
nats a face, the mean of its seeds and their spread, and over the first row's.
"""

import argparse
import contextlib
import copy
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import search_variants as v
from benchmarks.decoders_data import batches_of, make_dataset, nats_per_face
from benchmarks.machine import finish
from benchmarks.models import train_step
from core import cli
from core.config import PRESETS, Config, with_overrides
from core.data.batch import Batch, BatchSampler, make_loader
from core.data.sources import cpu_count
from core.groups import map_steps
from core.model.arae import ArAE
from core.tokens import PAD, Tokenizer
from core.training.optim import build_optimizers
from core.training.steps import seed_all

BATCH = {"cpu": 8, "cuda": 64}
LR = {"cpu": 1.5e-3, "cuda": 2e-3}
WARM_UP_SECONDS = 3  # of a lane, thrown away


@dataclass(frozen=True)
class Row:
    options: dict[str, Any] = field(default_factory=dict)  # of the preset
    variant: v.Variant = contextlib.nullcontext
    batch: float = 1  # times the device's usual one
    lr: float = 1  # likewise


def muon(lr: float) -> dict[str, Any]:
    return {"optimizer": "muon", "muon_lr": lr}


def latents(count: int) -> dict[str, int]:
    return {"point_latent_size": count, "num_cond_tokens": count + 1}


ROWS = {
    "base": Row(),
    "lr: half": Row(lr=0.5),
    "lr: double": Row(lr=2),
    "batch: half": Row(batch=0.5),
    "batch: double": Row(batch=2),
    "batch: double, lr: 1.4": Row(batch=2, lr=1.4),
    "optimizer: Muon 0.005": Row(muon(0.005)),
    "optimizer: Muon 0.02": Row(muon(0.02)),
    "optimizer: no weight decay": Row({"weight_decay": 0.0}),
    "positions: learned": Row(variant=v.learned_positions),
    "positions: none": Row(variant=v.no_positions),
    "norm: LayerNorm": Row(variant=v.layer_norm),
    "norm: post": Row(variant=v.post_norm),
    "norm: queries and keys as they are": Row(variant=v.no_qk_norm),
    "MLP: GEGLU": Row(variant=v.geglu),
    "MLP: GELU": Row(variant=v.gelu),
    "MLP: squared ReLU": Row(variant=v.squared_relu),
    "size: 3 layers of 320": Row({"num_layers": 3, "hidden_dim": 320}),
    "size: 8 layers of 192": Row({"num_layers": 8, "hidden_dim": 192}),
    "size: 4 layers": Row({"num_layers": 4}),
    "size: 8 layers": Row({"num_layers": 8}),
    "size: 8 heads": Row({"num_heads": 8}),
    "condition: cross-attention": Row(variant=v.cross_attention),
    "condition: 16 latents": Row(latents(16)),
    "condition: 64 latents": Row(latents(64)),
    "input: no places": Row(variant=v.no_places),
    "input: no offsets": Row(variant=v.no_offsets),
    "input: offsets from the edge's middle": Row(variant=v.from_midpoint),
    "input: offsets in the gate's own frame": Row(variant=v.own_frame),
    "input: tables of coordinates": Row(variant=v.table_input),
    "head: 256 wide": Row({"head_dim": 256}),
    "head: 1024 wide": Row({"head_dim": 1024}),
    "head: 256 wide, tied": Row({"head_dim": 256}, v.tied),
    "head: causal transformer": Row(variant=v.causal_head),
    "head: Fourier values": Row(variant=v.fourier_values),
    "head: order x, y, z": Row(variant=v.order(0, 1, 2)),
    "head: order y, x, z": Row(variant=v.order(1, 0, 2)),
    "head: order z, y, x": Row(variant=v.order(2, 1, 0)),
    "head: no maps": Row(variant=v.no_maps),
    "head: no copies": Row(variant=v.no_copies),
    "head: no pointer": Row(variant=v.no_pointer),
    "head: no references": Row(variant=v.no_references),
    # These need data of their own.
    "points: 8 near": Row({"near_points": 8}),
    "points: 32 near": Row({"near_points": 32}),
    "points: no spread": Row({"spread_points": 0}),
    "points: none near, none spread": Row({"near_points": 0, "spread_points": 0}),
    "points: 512": Row({"point_num": 512}),
    "points: 2048": Row({"point_num": 2048}),
    "data: no mirroring": Row({"use_mirror_aug": False}),
    "data: no stretching": Row({"use_stretch_aug": False}),
    "data: no damage": Row({"use_damage_aug": False}),
    "data: no dense meshes": Row({"use_dense_meshes": False}),
    "data: quarter turns and scales alone": Row(
        {"use_mirror_aug": False, "use_stretch_aug": False, "use_damage_aug": False, "use_dense_meshes": False}
    ),
    "bins: 64": Row({"discrete_bins": 64}),
    "bins: 256": Row({"discrete_bins": 256}),
    # What won, together.
    "Muon: 0.01": Row(muon(0.01)),
    "Muon: 0.02": Row(muon(0.02)),
    "Muon: 0.04": Row(muon(0.04)),
    "Muon: 0.02, batch: half": Row(muon(0.02), batch=0.5),
    "Muon: 0.02, size: 4 layers": Row(muon(0.02) | {"num_layers": 4}),
    "Muon: 0.02, size: 8 layers": Row(muon(0.02) | {"num_layers": 8}),
    "Muon: 0.02, norm: post": Row(muon(0.02), v.post_norm),
    "Muon: 0.02, head: 256 wide, tied": Row(muon(0.02) | {"head_dim": 256}, v.tied),
    "Muon: 0.02, head: Fourier values": Row(muon(0.02), v.fourier_values),
    "Muon: 0.02, points: no spread": Row(muon(0.02) | {"spread_points": 0}),
    "Muon: 0.02, points: 2048": Row(muon(0.02) | {"point_num": 2048}),
}


def config_of(row: Row, device: str) -> Config:
    """ArAE-tiny by AdamW, then the row. Points are never withheld: the steps of others are made on the host."""
    base = with_overrides(PRESETS["ArAE-tiny"][1], use_dense_meshes=True, points_dropout=0.0, optimizer="adamw")
    made = with_overrides(base, **row.options)
    train = replace(made.train, lr=LR[device] * row.lr, batch_size=int(BATCH[device] * row.batch))
    return replace(made, train=train)


# ---- data -----------------------------------------------------------------------------------------------------------


def data_key(config: Config) -> str:
    """Configs with the same one train on the same samples."""
    facts = (config.data, config.tokenizer, config.model.point_encoder.point_num, config.model.steps)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def prepare(config: Config, samples: int, piece: int, to: Path, limit: int) -> None:
    """Write the training pieces and the held-out ones, batches of `piece` samples, of `limit` meshes (0: all)."""
    dataset, held_out = (make_dataset(config, split, limit=limit) for split in ("train", "held_out"))
    sampler = BatchSampler(dataset, piece, sort_by_length=True)
    loader = make_loader(dataset, sampler, num_workers=cpu_count())
    pieces: list[Batch] = []
    for epoch in range(10**6):
        sampler.set_epoch(epoch)
        pieces += map(copy.deepcopy, loader)  # else each tensor holds a file of the worker's shared memory open
        if len(pieces) * piece >= samples:
            break
    torch.save((pieces[: samples // piece], batches_of(held_out, range(len(held_out)))), to)


def merged(pieces: Sequence[Batch]) -> Batch:
    """Pieces as one batch."""
    if len(pieces) == 1:
        return pieces[0]
    longest = max(piece.ids.shape[1] for piece in pieces)
    ids = torch.cat([F.pad(piece.ids, (0, longest - piece.ids.shape[1]), value=PAD) for piece in pieces])
    steps = map_steps(lambda *parts: torch.cat(parts), *(piece.steps for piece in pieces))
    counts, points = (torch.cat([getattr(p, name) for p in pieces]) for name in ("num_faces", "points"))
    return Batch(ids, counts, points, steps=steps)


# ---- a row ----------------------------------------------------------------------------------------------------------


def train(row: Row, pieces: list[Batch], held_out: list[Batch], seconds: float, seed: int, device: str) -> dict:
    config = config_of(row, device)
    seed_all(seed, "weights")
    with row.variant():
        model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).to(device).train()
        optimizers = build_optimizers(model, config.train)
        each = config.train.batch_size // len(pieces[0])
        rng, order = np.random.default_rng(seed), np.zeros(0, int)
        faces = steps = 0
        begun = time.perf_counter()
        while (spent := time.perf_counter() - begun) < seconds:
            if len(order) < each:  # neighbours are of about the same length
                order = rng.permutation(len(pieces) // each).repeat(each) * each + np.tile(
                    np.arange(each), len(pieces) // each
                )
            batch, order = merged([pieces[k] for k in order[:each]]), order[each:]
            seed_all(seed, "step", steps)
            train_step(model, batch, optimizers, spent / seconds, config.train.warmup_ratio)
            faces, steps = faces + batch.num_faces.sum(), steps + 1
        nats = nats_per_face(model, held_out)
    parameters = sum(p.numel() for p in model.mesh_decoder.parameters())
    return {"nats": nats, "faces": int(faces), "steps": steps, "parameters": parameters}


def lane(jobs: Any, results: Any, seconds: float, device: str) -> None:
    """Train the rows of the queue; the data of the latest stays on the device."""
    torch.set_num_threads(1)
    held: tuple[Path, list[Batch], list[Batch]] | None = None
    while (job := jobs.get()) is not None:
        name, seed, place = job
        try:
            if held is None or held[0] != place:
                loaded = torch.load(place, weights_only=False)
                first = held is None
                held = (place, *([batch.to(device) for batch in batches] for batches in loaded))
                if first:
                    train(ROWS["base"], held[1], held[2], WARM_UP_SECONDS, seed, device)
            results.put({"row": name, "seed": seed, **train(ROWS[name], held[1], held[2], seconds, seed, device)})
        except Exception as error:  # a row's; the others go on
            results.put({"row": name, "seed": seed, "error": f"{type(error).__name__}: {error}"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=[""], metavar="NAME", help="or beginnings of names (default: all)")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0], help="of weights and order (default: 0)")
    parser.add_argument("--seconds", type=float, default=150, help="of training a row (default: 150)")
    parser.add_argument("--samples", type=int, default=24000, help="made of each kind of data (default: 24000)")
    parser.add_argument("--meshes", type=int, default=0, help="of each split that are used (default: all)")
    parser.add_argument("--lanes", type=int, default=1, help="rows at a time (default: 1)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=BATCH)
    parser.add_argument("--out", type=Path, help="append the rows' lines to this file as well")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    options = parser.parse_args()
    names = [name for name in ROWS if any(name.startswith(wanted) for wanted in options.rows)]
    if options.list:
        print("\n".join(names))
        return 0
    results: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        for result in run(names, options, Path(folder)):
            results.append(result)
            print(json.dumps(result), flush=True)
            if options.out:
                with options.out.open("a") as file:
                    print(json.dumps(result), file=file)
    print_table(results)
    finish({"name": "search", "seconds": options.seconds, "rows": summary(results)}, torch.device(options.device))
    return int(any("error" in result for result in results))


def run(names: list[str], options: argparse.Namespace, folder: Path) -> Iterator[dict]:
    """Results as they come, once all data are prepared: that takes the processors that rows need."""
    configs = {name: config_of(ROWS[name], options.device) for name in names}
    by_data: dict[str, list[str]] = {}
    for name, config in configs.items():
        by_data.setdefault(data_key(config), []).append(name)
    for key, rows in by_data.items():
        begun = time.perf_counter()
        prepare(configs[rows[0]], options.samples, BATCH[options.device] // 2, folder / key, options.meshes)
        print(f"data of {rows[0]!r}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    context = torch.multiprocessing.get_context("spawn")
    jobs, results = context.Queue(), context.Queue()
    for key, rows in by_data.items():
        for seed in options.seeds:
            for name in rows:
                jobs.put((name, seed, folder / key))
    for _ in range(options.lanes):
        jobs.put(None)
        worker = context.Process(target=lane, args=(jobs, results, options.seconds, options.device), daemon=True)
        worker.start()
    for _ in range(len(names) * len(options.seeds)):
        yield results.get()


def summary(results: list[dict]) -> dict[str, dict[str, float]]:
    """Of each row that has not failed."""
    nats = {name: [r["nats"] for r in results if r["row"] == name and "nats" in r] for name in ROWS}
    means = {name: statistics.mean(values) for name, values in nats.items() if values}
    first = next(iter(means.values()), 1.0)
    return {
        name: {"nats": mean, "spread": max(nats[name]) - min(nats[name]), "ratio": mean / first}
        for name, mean in means.items()
    }


def print_table(results: list[dict]) -> None:
    print(f"{'row':44} {'nats/face':>9} {'spread':>7} {'faces':>10} {'steps':>6} {'weights':>10}")
    for name in ROWS:
        mine = [r for r in results if r["row"] == name and "nats" in r]
        if mine:
            nats = [r["nats"] for r in mine]
            faces, steps = (statistics.mean(r[key] for r in mine) for key in ("faces", "steps"))
            spread = max(nats) - min(nats)
            print(
                f"{name:44} {statistics.mean(nats):9.3f} {spread:7.3f} {faces:10,.0f} {steps:6.0f} "
                f"{mine[0]['parameters']:10,}"
            )


if __name__ == "__main__":
    sys.exit(cli.run(main))
