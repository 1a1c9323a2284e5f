"""Weights against the same model untrained, on meshes that neither has seen.

    python ../shared/data/export.py /tmp/test_pack --split test_pack
    python benchmarks/heldout.py ArAE-tiny --resume pretrained/ArAE-tiny --data /tmp/test_pack --limit 100

Takes the first --limit meshes by name that have at most the preset's face count. Measures nats per face (sum of the
tokens' negative log likelihood over the number of faces), and of one sampled mesh each: the share that ended by itself
within the token budget, and the median Chamfer distance to the input (mean of both directions' nearest distances, as a
share of the bounding box's diagonal). The last line is one JSON object; `ratio` is trained over untrained distance.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from core import cli
from core.config import PRESETS, Config
from core.data.batch import collate
from core.data.dataset import MeshDataset, Sample
from core.data.mesh import Mesh, clean, list_inputs, load, normalize
from core.data.metrics import chamfer
from core.data.sources import PackedMeshes
from core.inference.generator import MeshGenerator
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.weights import load_weights

BATCH = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("--resume", required=True, help="weights to measure")
    parser.add_argument("--data", required=True, help="folder of meshes that were not trained on")
    parser.add_argument("--limit", type=int, default=100, help="meshes to measure on (default: 100)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    cli.use_threads(0)
    config = PRESETS[options.preset][1]
    dataset = read_meshes(config, options.data, options.limit)
    figures = {"name": "heldout", "preset": options.preset, "meshes": len(dataset)}
    for name, resume in (("untrained", ""), ("trained", options.resume)):
        figures.update({f"{name}_{key}": value for key, value in measure(config, dataset, resume).items()})
    figures["ratio"] = figures["trained_chamfer_median"] / figures["untrained_chamfer_median"]
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    return 0


def read_meshes(config: Config, folder: str, limit: int) -> MeshDataset:
    """The first meshes of a folder, by name, that fit the preset."""
    kept: list[Mesh] = []
    names: list[str] = []
    for path in list_inputs(folder):
        mesh = normalize(clean(load(path)))[0]
        if not mesh.is_points and len(mesh.faces) <= config.data.max_face_length:
            kept.append(mesh)
            names.append(path.name)
        if len(kept) == limit:
            break
    return MeshDataset(
        PackedMeshes(kept, names),
        Tokenizer(config.tokenizer),
        replace(config.data, testset_size=limit),
        train=False,
        point_num=config.model.point_encoder.point_num,
        max_seq_length=config.model.decoder.max_seq_length,
    )


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
    output = model(batch.ids, batch.num_faces, points=batch.points)
    return float(output.loss_ce) * len(output.labels)


if __name__ == "__main__":
    sys.exit(cli.run(main))
