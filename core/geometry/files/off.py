"""OFF in its spellings: OFF, COFF, NOFF, CNOFF, STOFF, with comments, without the word itself."""

import re
from pathlib import Path

import numpy as np

from core.geometry.files.polygons import triangulate
from core.geometry.files.text import counts_per_line, normalized, numbers, shown
from core.geometry.mesh import Mesh

_COMMENT = re.compile(rb"#[^\n]*")
_GAPS = re.compile(rb"\n[ \n]*")
_WORD = re.compile(rb"\s*((?:ST|C|N)*)(4?)(OFF)(\s+BINARY\b)?", re.IGNORECASE)  # the counts may follow at once


def read(data: bytes, path: Path) -> Mesh:
    """The mesh of an OFF file; its points where it declares no face. Colours, normals and textures are passed over.

    Raises:
        ValueError: a binary file or one in another number of dimensions; counts that are not there, or more than the
            file holds.
    """
    text = _COMMENT.sub(b"", normalized(data))
    if word := _WORD.match(text):
        if word[2] or word[4] or (word[1].endswith(b"n") and word[3] == b"OFF"):  # nOFF; NOFF has normals
            raise ValueError(f"{shown(word[0])}: only text of three dimensions is read")
        text = text[word.end() :]
    text = _GAPS.sub(b"\n", text).strip(b" \n")
    values, counts = numbers(text), counts_per_line(text)
    if len(counts) == 0 or counts[0] < 2:
        raise ValueError("holds no counts of vertices and faces, as an OFF file does")
    num_vertices, num_faces = _counts(values)
    starts = np.cumsum(counts) - counts
    rows = starts[1:], counts[1:]  # without the counts themselves
    if counts[0] > 3 or len(rows[0]) < num_vertices + num_faces:
        rows = _free_rows(values[min(int(counts[0]), 3) :], num_vertices, num_faces, len(values))
    row_starts, row_counts = rows
    if len(row_starts) < num_vertices or (num_vertices and row_counts[:num_vertices].min() < 3):
        raise ValueError(f"declares {num_vertices} vertices, holds {min(len(row_starts), num_vertices)}")
    vertices = values[row_starts[:num_vertices, None] + np.arange(3)]
    starts, lengths = (row[num_vertices : num_vertices + num_faces] for row in rows)
    sizes = values[starts].astype(np.int64)
    if len(starts) < num_faces or (sizes + 1 > lengths).any():
        whole = int((sizes + 1 <= lengths).sum())
        raise ValueError(f"declares {num_faces} faces, holds {whole} whole ones: it is truncated")
    if (sizes < 1).any():
        raise ValueError(f"a face declares {sizes.min()} corners")
    return Mesh(vertices, triangulate(vertices, _gather(values, starts + 1, sizes), sizes))


def _counts(values: np.ndarray) -> tuple[int, int]:
    vertices, faces = values[:2].tolist()
    if not (0 <= vertices < len(values) and 0 <= faces < len(values)):
        raise ValueError(f"declares {vertices:.0f} vertices and {faces:.0f} faces in {len(values)} numbers")
    return int(vertices), int(faces)


def _free_rows(values: np.ndarray, num_vertices: int, num_faces: int, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the rows of a file that is not one row a line: x y z, then n and n indices, no more."""
    skipped = total - len(values)
    num_vertices = min(num_vertices, len(values) // 3)
    starts, counts = list(range(0, 3 * num_vertices, 3)), [3] * num_vertices
    at = 3 * num_vertices
    for _ in range(num_faces):
        if at >= len(values):
            break
        length = int(max(values[at], 0)) + 1
        starts.append(at)
        counts.append(min(length, len(values) - at))
        at += length
    return np.array(starts, np.int64) + skipped, np.array(counts, np.int64)


def _gather(values: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """`sizes` values from each of `starts` on, one after the other, as int64."""
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return values[np.repeat(starts, sizes) + within].astype(np.int64)
