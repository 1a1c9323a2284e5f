"""Uneven, leafy and curved pieces that several families share."""

import numpy as np

from core.data.shapes.dice import Dice
from core.data.shapes.primitives import ball, lathe, polygon, strip, sweep
from core.data.shapes.surface import Surface, join


def arc(centre: tuple[float, float], radius: float, start: float, end: float, steps: int) -> np.ndarray:
    """Points (steps + 1, 3) of an arc in the plane z = 0, angles in degrees from +x towards +y."""
    angle = np.radians(np.linspace(start, end, steps + 1))
    x, y = centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)
    return np.stack([x, y, np.zeros_like(x)], axis=1)


def wobble(d: Dice, surface: Surface, amount: float) -> Surface:
    """Move each point by up to `amount` times the surface's size, less for finer ones: uneven, hand-made."""
    size = np.ptp(surface.points, axis=0).max() * (1.0, 1.0, 0.8, 0.5)[d.detail]
    return surface.with_points(surface.points + (d.rng.random(surface.points.shape) * 2 - 1) * (amount * size))


def flatten(d: Dice, surface: Surface, cuts: int, depth: float) -> Surface:
    """Press flat facets into a body around the origin, each up to `depth` of its reach in that direction."""
    points = surface.points
    for _ in range(cuts):
        normal = d.rng.standard_normal(3)
        normal /= np.linalg.norm(normal)
        height = points @ normal
        limit = height.max() * (1 - d.real(0.3, 1) * depth)
        points = points - np.maximum(height - limit, 0)[:, None] * 0.92 * normal
    return surface.with_points(points)


def lump(d: Dice, radius: float, rough: float = 0.08) -> Surface:
    """A leafy or stony lump about the origin: a geodesic or a ring-built ball, uneven."""
    kind = d.pick("geodesic", "geodesic", "lathe")
    if kind == "geodesic":
        body = ball(radius, min(1 if d.detail < 2 else d.count(1, 2), 2) if d.chance(0.8) else 0)
    else:
        body = lathe(
            [(radius * 0.6, -radius * 0.75), (radius, -radius * 0.1), (radius * 0.65, radius * 0.7), (0, radius)],
            d.sides(1),
        )
    return wobble(d, body, rough * 0.5)


def trunk(d: Dice, height: float, radius: float, lean: float = 0.0, flare: float = 1.5) -> Surface:
    """A stem along a slightly bent path; its top is meant to be hidden."""
    steps = d.steps(1, 3)
    s = np.linspace(0, 1, steps + 1)
    path = np.stack([lean * height * s**2, height * s, np.zeros(steps + 1)], axis=1)
    scales = np.linspace(1, d.real(0.5, 0.8), steps + 1)
    scales[0] *= flare
    return sweep(path, polygon(d.sides(-1), radius), scales, top=not d.hidden, bottom=not d.hidden)


def frond(length: float, width: float, rise: float, droop: float, segments: int) -> Surface:
    """A pointed leaf along +x, folded along its middle, a single sheet that looks up."""
    s = np.linspace(0, 1, segments + 1)
    x, y = length * s, length * (rise * s - droop * s * s)
    half = width * np.sin(np.pi * np.clip(s * 0.88 + 0.12, 0, 1))
    lines = [np.stack([x, y - abs(side) * half * 0.5, -side * half], axis=1) for side in (-1, 0, 1)]
    return strip(np.stack(lines))


def thick(leaf: Surface, amount: float) -> Surface:
    """A solid leaf: the sheet and, below its middle line, a keel that closes it."""
    below = leaf.flip()
    rows = len(leaf.points) // 3
    points = below.points.copy()
    points[rows : 2 * rows - 1, 1] -= amount
    return join(leaf, below.with_points(points))
