"""Meshes and point clouds to the bytes of a file, with all the digits that they need where they stand."""

from pathlib import Path

import numpy as np

from core.geometry.mesh import Mesh

TEXT_DIGITS = 9  # as float32 has, for a mesh near the origin
FLOAT_REACH = 16  # from so many of its sizes off the origin, single precision shows on a mesh


def encode_mesh(path: Path, mesh: Mesh) -> bytes:
    """The file's content in the format of its suffix. STL has single precision, wherever the mesh stands.

    Raises:
        ValueError: for a suffix that nothing here writes as one file.
    """
    suffix = path.suffix.lower()
    if suffix in (".obj", ".xyz"):
        return _text(mesh, "v " if suffix == ".obj" else "")
    if suffix == ".ply":
        return _ply(mesh)
    return _by_trimesh(path, suffix, mesh)


def remoteness(vertices: np.ndarray) -> float:
    """How many of its own sizes a mesh's farthest coordinate is from the origin."""
    if len(vertices) == 0:
        return 1.0
    size, far = float(np.ptp(vertices, axis=0).max()), float(np.abs(vertices).max())
    return far / size if size > 0 else np.inf


def _text(mesh: Mesh, mark: str) -> bytes:
    away = remoteness(mesh.vertices)
    digits = TEXT_DIGITS + int(np.ceil(np.log10(away / 10))) if 10 < away < np.inf else TEXT_DIGITS
    form = f"{mark}{{:.{min(digits, 17)}g}} {{:.{min(digits, 17)}g}} {{:.{min(digits, 17)}g}}"
    lines = [form.format(*v) for v in mesh.vertices.tolist()]
    if mark:
        lines += ["f {} {} {}".format(*f) for f in (mesh.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


def _ply(mesh: Mesh) -> bytes:
    """Binary; coordinates as doubles where the mesh is far from the origin."""
    kind, number = ("double", "<f8") if remoteness(mesh.vertices) > FLOAT_REACH else ("float", "<f4")
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}"]
    lines += [f"property {kind} {axis}" for axis in "xyz"]
    rows = b""
    if not mesh.is_points:
        lines += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
        table = np.empty(len(mesh.faces), [("count", "u1"), ("indices", "<i4", 3)])
        table["count"], table["indices"] = 3, mesh.faces
        rows = table.tobytes()
    return ("\n".join([*lines, "end_header"]) + "\n").encode() + mesh.vertices.astype(number).tobytes() + rows


def _by_trimesh(path: Path, suffix: str, mesh: Mesh) -> bytes:
    import trimesh

    def thing(vertices: np.ndarray) -> "trimesh.Trimesh | trimesh.PointCloud":
        return trimesh.PointCloud(vertices) if mesh.is_points else trimesh.Trimesh(vertices, mesh.faces, process=False)

    try:
        if suffix == ".glb" and remoteness(mesh.vertices) > FLOAT_REACH:
            # Its coordinates are single, those of its nodes are not.
            center = np.round((mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2)
            scene = trimesh.Scene()
            place = trimesh.transformations.translation_matrix(center)
            scene.add_geometry(thing(mesh.vertices - center), transform=place)
            data = scene.export(file_type="glb")
        elif suffix == ".off":
            data = thing(mesh.vertices).export(file_type="off", digits=17)
        else:
            data = thing(mesh.vertices).export(file_type=suffix[1:])
    except (ValueError, KeyError, TypeError) as error:
        kind = "point cloud" if mesh.is_points else "mesh"
        raise ValueError(f"{path}: a {kind} cannot be written as {suffix!r}") from error
    if isinstance(data, str):
        return data.encode()
    if not isinstance(data, bytes):  # .gltf is several files
        raise ValueError(f"{path}: {suffix!r} is written as several files; take a format of one, .glb for example")
    return data
