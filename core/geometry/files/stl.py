"""STL, binary and text."""

import re
from pathlib import Path

import numpy as np

from core.geometry.files.polygons import triangulate
from core.geometry.files.text import normalized, numbers, table
from core.geometry.mesh import Mesh

HEADER = 84  # 80 bytes of anything, then the number of triangles
RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
UNKNOWN_COUNTS = (0, 0xFFFFFFFF)  # left by programs that write the count last, and never did
UNLIKELY = 1e30  # a coordinate that is no coordinate
_REMARK = re.compile(rb"(?:\n|\A) *[#;/][^\n]*")
_VERTEX = re.compile(rb"vertex +([^ \n]+ +[^ \n]+ +[^ \n]+)")
_FACET = re.compile(rb"(?<!end)(?<!end )facet")


def read(data: bytes, path: Path) -> Mesh:
    """The triangles of an STL file, each with three vertices of its own; several solids are one mesh.

    Raises:
        ValueError: for a file that ends too early.
    """
    return _read_text(data) if _is_text(data) else _read_binary(data)


def _is_text(data: bytes) -> bool:
    """Binary headers may begin with `solid` too, so the size decides where it fits, then the word `facet`."""
    count = int.from_bytes(data[80:HEADER], "little")
    if len(data) >= HEADER and len(data) == HEADER + count * RECORD.itemsize:
        return False
    start = normalized(data[:4096]).lower()
    has_zeros = b"\0" in data[:512] and not data.startswith((b"\xff\xfe", b"\xfe\xff"))  # UTF-16 is text
    return not has_zeros and (b"facet" in start or b"solid" in start.split())


def _read_binary(data: bytes) -> Mesh:
    count, body = int.from_bytes(data[80:HEADER], "little"), len(data) - HEADER
    room = body // RECORD.itemsize
    if body < 0:
        raise ValueError(f"ends after {len(data)} bytes, within its header")
    if count > room and count not in UNKNOWN_COUNTS:
        raise ValueError(f"declares {count} triangles, has room for {room}: it is truncated")
    corners = np.frombuffer(data, RECORD, room, HEADER)["corners"]
    # Whole triangles behind those that are declared: the count is wrong. Anything else behind them is not of the mesh.
    if body % RECORD.itemsize or not (np.abs(corners[count:]) < UNLIKELY).all():
        corners = corners[:count]
    return _soup(corners.reshape(-1, 3).astype(np.float64))


def _read_text(data: bytes) -> Mesh:
    # Names and remarks may hold any word.
    first, *others = normalized(data).lower().split(b"solid")
    text = first + b"\n".join(other.partition(b"\n")[2] for other in others)
    if any(mark in text for mark in b"#;/"):
        text = _REMARK.sub(b"", text)
    found = _VERTEX.findall(text)
    ends = text.count(b"endfacet") or text.count(b"end facet")
    begins = text.count(b"facet") - ends
    if begins != ends:
        raise ValueError(f"begins {begins} facets and ends {ends}: it is truncated")
    vertices = numbers(b"\n".join(found)).reshape(-1, 3)
    if len(vertices) == 3 * begins:
        return _soup(vertices)
    if len(found) != text.count(b"vertex"):
        table(b"\n".join(re.findall(rb"vertex([^\n]*)", text)), 3)  # says which line is short
        raise ValueError("a vertex is not three numbers: it is truncated")
    opened, places = ([match.start() for match in pattern.finditer(text)] for pattern in (_FACET, _VERTEX))
    sizes = np.diff(np.searchsorted(places, [*opened, len(text)]))
    return Mesh(vertices, triangulate(vertices, np.arange(sizes.sum()), sizes))


def _soup(vertices: np.ndarray) -> Mesh:
    return Mesh(vertices, np.arange(len(vertices)).reshape(-1, 3))
