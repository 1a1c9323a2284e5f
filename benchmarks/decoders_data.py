"""What decoders.py and search.py train and measure on: the meshes of at most 160 faces of `../shared/data`."""

import json
import zlib
from collections.abc import Sequence

import torch

from benchmarks.meshes import SHARED, dataset_of, packed_meshes
from core.config import Config
from core.data.batch import Batch, collate
from core.data.dataset import MeshDataset
from core.data.mesh import normalize
from core.data.sources import PackedMeshes, ShapesSource
from core.model.arae import ArAE

MAX_FACES = 160
HELD_OUT = 12  # one pack in so many is set aside
MEASURED = 16  # meshes at a time


def read_split(split: str, most: int, limit: int = 0) -> PackedMeshes:
    """Meshes of at most so many faces: `train`, `held_out` (of the packs set aside) or `test_pack`.

    Args:
        limit: most meshes; 0: all. Without `../shared/data` they are as many procedural shapes, or 2000, 200 and 200.
    """
    if not SHARED.exists():
        seed, count = {"train": (0, 2000), "held_out": (1, 200), "test_pack": (2, 200)}[split]
        shapes = ShapesSource(seed, limit or count, progress=False)
        kept = [k for k in range(len(shapes)) if len(shapes[k].faces) <= most]
        return PackedMeshes([shapes[k] for k in kept], [shapes.name(k) for k in kept])
    rows = [json.loads(line) for line in SHARED.with_suffix(".jsonl").read_text().splitlines()]
    meshes, names = [], []
    for k, mesh in zip(*packed_meshes(SHARED, most=most), strict=True):
        row = rows[k]
        aside = row["split"] == "train" and zlib.crc32(row["pack"].encode()) % HELD_OUT == 0
        if split == ("held_out" if aside else row["split"]):
            meshes.append(normalize(mesh)[0])
            names.append(row["name"])
        if limit and len(meshes) == limit:
            break
    return PackedMeshes(meshes, names)


def make_dataset(config: Config, split: str, seed: int = 0, limit: int = 0) -> MeshDataset:
    """A split as this preset sees it; with its --use_dense_meshes, decimated ones are trained on as well."""
    train = split == "train"
    most = MAX_FACES * (4 if train and config.data.use_dense_meshes else 1)
    source = read_split(split, most, limit)
    return dataset_of(source, config, train=train, seed=seed, max_face_length=MAX_FACES, testset_size=10**6)


def batches_of(dataset: MeshDataset, items: Sequence[int]) -> list[Batch]:
    """These of its samples, in batches of MEASURED."""
    pieces = [items[first : first + MEASURED] for first in range(0, len(items), MEASURED)]
    return [collate([dataset[int(k)] for k in piece]) for piece in pieces]


@torch.no_grad()
def nats_per_face(model: ArAE, batches: list[Batch]) -> float:
    """Of all tokens and the end, so the same measure for both decoders."""
    model.eval()
    nats, faces = 0.0, 0
    device = next(model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16):
        for batch in batches:
            output = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps)
            nats += float(output.loss_ce) * len(output.labels)
            faces += int(batch.num_faces.sum())
    model.train()
    return nats / faces
