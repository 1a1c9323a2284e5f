"""PLY, text and binary: elements of any properties, polygons of any size, triangle strips."""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.geometry.files.polygons import strip, triangulate
from core.geometry.files.text import normalized, numbers, shown
from core.geometry.mesh import Mesh

TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "bool": "u1", "long": "i8", "ulong": "u8"},
    **{f"{kind}{8 * size}": f"{kind[0]}{size}" for kind in ("int", "uint", "float") for size in (1, 2, 4, 8)},
}
ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
FACES = {"face", "tristrips"}
INDEX_NAMES = ("vertex_indices", "vertex_index")  # else the first list of whole numbers of a face is taken
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f", "f8": "d"}


class Property(NamedTuple):
    """length: the type of a list's length, None for a single value; both types as numpy names them, with byte order."""

    name: str
    type: str
    length: str | None = None
    whole: bool = True


class Element(NamedTuple):
    name: str
    rows: int
    properties: list[Property]


class List(NamedTuple):
    """values: (N,) of all rows, one after the other; sizes: (count,) of each."""

    values: np.ndarray
    sizes: np.ndarray


Columns = dict[str, "np.ndarray | List"]


def read(data: bytes, path: Path) -> Mesh:
    """The mesh of a PLY file; its points where it has no face.

    Raises:
        ValueError: what the header says is not understood, or is more than the file holds.
    """
    elements, order, start = _header(data)
    if order == "=":  # text is read as if its numbers lay there as binary doubles
        data, start = numbers(normalized(data[start:])).tobytes(), 0
        elements = [e._replace(properties=[_as_double(p) for p in e.properties]) for e in elements]
    wanted = {element.name for element in elements} & {"vertex", *FACES}
    found: dict[str, tuple[Element, Columns]] = {}
    for element in elements:
        columns, start = _element(data, start, element)
        found[element.name] = element, columns
        if wanted <= found.keys():
            break  # what lies behind is not needed, and need not be whole
    vertices = _positions(found["vertex"][1]) if "vertex" in found else np.zeros((0, 3))
    faces = [np.zeros((0, 3), np.int64)]
    for name in wanted & FACES:
        indices = _indices(*found[name])
        faces.append(_strips(indices) if name == "tristrips" else triangulate(vertices, *indices))
    return Mesh(vertices, np.concatenate(faces))


def _as_double(prop: Property) -> Property:
    return prop._replace(type="=f8", length=prop.length and "=f8")


# ---------------------------------------------------------------------------------------------------------------------
# Header


def _header(data: bytes) -> tuple[list[Element], str, int]:
    """Elements, byte order ("=": text) and where the body begins."""
    begin = len(data) - len(data.removeprefix(b"\xef\xbb\xbf"))
    if data[begin : begin + 3].lower() != b"ply":
        raise ValueError(f"begins with {shown(data[:20])}, not with 'ply'")
    end = data.find(b"end_header")
    if end < 0:
        raise ValueError("its header has no end_header")
    elements: list[Element] = []
    order = ""
    for line in normalized(data[begin:end]).decode("utf-8", "replace").split("\n"):
        match line.split():
            case ["format", kind, *_]:
                order = ORDERS.get(kind, "")
            case ["element", name, count, *_] if count.lstrip("-").isdigit():
                elements.append(Element(name, int(count), []))
            case ["property", *words] if elements and len(words) >= (4 if words[0] == "list" else 2):
                elements[-1].properties.append(_property(words, order))
            case ["element" | "property" | "format", *_]:
                raise ValueError(f"the line {line!r} of its header is not understood")
    if not order:
        raise ValueError(f"its header names none of the formats {', '.join(ORDERS)}")
    for element in elements:
        if not 0 <= element.rows <= len(data):
            raise ValueError(f"declares {element.rows} elements {element.name!r} in {len(data)} bytes")
    after = end + len(b"end_header")
    while data[after : after + 1] in (b" ", b"\t"):
        after += 1
    return elements, order, after + (2 if data[after : after + 2] == b"\r\n" else 1)


def _property(words: list[str], order: str) -> Property:
    kinds = words[1:3] if words[0] == "list" else words[:1]
    if unknown := [kind for kind in kinds if kind.lower() not in TYPES]:
        raise ValueError(f"the property {words[-1]!r} is of the unknown type {unknown[0]!r}")
    types = [TYPES[kind.lower()] for kind in kinds]
    return Property(words[-1], order + types[-1], order + types[0] if len(types) > 1 else None, types[-1][0] != "f")


# ---------------------------------------------------------------------------------------------------------------------
# Body


