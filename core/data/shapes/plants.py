"""Small plants: mushrooms, cacti, flowers, grass, leaves, logs, feathers."""

from itertools import pairwise

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import frond, thick, trunk, wobble
from core.data.shapes.primitives import Outline, lathe, plate, polygon, slab, strip, sweep, symmetric
from core.data.shapes.surface import Surface, around, join


@family
def mushroom(d: Dice) -> list[Surface]:
    """A cap on a stem, as one profile or two bodies, perhaps in a group."""
    parts: list[list[Surface]] = []
    n, one_body = d.sides(), d.chance(0.5)
    spots = d.chance(0.3)
    for k in range(d.pick(1, 1, 2, 3)):
        h, r, stem = d.real(0.4, 0.9), d.real(0.3, 0.6), d.real(0.08, 0.16)
        high = r * d.real(0.5, 1.3)
        foot = [(stem * d.real(1, 1.6), 0), (stem, h * 0.5), (stem * d.real(0.8, 1), h)]
        cap = [(r, h + high * d.real(-0.15, 0.1)), (r * d.real(0.65, 0.9), h + high * 0.6)]
        if d.detail >= 2:
            cap.append((r * 0.4, h + high * 0.9))
        cap.append((0, h + high) if d.chance(0.7) else (r * 0.3, h + high))
        if one_body:
            group = [lathe(foot + cap, n)]
        else:
            group = [lathe(foot[:: d.pick(1, 2)], n, top=not d.hidden), lathe([(stem * 0.8, h - 0.02), *cap], n)]
        if spots:
            dots = [lathe([(0.09, 0), (0.05, 0.04)], 5, bottom=not d.hidden).move(y=r * 0.93) for _ in range(3)]
            dots = [dot.turn("z", -40).turn("y", 120 * j).scale(1, high / r, 1).move(y=h) for j, dot in enumerate(dots)]
            group.append(join(*dots))
        tilt, size = d.real(-12, 12), 1 if k == 0 else d.real(0.4, 0.7)
        parts.append(
            [p.scale(size, size, size).turn("z", tilt).move((0, 0.7, -0.5)[k], 0, (0, 0.3, 0.45)[k]) for p in group]
        )
    return [join(*same) for same in zip(*parts, strict=True)]


@family
def cactus(d: Dice) -> list[Surface]:
    n, h, r = d.sides(), d.real(0.9, 1.6), d.real(0.15, 0.25)
    body = [lathe([(r * 0.8, 0), (r, h * 0.3), (r, h * 0.8), (r * 0.6, h * 0.95), (0, h)], n, bottom=not d.hidden)]
    if d.chance(0.25):  # a round one
        body = [lathe([(r, 0), (r * 2.2, r * 1.5), (r * 2, r * 3), (r * 0.8, r * 4)], n)]
    else:
        for k in range(d.pick(0, 1, 2, 2, 3)):
            y, out, up = h * d.real(0.25, 0.55), r + d.real(0.15, 0.3), h * d.real(0.2, 0.45)
            path = [(r * 0.5, y, 0), (out * 0.9, y, 0), (out + r * 0.5, y + r * 0.6, 0), (out + r * 0.5, y + up, 0)]
            arm = sweep(path, polygon(max(4, n - 1), r * 0.6), (1, 1, 1, 0.6), bottom=not d.hidden)
            body.append(arm.turn("y", 180 * k + d.pick(0, d.real(-40, 40))))
    parts = [join(*body)]
    if d.chance(0.35):
        pot = lathe(
            [(r * 1.3, -0.4), (r * 1.9, 0.02), (r * 2.1, 0.02), (r * 2.1, 0.12), (r * 1.7, 0.12), (r * 1.7, 0.02)],
            d.sides(),
        )
        parts.append(pot)
    return parts


@family
def flower(d: Dice) -> list[Surface]:
    """A stem, leaves and a blossom; petals are single-sided sheets or solid."""
    h, petals, r = d.real(0.6, 1.3), d.count(4, 8), d.real(0.25, 0.4)
    stem = trunk(d, h, 0.04, d.real(-0.2, 0.2), 1.0)
    tip = stem.points[-3:].mean(axis=0)
    kind = d.pick("daisy", "daisy", "tulip", "sunflower")
    if kind == "tulip":
        n = max(5, petals)
        cup = lathe([(0.05, 0), (r * 0.7, r * 0.6), (r * 0.55, r * 1.4)], n, top=False)
        ring = cup.points[2 * n :]
        ring[::2, 1] += r * 0.4
        head = [cup]
    else:
        petal = frond(r * d.real(1, 1.4), r * d.real(0.3, 0.55), d.real(-0.2, 0.5), d.real(0, 0.4), 2)
        if d.chance(0.5):
            petal = thick(petal, 0.04)
        core = lathe([(r * 0.3, -0.03), (r * 0.38, 0.05), (0, 0.12)], max(5, d.sides()))
        head = [around(petal.move(x=r * 0.15), petals), core]
    face = d.real(0, 70)
    head = [part.turn("x", face).move(*tip) for part in head]
    leaf = frond(d.real(0.3, 0.5), 0.1, d.real(0.4, 1.2), d.real(0.3, 0.8), 2).move(y=h * d.real(0.1, 0.4))
    return [join(stem, around(leaf, d.count(1, 3), d.real(0, 180))), *head]


