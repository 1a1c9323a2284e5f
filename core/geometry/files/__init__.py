"""Files that people have, to meshes and point clouds.

One module a family of formats, each with `read(data, path)`; `read_mesh` here is what everything else calls.
"""

import importlib
import os
from pathlib import Path

import numpy as np

from core.geometry.mesh import Mesh

# The module that reads a suffix. Meshes may turn out to hold points alone.
_MESH_READERS = {
    **{".obj": "obj", ".ply": "ply", ".stl": "stl", ".off": "off"},
    **{".glb": "gltf_scene", ".gltf": "gltf_scene", ".dae": "collada", ".3mf": "threemf"},
}
_POINT_READERS = {
    **{".xyz": "columns", ".pts": "columns", ".csv": "columns"},
    **{".npy": "arrays", ".npz": "arrays", ".pcd": "pcd", ".las": "las"},
}
MESH_SUFFIXES = tuple(_MESH_READERS)
POINT_SUFFIXES = tuple(_POINT_READERS)


def read_mesh(path: str | os.PathLike[str]) -> Mesh:
    """All meshes of a file as one, or its points where it has no face; float64, in the file's units.

    Scene transforms are applied and each instance is a copy of its own; polygons are cut into triangles. Nothing is
    merged or dropped, and nothing is checked of the values but that a face's vertices are there.

    Raises:
        ValueError: naming the file and what is wrong with it: not there, of an unknown kind, not what its suffix says,
            damaged, or in need of what is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    suffix = path.suffix.lower()
    module = (_MESH_READERS | _POINT_READERS).get(suffix)
    if module is None:
        known = " ".join(MESH_SUFFIXES + POINT_SUFFIXES)
        raise ValueError(f"{path}: unknown kind of file {suffix!r}; expected one of {known}")
    kind = suffix[1:] if suffix in _MESH_READERS else "a point cloud"
    try:
        data = path.read_bytes()
        if not data:
            raise ValueError("it is empty: neither faces nor points")
        check_content(data)
        reader = importlib.import_module(f"core.geometry.files.{module}")
        with np.errstate(invalid="ignore", over="ignore"):  # such values are found where the mesh is checked
            vertices, faces = reader.read(data, path)
        if faces.size and not (faces.min() >= 0 and faces.max() < len(vertices)):
            raise ValueError(f"a face has index {faces.max()} (or {faces.min()}), there are {len(vertices)} vertices")
    except MemoryError as error:
        raise ValueError(f"{path}: takes more memory than there is ({error})") from error
    except Exception as error:  # a damaged file makes a reader stumble anywhere
        is_told = isinstance(error, ValueError) and not isinstance(error, UnicodeDecodeError)
        reason = str(error) if is_told else f"damaged ({type(error).__name__}: {error})"
        raise ValueError(f"{path}: not readable as {kind}: {' '.join(reason.split())}") from error
    return Mesh(np.asarray(vertices, np.float64), np.asarray(faces, np.int32).reshape(-1, 3))


def check_content(data: bytes) -> None:
    """Raise ValueError for what is found in place of files: Git LFS pointers and web pages."""
    if data.startswith(b"version https://git-lfs"):
        raise ValueError("it is a Git LFS pointer, not the file itself; `git lfs pull` fetches that")
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise ValueError("it is an HTML page, saved under this name")
