"""Trees and bushes: broad-leaved, bare, conifers, palms."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import frond, lump, thick, trunk, wobble
from core.data.shapes.primitives import ball, lathe, polygon, sweep
from core.data.shapes.surface import Surface, around, join


@family
def tree(d: Dice) -> list[Surface]:
    """Broad-leaved: one to five lumps on a trunk, perhaps with a branch."""
    h, r, lean = d.real(0.6, 1.4), d.real(0.07, 0.15), d.pick(0, d.real(-0.25, 0.25))
    wood = [trunk(d, h, r, lean)]
    crown, lumps = d.real(0.4, 0.8), d.pick(1, 1, 1, 2, 3, d.count(3, 5))
    top = np.array([lean * h, h + crown * 0.55, 0])
    if lumps == 1:
        big = lump(d, crown).scale(1, d.real(0.7, 1.5), 1).move(*top)
        leaves = [big]
    else:
        angle = d.real(0, 6.28) + np.arange(lumps) * 2.4
        spots = np.stack([np.cos(angle), d.reals(-0.2, 0.9, lumps), np.sin(angle)], axis=1) * crown * 0.55
        leaves = [lump(d, crown * d.real(0.5, 0.75)).move(*(top + s)) for s in spots]
    if d.chance(0.3):
        side = d.pick(-1, 1)
        start, end = (lean * h * 0.2, h * d.real(0.35, 0.6), 0), (side * crown * 0.9, h * 0.95, 0)
        wood.append(
            sweep([start, end], polygon(max(3, d.sides(-2)), r * 0.45), (1, 0.6), top=not d.hidden, bottom=not d.hidden)
        )
        leaves.append(lump(d, crown * 0.35).move(*end))
    return [join(*wood), join(*leaves)]


@family
def bare_tree(d: Dice) -> list[Surface]:
    """A trunk that forks again and again, pointed at the ends."""
    h, r = d.real(0.8, 1.3), d.real(0.08, 0.13)
    n = max(3, d.sides(-2))
    wood: list[Surface] = []

    def grow(start: np.ndarray, heading: np.ndarray, length: float, radius: float, depth: int) -> None:
        middle = start + heading * length * 0.5 + d.reals(-0.06, 0.06, 3) * length
        end = start + heading * length + d.reals(-0.1, 0.1, 3) * length
        last = depth == 0
        path = np.array([start, middle, end])
        up = (0, 0, 1) if abs(heading[2]) < 0.7 else (1, 0, 0)
        wood.append(sweep(path, polygon(n, radius), (1, 0.8, 0 if last else 0.6), up, bottom=not d.hidden))
        for _ in range(0 if last else d.count(2, 3)):
            turn = heading + d.reals(-0.9, 0.9, 3) * (1, 0.4, 1)
            grow(
                end - heading * 0.05 * length,
                turn / np.linalg.norm(turn),
                length * d.real(0.55, 0.75),
                radius * 0.55,
                depth - 1,
            )

    grow(np.zeros(3), np.array([0.0, 1.0, 0.0]), h, r, d.pick(1, 1, 2))
    return [join(*wood)]


@family
def conifer(d: Dice) -> list[Surface]:
    """Stacked cones, separate or as one zigzag profile."""
    n, tiers, h, r = d.sides(), d.count(1, 5), d.real(1.2, 2.4), d.real(0.35, 0.7)
    foot = h * d.real(0.08, 0.3)
    lean = d.real(0.55, 0.85)
    radii = r * np.linspace(1, 0.45, tiers)
    lows = foot + (h - foot) * np.linspace(0, 1, tiers + 1)[:-1]
    rise = (h - foot) / tiers
    if d.chance(0.5):
        profile = [(radii[0] * 0.25, foot)] if d.chance(0.3) else []
        for k in range(tiers):
            profile += [(radii[k], lows[k]), (radii[k] * (1 - lean) if k < tiers - 1 else 0, lows[k] + rise)]
        leaves = lathe(profile, n)
    else:
        cones = [
            (lathe([(radii[k], lows[k]), (0, lows[k] + rise * (1.5 if k < tiers - 1 else 1))], n), k)
            for k in range(tiers)
        ]
        leaves = join(*(cone.turn("y", d.real(0, 60) if d.chance(0.5) else 0) for cone, _ in cones))
    if d.chance(0.3):
        leaves = wobble(d, leaves, 0.012)
    stem = lathe([(r * 0.25, 0), (r * 0.18, foot + rise * 0.2)], d.sides(-1), bottom=not d.hidden, top=not d.hidden)
    return [stem, leaves]


@family
def palm(d: Dice) -> list[Surface]:
    h, r, lean, steps = d.real(1.2, 2.2), d.real(0.09, 0.15), d.real(-0.35, 0.35), d.count(2, 5)
    n = d.sides(-1)
    if d.chance(0.4):  # ringed bark: each segment is wider at its top
        profile = [p for k in range(steps) for p in ((r * 0.75, h * k / steps), (r * 1.1, h * (k + 0.95) / steps))]
        stem = lathe(profile, n, bottom=not d.hidden)
        stem = stem.warp(lambda x, y, z: (x + lean * y * y / h, y, z))
    else:
        s = np.linspace(0, 1, steps + 1)
        path = np.stack([lean * h * s**2, h * s, 0 * s], axis=1)
        stem = sweep(path, polygon(n, r), np.linspace(1.3, 0.7, steps + 1), bottom=not d.hidden)
    leaf = frond(d.real(0.7, 1.1), d.real(0.12, 0.22), d.real(0.2, 0.6), d.real(0.6, 1.1), d.steps(2, 4))
    if d.chance(0.6):
        leaf = thick(leaf, 0.06)
    crown = around(leaf, d.count(4, 8), d.real(0, 60)).move(lean * h, h * 0.985)
    parts = [stem, crown]
    if d.chance(0.4):
        nuts = around(ball(r * 0.8, 0).move(r * 1.1), d.count(2, 3)).move(lean * h, h * 0.94)
        parts.append(nuts)
    return parts


@family
def bush(d: Dice) -> list[Surface]:
    lumps = d.pick(1, 2, 3, 4)
    out = []
    for k in range(lumps):
        r = d.real(0.3, 0.5)
        body = lump(d, r, 0.1).scale(d.real(0.9, 1.4), d.real(0.7, 1.1), 1)
        out.append(body.move(0.5 * k, r * 0.5, d.real(-0.25, 0.25)))
    parts = [join(*out)]
    if d.chance(0.25):
        berries = [ball(0.07, 0).move(*p) for p in d.rng.permutation(out[0].points)[: d.count(2, 5)]]
        parts.append(join(*berries))
    return parts
