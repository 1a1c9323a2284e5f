"""The token decoder against the face decoder: the same sizes, data, batches and optimizer, and the same time.

    python benchmarks/decoders.py [--minutes 10] [--picture docs/images/decoders.png]
    python benchmarks/decoders.py --only face --minutes 2.5 --set near_points=16 --without pointer    # a search's row

Both presets, ArAE-tiny-token and ArAE-tiny, are trained side by side, each in a process of one thread, for so many
minutes of that thread's processor time (loading apart), on the meshes of at most 160 faces of `../shared/data`'s split
`train` less some whole packs, mirrored, stretched, turned by right angles and scaled. Every --look seconds the nats per
face (of all tokens and the end, so the same measure for both) are taken on some meshes of those packs, at the end on
all of them and, with --test, on `test_pack`. Then both generate for held-out meshes in turns. Without `../shared/data`
the meshes are procedural shapes.

time_ratio: the time in which the face decoder came to the token decoder's final nats, over that one's whole time.
generate_ratio_b1, _b16: its faces/s in generation over the token decoder's, one and sixteen meshes side by side.
The last line is one JSON object.
"""

import argparse
import ast
import json
import multiprocessing
import queue as queue_module
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from core import cli
from core.config import PRESETS, Config, with_overrides
from core.data.batch import Batch, BatchSampler, collate, make_loader
from core.data.dataset import MeshDataset
from core.data.mesh import Mesh, normalize
from core.data.sources import PackedMeshes, ShapesSource
from core.model import face_head, face_maps
from core.model.arae import ArAE
from core.model.engine import Engine, Request
from core.model.sampling import SamplingConfig
from core.tokens import Tokenizer
from core.training.curves import plot
from core.training.optim import build_optimizer, learning_rate
from core.training.steps import seed_all

SHARED = Path(__file__).resolve().parents[2] / "shared/data/lowpoly_cc0"
DECODERS = {"token": "ArAE-tiny-token", "face": "ArAE-tiny"}
MAX_FACES = 160
HELD_OUT = 12  # one pack in so many is set aside
LOOKED_AT = 64  # meshes on the way
BATCH = 8
GENERATED = 16


def read_split(split: str, most: int) -> PackedMeshes:
    """Meshes of at most so many faces: `train`, `held_out` (of the packs set aside) or `test_pack`."""
    if not SHARED.with_suffix(".npz").exists():
        seeds = {"train": (0, 2000), "held_out": (1, 200), "test_pack": (2, 200)}
        shapes = ShapesSource(*seeds[split], progress=False)
        kept = [k for k in range(len(shapes)) if len(shapes[k].faces) <= most]
        return PackedMeshes([shapes[k] for k in kept], [shapes.name(k) for k in kept])
    rows = [json.loads(line) for line in SHARED.with_suffix(".jsonl").read_text().splitlines()]
    data = np.load(SHARED.with_suffix(".npz"))
    vertices, faces = data["vertices"].astype(np.float32), data["faces"].astype(np.int32)
    meshes, names = [], []
    for k, row in enumerate(rows):
        aside = row["split"] == "train" and zlib.crc32(row["pack"].encode()) % HELD_OUT == 0
        if row["F"] <= most and split == ("held_out" if aside else row["split"]):
            v, f = (data[name][k : k + 2] for name in ("vertex_offsets", "face_offsets"))
            meshes.append(normalize(Mesh(vertices[v[0] : v[1]], faces[f[0] : f[1]]))[0])
            names.append(row["name"])
    return PackedMeshes(meshes, names)


def make_dataset(config: Config, split: str, seed: int = 0) -> MeshDataset:
    train, most = split == "train", MAX_FACES
    face = config.model.decoder.decoder == "face"
    return MeshDataset(
        read_split(split, most * 4 if train else most),
        Tokenizer(config.tokenizer),
        replace(config.data, max_face_length=most, use_dense_meshes=True, testset_size=10**6),
        train=train,
        point_num=config.model.point_encoder.point_num,
        max_seq_length=config.model.decoder.max_seq_length,
        seed=seed,
        steps=config.model.steps if face else None,
    )


def epochs(dataset: MeshDataset, seed: int, batch_size: int) -> Iterator[Batch]:
    sampler = BatchSampler(dataset, batch_size, seed=seed, sort_by_length=True)
    loader = make_loader(dataset, sampler, num_workers=1)
    for epoch in range(10**6):
        sampler.set_epoch(epoch)
        yield from loader


def nats_per_face(model: ArAE, dataset: MeshDataset, items: np.ndarray) -> float:
    model.eval()
    nats, faces = 0.0, 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for first in range(0, len(items), 2 * BATCH):
            batch = collate([dataset[int(k)] for k in items[first : first + 2 * BATCH]])
            output = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps)
            nats += float(output.loss_ce) * len(output.labels)
            faces += int(batch.num_faces.sum())
    model.train()
    return nats / faces


