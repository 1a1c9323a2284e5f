"""Where meshes come from: folders of files, and the procedural generator where there are none.

A source is read or generated once, at start, and then lies packed in four arrays, which forked loader workers share.
"""

import hashlib
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.data.mesh import MESH_SUFFIXES, Mesh, check_file, clean, list_inputs, load, normalize
from core.tokens import TokenizerConfig

log = logging.getLogger(__name__)

TEST_SHARE = 0.02  # of a folder's files, by the hash of their bytes; fixed, so that no file ever changes sides
REASONS_SHOWN = 5
POOL_FROM = 64  # fewer files or shapes are read or made sooner than a pool of processes starts


class MeshSource(Protocol):
    """Meshes by number: normalised to 0.95, triangles only, float32 and int32."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Mesh: ...
    def name(self, index: int) -> str: ...

    def known_lengths(self, tokenizer: TokenizerConfig) -> tuple[np.ndarray, np.ndarray] | None:
        """(n,) faces and (n,) tokens of each mesh as this tokenizer writes it, where that was counted beforehand."""

    def fingerprint(self) -> str:
        """Changes when any mesh does."""


class PackedMeshes:
    """Many meshes in four arrays: no Python object a mesh, so workers share the memory after a fork.

    vertices: (sum V, 3) float32   faces: (sum F, 3) int32, each mesh's from 0   *_offsets: (n + 1,) int64
    """

    def __init__(self, meshes: Sequence[Mesh], names: Sequence[str]):
        self.vertices = np.concatenate([np.zeros((0, 3), np.float32), *(m.vertices for m in meshes)]).astype(np.float32)
        self.faces = np.concatenate([np.zeros((0, 3), np.int32), *(m.faces for m in meshes)]).astype(np.int32)
        self.vertex_offsets = np.cumsum([0] + [len(m.vertices) for m in meshes])
        self.face_offsets = np.cumsum([0] + [len(m.faces) for m in meshes])
        self.names = np.array(names, dtype=np.str_)

    @classmethod
    def join(cls, parts: "Sequence[PackedMeshes]") -> "PackedMeshes":
        """All meshes of `parts`, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls([part[k] for part in parts for k in range(len(part))], [n for part in parts for n in part.names])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Mesh:
        if not 0 <= index < len(self):
            raise IndexError(f"mesh {index} of {len(self)}")
        v, f = self.vertex_offsets, self.face_offsets
        return Mesh(self.vertices[v[index] : v[index + 1]], self.faces[f[index] : f[index + 1]])

    def name(self, index: int) -> str:
        return str(self.names[index])

    def known_lengths(self, tokenizer: TokenizerConfig) -> None:
        return None

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.vertices, self.faces, self.vertex_offsets, self.face_offsets):
            digest.update(array.tobytes())
        return digest.hexdigest()


