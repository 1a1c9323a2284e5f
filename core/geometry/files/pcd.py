"""Point clouds of the Point Cloud Library: .pcd as text, binary or compressed."""

import struct
from pathlib import Path

import numpy as np

from core.geometry.files.text import normalized, numbers, shown
from core.geometry.mesh import Mesh

KINDS = {"F": "f", "I": "i", "U": "u"}
MOST_UNPACKED = 1 << 32


def read(data: bytes, path: Path) -> Mesh:
    """The points of a .pcd file; those that a depth camera did not see are NaN in it.

    Raises:
        ValueError: a header that lacks something, or declares more than the file holds.
    """
    header, start = _header(data)
    row, count = _row(header), int(header["POINTS"][0])
    body = data[start:]
    how = header["DATA"][0].lower()
    if how == "ascii":
        values, width = numbers(normalized(body)), sum(int(np.prod(row[name].shape)) for name in row.names or ())
        _check_room(count, len(values) // width)
        table, columns = values[: count * width].reshape(count, width), _column_numbers(row)
        return _mesh([table[:, columns[axis]] for axis in "xyz"])
    if how == "binary_compressed":
        packed, size = struct.unpack_from("<II", body)
        if size != count * row.itemsize or size > MOST_UNPACKED or packed + 8 > len(body):
            raise ValueError(f"declares {count} points of {row.itemsize} bytes, its compressed part says {size} bytes")
        body = _unpack_lzf(body[8 : 8 + packed], size)
        # Column by column, not point by point.
        offsets = {name: row.fields[name][1] * count for name in row.names}  # type: ignore[index, union-attr]
        return _mesh([np.frombuffer(body, row[axis], count, offsets[axis]) for axis in "xyz"])
    if how != "binary":
        raise ValueError(f"its data are {how!r}, not ascii, binary or binary_compressed")
    _check_room(count, len(body) // row.itemsize)
    points = np.frombuffer(body, row, count)
    return _mesh([points[axis] for axis in "xyz"])


def _mesh(axes: list[np.ndarray]) -> Mesh:
    return Mesh(np.stack([axis.astype(np.float64) for axis in axes], axis=1), np.zeros((0, 3), np.int64))


def _check_room(declared: int, held: int) -> None:
    if not 0 <= declared <= held:
        raise ValueError(f"declares {declared} points, holds {held}: it is truncated")


def _header(data: bytes) -> tuple[dict[str, list[str]], int]:
    """The words behind each key, and where the body begins."""
    found: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in found:
        end = data.find(b"\n", at)
        if end < 0 or at > 1 << 16:
            raise ValueError(f"its header names no DATA; it begins with {shown(data[:20])}")
        words = data[at:end].decode("ascii", "replace").split()
        if words and not words[0].startswith("#"):
            found[words[0].upper()] = words[1:]
        at = end + 1
    for key in ("FIELDS", "SIZE", "TYPE", "POINTS", "DATA"):
        if not found.get(key):
            raise ValueError(f"its header names no {key}")
    return found, at


def _row(header: dict[str, list[str]]) -> np.dtype:
    """A point's fields; those called `_` are padding."""
    names = [name.lower() for name in header["FIELDS"]]
    counts = [int(count) for count in header.get("COUNT", ["1"] * len(names))]
    fields: list[tuple] = []
    for k, (name, size, kind, count) in enumerate(zip(names, header["SIZE"], header["TYPE"], counts, strict=True)):
        unique = name if name not in names[:k] else f"{name} {k}"
        fields.append((unique, f"<{KINDS[kind.upper()]}{size}", *([(count,)] if count != 1 else [])))
    row = np.dtype(fields)
    if missing := [axis for axis in "xyz" if axis not in names or row[axis].shape]:
        raise ValueError(f"its points have no field {', '.join(missing)}")
    return row


def _column_numbers(row: np.dtype) -> dict[str, int]:
    at, found = 0, {}
    for name in row.names or ():
        found[name] = at
        at += int(np.prod(row[name].shape))
    return found


def _unpack_lzf(packed: bytes, size: int) -> bytes:
    """LZF: runs of plain bytes, and references to what is already there."""
    result = bytearray()
    at = 0
    try:
        while at < len(packed):
            control = packed[at]
            at += 1
            if control < 32:
                result += packed[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += packed[at]
                at += 1
            back = ((control & 31) << 8) + packed[at] + 1
            at += 1
            if back > len(result):
                raise ValueError("its compressed data refer to what lies before them")
            begin, length = len(result) - back, length + 2
            piece = result[begin : begin + length]
            result += (piece * (length // len(piece) + 1))[:length]
            if len(result) > size:
                break
    except IndexError:
        pass
    if len(result) != size:
        raise ValueError(f"its compressed data give {len(result)} bytes, declared are {size}")
    return bytes(result)
