"""The token decoder against the face decoder: the same size, data, batches and optimizer, and the same time.

    python benchmarks/decoders.py [--minutes 10] [--picture docs/images/decoders.png]

ArAE-tiny-token and ArAE-tiny, which is given a layer less so that neither has more parameters, are trained side by
side, each in a process of one thread, for so many minutes of that thread's processor time, on the meshes of at most 160
faces of `../shared/data`'s split `train` less some whole packs, mirrored, stretched, turned by right angles and scaled.
The thread makes its own samples: augmentation, tokens and the face decoder's features are part of its time
(loading_share). Every --look seconds the nats per face (of all tokens and the end, so the same measure for both) are
taken on some meshes of those packs, at the end on all of them and, with --test, on `test_pack`; that is not part of the
time. Then both generate for held-out meshes in turns. Without `../shared/data` the meshes are procedural shapes.

time_ratio: the time in which the face decoder came to the token decoder's final nats, over that one's whole time; null
if it did not.
generate_ratio_b1, _b16: its faces/s in generation over the token decoder's, one and sixteen meshes side by side: the
median of the turns, the least and the largest, by the clock and by processor time.
The last line is one JSON object.
"""

import argparse
import multiprocessing
import queue as queue_module
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.decoders_data import batches_of, make_dataset, nats_per_face
from benchmarks.machine import finish, rates, ratios, timed
from benchmarks.models import face_count, runner, train_step
from core import cli
from core.config import PRESETS, Config, with_overrides
from core.data.batch import Batch, BatchSampler, make_loader
from core.data.dataset import MeshDataset
from core.generation import Request
from core.generation.sampling import SamplingConfig
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.curves import plot
from core.training.optim import build_optimizers
from core.training.steps import seed_all

# The presets of the token and of the face decoder, and the face decoder's layers.
TINY, NANO = ("ArAE-tiny-token", "ArAE-tiny", 4), ("ArAE-nano", "ArAE-nano-face", 3)
QUICK_MESHES = 24  # of each split, with --quick
LOOKED_AT = 64  # meshes on the way
BATCH = 8
GENERATED = 16
TURNS = 4  # of generation, the fastest of which counts


def epochs(dataset: MeshDataset, seed: int, batch_size: int) -> Iterator[Batch]:
    sampler = BatchSampler(dataset, batch_size, seed=seed, sort_by_length=True)
    loader = make_loader(dataset, sampler)  # in this process
    for epoch in range(10**6):
        sampler.set_epoch(epoch)
        yield from loader


def train(config: Config, options: argparse.Namespace, title: str) -> dict[str, Any]:
    """Train for so many seconds of this thread, loading included, and measure on the way."""
    torch.set_num_threads(1)
    seconds, seed, limit = 60 * options.minutes, options.seed, QUICK_MESHES * options.quick
    seed_all(seed, "weights")
    model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).train()
    optimizers = build_optimizers(model, config.train)
    held_out = make_dataset(config, "held_out", limit=limit)
    by_length = np.argsort(held_out.token_counts, kind="stable")
    chosen = by_length[np.linspace(0, len(by_length) - 1, min(LOOKED_AT, len(by_length))).astype(int)]
    some, all_of_them = batches_of(held_out, chosen), batches_of(held_out, by_length)
    batches = epochs(make_dataset(config, "train", seed, limit), seed, BATCH)
    spent, loading, faces, steps, looked, curve = 0.0, 0.0, 0, 0, 0.0, []
    while spent < seconds:
        begun = time.process_time()
        batch = next(batches)
        loading += time.process_time() - begun
        seed_all(seed, "step", steps)
        train_step(model, batch, optimizers, spent / seconds, config.train.warmup_ratio)
        faces, steps = faces + int(batch.num_faces.sum()), steps + 1
        spent += time.process_time() - begun
        if spent - looked >= options.look:
            looked = spent
            curve.append((spent, nats_per_face(model, some)))
            text = f"{spent:5.0f} s, {faces:9,} faces: {curve[-1][1]:6.2f} nats a face"
            print(f"{title}: {text}", file=sys.stderr, flush=True)
    curve.append((spent, nats_per_face(model, some)))
    result = {"nats": nats_per_face(model, all_of_them), "curve": curve, "seconds": spent}
    result |= {"loading_share": loading / spent, "steps": steps}
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    parameters = sum(p.numel() for p in model.mesh_decoder.parameters())
    result |= {"faces_per_second": faces / spent, "faces": faces, "parameters": parameters, "weights": weights}
    if options.test:
        pack = make_dataset(config, "test_pack", limit=limit)
        result["test_nats"] = nats_per_face(model, batches_of(pack, np.argsort(pack.token_counts, kind="stable")))
    return result