class JoinedMeshes:
    """The meshes of several sources, one source after the other."""

    def __init__(self, parts: Sequence[MeshSource]):
        self.parts = list(parts)
        self.ends = np.cumsum([len(part) for part in parts])

    @classmethod
    def of(cls, parts: Sequence[MeshSource]) -> MeshSource:
        """The parts as one; a single one stays what it is."""
        return parts[0] if len(parts) == 1 else cls(parts)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Mesh:
        part, within = self.place(index)
        return part[within]

    def name(self, index: int) -> str:
        part, within = self.place(index)
        return part.name(within)

    def known_lengths(self, tokenizer: TokenizerConfig) -> tuple[np.ndarray, np.ndarray] | None:
        known = [part.known_lengths(tokenizer) for part in self.parts if len(part)]
        if any(k is None for k in known) or not known:
            return None
        faces, tokens = zip(*(k for k in known if k is not None), strict=True)
        return np.concatenate(faces), np.concatenate(tokens)

    def fingerprint(self) -> str:
        return "+".join(part.fingerprint() for part in self.parts)

    def place(self, index: int) -> tuple[MeshSource, int]:
        """The source that holds a mesh, and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"mesh {index} of {len(self)}")
        k = int(np.searchsorted(self.ends, index, side="right"))
        return self.parts[k], index - int(self.ends[k]) + len(self.parts[k])


class FolderSource:
    """The mesh files of a folder (or one file), and how they divide into train and test.

    Attributes:
        train, test: the two parts, as packed meshes; test in the order of the files' hashes.
        rejected: (name, reason) of each file that could not be used.

    Raises ValueError where the folder is missing or holds no mesh that can be read.
    """

    def __init__(self, path: str | Path, progress: bool = True):
        path = Path(path)
        files = list_inputs(path, MESH_SUFFIXES)
        root = path if path.is_dir() else path.parent
        results = run_all(_read_file, files, f"reading {path}", progress)
        read = sorted((r for r in results if not isinstance(r[1], str)), key=lambda r: (r[0], str(r[2])))
        self.rejected = [(str(file), reason) for _, reason, file in results if isinstance(reason, str)]
        report_rejected(self.rejected, len(files))
        if not read:
            raise ValueError(f"{path}: none of its {len(files)} files can be used; the first: {self.rejected[0][1]}")
        names = [file.relative_to(root).as_posix() for _, _, file in read]
        tests = [is_test(digest) for digest, _, _ in read]
        self.train = _pack([mesh for _, mesh, _ in read], names, [not test for test in tests])
        self.test = _pack([mesh for _, mesh, _ in read], names, tests)
        log.info("%s: %d meshes to train on, %d to test on", path, len(self.train), len(self.test))


def is_test(digest: str) -> bool:
    """Whether a file belongs to the test split: its hash alone says so."""
    return int(digest[:8], 16) < TEST_SHARE * 2**32


def _read_file(file: Path) -> tuple[str, Mesh | str, Path]:
    """(hash of the bytes, mesh or why there is none, file)."""
    digest = ""
    try:
        check_file(file)
        digest = hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
        mesh = load(file)
        if mesh.is_points:
            raise ValueError(f"{file}: has points but no faces")
        return digest, normalize(clean(mesh))[0], file
    except Exception as error:  # whatever a broken file sets off costs that file only, and is reported
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        text = f"{kind}{error}"
        return digest, text if str(file) in text else f"{file}: {text}", file


def _pack(meshes: list[Mesh], names: list[str], keep: list[bool]) -> PackedMeshes:
    kept = [k for k, wanted in enumerate(keep) if wanted]
    return PackedMeshes([meshes[k] for k in kept], [names[k] for k in kept])


def report_rejected(rejected: list[tuple[str, str]], total: int) -> None:
    """One warning with the count, and the first few reasons."""
    if rejected:
        shown = "".join(f"\n  {reason}" for _, reason in rejected[:REASONS_SHOWN])
        more = len(rejected) - REASONS_SHOWN
        tail = f"\n  and {more} more" if more > 0 else ""
        log.warning("%d of %d files cannot be used and are left out:%s%s", len(rejected), total, shown, tail)


class ShapesSource(PackedMeshes):
    """`count` procedural shapes of `seed`; shape k is the same whatever the count."""

    def __init__(self, seed: int, count: int, progress: bool = True):
        if count < 1:
            raise ValueError(f"{count} procedural shapes: at least 1 is needed")
        made = run_all(_make_shape, [(seed, k) for k in range(count)], "making procedural shapes", progress)
        super().__init__([mesh for mesh, _ in made], [name for _, name in made])


def _make_shape(key: tuple[int, int]) -> tuple[Mesh, str]:
    from core.data.shapes import make_shape

    mesh, family = make_shape(*key)
    return normalize(mesh)[0], f"{family}-{key[1]:06d}"


def run_all(function: Callable[[Any], Any], items: Sequence[Any], title: str, progress: bool = True) -> list[Any]:
    """[function(item) for item in items], in order, on all cores where that pays, with a progress bar on rank 0."""
    from rich.progress import track

    def shown(results: Iterable[Any]) -> list[Any]:
        quiet = not progress or len(items) < POOL_FROM or os.environ.get("LOCAL_RANK", "0") != "0"
        return list(track(results, description=title, total=len(items), disable=quiet, transient=True))

    workers = min(cpu_count(), -(-len(items) // POOL_FROM))
    if workers < 2:
        return shown(map(function, items))
    # fork: the children start at once, and need nothing of what the parent's threads may hold
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return shown(pool.map(function, items, chunksize=16))


def cpu_count() -> int:
    """Cores for this process: those it may use, shared with the other processes of a launch on this machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
