"""How fast are mesh files read, against trimesh, and which reader has the files that people bring right?

    python benchmarks/readers.py [--faces 300000] [--rounds 5] [--cases]

For OBJ (triangles; with texture coordinates and normals; quads), PLY (binary; text), STL (binary; text), OFF and glb of
300,000 faces: the least processor time of some rounds, by trimesh (through meto) and by core.geometry.files, in turn in
this run. --cases also prints which of tests/inputs either has wrong. The last line is one JSON object: the ratios
of seconds (trimesh / here), and how many cases are right.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import finish
from core import cli
from core.data.mesh import check, load
from core.geometry.mesh import Mesh
from meto import files as by_trimesh
from tests.geometry.known import CASES, complaint, print_table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", action="store_true", help="print the cases that one of the readers has wrong")
    options = parser.parse_args()
    ratios = {}
    with tempfile.TemporaryDirectory() as place:
        for path in write_files(Path(place), options.faces):
            here, there = race(path, options.rounds)
            ratios[path.name] = there / here
            print(f"{path.name:16} {path.stat().st_size / 1e6:6.1f} MB   trimesh {there:6.3f} s   here {here:6.3f} s")
    readers = {"trimesh": load_by_trimesh, "here": load}
    if options.cases:
        print_table(readers)
    right = {name: sum(is_right(case, read) for case in CASES) for name, read in readers.items()}
    figures = {"name": "readers", "least_ratio": min(ratios.values()), "ratios": ratios}
    return finish(figures | {"cases": len(CASES), "right": right})


def load_by_trimesh(path: Path) -> Mesh:
    mesh = Mesh(*by_trimesh.read_mesh(path))
    check(mesh, str(path))
    return mesh


def is_right(case: dict, read: Callable[[Path], Mesh]) -> bool:
    return not complaint(case, read)


def race(path: Path, rounds: int) -> tuple[float, float]:
    """Processor seconds of the best round here and by trimesh; both must find the same surface."""
    best = {load: np.inf, load_by_trimesh: np.inf}
    for _ in range(rounds):
        for read in best:
            started = time.process_time()
            mesh = read(path)
            best[read] = min(best[read], time.process_time() - started)
            assert len(mesh.faces) > 0
    here, there = (read(path) for read in best)
    assert len(here.faces) == len(there.faces), f"{path}: {len(here.faces)} faces, by trimesh {len(there.faces)}"
    np.testing.assert_allclose(here.vertices[here.faces].sum(axis=(0, 1)), there.vertices[there.faces].sum(axis=(0, 1)))
    return best[load], best[load_by_trimesh]


def write_files(folder: Path, count: int) -> list[Path]:
    """A wavy square of about `count` triangles in each format."""
    import trimesh

    side = int((count / 2) ** 0.5)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, side + 1), np.linspace(0, 1, side + 1)), axis=-1).reshape(-1, 2)
    vertices = np.concatenate([grid, 0.1 * np.sin(9 * grid[:, :1]) * np.cos(7 * grid[:, 1:])], axis=1)
    corner = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).reshape(-1)
    quads = np.stack([corner, corner + 1, corner + side + 2, corner + side + 1], axis=1)
    faces = quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    written = {
        "plain.obj": obj(vertices, faces, "{0}"),
        "textured.obj": obj(vertices, faces, "{0}/{0}/{0}"),
        "quads.obj": obj(vertices, quads, "{0}"),
        "binary.ply": mesh.export(file_type="ply"),
        "text.ply": mesh.export(file_type="ply", encoding="ascii"),
        "binary.stl": mesh.export(file_type="stl"),
        "text.stl": mesh.export(file_type="stl_ascii"),
        "text.off": mesh.export(file_type="off"),
        "binary.glb": mesh.export(file_type="glb"),
    }
    for name, data in written.items():
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return [folder / name for name in written]


def obj(vertices: np.ndarray, faces: np.ndarray, corner: str) -> str:
    """An OBJ file whose corners are written as `corner`; with texture coordinates and normals where that names them."""
    lines = ["v {:.6f} {:.6f} {:.6f}".format(*v) for v in vertices.tolist()]
    if "/" in corner:
        lines += [f"vt {x:.6f} {y:.6f}" for x, y, _ in vertices.tolist()]
        lines += ["vn {:.4f} {:.4f} {:.4f}".format(*v) for v in vertices.tolist()]
    lines += ["f " + " ".join(corner.format(k) for k in face) for face in (faces + 1).tolist()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(cli.run(main))