def train(config: Config, seconds: float, look: float, seed: int, test: bool, title: str) -> dict[str, Any]:
    """Train for so many seconds of this thread, and measure on the way."""
    torch.set_num_threads(1)
    seed_all(seed, "weights")
    model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).train()
    optimizer = build_optimizer(model, config.train.lr, config.train.weight_decay)
    held_out = make_dataset(config, "held_out")
    by_length = np.argsort(held_out.token_counts, kind="stable")
    some = by_length[np.linspace(0, len(by_length) - 1, min(LOOKED_AT, len(by_length))).astype(int)]
    spent, faces, looked, curve = 0.0, 0, 0.0, []
    for step, batch in enumerate(epochs(make_dataset(config, "train", seed), seed, BATCH)):
        begun = time.process_time()
        seed_all(seed, "step", step)
        rate = learning_rate(max(spent / seconds, 1e-4), config.train.lr, config.train.warmup_ratio)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        faces += int(batch.num_faces.sum())
        spent += time.process_time() - begun
        if spent - looked >= look:
            looked = spent
            curve.append((spent, nats_per_face(model, held_out, some)))
            text = f"{spent:5.0f} s, {faces:9,} faces: {curve[-1][1]:6.2f} nats a face"
            print(f"{title}: {text}", file=sys.stderr, flush=True)
        if spent >= seconds:
            break
    curve.append((spent, nats_per_face(model, held_out, some)))
    result = {"nats": nats_per_face(model, held_out, by_length), "curve": curve, "seconds": spent}
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    result |= {"faces_per_second": faces / spent, "faces": faces, "weights": weights}
    if test:
        pack = make_dataset(config, "test_pack")
        result["test_nats"] = nats_per_face(model, pack, np.argsort(pack.token_counts, kind="stable"))
    return result


def generation(configs: dict[str, Config], results: dict[str, dict]) -> dict[int, dict[str, float]]:
    """Faces a second of each decoder, by batch size, in turns."""
    models = {}
    for name, config in configs.items():
        models[name] = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).eval()
        weights = {key: torch.from_numpy(array.copy()) for key, array in results[name]["weights"].items()}
        models[name].load_state_dict(weights)
    rates: dict[int, dict[str, float]] = {}
    for slots in (1, GENERATED):
        times: dict[str, list[float]] = {name: [] for name in configs}
        for turn in range(2):
            for name, config in configs.items():
                count = 4 if slots == 1 else GENERATED
                times[name].append(_rate(models[name], config, slots, count, turn))
        rates[slots] = {name: max(values) for name, values in times.items()}
    return rates


@torch.inference_mode()
def _rate(model: ArAE, config: Config, slots: int, count: int, turn: int) -> float:
    dataset = make_dataset(config, "held_out")
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


# ---------------------------------------------------------------------------------------------------------------------
# What the search leaves out


def without_maps() -> None:
    original = face_maps.Maps.of
    face_maps.Maps.of = lambda self, k, axis: torch.zeros_like(original(self, k, axis))  # type: ignore[method-assign]


def without_neighbours() -> None:
    original = face_head._copies
    face_head._copies = lambda kinds, neighbours: torch.full_like(original(kinds, neighbours), -1)


def without_pointer() -> None:
    original = face_head.VertexDistribution.which_logits

    def which_logits(self: Any) -> torch.Tensor:
        logits = original(self)
        logits[:, 3:] = -torch.inf
        return logits

    face_head.VertexDistribution.which_logits = which_logits  # type: ignore[method-assign]


def without_references() -> None:
    original = face_head._references
    face_head._references = lambda *args: torch.full_like(original(*args), -1)


ABLATIONS: dict[str, Callable[[], None]] = {
    "maps": without_maps,
    "neighbours": without_neighbours,
    "pointer": without_pointer,
    "references": without_references,
}


def _train_in_process(queue: Any, name: str, leave_out: list[str], arguments: tuple) -> None:
    for part in leave_out:
        ABLATIONS[part]()
    queue.put((name, train(*arguments, title=name)))


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of training each (default: 10)")
    parser.add_argument("--look", type=float, default=15, help="seconds between looks at held-out meshes (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data and order")
    parser.add_argument("--only", choices=DECODERS, help="train one of them, for a row of a search")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE", help="options of the preset to change")
    parser.add_argument("--without", nargs="*", default=[], choices=ABLATIONS, help="leave out of the face decoder")
    parser.add_argument("--test", action="store_true", help="measure on test_pack as well; a search must not")
    parser.add_argument("--picture", type=Path, help="draw the curves to this .png")
    options = parser.parse_args()
    cli.use_threads(1)
    changes = {key: _literal(value) for key, value in (pair.split("=", 1) for pair in options.set)}
    names = [options.only] if options.only else list(DECODERS)
    configs = {name: with_overrides(PRESETS[DECODERS[name]][1], **changes) for name in names}
    results = run_all(configs, options)
    figures: dict[str, Any] = {"name": "decoders", "minutes": options.minutes, "seed": options.seed}
    for key in ("nats", "test_nats", "faces_per_second", "faces"):
        figures[key] = {name: round(result[key], 3) for name, result in results.items() if key in result}
    figures["nats_per_face"] = figures["test_nats"] or figures["nats"]
    if not options.only:
        figures |= compare(configs, results)
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        curves = {name: results[name]["curve"] for name in names}
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
        leave_out = options.without if name == "face" else []
        workers.append(context.Process(target=_train_in_process, args=(queue, name, leave_out, arguments)))
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
