"""Weights against the same model untrained, on meshes that neither has seen.

    python benchmarks/heldout.py [ArAE-tiny] [--resume pretrained/ArAE-tiny] [--limit 100]
    python ../shared/data/export.py /tmp/test_pack --split test_pack
    python benchmarks/heldout.py ArAE-tiny --resume pretrained/ArAE-tiny --data /tmp/test_pack --limit 100

Takes --limit meshes that have at most the preset's face count: an even choice of those in --data, by name, or
procedural shapes of a seed that training does not use. Measures nats per face (sum of the tokens' negative log
likelihood over the number of faces), and of one sampled mesh each: the share that ended by itself within the token
budget, and the median Chamfer distance to the input (mean of both directions' nearest distances, as a share of the
bounding box's diagonal). The last line is one JSON object; `ratio` is trained over untrained distance.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import finish
from benchmarks.meshes import dataset_of, unseen_objects
from core import cli
from core.config import PRESETS, Config
from core.data.batch import collate
from core.data.dataset import MeshDataset, Sample
from core.data.mesh import normalize
from core.data.metrics import chamfer
from core.data.sources import PackedMeshes
from core.inference.generator import MeshGenerator
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.weights import load_weights

BATCH = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    presets = [name for name in PRESETS if name.startswith("ArAE")]
    parser.add_argument("preset", nargs="?", default="ArAE-tiny", choices=presets)
    parser.add_argument("--resume", default="pretrained/ArAE-tiny", help="weights to measure")
    parser.add_argument("--data", help="folder of meshes that were not trained on (default: procedural shapes)")
    parser.add_argument("--limit", type=int, default=100, help="meshes to measure on (default: 100)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    cli.use_threads(0)
    config = PRESETS[options.preset][1]
    dataset = make_dataset(config, options.data, options.limit)
    figures = {"name": "heldout", "preset": options.preset, "data": options.data or "shapes", "meshes": len(dataset)}
    for name, resume in (("untrained", ""), ("trained", options.resume)):
        figures.update({f"{name}_{key}": value for key, value in measure(config, dataset, resume).items()})
    figures["ratio"] = figures["trained_chamfer_median"] / figures["untrained_chamfer_median"]
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return finish(figures)


def make_dataset(config: Config, folder: str | None, limit: int) -> MeshDataset:
    meshes, names = unseen_objects(folder, limit, config.data.max_face_length)
    return dataset_of(PackedMeshes(meshes, names), config, train=False, testset_size=limit)


def measure(config: Config, dataset: MeshDataset, resume: str) -> dict[str, float]:
    """Figures of the preset's model with the weights at `resume`, or fresh ones."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(config.tokenizer)
    model = ArAE(config.model, tokenizer.vocab_size)
    if resume:
        load_weights(model, resume, strict=True)
    generator = MeshGenerator(model, tokenizer, torch.device("cpu"))
    nats = faces = 0.0
    finished: list[bool] = []
    distances: list[float] = []
    for first in range(0, len(dataset), BATCH):
        samples = [dataset[k] for k in range(first, min(first + BATCH, len(dataset)))]
        nats += token_nats(model, samples)
        faces += sum(sample.num_faces for sample in samples)
        made = generator.generate(
            np.stack([sample.points for sample in samples if sample.points is not None]),
            [sample.num_faces for sample in samples],
            range(first, first + len(samples)),
            config.test,
        )
        finished += [result.finished for result in made]
        for k, result in enumerate(made, start=first):
            true = normalize(dataset.source[int(dataset.items[k])])[0]
            diagonal = float(np.linalg.norm(np.ptp(true.vertices, axis=0)))
            distances.append(chamfer(result.mesh, true) / diagonal if len(result.mesh.faces) else 1.0)
        print(f"{resume or 'untrained'}: {len(distances)} of {len(dataset)}", file=sys.stderr)
    return {
        "nats_per_face": nats / faces,
        "finished": float(np.mean(finished)),
        "chamfer_median": float(np.median(distances)),
    }


@torch.inference_mode()
def token_nats(model: ArAE, samples: list[Sample]) -> float:
    """Negative log likelihood of the samples' tokens and ends, in nats."""
    batch = collate(samples)
    output = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps)
    return float(output.loss_ce) * len(output.labels)


if __name__ == "__main__":
    sys.exit(cli.run(main))
