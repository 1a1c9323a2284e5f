"""The meshes that a model was trained on, wherever they lie, as one source."""

import json
from pathlib import Path

import numpy as np

from core.data.entries import open_entry, parse_entry
from core.data.mesh import Mesh, normalize
from core.data.sources import JoinedMeshes, MeshSource, PackedMeshes

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DEFAULT_SHAPES = "shapes:2000"
TRAIN_SPLIT = "train"


def open_training(words: tuple[str, ...], seed: int = 0) -> tuple[MeshSource, str] | None:
    """The training meshes, and in words which they are; None for `none`.

    words: folders, prepared sets, shapes:N, .npz files packed as ../shared/data is, or folders of those; () takes the
    default.  Raises ValueError where nothing is there.
    """
    if words == ("none",):
        return None
    if not words:
        words = (str(BESIDE),) if find_packed(BESIDE) else (DEFAULT_SHAPES,)
    parts = [_open(word, seed) for word in words]
    source = JoinedMeshes.of(parts)
    if len(source) == 0:
        raise ValueError(f"--train {' '.join(words)}: holds no training mesh")
    told = ", ".join(f"{len(part):,} meshes of {_tell(word)}" for word, part in zip(words, parts, strict=True))
    return source, told


def _open(word: str, seed: int) -> MeshSource:
    packed = find_packed(Path(word))
    if packed:
        return JoinedMeshes.of([read_packed(path) for path in packed])
    return open_entry(parse_entry(word), seed)[0]


def _tell(word: str) -> str:
    return f"{word} (procedural)" if word.startswith("shapes:") else word


def find_packed(place: Path) -> list[Path]:
    """Packed sets at a path: the file itself, or those of a folder; each has a .jsonl of its name beside it."""
    files = sorted(place.glob("*.npz")) if place.is_dir() else [place]
    return [file for file in files if file.suffix == ".npz" and file.with_suffix(".jsonl").is_file()]


def read_packed(path: Path) -> PackedMeshes:
    """The meshes of a packed set whose rows say `"split": "train"`, normalised.

    Arrays: vertices (sum V, 3), faces (sum F, 3), vertex_offsets and face_offsets (n + 1,); a row of the .jsonl each.
    Raises ValueError for a file of another make.
    """
    lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    with np.load(path, allow_pickle=False) as arrays:
        missing = {"vertices", "faces", "vertex_offsets", "face_offsets"} - set(arrays.files)
        if missing:
            raise ValueError(f"{path}: lacks {', '.join(sorted(missing))}; not a packed set of meshes")
        vertices, faces = arrays["vertices"], arrays["faces"]
        v, f = arrays["vertex_offsets"], arrays["face_offsets"]
    if len(rows) != len(v) - 1:
        raise ValueError(f"{path}: {len(v) - 1} meshes, but {len(rows)} rows in the .jsonl beside it")
    chosen = [k for k, row in enumerate(rows) if row.get("split") == TRAIN_SPLIT]
    meshes = [Mesh(vertices[v[k] : v[k + 1]], faces[f[k] : f[k + 1]].astype(np.int32)) for k in chosen]
    return PackedMeshes([normalize(mesh)[0] for mesh in meshes], [str(rows[k].get("name", k)) for k in chosen])
