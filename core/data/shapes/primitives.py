"""Solids and sheets that shapes are put together from.

Unless said otherwise a solid stands on y = 0, centred on the y axis. Nearly all are lofts: rings of points joined by
quads. Rings run counter-clockwise seen from where the loft goes (from above, for a loft that rises).
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from core.data.shapes.surface import Surface

# Indices of a box's quads, to extrude, inset or drop; of a prism over a rectangle too.
RIGHT, BACK, LEFT, FRONT, BOTTOM, TOP = range(6)

Outline = np.ndarray  # (N, 2), counter-clockwise


def loft(rings: np.ndarray, bottom: bool = True, top: bool = True, closed: bool = False) -> Surface:
    """Join rings (M, N, 3). Side quad j of storey i has index i * N + j; caps follow, bottom first.

    bottom, top: whether the ends are capped; an end that is a single point needs no cap and gets none.
    closed: join the last ring to the first (a torus).
    """
    m, n = rings.shape[:2]
    low_point, high_point = _is_point(rings[0]), _is_point(rings[-1])
    quads, caps = _grid(m, n, closed, True, low_point, high_point), []
    if bottom and not closed and not low_point:
        caps.append(np.arange(n)[::-1])
    if top and not closed and not high_point:
        caps.append(np.arange(n) + (m - 1) * n)
    if n <= 4 and caps:
        quads = np.concatenate([quads, [np.resize(cap, 4) if n == 4 else cap[[0, 1, 2, 2]] for cap in caps]])
        caps = []
    return Surface(rings.reshape(-1, 3), quads, tuple(caps))


def _is_point(ring: np.ndarray) -> bool:
    return bool(np.abs(ring[len(ring) // 2] - ring[0]).sum() <= 1e-9)


@lru_cache(maxsize=1024)
def _grid(
    m: int, n: int, wrap_rows: bool, wrap_columns: bool, low_point: bool = False, high_point: bool = False
) -> np.ndarray:
    """Quads of m rows of n points; a row that is a single point is used by its first index only."""
    index = np.arange(m * n).reshape(m, n)
    if low_point:
        index[0] = index[0, 0]
    if high_point:
        index[-1] = index[-1, 0]
    if wrap_rows:
        index = np.concatenate([index, index[:1]])
    if wrap_columns:
        index = np.concatenate([index, index[:, :1]], axis=1)
    return np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=2).reshape(-1, 4)


# --- outlines -------------------------------------------------------------------------------------------------------


def polygon(sides: int, radius: float = 1.0, squash: float = 1.0) -> Outline:
    """A regular polygon with a flat side to the right; `squash` scales its second axis."""
    ring = _unit_ring(sides) * radius
    return ring if squash == 1 else ring * (1.0, squash)


@lru_cache(maxsize=64)
def _unit_ring(sides: int) -> np.ndarray:
    angle = (np.arange(sides) - 0.5) * (2 * np.pi / sides)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def rectangle(width: float, height: float, cut: float = 0.0) -> Outline:
    """A rectangle, or with `cut` one whose corners are cut off at 45 degrees."""
    w, h = width / 2, height / 2
    if not cut:
        return np.array([(w, -h), (w, h), (-w, h), (-w, -h)])
    a, b = w - cut, h - cut
    return np.array([(w, -b), (w, b), (a, h), (-a, h), (-w, b), (-w, -b), (-a, -h), (a, -h)])


def symmetric(half: ArrayLike) -> Outline:
    """The outline whose right half is given from its lowest to its highest point (those may lie on x = 0)."""
    right = np.array(half, dtype=float)
    left = right[right[:, 0] > 1e-9][::-1] * (-1, 1)
    return np.concatenate([right, left])


def star(points: int, inner: float, radius: float = 1.0) -> Outline:
    """A star with one point up."""
    angle = np.pi / 2 + np.arange(2 * points) * (np.pi / points)
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0) * radius
    return np.stack([radii * np.cos(angle), radii * np.sin(angle)], axis=1)


# --- solids ---------------------------------------------------------------------------------------------------------


def stack(outlines: ArrayLike, heights: ArrayLike, bottom: bool = True, top: bool = True) -> Surface:
    """A loft that rises through outlines of equal size, each lying flat (its second axis is -z) at its height."""
    flat = np.asarray(outlines)
    rings = np.empty((*flat.shape[:2], 3))
    rings[..., 0], rings[..., 2] = flat[..., 0], -flat[..., 1]
    rings[..., 1] = np.asarray(heights)[:, None]
    return loft(rings, bottom, top)


def prism(outline: ArrayLike, height: float, top_scale: float = 1.0, bottom: bool = True, top: bool = True) -> Surface:
    """An outline pulled up; with `top_scale` a frustum, with 0 a pyramid or cone."""
    flat = np.asarray(outline, dtype=float)
    return stack(np.stack([flat, flat * top_scale]), [0.0, height], bottom, top)


def box(width: float, height: float, depth: float, top_scale: float = 1.0) -> Surface:
    """A box or (with `top_scale`) a truncated pyramid; quads RIGHT, BACK, LEFT, FRONT, BOTTOM, TOP."""
    return prism(rectangle(width, depth), height, top_scale)


def soft_box(width: float, height: float, depth: float, cut: float, lower: bool = True) -> Surface:
    """A box with the edges of its top (and with `lower` of its bottom) bevelled by `cut`."""
    full, small = rectangle(width, depth), rectangle(width - 2 * cut, depth - 2 * cut)
    if lower:
        return stack([small, full, full, small], [0, cut, height - cut, height])
    return stack([full, full, small], [0, height - cut, height])


def lathe(
    profile: ArrayLike, sides: int, bottom: bool = True, top: bool = True, closed: bool = False, squash: float = 1.0
) -> Surface:
    """Revolve a profile of (radius, y), outside going up, around the y axis.

    A profile may turn and come down inside (a mug), and starts or ends at radius 0 for a pointed or fanned end.
    """
    line = np.asarray(profile, dtype=float)
    ring = polygon(sides)
    rings = np.empty((len(line), sides, 3))
    rings[..., 0] = line[:, :1] * ring[:, 0]
    rings[..., 1] = line[:, 1:]
    rings[..., 2] = line[:, :1] * ring[:, 1] * -squash
    return loft(rings, bottom, top, closed)


def slab(outline: ArrayLike, depth: float, bevel: float = 0.0, front: bool = True, back: bool = True) -> Surface:
    """An upright outline (x, y) given a depth, centred on z = 0; with `bevel` (a share) smaller at both faces."""
    outline = np.asarray(outline, dtype=float)
    centre = outline.mean(axis=0)
    small = centre + (outline - centre) * (1 - bevel)
    layers = [small, outline, outline, small] if bevel else [outline, outline]
    edge = depth / 2 - min(bevel, 0.4) * depth
    offsets = [-depth / 2, -edge, edge, depth / 2] if bevel else [-depth / 2, depth / 2]
    rings = np.empty((len(layers), len(outline), 3))
    rings[..., :2] = layers
    rings[..., 2] = np.array(offsets)[:, None]
    return loft(rings, back, front)


def plate(outline: ArrayLike) -> Surface:
    """A single-sided upright outline in the plane z = 0 that looks to the front."""
    outline = np.asarray(outline, dtype=float)
    points = np.concatenate([outline, np.zeros((len(outline), 1))], axis=1)
    if len(points) > 4:
        return Surface(points, np.empty((0, 4), dtype=np.int64), (np.arange(len(points)),))
    return Surface(points, np.array([[0, 1, 2, min(3, len(points) - 1)]]))


def sweep(
    path: ArrayLike,
    outline: Outline,
    scales: ArrayLike = 1.0,
    up: tuple[float, float, float] = (0, 0, 1),
    closed: bool = False,
    bottom: bool = True,
    top: bool = True,
) -> Surface:
    """Carry an outline along a path (M, 3).

    up: the outline's second axis leans to it; never parallel to the path. For a flat path, the normal of its plane.
    scales: one factor, or one for each point of the path.
    """
    line = np.asarray(path, dtype=float)
    if closed:
        tangent = np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0)
    else:
        tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(up, tangent)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    normal = np.cross(tangent, side)
    factor = np.broadcast_to(np.asarray(scales, dtype=float), len(line))[:, None, None]
    flat = factor * outline  # (M, N, 2)
    rings = line[:, None] + flat[..., :1] * side[:, None] + flat[..., 1:] * normal[:, None]
    return loft(rings, bottom, top, closed)


def ball(radius: float, level: int = 1) -> Surface:
    """A geodesic sphere about the origin: 20 triangles at level 0, 80, 320."""
    points, triangles = _geodesic(level)
    return Surface(points * radius, triangles)


@lru_cache(maxsize=4)
def _geodesic(level: int) -> tuple[np.ndarray, np.ndarray]:
    if level == 0:
        g = (1 + math.sqrt(5)) / 2
        points = np.array([(0, s, t * g) for s in (-1, 1) for t in (-1, 1)])
        points = np.concatenate([np.roll(points, k, axis=1) for k in range(3)])
        near = np.abs(np.linalg.norm(points[:, None] - points[None], axis=2) - 2) < 1e-6
        faces = [
            (i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] & near[j, k] & near[i, k]
        ]
        volume = np.linalg.det(points[np.array(faces)])
        triangles = np.array([f if v > 0 else f[::-1] for f, v in zip(faces, volume, strict=True)])
    else:
        coarse, quads = _geodesic(level - 1)
        triangles, corners = quads[:, :3], list(coarse)
        middle: dict[tuple[int, int], int] = {}
        for a, b in {tuple(sorted(e)) for t in triangles for e in zip(t, np.roll(t, 1), strict=True)}:
            middle[a, b] = middle[b, a] = len(corners)
            corners.append(coarse[a] + coarse[b])
        split = [(a, middle[a, b], middle[c, a], b, middle[b, c], c) for a, b, c in triangles]
        triangles = np.array([t for a, x, z, b, y, c in split for t in ((a, x, z), (x, b, y), (z, y, c), (x, y, z))])
        points = np.array(corners)
    return points / np.linalg.norm(points, axis=1, keepdims=True), triangles[:, [0, 1, 2, 2]]


def sheet(width: float, depth: float, columns: int, rows: int, height: Callable | None = None) -> Surface:
    """An open grid in the plane y = 0 that looks up, or over `height(x, z)`."""
    x, z = np.meshgrid(np.linspace(-0.5, 0.5, columns + 1) * width, np.linspace(0.5, -0.5, rows + 1) * depth)
    y = np.zeros_like(x) if height is None else height(x, z)
    return Surface(np.stack([x, y, z], axis=2).reshape(-1, 3), _grid(rows + 1, columns + 1, False, False))


def strip(rows: np.ndarray) -> Surface:
    """An open sheet through rows of points (M, N, 3); seen from its front, columns go right and rows up."""
    m, n = rows.shape[:2]
    return Surface(rows.reshape(-1, 3), _grid(m, n, False, False))


def cells(xs: ArrayLike, ys: ArrayLike, zs: ArrayLike, solid: np.ndarray) -> Surface:
    """The border of the solid cells of an uneven grid: a body cut by the loops a modeller would add.

    xs, ys, zs: the cuts, ascending. solid: (len(xs) - 1, len(ys) - 1, len(zs) - 1) bool.
    Cells that meet only along an edge make that edge non-manifold.
    """
    shape = tuple(n + 1 for n in solid.shape)
    corner = np.arange(math.prod(shape)).reshape(shape)
    quads = []
    for axis in range(3):
        filled = np.moveaxis(np.pad(solid, [(1, 1) if a == axis else (0, 0) for a in range(3)]), axis, 0)
        index = np.moveaxis(corner, axis, 0)
        a, b, c, d = index[:, :-1, :-1], index[:, 1:, :-1], index[:, 1:, 1:], index[:, :-1, 1:]
        if axis == 1:  # moveaxis leaves (y, x, z) here: the other handedness
            b, d = d, b
        square = np.stack([a, b, c, d], axis=3)
        quads += [square[filled[:-1] & ~filled[1:]], square[~filled[:-1] & filled[1:]][:, ::-1]]
    x, y, z = np.meshgrid(xs, ys, zs, indexing="ij")
    used, compact = np.unique(np.concatenate(quads), return_inverse=True)
    return Surface(np.stack([x, y, z], axis=3).reshape(-1, 3)[used], compact.reshape(-1, 4))


def facade(xs: ArrayLike, ys: ArrayLike, depth: float) -> Surface:
    """A box whose front (at z = depth / 2) is a grid of quads, to inset and extrude: doors, drawers, windows.

    xs, ys: the grid's cuts, ascending. Front quad (column i, row j from below) has index j * (len(xs) - 1) + i.
    The neighbouring sides become n-gons that share the cuts.
    """
    x, y = np.meshgrid(xs, ys)
    m, n = x.shape
    front = np.stack([x, y, np.full_like(x, depth / 2, dtype=float)], axis=2).reshape(-1, 3)
    corner = front[[0, n - 1, m * n - 1, (m - 1) * n]] - (0, 0, depth)
    low_left, low_right, high_right, high_left = np.arange(4) + m * n
    grid = np.arange(m * n).reshape(m, n)
    sides = (
        np.array([low_left, low_right, *grid[0, ::-1]]),
        np.array([low_right, high_right, *grid[::-1, -1]]),
        np.array([high_right, high_left, *grid[-1]]),
        np.array([high_left, low_left, *grid[:, 0]]),
    )
    back = np.array([low_right, low_left, high_left, high_right])
    plain = [back, *(side for side in sides if len(side) == 4)]
    quads = np.concatenate([_grid(m, n, False, False), plain])
    return Surface(np.concatenate([front, corner]), quads, tuple(side for side in sides if len(side) > 4))
