"""How decoders.py and search.py train and measure, on the meshes of at most 160 faces of `../shared/data`."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.optim import Optimizer

from core.config import Config
from core.data.batch import Batch, collate
from core.data.dataset import MeshDataset
from core.data.mesh import Mesh, normalize
from core.data.sources import PackedMeshes, ShapesSource
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.optim import step_optimizers

SHARED = Path(__file__).resolve().parents[2] / "shared/data/lowpoly_cc0"
MAX_FACES = 160
HELD_OUT = 12  # one pack in so many is set aside
MEASURED = 16  # meshes at a time


def read_split(split: str, most: int) -> PackedMeshes:
    """Meshes of at most so many faces: `train`, `held_out` (of the packs set aside) or `test_pack`.

    Without `../shared/data` they are procedural shapes.
    """
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
    """A split as this preset sees it; with its --use_dense_meshes, decimated ones are trained on as well."""
    train, face = split == "train", config.model.decoder.decoder == "face"
    most = MAX_FACES * (4 if train and config.data.use_dense_meshes else 1)
    return MeshDataset(
        read_split(split, most),
        Tokenizer(config.tokenizer),
        replace(config.data, max_face_length=MAX_FACES, testset_size=10**6),
        train=train,
        point_num=config.model.point_encoder.point_num,
        max_seq_length=config.model.decoder.max_seq_length,
        seed=seed,
        steps=config.model.steps if face else None,
    )


def batches_of(dataset: MeshDataset, items: Sequence[int]) -> list[Batch]:
    """These of its samples, in batches of MEASURED."""
    pieces = [items[first : first + MEASURED] for first in range(0, len(items), MEASURED)]
    return [collate([dataset[int(k)] for k in piece]) for piece in pieces]


def train_step(
    model: ArAE, batch: Batch, optimizers: Sequence[tuple[Optimizer, float]], position: float, warmup_ratio: float
) -> None:
    """In bf16, at the learning rate of this position in the run."""
    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
        loss = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    step_optimizers(optimizers, max(position, 1e-4), warmup_ratio)


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
