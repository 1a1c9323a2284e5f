"""Rocks, stone columns, crystals, clouds and hills."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import flatten, wobble
from core.data.shapes.primitives import ball, lathe, sheet
from core.data.shapes.surface import Surface, join


@family
def rock(d: Dice) -> list[Surface]:
    """One to four boulders with flat facets; each ground side is flat."""
    out = []
    for k in range(d.pick(1, 1, 1, 2, 3, 4)):
        r = d.real(0.5, 1.0) if k == 0 else d.real(0.2, 0.45)
        level = d.pick(0, 1, 1, 2 if d.detail else 1)
        body = wobble(d, ball(r, level), 0.05 + 0.03 * (level < 2))
        body = flatten(d, body, d.count(2, 7), 0.45).scale(d.real(0.7, 1.5), d.real(0.5, 1.6), d.real(0.7, 1.3))
        if d.chance(0.5):
            floor = -r * d.real(0.2, 0.5)
            body = body.warp(lambda x, y, z, floor=floor: (x, np.where(y < floor, floor + (y - floor) * 0.08, y), z))
        lift = -body.points[:, 1].min()
        out.append(body.move(d.real(0.6, 1.1) * (k > 0) * (-1) ** k, lift, d.real(-0.6, 0.6) * (k > 0)))
    return out


@family
def stone_column(d: Dice) -> list[Surface]:
    """Cliffs and stalagmites: rings of uneven stone that rise."""
    out = []
    for k in range(d.pick(1, 1, 2, 3)):
        n, rings, h, r = d.sides(), d.count(2, 4), d.real(0.5, 2) / (k + 1), d.real(0.3, 0.5)
        radii = r * np.linspace(1, d.real(0.3, 1.0), rings + 1) * d.reals(0.8, 1.1, rings + 1)
        body = lathe(list(zip(radii, np.linspace(0, h, rings + 1), strict=True)), n)
        if d.chance(0.3):
            body = lathe([*zip(radii, np.linspace(0, h, rings + 1), strict=True), (0, h * 1.15)], n)
        body = wobble(d, body, 0.05).warp(lambda x, y, z: (x, np.maximum(y, 0) + 0.05 * np.minimum(y, 0), z))
        out.append(body.move((0, 0.6, -0.3)[k], 0, (0, 0.2, 0.5)[k]))
    return out


@family
def crystal(d: Dice) -> list[Surface]:
    """Pointed prisms that lean out of the ground."""
    n, count, out = d.pick(4, 5, 6, 6), d.count(1, 6), []
    for k in range(count):
        h, r = d.real(0.6, 1.4) * (1 if k == 0 else 0.7), d.real(0.12, 0.25)
        shard = lathe([(r * d.real(0.6, 0.9), 0), (r, h * d.real(0.5, 0.75)), (0, h)], n)
        out.append(
            shard.turn("y", d.real(0, 60))
            .turn("z", 0 if k == 0 else d.real(20, 50))
            .turn("y", k * 360 / max(1, count - 1) + d.real(-20, 20))
        )
    if d.chance(0.3):
        base = flatten(d, wobble(d, ball(0.5, d.count(0, 1)), 0.06), 3, 0.4).scale(1.2, 0.35, 1.2)
        return [join(*out), base]
    return [join(*out)]


@family
def cloud(d: Dice) -> list[Surface]:
    count = d.count(2, 5)
    sizes = (0.6 - 0.25 * np.abs(np.linspace(-1, 1, count))) * d.reals(0.75, 1.2, count)
    xs = np.concatenate([[0], np.cumsum(sizes[:-1] + sizes[1:]) * d.real(0.6, 0.75)])
    level = 1 if count > 3 or d.detail < 2 else 2
    puffs = [
        wobble(d, ball(s, level), 0.02).move(x, s * 0.5, d.real(-0.15, 0.15)) for s, x in zip(sizes, xs, strict=True)
    ]
    if d.chance(0.5):  # a flat underside
        puffs = [p.warp(lambda x, y, z: (x, np.where(y < 0.0, y * 0.1, y), z)) for p in puffs]
    return [join(*puffs)]


@family
def hill(d: Dice) -> list[Surface]:
    """Ground: an open sheet of hills, or a mountain with a closed base."""
    if d.chance(0.5):
        cells = d.steps(3, 9)
        phase, height = d.reals(0, 6.28, 4), d.real(0.06, 0.18)

        def height_at(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            waves = np.sin(3 * x + phase[0]) * np.cos(4 * z + phase[1]) + np.sin(5 * x + phase[2] + 2 * z)
            return height * waves + d.rng.random(x.shape) * 0.04

        return [sheet(2, 2 * d.real(0.6, 1), cells, d.steps(3, 9), height_at)]
    peaks, out = d.pick(1, 2, 3), []
    for k in range(peaks):
        n, h, r = d.sides(1), d.real(0.5, 1.2), d.real(0.5, 0.8)
        cone = lathe(
            [(r, 0), (r * d.real(0.55, 0.8), h * 0.35), (r * d.real(0.2, 0.4), h * 0.7), (0, h)],
            n,
            bottom=d.chance(0.5),
        )
        rough = wobble(d, cone, 0.04)
        out.append(
            rough.warp(lambda x, y, z: (x, np.where(y < 0.1, np.abs(y) * 0.1, y), z)).move(
                0.75 * k, 0, d.real(-0.3, 0.3)
            )
        )
    return out
