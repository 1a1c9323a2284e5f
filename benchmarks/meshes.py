"""Meshes that benchmarks measure on: packed artists' meshes (`../shared/data`), folders, procedural shapes."""

from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np

from core.config import Config
from core.data.dataset import MeshDataset
from core.data.mesh import Mesh, clean, list_inputs, load, normalize
from core.data.shapes import make_shape
from core.data.sources import FolderSource, MeshSource, PackedMeshes, ShapesSource
from core.tokens import Tokenizer

SHARED = Path(__file__).resolve().parents[2] / "shared/data/lowpoly_cc0.npz"
UNSEEN_SEED = 2**32  # training uses --seed, its test split --seed + 2^31


def packed_meshes(path: Path, least: int = 1, most: int = 10**9) -> tuple[np.ndarray, list[Mesh]]:
    """Those of a packed file that have `least` to `most` faces, as they are, and their numbers in it."""
    with np.load(path) as pack:
        vertices, faces = pack["vertices"].astype(np.float32), pack["faces"].astype(np.int32)
        v, f = pack["vertex_offsets"], pack["face_offsets"]
    sizes = np.diff(f)
    chosen = np.flatnonzero((sizes >= least) & (sizes <= most))
    return chosen, [Mesh(vertices[v[k] : v[k + 1]], faces[f[k] : f[k + 1]]) for k in chosen]


def training_source(path: Path | None, most: int, shapes: int) -> tuple[MeshSource, str]:
    """Meshes of at most `most` faces and what they are: a folder, a packed file, `../shared/data`, or shapes."""
    if path is None and not SHARED.exists():
        return ShapesSource(0, shapes, progress=False), "procedural shapes"
    path = path or SHARED
    if path.suffix != ".npz":
        return FolderSource(path).train, str(path)
    chosen, meshes = packed_meshes(path, most=most)
    return PackedMeshes([normalize(mesh)[0] for mesh in meshes], [str(k) for k in chosen]), path.name


def unseen_objects(folder: str | None, limit: int, most_faces: int) -> tuple[list[Mesh], list[str]]:
    """Objects of at most `most_faces` faces, normalised, and their names: an even choice of a folder's, or shapes."""
    if folder is None:
        shapes = ((make_shape(UNSEEN_SEED, k)[0], f"shape {k}") for k in count())
        fitting = islice(((mesh, name) for mesh, name in shapes if len(mesh.faces) <= most_faces), limit)
    else:
        read = ((load(path), path.name) for path in list_inputs(folder))
        cleaned = [(clean(mesh), name) for mesh, name in read if not mesh.is_points]
        kept = [(mesh, name) for mesh, name in cleaned if 0 < len(mesh.faces) <= most_faces]
        if not kept:
            raise ValueError(f"{folder}: no mesh of at most {most_faces} faces")
        fitting = (kept[k] for k in np.unique(np.linspace(0, len(kept) - 1, min(limit, len(kept))).astype(int)))
    pairs = [(normalize(mesh)[0], name) for mesh, name in fitting]
    return [mesh for mesh, _ in pairs], [name for _, name in pairs]


def dataset_of(source: MeshSource, config: Config, *, train: bool, seed: int = 0, **data: object) -> MeshDataset:
    """The meshes as samples of a preset, with the face decoder's features where it has one.

    Args:
        data: options of the preset's DataConfig to replace.
    """
    face = config.model.decoder.decoder == "face"
    return MeshDataset(
        source,
        Tokenizer(config.tokenizer),
        replace(config.data, **data),  # type: ignore[arg-type]
        train=train,
        point_num=config.model.point_encoder.point_num if config.model.cond_mode == "point" else 0,
        max_seq_length=config.model.decoder.max_seq_length,
        seed=seed,
        steps=config.model.steps if face else None,
    )
