"""The polygon surface that every procedural shape is modelled on, and what a modeller does to it.

A surface holds quads and n-gons, as in a modelling program; it becomes triangles once, at the end (triangulate.py).
Axes: y is up, the front looks along +z, and x is to the right of someone who looks at the front.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_AXIS = {"x": 0, "y": 1, "z": 2}
_PLANE = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}


class Surface(NamedTuple):
    """Polygons seen counter-clockwise from outside.

    points: (V, 3) float64. quads: (Q, 4) int64; a triangle is a quad that repeats a neighbouring index.
    ngons: index arrays of five or more corners each.
    """

    points: np.ndarray
    quads: np.ndarray
    ngons: tuple[np.ndarray, ...] = ()

    def with_points(self, points: np.ndarray) -> "Surface":
        return Surface(points, self.quads, self.ngons)

    def move(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Surface":
        return self.with_points(self.points + (x, y, z))

    def scale(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> "Surface":
        """Scale about the origin by positive factors (use `mirror` for a reflection)."""
        return self.with_points(self.points * (x, y, z))

    def turn(self, axis: str, degrees: float) -> "Surface":
        """Rotate about an axis through the origin, right-handed."""
        i, j = _PLANE[axis]
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        points = self.points.copy()
        points[:, i] = cos * self.points[:, i] - sin * self.points[:, j]
        points[:, j] = sin * self.points[:, i] + cos * self.points[:, j]
        return self.with_points(points)

    def mirror(self, axis: str = "x") -> "Surface":
        """Reflect in the plane through the origin across `axis`; polygons keep looking outward."""
        points = self.points.copy()
        points[:, _AXIS[axis]] *= -1
        return Surface(points, self.quads[:, ::-1], tuple(ngon[::-1] for ngon in self.ngons))

    def flip(self) -> "Surface":
        """The other side of the same polygons."""
        return Surface(self.points, self.quads[:, ::-1], tuple(ngon[::-1] for ngon in self.ngons))

    def warp(self, function: Callable[..., Sequence[np.ndarray]]) -> "Surface":
        """Move every point by `function(x, y, z) -> (x, y, z)`."""
        return self.with_points(np.stack(function(*self.points.T), axis=1))

    def taper(self, top: float, axis: str = "y", squash: float | None = None) -> "Surface":
        """Shrink linearly along `axis`, from 1 at the low end to `top` at the high end, about the axis itself.

        squash: another factor for the second of the two other axes (in the order x, y, z).
        """
        k = _AXIS[axis]
        along = self.points[:, k]
        low, high = along.min(), along.max()
        share = (along - low) / (high - low)
        points = self.points.copy()
        for other, factor in zip(
            [a for a in range(3) if a != k], (top, top if squash is None else squash), strict=True
        ):
            points[:, other] *= 1 + (factor - 1) * share
        return self.with_points(points)

    def slant(self, x: float = 0.0, z: float = 0.0) -> "Surface":
        """Shear so that the foot (lowest points) moves by (x, z) while the top stays."""
        y = self.points[:, 1]
        share = (y.max() - y) / (y.max() - y.min())
        return self.with_points(self.points + share[:, None] * (x, 0.0, z))

    def drop(self, *faces: int) -> "Surface":
        """Delete quads: hidden ones, or to open the surface."""
        return Surface(self.points, np.delete(self.quads, faces, axis=0), self.ngons)

    def extrude(self, face: int, out: float = 0.0, scale: float = 1.0, slide: Sequence[float] = (0, 0, 0)) -> "Surface":
        """Pull a quad `out` along its normal, scaled about its centre and moved by `slide`.

        The pulled quad keeps its index `face`; its four walls are appended.
        """
        corners = self.points[self.quads[face]]
        centre = corners.mean(axis=0)
        normal = np.cross(corners[2] - corners[0], corners[3] - corners[1])
        moved = centre + (corners - centre) * scale + normal * (out / np.linalg.norm(normal)) + slide
        return self._replace_quad(face, moved)

    def inset(self, face: int, margin: float) -> "Surface":
        """A smaller quad inside a (nearly rectangular) one, `margin` from its edges; it keeps the index `face`."""
        corners = self.points[self.quads[face]]
        edges = np.roll(corners, -1, axis=0) - corners
        edges *= margin / np.linalg.norm(edges, axis=1, keepdims=True)
        return self._replace_quad(face, corners + edges - np.roll(edges, 1, axis=0))

    def _replace_quad(self, face: int, corners: np.ndarray) -> "Surface":
        old, new = self.quads[face], np.arange(4) + len(self.points)
        walls = np.stack([old, np.roll(old, -1), np.roll(new, -1), new], axis=1)
        quads = np.concatenate([self.quads, walls])
        quads[face] = new
        return Surface(np.concatenate([self.points, corners]), quads, self.ngons)

    def bridge(self, low: int, high: int, steps: int = 3, reach: float = 1.0, thin: float = 1.0) -> "Surface":
        """Replace two quads, one above the other on the same wall, by a handle that arches from one to the other.

        steps: rings on the way. reach: how far out, 1 is a half circle. thin: thickness halfway.
        """
        start, end = self.points[self.quads[low]], self.points[self.quads[high]][::-1]
        pivot = (start.mean(axis=0) + end.mean(axis=0)) / 2
        up = (end.mean(axis=0) - start.mean(axis=0)) / 2
        across = start[1] - start[0]
        out = np.cross(across, up)
        out *= np.linalg.norm(up) / np.linalg.norm(out) * reach
        share = np.arange(1, steps + 1) / (steps + 1)
        centres = pivot - np.cos(np.pi * share)[:, None] * up + np.sin(np.pi * share)[:, None] * out
        radial = centres - pivot
        radial /= np.linalg.norm(radial, axis=1, keepdims=True)
        girth = 1 + (thin - 1) * np.sin(np.pi * share)
        side, depth = np.linalg.norm(across) / 2, np.linalg.norm(start[2] - start[1]) / 2
        across = across / np.linalg.norm(across)
        signs = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])  # (along across, along the radius) in the quad's order
        rings = centres[:, None] + girth[:, None, None] * (
            signs[:, :1] * side * across + signs[None, :, 1:] * depth * radial[:, None]
        )
        index = np.arange(steps * 4).reshape(steps, 4) + len(self.points)
        index = np.concatenate([self.quads[low][None], index, self.quads[high][None, ::-1]])
        walls = np.stack([index[:-1], np.roll(index[:-1], -1, 1), np.roll(index[1:], -1, 1), index[1:]], axis=2)
        quads = np.concatenate([np.delete(self.quads, (low, high), axis=0), walls.reshape(-1, 4)])
        return Surface(np.concatenate([self.points, rings.reshape(-1, 3)]), quads, self.ngons)


def join(*surfaces: Surface) -> Surface:
    """Several surfaces as one; nothing is welded yet."""
    starts = np.cumsum([0] + [len(s.points) for s in surfaces])
    return Surface(
        np.concatenate([s.points for s in surfaces]),
        np.concatenate([s.quads + start for s, start in zip(surfaces, starts[:-1], strict=True)]),
        tuple(ngon + start for s, start in zip(surfaces, starts[:-1], strict=True) for ngon in s.ngons),
    )


def both(surface: Surface, axis: str = "x") -> Surface:
    """The surface and its mirror image."""
    return join(surface, surface.mirror(axis))


def four(surface: Surface, x: float, z: float) -> Surface:
    """A surface modelled at the origin, at the four corners (+-x, +-z), mirrored into each."""
    return both(both(surface.move(x=x, z=z), "x"), "z")


def around(surface: Surface, count: int, phase: float = 0.0) -> Surface:
    """`count` copies turned about the y axis; `phase` is the first one's angle in degrees."""
    return join(*(surface.turn("y", phase + 360 * k / count) for k in range(count)))