def generation(configs: dict[str, Config], results: dict[str, dict], limit: int) -> dict[str, Any]:
    """Faces a second of the face decoder over those of the token decoder, by batch size, in turns."""
    models, held_out = {}, {}
    for name, config in configs.items():
        held_out[name] = make_dataset(config, "held_out", limit=limit)
        models[name] = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).eval()
        weights = {key: torch.from_numpy(array.copy()) for key, array in results[name]["weights"].items()}
        models[name].load_state_dict(weights)
    figures: dict[str, Any] = {}
    for slots in (1, GENERATED):
        measured: dict[str, list[np.ndarray]] = {name: [] for name in configs}
        for turn in range(TURNS):
            for name, config in configs.items():
                run = _generator(models[name], config, held_out[name], slots, 4 if slots == 1 else GENERATED, turn)
                made, spent = timed(run)
                measured[name].append(rates(face_count(Tokenizer(config.tokenizer), made), spent))
        text = ", ".join(f"{name} {np.median(values, axis=0)[0]:,.0f} faces/s" for name, values in measured.items())
        print(f"generation, {slots} side by side: {text}")
        figures |= ratios(f"generate_ratio_b{slots}", measured["face"], measured["token"])
    return figures


@torch.inference_mode()
def _generator(
    model: ArAE, config: Config, dataset: MeshDataset, slots: int, count: int, turn: int
) -> Callable[[], list[np.ndarray]]:
    """Makes `count` meshes for the longest of the dataset, and returns their ids."""
    samples = [dataset[int(k)] for k in np.argsort(dataset.token_counts)[-count:]]
    requests = []
    for k, sample in enumerate(samples):
        points = torch.from_numpy(sample.points)[None]
        condition = model.condition(model.encode(points), torch.tensor([sample.num_faces]))[0]
        requests.append(Request(condition, turn, len(sample.ids) + 1, points=sample.points, key=k))
    return runner(model.mesh_decoder, Tokenizer(config.tokenizer), requests, SamplingConfig(), slots)


def _train_in_process(queue: Any, name: str, config: Config, options: argparse.Namespace) -> None:
    queue.put((name, train(config, options, name)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of training each (default: 10)")
    parser.add_argument("--look", type=float, default=15, help="seconds between looks at held-out meshes (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data and order")
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "muon"], help="of both (default: adamw)")
    parser.add_argument("--test", action="store_true", help="measure on test_pack as well")
    parser.add_argument("--quick", action="store_true", help="the smallest presets, on few meshes")
    parser.add_argument("--picture", type=Path, help="draw the curves to this .png")
    options = parser.parse_args()
    cli.use_threads(1)
    token, face, layers = NANO if options.quick else TINY
    same = {"use_dense_meshes": True, "optimizer": options.optimizer}
    configs = {
        "token": with_overrides(PRESETS[token][1], **same),
        "face": with_overrides(PRESETS[face][1], **same, num_layers=layers),
    }
    results = run_all(configs, options)
    figures: dict[str, Any] = {
        "name": "decoders",
        "minutes": options.minutes,
        "optimizer": options.optimizer,
        "seed": options.seed,
    }
    for key in ("nats", "test_nats", "faces_per_second", "faces", "steps", "loading_share", "parameters"):
        figures[key] = {name: round(result[key], 3) for name, result in results.items() if key in result}
    figures["nats_per_face"] = figures["test_nats"] or figures["nats"]
    figures |= {"time_ratio": time_ratio(results), **generation(configs, results, QUICK_MESHES * options.quick)}
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        curves = {name: results[name]["curve"] for name in configs}
        plot("nats a face, held-out meshes", curves, "seconds of one thread").save(options.picture)
    return finish(figures)


def run_all(configs: dict[str, Config], options: argparse.Namespace) -> dict[str, dict]:
    """The trainings, side by side."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = []
    for name, config in configs.items():
        workers.append(context.Process(target=_train_in_process, args=(queue, name, config, options)))
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


def time_ratio(results: dict[str, dict]) -> float | None:
    final, whole = results["token"]["curve"][-1][1], results["token"]["seconds"]
    reached = next((second for second, nats in results["face"]["curve"] if nats <= final), None)
    then = "never" if reached is None else f"after {reached:.0f} s"
    print(f"the token decoder's {final:.2f} nats a face after {whole:.0f} s; the face decoder's {then}")
    return None if reached is None else round(reached / whole, 3)


if __name__ == "__main__":
    sys.exit(cli.run(main))
