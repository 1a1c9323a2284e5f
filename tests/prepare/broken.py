"""Files that loaders stumble over, of every kind: what prepare.py must survive.

Each maker writes one file (some a companion beside it); `number` makes them differ.
"""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

from core.data.mesh import Mesh, save

BOX = trimesh.creation.box((1, 2, 3))
MESH = Mesh(np.asarray(BOX.vertices, np.float32), np.asarray(BOX.faces, np.int32))


def truncated(folder: Path, number: int) -> Path:
    suffix = (".glb", ".ply", ".stl", ".3mf", ".gltf")[number % 5]
    path = folder / f"truncated-{number}{suffix}"
    if suffix == ".3mf":
        data = BOX.export(file_type="3mf")
    elif suffix == ".gltf":
        data = json.dumps(gltf(24)).encode()
    else:
        data = BOX.export(file_type=suffix[1:])
    path.write_bytes(data[: len(data) * 2 // 5])
    return path


def empty(folder: Path, number: int) -> Path:
    path = folder / f"empty-{number}{('.obj', '.ply', '.stl', '.glb', '.off', '.dae', '.gltf', '.3mf')[number % 8]}"
    path.touch()
    return path


def wrong_extension(folder: Path, number: int) -> Path:
    """A picture that is called a mesh, a mesh that is called another kind, and kinds that nobody reads."""
    suffix = (".obj", ".glb", ".ply", ".blend", ".fbx")[number % 5]
    path = folder / f"wrong-{number}{suffix}"
    picture = b"\x89PNG\r\n\x1a\n" + np.random.default_rng(number).bytes(3000)
    path.write_bytes(picture if number % 2 else BOX.export(file_type="stl")[:-1])
    return path


def ten_million_faces(folder: Path, number: int) -> Path:
    """Headers that promise what the file cannot hold."""
    kind = number % 4
    path = folder / f"huge-{number}{('.ply', '.stl', '.off', '.gltf')[kind]}"
    if kind == 0:
        header = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
        header += "property float z\nelement face 10000000\nproperty list uchar int vertex_indices\nend_header\n"
        path.write_bytes(header.encode() + bytes(60))
    elif kind == 1:
        path.write_bytes(bytes(80) + struct.pack("<I", 10_000_000) + bytes(500))
    elif kind == 2:
        path.write_text("OFF\n3 10000000 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    else:
        document = gltf(10_000_000)
        del document["accessors"][0]["bufferView"]
        path.write_text(json.dumps(document))
    return path


def not_a_number(folder: Path, number: int) -> Path:
    kind = number % 3
    path = folder / f"nan-{number}{('.obj', '.ply', '.off')[kind]}"
    bad = ("nan", "inf", "-inf")[number // 3 % 3]
    if kind == 0:
        path.write_text(f"v 0 0 {bad}\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    elif kind == 1:
        header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        path.write_text(f"{header}0 0 {bad}\n1 0 0\n0 1 0\n3 0 1 2\n")
    else:
        path.write_text(f"OFF\n3 1 0\n0 0 {bad}\n1 0 0\n0 1 0\n3 0 1 2\n")
    return path


def zip_bomb(folder: Path, number: int) -> Path:
    """A .3mf whose model, or a .zip whose mesh, unpacks to a gibibyte."""
    path = folder / f"bomb-{number}{('.3mf', '.zip')[number % 2]}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        name = "3D/3dmodel.model" if number % 2 == 0 else "bomb.obj"
        with archive.open(name, "w", force_zip64=True) as file:
            block = bytes(1 << 22)
            for _ in range(256):
                file.write(block)
    return path


def cyclic_scene(folder: Path, number: int) -> Path:
    path = folder / f"cyclic-{number}.gltf"
    document = gltf(24)
    loops: list[list[dict]] = [
        [{"children": [1]}, {"children": [0], "mesh": 0}],
        [{"children": [0], "mesh": 0}],
        [{"children": [1]}, {"children": [2]}, {"children": [1], "mesh": 0}],
    ]
    document["nodes"] = loops[number % 3]
    document["buffers"][0]["uri"] = embedded()
    path.write_text(json.dumps(document))
    return path


def missing_buffers(folder: Path, number: int) -> Path:
    path = folder / f"unbuffered-{number}.gltf"
    document = gltf(24)
    document["buffers"][0]["uri"] = f"nowhere-{number}.bin"
    path.write_text(json.dumps(document))
    return path


def gltf(count: int) -> dict:
    """One mesh of `count` vertices and as many indices, in one buffer."""
    size = count * 16
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": count, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": count * 12},
            {"buffer": 0, "byteOffset": count * 12, "byteLength": count * 4},
        ],
        "buffers": [{"byteLength": size}],
    }


def embedded() -> str:
    import base64

    points = np.random.default_rng(0).random((24, 3)).astype("<f4").tobytes() + np.arange(24, dtype="<u4").tobytes()
    return "data:application/octet-stream;base64," + base64.b64encode(points).decode()


MAKERS: tuple[Callable[[Path, int], Path], ...] = (
    *(truncated, empty, wrong_extension, ten_million_faces, not_a_number, zip_bomb, cyclic_scene, missing_buffers),
)


def write_broken(folder: Path, count: int) -> list[Path]:
    """`count` broken files, of each kind in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    return [MAKERS[k % len(MAKERS)](folder, k // len(MAKERS)) for k in range(count)]


def write_good(folder: Path, count: int) -> list[Path]:
    """`count` different meshes in the formats that are written as one file, in two folders."""
    rng = np.random.default_rng(9)
    (folder / "deep" / "er").mkdir(parents=True, exist_ok=True)
    paths = []
    for k in range(count):
        sections = 5 + k % 23
        mesh = trimesh.creation.cone(1, rng.uniform(0.5, 3), sections=sections)
        vertices = mesh.vertices + rng.uniform(-0.05, 0.05, mesh.vertices.shape)
        suffix = (".obj", ".ply", ".stl", ".off", ".glb", ".obj", ".obj")[k % 7]
        path = (folder if k % 3 else folder / "deep" / "er") / f"good-{k:04d}{suffix}"
        save(path, Mesh(vertices.astype(np.float32), np.asarray(mesh.faces, np.int32)))
        paths.append(path)
    return paths
