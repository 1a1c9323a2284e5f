"""Triangle meshes and point clouds: load, clean, normalise, sample and save.

A point cloud is a `Mesh` whose `faces` is empty, so everything that takes an input takes both.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.geometry.vectors import cross, lengths
from core.geometry.vectors import unique_rows as unique_rows
from meto.mesh import clean_mesh, read_mesh

MESH_SUFFIXES = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf", ".dae", ".3mf")
POINT_SUFFIXES = (".xyz", ".npy")  # besides .ply and .obj without faces
MERGE_DISTANCE = 1e-4  # vertices closer than this share of the longest side are one


class Mesh(NamedTuple):
    """A triangle mesh, or a point cloud where there are no faces.

    vertices: (V, 3) float32 (float64 from `load` and `clean`: small things far from the origin keep their shape)
    faces: (F, 3) int32, counter-clockwise seen from outside; (0, 3) for a point cloud
    """

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def is_points(self) -> bool:
        return len(self.faces) == 0


class Placement(NamedTuple):
    """Where a mesh was before `normalize`: normalised = (original - center) * scale."""

    center: np.ndarray  # (3,) float64
    scale: float

    def apply(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) of the input's frame -> (V, 3) float32 of the normalised frame."""
        return ((np.asarray(vertices, np.float64) - self.center) * self.scale).astype(np.float32)

    def invert(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) of the normalised frame -> (V, 3) float64 at the input's place and scale."""
        return np.asarray(vertices, np.float64) / self.scale + self.center


# ---------------------------------------------------------------------------------------------------------------------
# Files


def list_inputs(path: str | Path, suffixes: tuple[str, ...] = MESH_SUFFIXES + POINT_SUFFIXES) -> list[Path]:
    """`path` itself if it is a file, else every file below that folder with one of `suffixes`, sorted.

    Hidden files and folders are passed over. Raises ValueError where nothing is there or nothing fits.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() not in suffixes:
            raise ValueError(f"{path}: unknown kind of file {path.suffix!r}; expected one of {' '.join(suffixes)}")
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path}: no such file or folder")
    found = []
    for folder, subfolders, names in os.walk(path, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(folder, n) for n in names if n[0] != "." and os.path.splitext(n)[1].lower() in suffixes]
    if not found:
        raise ValueError(f"{path}: no file in this folder has one of the suffixes {' '.join(suffixes)}")
    return sorted(found)


def load(path: str | Path) -> Mesh:
    """Read a mesh (scene transforms applied, every instance its own copy) or a point cloud, as float64.

    Raises ValueError naming the file: unreadable, neither faces nor points, NaN or infinite vertices, zero extent.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if suffix not in MESH_SUFFIXES + POINT_SUFFIXES:
        raise ValueError(f"{path}: unknown kind of file {suffix!r}")
    if suffix in POINT_SUFFIXES:
        mesh = Mesh(_read_points(path), np.zeros((0, 3), np.int32))
    else:
        mesh = Mesh(*read_mesh(path))
    check(mesh, str(path))
    return mesh


def check(mesh: Mesh, name: str = "mesh") -> None:
    """Raise ValueError (naming `name` and the value) for what nothing can be made from."""
    vertices, faces = mesh
    if len(vertices) == 0:
        raise ValueError(f"{name}: neither faces nor points")
    bad = np.flatnonzero(~np.isfinite(vertices).all(axis=1))
    if len(bad):
        raise ValueError(f"{name}: vertex {bad[0]} is {vertices[bad[0]].tolist()}; every coordinate must be finite")
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise ValueError(f"{name}: a face uses vertex {faces.max()} (or {faces.min()}) of {len(vertices)}")
    used = vertices[np.unique(faces)] if len(faces) else vertices
    extent = float(np.max(used.max(axis=0) - used.min(axis=0)))
    if not 0 < extent < np.inf:
        raise ValueError(f"{name}: its longest side is {extent}; nothing can be seen of it")


def _read_points(path: Path) -> np.ndarray:
    """(N, 3) float64 of .xyz (text) or .npy ((N, 3 or more) numbers); further columns are ignored."""
    try:
        if path.suffix.lower() == ".npy":
            points = np.load(path, allow_pickle=False)
        else:
            lines = [line for line in path.read_text(encoding="utf-8").replace(",", " ").splitlines() if line.strip()]
            lines = [line for line in lines if not line.lstrip().startswith("#")]
            points = np.loadtxt(lines, ndmin=2) if lines else np.zeros((0, 3))
    except (OSError, ValueError, EOFError) as error:  # UnicodeDecodeError is a ValueError
        raise ValueError(f"{path}: cannot be read as a point cloud ({type(error).__name__}: {error})") from error
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
        raise ValueError(f"{path}: a point cloud is (N, 3) numbers, this is {points.shape} of {points.dtype}")
    return points[:, :3].astype(np.float64)


