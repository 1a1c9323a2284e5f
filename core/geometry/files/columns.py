"""Point clouds as columns of text: .xyz, .pts, .csv, whatever separates them and whatever stands above them."""

import re
from pathlib import Path

import numpy as np

from core.geometry.files.text import counts_per_line, normalized, numbers, shown
from core.geometry.mesh import Mesh

MOST_HEADER_LINES = 20
# What the columns of coordinates are called, in lower case, without brackets and quotes.
AXES = (
    ("x", "points:0", "points_0", "pos_x", "px", "easting", "east"),
    ("y", "points:1", "points_1", "pos_y", "py", "northing", "north"),
    ("z", "points:2", "points_2", "pos_z", "pz", "elevation", "height", "altitude"),
)
_COMMENT = re.compile(rb"\n *(?:#|//)[^\n]*")
_GAPS = re.compile(rb"\n[ \n]*")
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)", re.IGNORECASE)
# Commas that stand for decimal points: in one of several words of a line, or where the numbers between them are none
# that anybody writes (0236, -0).
_COMMA = rb"[-+]?\d*,\d+(?:e[-+]?\d+)?"
_DECIMAL_COMMAS = re.compile(
    rb"(?<=[^,;\n][ ;])" + _COMMA + rb"(?=[ ;\n]|\Z)|(?:\n|\A)" + _COMMA + rb"[ ;]+[-+.\d]|,0\d|-0,", re.IGNORECASE
)


def read(data: bytes, path: Path) -> Mesh:
    """The points of a text file: the columns that a header calls x, y and z, else the first three.

    Separated by blanks, tabs, commas or semicolons; a line with the number of points may stand first, or before each
    of several scans.

    Raises:
        ValueError: decimal commas, words, lines of different lengths, a count that does not fit; naming the line.
    """
    text = b"\n" + normalized(data).strip(b" \n")
    header, text = _split_header(text)
    if not text.strip():
        raise ValueError("neither faces nor points: it holds no line of numbers" if header else "it holds no point")
    if b"," in text or b";" in text:
        if commas := _DECIMAL_COMMAS.search(text):
            raise ValueError(f"{shown(_line_at(text, commas.end() - 1))} has decimal commas, which are not read")
        text = re.sub(rb" *[,;](?= *\n| *\Z)", b"", text).replace(b",", b" ").replace(b";", b" ")
    values, counts = numbers(text), counts_per_line(text)
    starts = np.cumsum(counts) - counts
    single = counts == 1
    if single.any() and not single.all():  # numbers of points
        declared = values[starts[single]]
        starts, counts = starts[~single], counts[~single]
        if declared.sum() != len(starts):
            raise ValueError(f"declares {declared.sum():.0f} points, holds {len(starts)}")
    width = int(counts[0])
    if (other := np.flatnonzero(counts != width)).size:
        line = text.split(b"\n")[np.flatnonzero(~single)[other[0]] if not single.all() else 0]
        raise ValueError(f"line {shown(line)} has {counts[other[0]]} columns, those before have {width}")
    if width < 3:
        raise ValueError(f"a point cloud is (N, 3) numbers, this has {width} column{'s' * (width > 1)}")
    return Mesh(values[starts[:, None] + _axes(header, width)], np.zeros((0, 3), np.int64))


def _split_header(text: bytes) -> tuple[bytes, bytes]:
    """The last line above the numbers, which may name the columns, and the lines of numbers without comments."""
    above = text.split(b"\n", MOST_HEADER_LINES + 1)[1:]
    header = b""
    for count, line in enumerate(above[:MOST_HEADER_LINES]):
        words = _words(line)
        if words and all(_NUMBER.fullmatch(word) for word in words[: 3 if count else None]):
            text = b"\n" + b"\n".join(above[count:])
            break
        header = line if words else header
    else:
        if len(above) <= MOST_HEADER_LINES:
            first = next((line for line in above if line.strip() and not line.lstrip().startswith((b"#", b"//"))), b"")
            if first:
                raise ValueError(f"line {shown(first)} does not begin with three numbers, as a point cloud's do")
            return header, b""
    text = _COMMENT.sub(b"", text)
    return header, _GAPS.sub(b"\n", text).strip(b" \n")


def _words(line: bytes) -> list[bytes]:
    return re.split(rb"[ ,;]+", line.strip(b" ,;"))


def _line_at(text: bytes, place: int) -> bytes:
    begin, end = text.rfind(b"\n", 0, place) + 1, text.find(b"\n", place)
    return text[begin : end if end >= 0 else None]


def _axes(header: bytes, width: int) -> np.ndarray:
    """(3,) the columns of x, y and z."""
    names = [re.sub(r"[\[(].*", "", word.decode("utf-8", "replace")).strip("\"'/# ").lower() for word in _words(header)]
    names = [name for name in names if name]
    found = [next((names.index(name) for name in axis if name in names), None) for axis in AXES]
    if len(names) != width or None in found:
        return np.arange(3)
    return np.array(found)
