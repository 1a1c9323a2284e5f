"""Triangle meshes and point clouds: load, clean, normalise, sample and save.

A point cloud is a `Mesh` whose `faces` is empty, so everything that takes an input takes both.
"""

import logging
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.geometry.clouds import find_strays
from core.geometry.files import MESH_SUFFIXES, POINT_SUFFIXES, read_mesh
from core.geometry.files.write import encode_mesh
from core.geometry.mesh import Mesh, bounding_box, check, used_vertices
from core.geometry.vectors import cross, lengths
from core.geometry.vectors import unique_rows as unique_rows
from meto.mesh import clean_mesh

log = logging.getLogger(__name__)

MACOS_FOLDER = "__MACOSX"  # of an unpacked archive: no files, but what macOS knows of them
MERGE_DISTANCE = 1e-4  # vertices closer than this share of the longest side are one
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


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
    """`path` itself if it is a file, else all below that folder with one of `suffixes`, sorted.

    Hidden files and folders and what macOS leaves in archives are skipped; a folder that can be reached by several
    links is listed once. What is no regular file is listed as well, so that it is reported: `check_file` refuses it.
    Raises ValueError where nothing is there or nothing fits.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        check_file(path)
        if path.suffix.lower() not in suffixes:
            raise ValueError(f"{path}: unknown kind of file {path.suffix!r}; expected one of {' '.join(suffixes)}")
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path}: no such file or folder")
    found = []
    for folder, names in _folders(path):
        found += [Path(folder, n) for n in names if n[0] != "." and os.path.splitext(n)[1].lower() in suffixes]
    if not found:
        raise ValueError(f"{path}: no file in this folder has one of the suffixes {' '.join(suffixes)}")
    return sorted(found)


def _folders(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder below `path` that is not hidden, once, and the names in it; links are followed last."""
    seen: set[tuple[int, int]] = set()
    roots = deque([str(path)])
    while roots:
        for folder, subfolders, names in os.walk(roots.popleft(), onerror=_tell_unreadable):
            state = os.stat(folder)
            if (state.st_dev, state.st_ino) in seen:
                subfolders.clear()
                continue
            seen.add((state.st_dev, state.st_ino))
            subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != MACOS_FOLDER)
            inside = [os.path.join(folder, name) for name in subfolders]
            roots += [place for place in inside if os.path.islink(place)]
            yield folder, names


def _tell_unreadable(error: OSError) -> None:
    log.warning("%s: left out: %s", error.filename, error.strerror)


def check_file(path: str | Path) -> None:
    """Raise ValueError, naming it, for what is no regular file: a pipe would be waited for, a device read for ever."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        is_link = os.path.islink(path)
        raise ValueError(f"{path}: {'a link to nothing' if is_link else 'no such file'} ({error.strerror})") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else KINDS.get(stat.S_IFMT(mode), "something else")
        raise ValueError(f"{path}: {kind}, not a file")


def load(path: str | Path, drop_strays: bool = False, warn: bool = True) -> Mesh:
    """Read a mesh (scene transforms applied, every instance its own copy) or a point cloud, as float64.

    Points of a cloud that are not finite, which depth cameras write for what they did not see, are left out.

    Args:
        path: the file.
        drop_strays: leave out of a cloud what `core.geometry.clouds.find_strays` finds.
        warn: log what was left out, and strays that were found and kept.
    Raises:
        ValueError: naming the file: no regular file, unreadable, neither faces nor points, NaN or infinite vertices,
            no extent or one that nothing can be computed with.
    """
    check_file(path)
    mesh = read_mesh(path)
    if mesh.is_points:
        mesh, remarks = _without_strays(mesh, drop_strays)
        for remark in remarks if warn else ():
            log.warning("%s: %s", path, remark)
    check(mesh, str(path))
    return mesh


def _without_strays(cloud: Mesh, drop: bool) -> tuple[Mesh, list[str]]:
    """The points that are meant, and what is to be said of the others."""
    points, remarks = cloud.vertices, []
    finite = np.isfinite(points).all(axis=1)
    if not finite.all() and finite.any():
        remarks.append(f"{(~finite).sum()} of {len(points)} points are not finite and are left out")
        points = points[finite]
    if finite.any() and (strays := find_strays(points)).any.any():
        remarks.append(f"{strays}: {'left out' if drop else '--drop_strays leaves such points out'}")
        points = points[~strays.any] if drop else points
    return cloud._replace(vertices=points), remarks


def save(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh or a point cloud in the format of the suffix, under a temporary name first, so no half file is seen.

    Raises ValueError for a suffix that nothing here writes.
    """
    save_bytes(Path(path), encode_mesh(Path(path), mesh))


def save_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------------------------------
# Place, scale, surface


def clean(mesh: Mesh) -> Mesh:
    """Merge vertices closer than 1e-4 of the longest side, drop degenerate and duplicate faces and unused vertices.

    Raises ValueError where no face is left. A point cloud comes back as it is.
    """
    if mesh.is_points:
        return mesh
    center, half = bounding_box(mesh.vertices[used_vertices(mesh)])
    vertices, faces = clean_mesh((mesh.vertices - center) / (2 * half), mesh.faces, merge_distance=MERGE_DISTANCE)
    if len(faces) == 0:
        raise ValueError(f"all {len(mesh.faces)} faces are degenerate")
    return Mesh(vertices.astype(np.float64) * (2 * half) + center, faces.astype(np.int32))


def normalize(mesh: Mesh, bound: float = 0.95) -> tuple[Mesh, Placement]:
    """Centre of the bounding box to the origin, longest side to 2 * bound; float32, and the way back.

    Raises ValueError for an extent that is zero, not finite, or too small or large to compute with.
    """
    center, half = bounding_box(mesh.vertices)
    placement = Placement(center, bound / half)
    return Mesh(placement.apply(mesh.vertices), mesh.faces), placement


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