def _element(data: bytes, start: int, element: Element) -> tuple[Columns, int]:
    """All columns of an element, and where it ends."""
    if not element.properties:
        return {}, start
    row = _row_type(data, start, element)
    end = start + element.rows * row.itemsize
    if end <= len(data):
        table = np.frombuffer(data, row, element.rows, start)
        lists = [p for p in element.properties if p.length]
        if all((table[f"count of {p.name}"] == row[p.name].shape[0]).all() for p in lists):
            return {p.name: _column(table, p) for p in element.properties}, end
    elif not any(p.length for p in element.properties):
        raise _too_short(element, (len(data) - start) // max(row.itemsize, 1))
    return _walk(data, start, element)


def _row_type(data: bytes, start: int, element: Element) -> np.dtype:
    """A row's fields, with lists as long as they are in the first row: most files have them all alike."""
    fields: list[tuple] = []
    for prop in element.properties:
        size = 0
        if prop.length:
            at = start + np.dtype(fields).itemsize if fields else start
            width = np.dtype(prop.length).itemsize
            if element.rows and at + width <= len(data):
                size = _size(np.frombuffer(data, prop.length, 1, at)[0], len(data))
            fields.append((f"count of {prop.name}", prop.length))
        fields.append((prop.name, prop.type, (size,)) if prop.length else (prop.name, prop.type))
    return np.dtype(fields)


def _size(value: float, most: int) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"a list declares {value} entries")
    return int(value)


def _column(table: np.ndarray, prop: Property) -> "np.ndarray | List":
    values = table[prop.name]
    return List(values.reshape(-1), np.full(len(table), values.shape[1])) if prop.length else values


def _walk(data: bytes, start: int, element: Element) -> tuple[Columns, int]:
    """As `_element`, row by row: each row's length is only known from its lists."""
    lists = [p for p in element.properties if p.length]
    steps, skip = [], 0
    for prop in element.properties:
        if prop.length:
            steps.append((skip, struct.Struct(prop.length[0] + _CODES[prop.length[1:]]), np.dtype(prop.type).itemsize))
            skip = 0
        else:
            skip += np.dtype(prop.type).itemsize
    places: list[int] = []  # of each row: where it begins, then for each list where its entries begin and how many
    at, most = start, len(data)
    for row in range(element.rows):
        places.append(at)
        for before, count, width in steps:
            at += before + count.size
            if at > most:
                raise _too_short(element, row)
            size = int(count.unpack_from(data, at - count.size)[0])
            places += (at, size)
            if size < 0:
                raise ValueError(f"row {row} of {element.name!r} declares a list of {size} entries")
            at += size * width
        at += skip
        if at > most:
            raise _too_short(element, row)
    table = np.array(places, np.int64).reshape(element.rows, 1 + 2 * len(lists))
    body = np.frombuffer(data, np.uint8)
    columns: Columns = {}
    behind, done = table[:, 0], 0
    for prop in element.properties:
        width = np.dtype(prop.type).itemsize
        if prop.length:
            behind, sizes = table[:, 1 + 2 * done], table[:, 2 + 2 * done]
            columns[prop.name] = List(_gather(body, behind, sizes * width, prop.type), sizes)
            behind, done = behind + sizes * width, done + 1
        else:
            columns[prop.name] = _gather(body, behind, np.full(len(table), width), prop.type)
            behind = behind + width
    return columns, at


def _gather(body: np.ndarray, starts: np.ndarray, lengths: np.ndarray, kind: str) -> np.ndarray:
    """The values in `lengths` bytes from each of `starts` on, one after the other."""
    first = np.cumsum(lengths) - lengths
    place = np.arange(lengths.sum()) + np.repeat(starts - first, lengths)
    return body[place].view(kind)


def _too_short(element: Element, rows: int) -> ValueError:
    return ValueError(f"declares {element.rows} elements {element.name!r}, holds {rows}: it is truncated")


# ---------------------------------------------------------------------------------------------------------------------
# Meaning


def _positions(columns: Columns) -> np.ndarray:
    """(V, 3) float64."""
    by_name = {name.lower(): column for name, column in columns.items() if isinstance(column, np.ndarray)}
    if missing := [axis for axis in "xyz" if axis not in by_name]:
        packed = "; it is a compressed splat" if "packed_position" in by_name else ""
        raise ValueError(f"its vertices have no property {', '.join(missing)}{packed}")
    return np.stack([by_name[axis].astype(np.float64) for axis in "xyz"], axis=1)


def _indices(element: Element, columns: Columns) -> List:
    """The vertices of each polygon or strip."""
    lists = {p.name.lower(): columns[p.name] for p in element.properties if p.length and p.whole}
    name = next((name for name in (*INDEX_NAMES, *lists) if name in lists), None)
    if name is None and element.rows:
        raise ValueError(f"its {element.rows} elements {element.name!r} have no list of indices")
    values, sizes = lists[name] if name else (np.zeros(0), np.zeros(0, np.int64))
    return List(values.astype(np.int64), sizes)


def _strips(indices: List) -> np.ndarray:
    """(F, 3) of lists of strips, within which -1 begins the next."""
    values, ends = indices.values, np.cumsum(indices.sizes)
    cuts = np.union1d(np.flatnonzero(values == -1), ends)
    pieces = [piece[piece != -1] for piece in np.split(values, cuts)]
    return np.concatenate([np.zeros((0, 3), np.int64)] + [piece[strip(len(piece))] for piece in pieces])