@family
def grass(d: Dice) -> list[Surface]:
    """Blades as single-sided strips, or as pointed three-sided solids."""
    blades, solid = d.count(5, 14), d.chance(0.5)
    out = []
    for _ in range(blades):
        h, w, bend = d.real(0.4, 1.0), d.real(0.05, 0.09), d.real(0, 0.5)
        s = np.linspace(0, 1, d.pick(2, 3))
        path = np.stack([bend * h * s**2, h * s, 0 * s], axis=1)
        if solid:
            blade = sweep(path, polygon(3, w), 1 - s, bottom=not d.hidden)
        else:
            half = w * (1 - s)
            sides = np.outer(half, (0, 0, 1))
            blade = strip(np.stack([path + sides, path - sides], axis=1))
        out.append(blade.turn("y", d.real(0, 360)).move(d.real(-0.4, 0.4), 0, d.real(-0.4, 0.4)))
    return [join(*out)]


def leaf_outline(d: Dice) -> Outline:
    """Half a leaf: (K, 2) from its stem to its tip, x >= 0."""
    kind = d.pick("oval", "maple", "lobed")
    wide = d.real(0.25, 0.5)
    if kind == "oval":
        s = np.linspace(0, 1, d.steps(3, 6))
        return np.stack([wide * np.sin(np.pi * s ** d.real(0.6, 1.1)), s], axis=1)
    if kind == "maple":
        return np.array(
            [(0, 0), (0.3, 0.05), (0.25, 0.2), (0.6, 0.35), (0.35, 0.5), (0.4, 0.75), (0.15, 0.7), (0, 1)]
        ) * (wide * 2, 1)
    x = [0, 0.5, 0.35, 0.8, 0.5, 0.65, 0.2, 0.3, 0]
    return np.array(list(zip(np.array(x) * wide * 1.5, np.linspace(0, 1, 9), strict=True)))


@family
def leaf(d: Dice) -> list[Surface]:
    """Leaves on a twig, single sheets folded along the middle, or one with a thickness."""
    half = leaf_outline(d)
    fold = d.real(0.1, 0.6)
    curl = d.real(-0.4, 0.4)
    flat = np.stack([half * (-1, 1), half * (0, 1), half], axis=1)
    bent = np.abs(flat[..., :1]) * fold + curl * flat[..., 1:] ** 2
    blade = strip(np.concatenate([flat, bent], axis=2))
    t = d.real(0.03, 0.06)
    stem = sweep([(0, -0.45, 0.02), (0, -0.15, 0), (0, 0.1, 0)], polygon(d.pick(3, 4), t), up=(1, 0, 0))
    count = d.pick(1, 1, 2, 3)
    if count == 1:
        if d.chance(0.35):
            outline = symmetric(half)
            blade = slab(outline, 0.1, 0.0 if d.chance(0.5) else 0.15)
        return [blade, stem]
    turns = np.linspace(-50, 50, count)
    fan = [blade.move(y=0.05).turn("z", a) for a in turns]
    return [join(*fan), stem]


@family
def log(d: Dice) -> list[Surface]:
    """A stump with roots, a lying log, or a pile of logs."""
    n, r = d.sides(1), d.real(0.25, 0.4)
    kind = d.pick("stump", "log", "pile")
    if kind == "stump":
        h = d.real(0.3, 0.7)
        body = lathe([(r * d.real(1.2, 1.6), 0), (r, h * 0.4), (r * 0.9, h)], n)
        if d.chance(0.5):
            body = lathe([(r * 1.3, 0), (r, h * 0.4), (r * 0.95, h), (r * 0.8, h), (r * 0.75, h - 0.04)], n)
        root = sweep([(0, 0.2, 0), (r * 1.3, 0.12, 0), (r * 2, 0.0, 0)], polygon(4, 0.1), (1, 0.9, 0.2))
        return [wobble(d, body, 0.015), *([around(root, d.count(3, 4), d.real(0, 90))] if d.chance(0.5) else [])]
    long = d.real(1.2, 2.2)
    one = lathe([(r * 0.85, 0), (r * 0.9, 0.0 + long * 0.02), (r, long * 0.5), (r * 0.92, long)], n)
    if d.chance(0.4):
        one = lathe([(r * 0.8, 0.05), (r, 0), (r, long), (r * 0.8, long), (r * 0.75, long - 0.05)], n)
    one = one.turn("z", 90).move(x=long / 2)
    if kind == "pile":
        return [
            join(
                *(
                    one.move(d.real(-0.08, 0.08), r + y * r * 1.7, z * r * 1.95)
                    for y, z in ((0, -1), (0, 0), (0, 1), (1, -0.5), (1, 0.5), (2, 0))[: d.pick(3, 5, 6)]
                )
            )
        ]
    twig = (
        lathe([(r * 0.35, 0), (r * 0.25, r * 1.5)], max(4, n - 3))
        .turn("x", d.real(-60, 60))
        .move(x=d.real(-0.3, 0.3) * long)
    )
    return [one, twig] if d.chance(0.7) else [one]


@family
def feather(d: Dice) -> list[Surface]:
    """A plate cut like a feather or a fish bone around a quill: open sheets on a solid rod."""
    rows = d.count(3, 6)
    long, wide = d.real(1.0, 1.6), d.real(0.15, 0.35)
    quill = sweep(
        [(0, -0.4, 0), (0, long * 0.5, 0), (0, long, 0)], polygon(d.pick(3, 4), 0.045), (1, 0.8, 0.3), (1, 0, 0)
    )
    s = np.linspace(0, 1, rows + 1)
    barbs = []
    for low, high in pairwise(s):
        w = wide * np.sin(np.pi * (0.15 + 0.8 * (low + high) / 2))
        barb = np.array([(0.02, low), (w, low + 0.12), (w * 0.9, high * 0.98 + 0.1), (0.02, high)]) * (1, long)
        barbs.append(plate(barb))
    right = join(*barbs)
    return [quill, join(right, right.mirror("x"))]
