"""Mesh files to arrays and back. The only place that knows trimesh, imported when it is first needed (it is slow)."""

import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

MESH_SUFFIXES = (".3mf", ".dae", ".glb", ".gltf", ".obj", ".off", ".ply", ".stl")
"""What a folder is searched for; `read_mesh` tries whatever trimesh knows."""

_MIN_UNBACKED_VALUES = 1 << 20
_HARMLESS_EXTENSIONS = re.compile(r"KHR_mesh_quantization|(KHR|EXT|MSFT)_(materials|texture|lights)_\w+")
"""Of glTF that may be required without changing what trimesh reads; it would take zeros for compressed vertices."""


def read_mesh(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """All meshes of a file as one: vertices (V, 3) float64 in the file's units, faces (F, 3) int32, as they lie there.

    glb, gltf, obj, ply, stl, off, dae, 3mf and whatever else trimesh reads. A scene's transforms are applied and each
    instance is a copy of its own; polygons are cut into triangles. A file with points and no faces gives faces (0, 3).

    Raises ValueError naming the file when it is missing, of an unknown format or broken, or when it holds nothing,
    coordinates that are not finite, or indices out of range; ImportError when trimesh is not installed.
    """
    return _read(path, materials=False)[:2]


def read_parts(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """As `read_mesh`, and the trimesh meshes (or point clouds) that it was joined from, with their materials.

    The faces are those of the parts, one part after the other.
    """
    return _read(path, materials=True)


def _read(path: str | os.PathLike[str], materials: bool) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    trimesh = _trimesh()
    known = trimesh.exchange.load.mesh_formats()
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in known:
        raise ValueError(f"{path}: unknown mesh format {suffix!r}, it is one of {', '.join(sorted(known))}")
    try:
        num_vertices = _check_declared(path, suffix)
        parts = trimesh.load_scene(str(path), process=False, skip_materials=not materials).dump()
    except Exception as error:  # a broken file makes the parsers raise nearly anything
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{path}: not a readable {suffix} file: {kind}{error}") from error
    meshes = [part for part in parts if isinstance(part, trimesh.Trimesh) and part.faces.size]
    used = meshes or [part for part in parts if isinstance(part, (trimesh.Trimesh, trimesh.PointCloud))]
    vertices, faces = _join(used)
    if len(vertices) == 0:
        raise ValueError(f"{path}: holds neither faces nor points")
    if len(vertices) < num_vertices:
        raise ValueError(f"{path}: declares {num_vertices} vertices, only {len(vertices)} could be read")
    if not np.isfinite(vertices).all():
        index = int(np.argmin(np.isfinite(vertices).all(axis=1)))
        raise ValueError(f"{path}: vertex {index} is not finite: {vertices[index].tolist()}")
    if faces.size and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise ValueError(f"{path}: a face has index {faces.max()}, there are {len(vertices)} vertices")
    return vertices, faces.astype(np.int32), used


def write_mesh(path: str | os.PathLike[str], vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write vertices (V, 3) and faces (F, 3) in the format of the file's suffix, under a temporary name at first.

    .obj needs nothing, other formats need trimesh. Raises ValueError for a format that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() == ".obj":
        lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
        data = ("\n".join(lines) + "\n").encode()
    else:
        mesh = _trimesh().Trimesh(vertices, faces, process=False)
        try:
            exported = mesh.export(file_type=path.suffix.lower().lstrip("."))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path}: cannot write this format: {error}") from error
        data = exported.encode() if isinstance(exported, str) else exported
    write_bytes(path, data)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _trimesh() -> Any:
    try:
        import trimesh
    except ImportError as error:
        raise ImportError("mesh files need trimesh: pip install trimesh") from error
    return trimesh


def _join(parts: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and faces (F, 3) of meshes, or of point clouds, which have no faces."""
    vertices, faces = [np.empty((0, 3))], [np.empty((0, 3), dtype=np.int64)]
    num_vertices = 0
    for part in parts:
        vertices.append(np.asarray(part.vertices, dtype=np.float64).reshape(-1, 3))
        faces.append(np.asarray(getattr(part, "faces", ()), dtype=np.int64).reshape(-1, 3) + num_vertices)
        num_vertices += len(vertices[-1])
    return np.concatenate(vertices), np.concatenate(faces)


# ---- counts that a header declares and the file cannot hold ---------------------------------------------------------


def _check_declared(path: Path, suffix: str) -> int:
    """ValueError where a header's counts cannot be true; returns the number of vertices declared, 0 where unknown."""
    if suffix == "ply":
        return _check_ply(path)
    if suffix == "off":
        return _check_off(path)
    if suffix == "stl":
        _check_stl(path)
    if suffix in ("gltf", "glb"):
        _check_gltf(path)
    return 0


def _check_ply(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(1 << 16).split(b"end_header")[0]
    counts = {name: int(count) for name, count in re.findall(rb"^\s*element\s+(\w+)\s+(-?\d+)", header, re.MULTILINE)}
    for name, count in counts.items():
        if not 0 <= count <= size:
            raise ValueError(f"declares {count} elements {name.decode(errors='replace')!r} in {size} bytes")
    return counts.get(b"vertex", 0)


def _check_off(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = re.sub(rb"#[^\n]*", b"", file.read(1 << 12)).split()[:4]
    counts = [int(word) for word in head if re.fullmatch(rb"\d{1,18}", word)][:2]
    if len(counts) == 2 and 2 * max(counts) > size:
        raise ValueError(f"declares {counts[0]} vertices and {counts[1]} faces in {size} bytes")
    return counts[0] if len(counts) == 2 else 0


def _check_stl(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(84)
    if head[:5].lower() != b"solid" and len(head) == 84:
        (count,) = struct.unpack("<I", head[80:])
        if size < 84 + 50 * count:
            raise ValueError(f"declares {count} triangles, has room for {(size - 84) // 50}")


def _check_gltf(path: Path) -> None:
    """An accessor without a buffer view is all zeros, so nothing else bounds how many it asks for; and no cycles."""
    data = path.read_bytes()
    if data[:4] == b"glTF" and len(data) >= 20:
        (length,) = struct.unpack("<I", data[12:16])
        data = data[20 : 20 + length]
    document = json.loads(data)
    for name in document.get("extensionsRequired", []):
        if not _HARMLESS_EXTENSIONS.fullmatch(str(name)):
            raise ValueError(f"it requires the extension {name}, which is not read here")
    for accessor in document.get("accessors", []):
        count = accessor.get("count", 0)
        if "bufferView" not in accessor and count > max(_MIN_UNBACKED_VALUES, path.stat().st_size):
            raise ValueError(f"an accessor without data declares {count} values")
    _check_nodes([node.get("children", []) for node in document.get("nodes", [])])


def _check_nodes(children: list[list[int]]) -> None:
    """ValueError for a scene graph with a cycle: each of its nodes would be instantiated without end."""
    parents = [0] * len(children)
    for below in children:
        for child in below:
            parents[child] += 1
    free = [node for node, count in enumerate(parents) if count == 0]
    left = len(children)
    while free:
        left -= 1
        for child in children[free.pop()]:
            parents[child] -= 1
            if parents[child] == 0:
                free.append(child)
    if left:
        node = next(node for node, count in enumerate(parents) if count)
        raise ValueError(f"node {node} of the scene is below itself, or below a node that is")
