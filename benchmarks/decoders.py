"""The token decoder against the face decoder: the same size, data, batches and optimizer, and the same time.

    python benchmarks/decoders.py [--minutes 10] [--picture docs/images/decoders.png]

ArAE-tiny-token and ArAE-tiny, which is given a layer less so that neither has more parameters, are trained side by
side, each in a process of one thread, for so many minutes of that thread's processor time (loading apart), on the
meshes of at most 160 faces of `../shared/data`'s split `train` less some whole packs, mirrored, stretched, turned by
right angles and scaled. Every --look seconds the nats per face (of all tokens and the end, so the same measure for
both) are taken on some meshes of those packs, at the end on all of them and, with --test, on `test_pack`. Then both
generate for held-out meshes in turns. Without `../shared/data` the meshes are procedural shapes.

time_ratio: the time in which the face decoder came to the token decoder's final nats, over that one's whole time.
generate_ratio_b1, _b16: its faces/s in generation over the token decoder's, one and sixteen meshes side by side.
The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import queue as queue_module
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.decoders_data import batches_of, make_dataset, nats_per_face, train_step
from core import cli
from core.config import PRESETS, Config, with_overrides
from core.data.batch import Batch, BatchSampler, make_loader
from core.data.dataset import MeshDataset
from core.generation import Engine, Request
from core.generation.sampling import SamplingConfig
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.curves import plot
from core.training.optim import build_optimizers
from core.training.steps import seed_all

DECODERS = {
    "token": with_overrides(PRESETS["ArAE-tiny-token"][1], use_dense_meshes=True),
    "face": with_overrides(PRESETS["ArAE-tiny"][1], use_dense_meshes=True, num_layers=4),
}
LOOKED_AT = 64  # meshes on the way
BATCH = 8
GENERATED = 16
TURNS = 4  # of generation, the fastest of which counts


def epochs(dataset: MeshDataset, seed: int, batch_size: int) -> Iterator[Batch]:
    sampler = BatchSampler(dataset, batch_size, seed=seed, sort_by_length=True)
    loader = make_loader(dataset, sampler, num_workers=1)
    for epoch in range(10**6):
        sampler.set_epoch(epoch)
        yield from loader


def train(config: Config, seconds: float, look: float, seed: int, test: bool, title: str) -> dict[str, Any]:
    """Train for so many seconds of this thread, and measure on the way."""
    torch.set_num_threads(1)
    seed_all(seed, "weights")
    model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).train()
    optimizers = build_optimizers(model, config.train)
    held_out = make_dataset(config, "held_out")
    by_length = np.argsort(held_out.token_counts, kind="stable")
    chosen = by_length[np.linspace(0, len(by_length) - 1, min(LOOKED_AT, len(by_length))).astype(int)]
    some, all_of_them = batches_of(held_out, chosen), batches_of(held_out, by_length)
    spent, faces, looked, curve = 0.0, 0, 0.0, []
    for step, batch in enumerate(epochs(make_dataset(config, "train", seed), seed, BATCH)):
        begun = time.process_time()
        seed_all(seed, "step", step)
        train_step(model, batch, optimizers, spent / seconds, config.train.warmup_ratio)
        faces += int(batch.num_faces.sum())
        spent += time.process_time() - begun
        if spent - looked >= look:
            looked = spent
            curve.append((spent, nats_per_face(model, some)))
            text = f"{spent:5.0f} s, {faces:9,} faces: {curve[-1][1]:6.2f} nats a face"
            print(f"{title}: {text}", file=sys.stderr, flush=True)
        if spent >= seconds:
            break
    curve.append((spent, nats_per_face(model, some)))
    result = {"nats": nats_per_face(model, all_of_them), "curve": curve, "seconds": spent}
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    parameters = sum(p.numel() for p in model.mesh_decoder.parameters())
    result |= {"faces_per_second": faces / spent, "faces": faces, "parameters": parameters, "weights": weights}
    if test:
        pack = make_dataset(config, "test_pack")
        result["test_nats"] = nats_per_face(model, batches_of(pack, np.argsort(pack.token_counts, kind="stable")))
    return result


def generation(configs: dict[str, Config], results: dict[str, dict]) -> dict[int, dict[str, float]]:
    """Faces a second of each decoder, by batch size, in turns."""
    models, held_out = {}, {}
    for name, config in configs.items():
        held_out[name] = make_dataset(config, "held_out")
        models[name] = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).eval()
        weights = {key: torch.from_numpy(array.copy()) for key, array in results[name]["weights"].items()}
        models[name].load_state_dict(weights)
    rates: dict[int, dict[str, float]] = {}
    for slots in (1, GENERATED):
        times: dict[str, list[float]] = {name: [] for name in configs}
        for turn in range(TURNS):
            for name, config in configs.items():
                count = 4 if slots == 1 else GENERATED
                times[name].append(_rate(models[name], config, held_out[name], slots, count, turn))
        rates[slots] = {name: max(values) for name, values in times.items()}
    return rates


@torch.inference_mode()
def _rate(model: ArAE, config: Config, dataset: MeshDataset, slots: int, count: int, turn: int) -> float:
    samples = [dataset[int(k)] for k in np.argsort(dataset.token_counts)[-count:]]
    requests = []
    for k, sample in enumerate(samples):
        points = torch.from_numpy(sample.points)[None]
        condition = model.condition(model.encode(points), torch.tensor([sample.num_faces]))[0]
        requests.append(Request(condition, turn, len(sample.ids) + 1, points=sample.points, key=k))
    tokenizer = Tokenizer(config.tokenizer)
    engine = Engine(model.mesh_decoder, tokenizer, SamplingConfig(), slots)
    begun = time.perf_counter()
    made = [generated.ids for _, generated in engine.run(requests)]
    seconds = time.perf_counter() - begun
    return sum(len(tokenizer.decode(ids)[1]) for ids in made) / seconds


def _train_in_process(queue: Any, name: str, arguments: tuple) -> None:
    queue.put((name, train(*arguments, title=name)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of training each (default: 10)")
    parser.add_argument("--look", type=float, default=15, help="seconds between looks at held-out meshes (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data and order")
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "muon"], help="of both (default: adamw)")
    parser.add_argument("--test", action="store_true", help="measure on test_pack as well")
    parser.add_argument("--picture", type=Path, help="draw the curves to this .png")
    options = parser.parse_args()
    cli.use_threads(1)
    configs = {name: with_overrides(config, optimizer=options.optimizer) for name, config in DECODERS.items()}
    results = run_all(configs, options)
    figures: dict[str, Any] = {
        "name": "decoders",
        "minutes": options.minutes,
        "optimizer": options.optimizer,
        "seed": options.seed,
    }
    for key in ("nats", "test_nats", "faces_per_second", "faces", "parameters"):
        figures[key] = {name: round(result[key], 3) for name, result in results.items() if key in result}
    figures["nats_per_face"] = figures["test_nats"] or figures["nats"]
    figures |= compare(configs, results)
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        curves = {name: results[name]["curve"] for name in DECODERS}
        plot("nats a face, held-out meshes", curves, "seconds of one thread").save(options.picture)
    print(json.dumps(figures))
    return 0


def run_all(configs: dict[str, Config], options: argparse.Namespace) -> dict[str, dict]:
    """The trainings, side by side."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = []
    for name, config in configs.items():
        arguments = (config, 60 * options.minutes, options.look, options.seed, options.test)
        workers.append(context.Process(target=_train_in_process, args=(queue, name, arguments)))
        workers[-1].start()
    results = {}
    while len(results) < len(workers):
        try:
            name, result = queue.get(timeout=5)
            results[name] = result
        except queue_module.Empty:  # look whether they still live
            if any(worker.exitcode not in (None, 0) for worker in workers):
                raise ValueError("a training ended with an error; see above") from None
    return {name: results[name] for name in configs}


def compare(configs: dict[str, Config], results: dict[str, dict]) -> dict[str, float]:
    final, whole = results["token"]["curve"][-1][1], results["token"]["seconds"]
    reached = next((second for second, nats in results["face"]["curve"] if nats <= final), float("inf"))
    rates = generation(configs, results)
    for slots, each in rates.items():
        print(f"generation, {slots} side by side: " + ", ".join(f"{n} {r:,.0f} faces/s" for n, r in each.items()))
    print(f"the token decoder's {final:.2f} nats a face after {whole:.0f} s; the face decoder's after {reached:.0f} s")
    ratios = {f"generate_ratio_b{n}": round(each["face"] / each["token"], 2) for n, each in rates.items()}
    return {"time_ratio": round(reached / whole, 3), **ratios}


if __name__ == "__main__":
    sys.exit(cli.run(main))
