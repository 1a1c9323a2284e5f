"""The meshes that a model was trained on, wherever they lie, as one source."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.entries import Entry, open_entry, parse_entry
from core.data.mesh import Mesh, normalize
from core.data.sources import JoinedMeshes, MeshSource, PackedMeshes
from core.evaluation.trained_on import TrainedOn, read_trained_on

TRAIN_SPLIT = "train"


class Training(NamedTuple):
    """Training meshes, the numbers of those that were trained on or are to be searched, and in words which they are."""

    source: MeshSource
    numbers: np.ndarray
    told: str


class NotThereError(ValueError):
    """What was trained on is not known, or not here."""


def open_training(words: tuple[str, ...], weights: str = "", seed: int = 0, most: int = 0) -> Training | None:
    """The training meshes; None for `none`.

    Args:
        words: folders, prepared sets, shapes:N, .npz files packed as ../shared/data is, or folders of those; () takes
            what the config.json of the weights says.
        weights: whose training it is; "" where nobody knows.
        seed: of shapes:N where the weights do not say.
        most: so many of the meshes are drawn at random; 0: all are taken.

    Raises:
        NotThereError: without words, where the weights do not say what they were trained on or some of it is not here.
        ValueError: nothing can be read at one of the words.
    """
    if words == ("none",):
        return None
    if words:
        parts, told = _open_words(words, _seed_of(weights, seed))
        kept = [np.arange(len(part)) for part in parts]
    else:
        parts, kept, told = _open_trained_on(weights)
    starts = np.cumsum([0, *(len(part) for part in parts)])
    numbers = np.concatenate([start + each for start, each in zip(starts, kept, strict=False)])
    if len(numbers) == 0:
        raise ValueError(f"--train {' '.join(words) or weights}: holds no training mesh")
    if most and most < len(numbers):
        told += f"; {most:,} of these {len(numbers):,}, drawn at random"
        numbers = np.sort(np.random.default_rng(0).choice(numbers, most, replace=False))
    return Training(JoinedMeshes.of(parts), numbers, told)


def _seed_of(weights: str, seed: int) -> int:
    try:
        return read_trained_on(weights)[0].seed
    except ValueError:
        return seed


def _open_words(words: tuple[str, ...], seed: int) -> tuple[list[MeshSource], str]:
    parts = [_open(word, seed) for word in words]
    told = (f"{len(part):,} meshes of {_tell(word, seed)}" for word, part in zip(words, parts, strict=True))
    return parts, ", ".join(told)


def _open(word: str, seed: int) -> MeshSource:
    packed = find_packed(Path(word))
    if packed:
        return JoinedMeshes.of([read_packed(path) for path in packed])
    return open_entry(parse_entry(word), seed)[0]


def _tell(word: str, seed: int) -> str:
    return f"{word} (procedural, seed {seed})" if word.startswith("shapes:") else word


def _open_trained_on(weights: str) -> tuple[list[MeshSource], list[np.ndarray], str]:
    """All that the weights' own record names, what training left out as too large excepted."""
    if not weights:
        raise NotThereError("nobody says what was trained on (--resume WEIGHTS, or --train DATA)")
    try:
        runs = read_trained_on(weights)
    except ValueError as error:
        raise NotThereError(f"{error} (--train DATA)") from error
    parts, kept, told = [], [], []
    done: set[tuple[Entry, int, int]] = set()
    for run in runs:
        for entry in run.entries:
            key = entry, run.seed if entry.shapes else 0, run.most_faces
            if key in done:
                continue
            done.add(key)
            part = _open_entry(entry, run)
            small = np.flatnonzero([len(part[k].faces) <= run.most_faces for k in range(len(part))])
            what = f"shapes:{entry.shapes} (procedural, seed {run.seed})" if entry.shapes else entry.place
            parts.append(part)
            kept.append(small)
            told.append(f"{len(small):,} meshes of {what}")
    text = f"{', '.join(told)}, as {runs[0].file} says"
    if runs[-1].before:
        text += f" (what {runs[-1].before} was trained on before is not known)"
    return parts, kept, text


def _open_entry(entry: Entry, run: TrainedOn) -> MeshSource:
    try:
        return open_entry(entry, run.seed)[0]
    except (ValueError, OSError) as error:
        raise NotThereError(
            f"{entry.place}, which {run.file} says was trained on, cannot be read here: {error} (--train DATA)"
        ) from error


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
