"""One input to its outcome: the function that every worker runs, on this machine or on a cluster."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.data.mesh import Mesh, normalize
from core.data.prepare.inputs import MIB, Item, companions, fetch
from core.data.prepare.options import Task
from core.data.prepare.reading import Colored, read
from core.data.prepare.rules import Measures, Rejected, judge, pieces
from core.data.prepare.signature import signature
from core.tokens import Tokenizer, TokenizerConfig

SHAPE_COLORS = (  # of the parts of a procedural shape: muted, told apart at a glance
    *((202, 168, 125), (128, 152, 176), (178, 100, 84), (138, 160, 112), (224, 214, 196), (96, 96, 108)),
    *((212, 178, 88), (150, 118, 142), (104, 140, 138), (188, 144, 120)),
)


@dataclass
class Row:
    """A mesh of the set."""

    uid: str
    name: str
    mesh: Mesh
    colors: np.ndarray | None
    measures: Measures
    signature: np.ndarray
    views: list[tuple[bytes, tuple[float, float]]] = field(default_factory=list)


@dataclass
class Outcome:
    """What became of an input: meshes, and the reasons of those that were not kept.

    digest: of its bytes, which decide the split; empty if it could not be read
    """

    digest: str = ""
    rows: list[Row] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)


def process(item: Item, task: Task, scratch: Path) -> Outcome:
    """Read, clean, judge, sign and draw one input. Whatever goes wrong with it is in the outcome."""
    outcome = Outcome()
    try:
        label, colored = _load(item, task, scratch, outcome)
        parts = pieces(colored, task.rules)
    except Rejected as error:
        outcome.rejected.append((error.reason, error.detail))
        return outcome
    except MemoryError:
        outcome.rejected.append(("memory", f"reading it takes more than {task.limits.memory} MiB (--memory)"))
        return outcome
    for k, part in enumerate(parts):
        suffix = f"-{k}" if len(parts) > 1 else ""
        try:
            row = _row(part, outcome.digest + suffix, label + suffix, task)
        except Rejected as error:
            outcome.rejected.append((error.reason, error.detail + (f" (component {k})" if suffix else "")))
        else:
            outcome.rows.append(row)
    return outcome


def _load(item: Item, task: Task, scratch: Path, outcome: Outcome) -> tuple[str, Colored]:
    """(name in the set, mesh); the digest goes into the outcome as soon as it is known."""
    if item.kind == "shape":
        family, colored = procedural(int(item.place), task.content.seed, task.content.colors)
        outcome.digest = _hash([colored.mesh.vertices.tobytes(), colored.mesh.faces.tobytes()])
        return f"{family}-{int(item.place):07d}", colored
    try:
        path = fetch(item, scratch, task.limits.max_file_mb * MIB)
        outcome.digest = _hash([path.read_bytes(), *_buffers(path)])
        _refuse_bomb(path, task.limits.max_file_mb * MIB)
        return item.name, read(path, task.content.colors)
    except (Rejected, MemoryError):
        raise
    except Exception as error:  # a broken file makes the parsers raise nearly anything; it costs that file only
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        text = f"{kind}{error}".replace(f"{path}: " if "path" in locals() else item.place, "").strip()
        if isinstance(error.__cause__, MemoryError):
            raise Rejected("memory", text) from error
        empty = "degenerate" in text or "no faces" in text or "holds neither" in text or "longest side" in text
        raise Rejected("no surface" if empty else "unreadable", text or kind) from error


def _hash(parts: list[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _buffers(path: Path) -> list[bytes]:
    """The geometry that a .gltf keeps in other files: without it two different meshes may have equal bytes."""
    if path.suffix.lower() != ".gltf":
        return []
    files = [path.parent / name for name in companions(path)]
    return [file.read_bytes() for file in files if file.suffix.lower() == ".bin" and file.is_file()]


def _refuse_bomb(path: Path, most_bytes: int) -> None:
    """A .3mf is a zip: what its directory says it unpacks to is known before anything is unpacked."""
    import zipfile

    if path.suffix.lower() == ".3mf" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > most_bytes:
            raise Rejected("too large", f"unpacks to {size / MIB:.0f} MiB, --max_file_mb allows {most_bytes / MIB:.0f}")


def procedural(index: int, seed: int, colors: bool) -> tuple[str, Colored]:
    """(family, mesh) of a procedural shape, its parts in colours drawn from the palette."""
    from core.data.shapes import make_parts

    mesh, family, part = make_parts(seed, index)
    if not colors:
        return family, Colored(normalize(mesh)[0])
    rng = np.random.default_rng((seed, index, 0xC0105))
    palette = np.array(SHAPE_COLORS, np.float64)[rng.permutation(len(SHAPE_COLORS))]
    shade = rng.uniform(0.9, 1.08, (int(part.max()) + 1, 1))
    paint = np.clip(palette[np.arange(len(shade)) % len(palette)] * shade, 0, 255).astype(np.uint8)
    return family, Colored(normalize(mesh)[0], paint[part])


def _row(part: Colored, uid: str, name: str, task: Task) -> Row:
    measures = judge(part.mesh, task.rules, _tokenizer(task.rules.discrete_bins, task.rules.meto_backend))
    row = Row(uid, name, part.mesh, part.colors, measures, signature(part.mesh))
    if task.content.views:
        from core.data.prepare.pictures import draw_views

        row.views = draw_views(part, uid, task.content)
    return row


@lru_cache(maxsize=2)
def _tokenizer(bins: int, backend) -> Tokenizer:
    return Tokenizer(TokenizerConfig(discrete_bins=bins, meto_backend=backend))
