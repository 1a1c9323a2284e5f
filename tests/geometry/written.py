"""The tetrahedron (0 0 0), (1 0 0), (0 2 0), (0 0 3) as files of several kinds."""

import base64
import struct

import numpy as np

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
V = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\n"
F = "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
PLY = "ply\nformat {} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
PLY_V, PLY_F = "0 0 0\n1 0 0\n0 2 0\n0 0 3\n", "3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


def stl(count: int = 4, header: bytes = b"x", behind: bytes = b"") -> bytes:
    rows = np.zeros(4, [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["corners"] = CORNERS[FACES]
    return header.ljust(80) + struct.pack("<I", count) + rows.tobytes() + behind


def facet(corners: np.ndarray) -> str:
    return (
        "facet normal 0 0 0 outer loop " + " ".join("vertex {} {} {}".format(*c) for c in corners) + " endloop endfacet"
    )


def mixed_ply(order: str, index: str = "i4") -> bytes:
    """A quad beside two triangles, a list and a colour a vertex, flags before and behind the indices."""
    form = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    head = (
        PLY.format(form)
        + "property list uchar float weights\nproperty uchar red\nelement face 3\nproperty uchar flag\n"
    )
    head += (
        f"property list uchar {'int' if index == 'i4' else 'ushort'} vertex_index\nproperty float quality\nend_header\n"
    )
    corners = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    body = b""
    for k, c in enumerate(corners):
        body += struct.pack(f"{order}3fB{k}fB", *c, k, *[0.5] * k, 7)
    letter = {"i4": "i", "u2": "H"}[index]
    for face in ([0, 1, 2, 3], [0, 1, 2], [0, 2, 3]):
        body += struct.pack(f"{order}BB{len(face)}{letter}f", 1, len(face), *face, 0.25)
    return head.encode() + body + b"\nmade by a test"


def gltf(primitive: dict | None = None, nodes: list | None = None, **more) -> dict:
    """The tetrahedron as glTF, its data in the file; accessors 0: positions, 1: indices."""
    data = CORNERS.tobytes() + FACES.astype("<u2").tobytes() + b"\0" * 8
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes or [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1} | (primitive or {})]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 24}],
        "buffers": [{"byteLength": len(data), "uri": uri(data)}],
    } | more


def uri(data: bytes) -> str:
    return "data:application/gltf-buffer;base64," + base64.b64encode(data).decode()


def with_data(document: dict, *arrays: tuple[np.ndarray, str], **flags) -> dict:
    """The document with an accessor more for each array, in a buffer of its own each."""
    codes = {"f4": 5126, "u1": 5121, "i1": 5120, "u2": 5123, "i2": 5122, "u4": 5125}
    for array, kind in arrays:
        data = array.tobytes()
        document["buffers"].append({"byteLength": len(data), "uri": uri(data)})
        document["bufferViews"].append({"buffer": len(document["buffers"]) - 1, "byteLength": len(data)})
        view = len(document["bufferViews"]) - 1
        accessor = {"bufferView": view, "componentType": codes[array.dtype.str[1:]], "count": len(array), "type": kind}
        document["accessors"].append(accessor | flags)
    return document
