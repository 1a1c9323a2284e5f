"""One file to one mesh, with the colour of each face where the file has any."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.data.mesh import Mesh, clean, load, normalize
from core.geometry.files.collada import TO_Y_UP
from core.geometry.files.placing import move
from meto.files import read_parts

SAME_PLACE = 1e-4  # of the longest side, within which two readers have put the same face
_OBJ_COLORS = re.compile(rb"(?m)^\s*(mtllib|usemtl)\b|^\s*v(\s+\S+){6,7}\s*$")


class Colored(NamedTuple):
    """A clean mesh, normalised to 0.95.

    colors: (F, 3) uint8, or None
    """

    mesh: Mesh
    colors: np.ndarray | None = None


def read(path: Path, colors: bool) -> Colored:
    """Scene transforms applied, vertices merged by position, degenerate and duplicate faces dropped, normalised.

    Raises ValueError for what cannot be read or holds no surface.
    """
    raw = load(path, warn=False)
    if raw.is_points:
        raise ValueError("has points but no faces")
    mesh = clean(raw)
    paint = _paint(path, raw) if colors else None
    if paint is not None:
        paint = paint[nearest_faces(raw, mesh)[0]]
    return Colored(normalize(mesh)[0], paint)


def _paint(path: Path, mesh: Mesh) -> np.ndarray | None:
    """(F, 3) uint8 colours of a file's mesh, or None where it has none that can be read.

    Materials are trimesh's work, which may read a file otherwise: a face has the colour of trimesh's face in its place.
    """
    if path.suffix.lower() == ".stl" or (path.suffix.lower() == ".obj" and not _OBJ_COLORS.search(path.read_bytes())):
        return None
    try:
        vertices, faces, parts = read_parts(path)
        paints = [face_colors(part) for part in parts]
    except (ValueError, ImportError):
        return None
    if all(paint is None for paint in paints) or len(faces) == 0:
        return None
    gray = np.array([200, 200, 200], np.uint8)  # of parts without colour beside parts with one
    filled = [np.tile(gray, (len(p.faces), 1)) if c is None else c for p, c in zip(parts, paints, strict=True)]
    for turn in (np.eye(4), *TO_Y_UP.values()):  # trimesh does not turn COLLADA's axes
        nearest, apart = nearest_faces(Mesh(move(vertices, turn), faces), mesh)
        if apart <= SAME_PLACE:
            return np.concatenate(filled)[nearest]
    return None


def face_colors(part: Any) -> np.ndarray | None:
    """(F, 3) uint8 colours of a trimesh mesh, or None where its file says nothing of them."""
    visual = part.visual
    if not getattr(visual, "defined", False):
        return None
    try:
        if visual.kind == "texture":
            return _textured(part, visual.material)
        return np.asarray(visual.face_colors)[:, :3].astype(np.uint8)
    except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError):
        return None  # a broken texture costs the colours, not the mesh


def _textured(part: Any, material: Any) -> np.ndarray | None:
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    factor = getattr(material, "baseColorFactor", None)
    plain = np.asarray(material.main_color if factor is None else factor, np.float64)[:3]
    if factor is not None and np.issubdtype(np.asarray(factor).dtype, np.floating):
        plain = plain * 255
    uv = part.visual.uv
    if image is None or uv is None or len(uv) != len(part.vertices):
        return np.tile(np.clip(plain, 0, 255).astype(np.uint8), (len(part.faces), 1))
    pixels = np.asarray(image.convert("RGB"))
    at = np.asarray(uv)[part.faces].mean(axis=1) % 1.0  # the middle of the face; textures repeat
    row = ((1 - at[:, 1]) * pixels.shape[0]).astype(int).clip(0, pixels.shape[0] - 1)
    column = (at[:, 0] * pixels.shape[1]).astype(int).clip(0, pixels.shape[1] - 1)
    tint = plain / 255 if factor is not None else 1.0
    return np.clip(pixels[row, column] * tint, 0, 255).astype(np.uint8)


def nearest_faces(raw: Mesh, other: Mesh) -> tuple[np.ndarray, float]:
    """(F,) the face of `raw` whose middle is nearest to that of each face of `other`; and how far apart nine in ten of
    these pairs are at most, as a share of the longest side: two readers may cut some polygons each in its way."""
    from scipy.spatial import cKDTree

    centers = [mesh.vertices[mesh.faces].mean(axis=1) for mesh in (raw, other)]
    distance, nearest = cKDTree(centers[0]).query(centers[1])
    return np.asarray(nearest), float(np.percentile(distance, 90) / np.ptp(other.vertices, axis=0).max())