def save(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh or a point cloud in the format of the suffix, under a temporary name first, so no half file is seen.

    Raises ValueError for a suffix that nothing here writes.
    """
    save_bytes(Path(path), _encode_file(Path(path), mesh))


def save_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _encode_file(path: Path, mesh: Mesh) -> bytes:
    import trimesh

    suffix = path.suffix.lower()
    if suffix == ".obj":  # trimesh rounds to 8 decimals, which eats small meshes
        lines = ["v {:.9g} {:.9g} {:.9g}".format(*v) for v in mesh.vertices.tolist()]
        lines += ["f {} {} {}".format(*f) for f in (mesh.faces + 1).tolist()]
        return ("\n".join(lines) + "\n").encode()
    if suffix == ".xyz":
        return ("\n".join("{:.9g} {:.9g} {:.9g}".format(*v) for v in mesh.vertices.tolist()) + "\n").encode()
    cloud = mesh.is_points
    thing = trimesh.PointCloud(mesh.vertices) if cloud else trimesh.Trimesh(*mesh, process=False)
    try:
        data = thing.export(file_type=suffix[1:])
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: a {'point cloud' if cloud else 'mesh'} cannot be written as {suffix!r}") from error
    if isinstance(data, str):
        return data.encode()
    if not isinstance(data, bytes):  # .gltf is several files
        raise ValueError(f"{path}: {suffix!r} is written as several files; take a format of one, .glb for example")
    return data


# ---------------------------------------------------------------------------------------------------------------------
# Place, scale, surface


def clean(mesh: Mesh) -> Mesh:
    """Merge vertices closer than 1e-4 of the longest side, drop degenerate and duplicate faces and unused vertices.

    Raises ValueError where no face is left. A point cloud comes back as it is.
    """
    if mesh.is_points:
        return mesh
    center, half = _box(mesh.vertices[np.unique(mesh.faces)])
    vertices, faces = clean_mesh((mesh.vertices - center) / (2 * half), mesh.faces, merge_distance=MERGE_DISTANCE)
    if len(faces) == 0:
        raise ValueError(f"all {len(mesh.faces)} faces are degenerate")
    return Mesh(vertices.astype(np.float64) * (2 * half) + center, faces.astype(np.int32))


def normalize(mesh: Mesh, bound: float = 0.95) -> tuple[Mesh, Placement]:
    """Centre of the bounding box to the origin, longest side to 2 * bound; float32, and the way back.

    Raises ValueError for zero extent.
    """
    center, half = _box(mesh.vertices)
    placement = Placement(center, bound / half)
    return Mesh(placement.apply(mesh.vertices), mesh.faces), placement


def _box(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """Bounding box: centre (3,) and half the longest side, float64."""
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    half = float((high - low).max()) / 2
    if not half > 0:
        raise ValueError(f"the mesh's longest side is {2 * half}; it cannot be normalised")
    return (low + high) / 2, half


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) float32 points, uniform over the surface (square-root parametrisation of a triangle).

    Of a point cloud: its own points, none twice before each is there once.
    Raises ValueError for a surface without area.
    """
    if mesh.is_points:
        vertices = np.asarray(mesh.vertices, np.float32)
        rounds = -(-count // len(vertices))
        picks = np.concatenate([rng.permutation(len(vertices)) for _ in range(rounds)])
        return vertices[picks[:count]]
    return sample_faces(mesh, count, rng)[0]


def sample_faces(mesh: Mesh, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The points that `sample_surface` takes of a mesh with faces, and (count,) the face that each lies on."""
    vertices, faces = np.asarray(mesh.vertices, np.float32), mesh.faces
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    u, v = b - a, c - a  # (F, 3)
    cumulative = np.cumsum(lengths(cross(u, v)), dtype=np.float64)
    if not cumulative[-1] > 0:
        raise ValueError(f"the surface of {len(faces)} faces has no area to sample")
    face = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    face = np.minimum(face, len(faces) - 1)  # rounding can reach the end
    root, share = np.sqrt(rng.random((count, 1), np.float32)), rng.random((count, 1), np.float32)
    return a[face] + root * ((1 - share) * u[face] + share * v[face]), face
