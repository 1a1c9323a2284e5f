"""How fast meto encodes and decodes, how the time grows with the mesh, and how much memory it takes.

    python benchmarks/meto.py [--data ../shared/data/lowpoly_cc0.npz] [--backend LR_ABSCO] [--most_faces N]

One thread. Times are this thread's CPU time, the best of several, so that other work on the machine shows as little as
it can; each is also given as a ratio to a numpy sort of the mesh's half edges in the same run. The last line is JSON:
encode_mfaces_per_s and decode_mfaces_per_s are those of the slower of two inputs (artist meshes one call each, and an
icosphere), encode_growth is the largest time a face over that of the same kind of mesh at about 10,000 faces, and
bytes_per_face the peak of an encoding of the largest mesh, its input and output included.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.pop(0)  # this folder: this file is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import finish, peak_bytes
from core import cli
from meto import Engine

Mesh = tuple[np.ndarray, np.ndarray]

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "lowpoly_cc0.npz"

# ---- meshes ---------------------------------------------------------------------------------------------------------


def icosphere(level: int) -> Mesh:
    """20 * 4**level faces."""
    g = (1 + 5**0.5) / 2
    vertices = np.array([(0, a, b) for a in (-1, 1) for b in (-g, g)])
    vertices = np.concatenate([np.roll(vertices, shift, axis=1) for shift in range(3)])
    distance = np.linalg.norm(vertices[:, None] - vertices[None], axis=2)
    near = np.isclose(distance, 2)
    triples = [(a, b, c) for a in range(12) for b in range(a) for c in range(b) if near[a, b] & near[b, c] & near[c, a]]
    faces = np.array([t if np.linalg.det(vertices[list(t)]) > 0 else t[::-1] for t in triples])
    for _ in range(level):
        vertices, faces = subdivide(vertices, faces)
    vertices = 0.95 * vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    return vertices.astype(np.float32), faces.astype(np.int32)


def subdivide(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    """Each face into four, which stay together."""
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    unique, middle = np.unique(edges[:, 0] * len(vertices) + edges[:, 1], return_inverse=True)
    a, b = np.divmod(unique, len(vertices))
    m = middle.reshape(-1, 3) + len(vertices)
    corner = [np.stack([faces[:, i], m[:, i], m[:, i - 1]], axis=-1) for i in range(3)]
    return np.concatenate([vertices, vertices[a] + vertices[b]]), np.stack([*corner, m], axis=1).reshape(-1, 3)


def torus(num_faces: int) -> Mesh:
    """A closed smooth grid, about three times as long as it is wide."""
    n = round((num_faces / 6) ** 0.5)
    x, y = (a.ravel() for a in np.meshgrid(np.arange(3 * n), np.arange(n)))
    u, v = x * (2 * np.pi / (3 * n)), y * (2 * np.pi / n)
    ring = 0.65 + 0.3 * np.cos(v)
    vertices = np.stack([ring * np.cos(u), 0.3 * np.sin(v), ring * np.sin(u)], axis=-1)
    at = [(x + i) % (3 * n) + (y + j) % n * 3 * n for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
    return vertices.astype(np.float32), two_triangles(at)


def perforated(num_faces: int) -> Mesh:
    """A wavy sheet of squares of which every ninth is missing."""
    n = round((num_faces * 9 / 16) ** 0.5)
    x, y = (a.ravel() for a in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    u, v = 1.9 * x / n - 0.95, 1.9 * y / n - 0.95
    vertices = np.stack([u, v, 0.1 * np.sin(9 * u) * np.cos(7 * v)], axis=-1)
    kept = (x < n) & (y < n) & ~((x % 3 == 1) & (y % 3 == 1))
    at = [((y + j) * (n + 1) + x + i)[kept] for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    return vertices.astype(np.float32), two_triangles(at)


def two_triangles(quads: list[np.ndarray]) -> np.ndarray:
    a, b, c, d = quads
    return (
        np.stack([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)], axis=1).reshape(-1, 3).astype(np.int32)
    )


def artist_meshes(path: Path) -> list[Mesh]:
    """The packed low-poly meshes, or tori of 24 to 800 faces where they are absent."""
    if not path.exists():
        print(f"{path} is absent: small tori instead of artist meshes")
        return [torus(n) for n in range(24, 800, 2)]
    with np.load(path) as packed:
        vertices, faces = packed["vertices"], packed["faces"].astype(np.int32)
        v, f = packed["vertex_offsets"], packed["face_offsets"]
    return [(vertices[v[i] : v[i + 1]].copy(), faces[f[i] : f[i + 1]].copy()) for i in range(len(v) - 1)]


# ---- measuring ------------------------------------------------------------------------------------------------------


def best_times(work: list[Callable[[], Any]], repeats: int) -> np.ndarray:
    """The shortest CPU time of each piece of work, in seconds, over `repeats` rounds through all of them."""
    times = np.full((repeats, len(work)), np.inf)
    for r in range(repeats):
        for i, call in enumerate(work):
            start = time.thread_time()
            call()
            times[r, i] = time.thread_time() - start
    return times.min(axis=0)


def half_edge_keys(mesh: Mesh) -> np.ndarray:
    """(3 F,) int64: what a program that sorts half edges to match them would sort."""
    ends = np.sort(np.stack([mesh[1], np.roll(mesh[1], -1, axis=1)], axis=-1).reshape(-1, 2).astype(np.int64), axis=1)
    return ends[:, 0] * len(mesh[0]) + ends[:, 1]


def speed(engine: Engine, name: str, meshes: list[Mesh], repeats: int) -> tuple[float, float]:
    """Millions of faces encoded and decoded a second; prints them with their ratios to a sort."""
    faces = sum(len(f) for _, f in meshes)
    streams = [engine.encode(v, f, mark_out_of_range=True)[0] for v, f in meshes]
    whole = [t for t in streams if t.min() >= 0]  # in LR a few meshes have no tokens for all their residuals
    decoded = sum(len(engine.decode(t)[1]) for t in whole)
    sorting = best_times([partial(np.sort, half_edge_keys(mesh)) for mesh in meshes], repeats).sum() / faces
    encoding = best_times([partial(engine.encode, *mesh, True) for mesh in meshes], repeats).sum() / faces
    decoding = best_times([partial(engine.decode, tokens) for tokens in whole], repeats).sum() / decoded
    print(f"{name}: {len(meshes)} meshes of {faces:,} faces; numpy sorts the half edges of {rate(sorting)}")
    print(f"    encode {rate(encoding)}, {sorting / encoding:.2f} times the sort's")
    print(f"    decode {rate(decoding)}, {sorting / decoding:.2f} times the sort's")
    return 1e-6 / encoding, 1e-6 / decoding


def rate(seconds: float) -> str:
    return f"{1e-6 / seconds:.1f} M faces/s"


def growth(engine: Engine, name: str, meshes: Iterator[Mesh]) -> float:
    """The largest time a face over that of the first mesh; prints all."""
    first = largest = 0.0
    for mesh in meshes:
        count = len(mesh[1])
        sorting = best_times([partial(np.sort, half_edge_keys(mesh))], 3)[0] / count
        encoding = best_times([partial(engine.encode, *mesh, True)], max(5, 2_000_000 // count))[0] / count
        first = first or encoding
        largest = max(largest, encoding / first)
        print(f"{name}: {count:,} faces at {1e9 * encoding:.1f} ns, {sorting / encoding:.2f} times the sort's rate")
    return largest


def bytes_per_face(backend: str, mesh: Mesh) -> float:
    """The peak resident memory of a process that loads and encodes the mesh, over that of one which has not yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.npz"
        np.savez(path, vertices=mesh[0], faces=mesh[1])
        command = [sys.executable, __file__, "--backend", backend, "--measure-memory", str(path)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / len(mesh[1])


def measure_memory(backend: str, path: Path) -> None:
    engine = Engine(1024, backend=backend)
    engine.encode(*torus(1000))
    before = peak_bytes()
    with np.load(path) as mesh:
        engine.encode(mesh["vertices"], mesh["faces"], mark_out_of_range=True)
    print(peak_bytes() - before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="packed meshes (vertices, faces and their offsets)")
    parser.add_argument("--backend", default="LR_ABSCO", choices=["LR_ABSCO", "LR", "CLERS"])
    parser.add_argument("--most_meshes", type=int, default=10**9, help="of the packed ones (default: all)")
    parser.add_argument("--most_faces", type=int, default=3_000_000, help="of a mesh (default: 3,000,000)")
    parser.add_argument("--measure-memory", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure_memory:
        measure_memory(args.backend, args.measure_memory)
        return 0

    engine = Engine(1024, backend=args.backend)
    sizes = [n for n in (10_000, 100_000, 1_000_000, 3_000_000) if n <= args.most_faces]
    levels = [level for level in (5, 7, 8) if 20 * 4**level <= max(args.most_faces, 20 * 4**5)]
    if not sizes:
        raise ValueError(f"--most_faces {args.most_faces}: at least 10000")
    inputs = [
        ("artist", artist_meshes(args.data)[: args.most_meshes], 5),
        ("icosphere", [icosphere(min(7, levels[-1]))], 15),
    ]
    speeds = [speed(engine, name, meshes, repeats) for name, meshes, repeats in inputs]
    kinds = [
        ("icosphere", map(icosphere, levels)),
        ("torus", map(torus, sizes)),
        ("perforated", map(perforated, sizes)),
    ]
    ratios = [growth(engine, name, meshes) for name, meshes in kinds]
    memory = max(bytes_per_face(args.backend, make(sizes[-1])) for make in (torus, perforated))
    print(f"peak memory {memory:.0f} bytes a face")
    figures = {
        "name": "meto",
        "encode_mfaces_per_s": round(min(e for e, _ in speeds), 2),
        "decode_mfaces_per_s": round(min(d for _, d in speeds), 2),
        "encode_growth": round(max(ratios), 2),
        "bytes_per_face": round(memory),
    }
    return finish(figures)


if __name__ == "__main__":
    sys.exit(cli.run(main))
