"""Wavefront OBJ: vertices and polygons, whatever else the file holds."""

import re
from pathlib import Path

import numpy as np

from core.geometry.files.polygons import triangulate
from core.geometry.files.text import normalized, shown, table, whole_numbers
from core.geometry.mesh import Mesh

# The line end before a line is part of the pattern: it is what the search runs ahead to.
_VERTEX = re.compile(rb"\n *[vV] ([^\n]*)")
_FACE = re.compile(rb"\n *[fF] ([^\n]*)")
_COMMENT = re.compile(rb"(?<=[ \n])#[^\n]*")
_CURVE = re.compile(rb"\n *(?:l|curv|curv2|surf) ")


def read(data: bytes, path: Path) -> Mesh:
    """The mesh of an OBJ file: all its groups together, polygons cut into triangles; its points where it has no face.

    Raises:
        ValueError: naming the line or the index that is wrong.
    """
    text = b"\n" + normalized(data)
    if b"\\\n" in text:
        text = text.replace(b"\\\n", b" ")
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    vertices = table(b"\n".join(_VERTEX.findall(text)), 3)
    corners, sizes = whole_numbers(b"\n".join(_FACE.findall(text)))
    if len(corners) == 0:
        if curve := _CURVE.search(text):
            raise ValueError(f"holds lines or curves ({shown(curve[0])}) but no face")
        return Mesh(vertices, np.zeros((0, 3), np.int32))
    if (corners == 0).any():
        raise ValueError("a face has index 0: the first vertex is number 1")
    if corners.min() < 0:
        # Counted back from the last vertex that stands before the face.
        behind = np.repeat(_vertices_before_faces(text), sizes)
        if (wrong := np.flatnonzero(corners < -behind)).size:
            index = corners[wrong[0]]
            raise ValueError(f"a face has index {index}, there are {behind[wrong[0]]} vertices before it")
        corners = np.where(corners < 0, corners + behind, corners - 1)
    else:
        corners = corners - 1
    return Mesh(vertices, triangulate(vertices, corners, sizes))


def _vertices_before_faces(text: bytes) -> np.ndarray:
    """(P,) how many vertices stand before each face."""
    faces = [match.start() for match in _FACE.finditer(text)]
    return np.searchsorted([match.start() for match in _VERTEX.finditer(text)], faces)
