"""Point clouds of laser scans: .las, versions 1.0 to 1.4, not compressed."""

import struct
from pathlib import Path

import numpy as np

from core.geometry.mesh import Mesh

SMALLEST = 227  # bytes of the header of version 1.0
COMPRESSED = 0x80 | 0x40  # bits of the point format that LASzip sets


def read(data: bytes, path: Path) -> Mesh:
    """The points of a .las file: its whole numbers, scaled and moved as the header says.

    Raises:
        ValueError: not a LAS file, compressed (LAZ), or cut short.
    """
    if data[:4] != b"LASF" or len(data) < SMALLEST:
        raise ValueError("it does not begin as a LAS file does")
    minor = data[25]
    start, kind, length, count = struct.unpack_from("<I4xBHI", data, 96)
    if kind & COMPRESSED:
        raise ValueError("its points are compressed (LAZ); las2las or laspy[lazrs] writes them plain")
    if minor >= 4 and len(data) >= 255:
        count = count or struct.unpack_from("<Q", data, 247)[0]
    scale, offset = np.frombuffer(data, "<f8", 6, 131).reshape(2, 3)
    room = max(len(data) - start, 0) // max(length, 1)
    if length < 12 or count > room:
        raise ValueError(f"declares {count} points of {length} bytes, has room for {room}: it is truncated")
    steps = np.ndarray((count, 3), "<i4", data, start, (length, 4))
    return Mesh(steps * scale + offset, np.zeros((0, 3), np.int64))
