"""Houses, huts, skyscrapers, tents, churches and domes."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import (
    BACK,
    FRONT,
    TOP,
    box,
    facade,
    lathe,
    plate,
    prism,
    rectangle,
    slab,
    stack,
    symmetric,
)
from core.data.shapes.surface import Surface, around, both, four, join


def gable(width: float, rise: float, depth: float) -> Surface:
    """A solid triangular roof on y = 0, its ridge along z."""
    return slab([(width / 2, 0), (0, rise), (-width / 2, 0)], depth)


def roof_sheet(width: float, rise: float, depth: float, t: float, over: float) -> Surface:
    """A folded roof of thickness t that overhangs walls of `width` by `over`."""
    slope = rise / (width / 2)
    x = width / 2 + over
    return slab(
        [
            (x, -over * slope),
            (x, t - over * slope),
            (0, rise + t),
            (-x, t - over * slope),
            (-x, -over * slope),
            (0, rise),
        ],
        depth,
    )


def hip(width: float, depth: float, rise: float, ridge: float) -> Surface:
    """A hipped roof: four slopes that meet in a ridge along z of length `ridge` (0 for a pyramid)."""
    if ridge <= 0:
        return prism(rectangle(width, depth), rise, 0)
    return stack([rectangle(width, depth), rectangle(0, ridge)], [0, rise], top=False)


def opening(d: Dice, width: float, height: float, t: float = 0.06) -> Surface:
    """A door or window panel that stands out of a wall by t / 2, looking to the front, based on y = 0."""
    kind = d.pick("plain", "plain", "framed", "arched")
    if kind == "arched":
        half = [(width / 2, 0), (width / 2, height * 0.7), (width * 0.28, height * 0.92), (0, height)]
        return slab(symmetric(half), t, back=not d.hidden)
    panel = box(width, height, t)
    if kind == "framed":
        panel = panel.inset(FRONT, width * 0.15).extrude(FRONT, -t * 0.4)
    return panel.drop(BACK) if d.hidden else panel


def chimney(d: Dice, height: float) -> Surface:
    s = d.real(0.16, 0.24)
    stem = box(s, height, s * d.real(0.8, 1.3))
    if d.chance(0.5):
        stem = stem.inset(TOP, s * 0.2).extrude(TOP, -0.08)
    return stem


@family
def house(d: Dice) -> list[Surface]:
    w, depth, h = d.real(1, 1.6), d.real(0.9, 2), d.real(0.6, 1.4)
    rise, over = w * d.real(0.25, 0.7), d.real(0.05, 0.15)
    kind = d.pick("one body", "gable", "sheet", "sheet", "hip", "flat")
    walls, roof = [box(w, h, depth)], []
    if kind == "one body":
        outline = np.array([(w / 2, 0), (w / 2, h), (0, h + rise), (-w / 2, h), (-w / 2, 0)])
        walls = [slab(outline, depth)]
    elif kind == "gable":
        roof = [gable(w + 2 * over, rise, depth + 2 * over).move(y=h - 0.01)]
    elif kind == "sheet":
        walls = [slab([(w / 2, 0), (w / 2, h), (0, h + rise), (-w / 2, h), (-w / 2, 0)], depth, 0, True, True)]
        roof = [roof_sheet(w, rise, depth + 2 * over, d.real(0.06, 0.14), over).move(y=h - 0.02)]
    elif kind == "hip":
        roof = [hip(w + 2 * over, depth + 2 * over, rise, max(0, depth - w * d.real(0.5, 1.2))).move(y=h - 0.01)]
    else:
        roof = [box(w + over, 0.12, depth + over).inset(TOP, 0.08).extrude(TOP, -0.06).move(y=h - 0.02)]
    door_w, door_h = d.real(0.22, 0.3), min(h * 0.75, 0.55)
    door = opening(d, door_w, door_h).move(x=d.pick(0, w * 0.22), z=depth / 2)
    details = [door]
    window = opening(d, 0.22, 0.24)
    if d.chance(0.7):
        side = window.turn("y", 90).move(x=w / 2, y=h * 0.4)
        details += [side.move(z=z) for z in np.linspace(-0.3, 0.3, d.count(1, 3)) * depth]
        if d.chance(0.5):
            details.append(window.move(x=-w * 0.27, y=h * 0.4, z=depth / 2))
    parts = [join(*walls), *roof, join(*details)]
    if d.chance(0.5) and kind != "flat":
        parts.append(chimney(d, h * 0.4 + rise * 0.9).move(w * 0.24, h * 0.7, depth * d.real(-0.3, 0.2)))
    if d.chance(0.25):  # an annex
        aw, ah = w * 0.7, h * d.real(0.5, 0.7)
        parts.append(
            join(box(aw, ah, depth * 0.6), gable(aw * 1.15, ah * 0.4, depth * 0.68).move(y=ah - 0.01)).move(
                x=-w / 2 - aw / 2 + 0.04
            )
        )
    return parts


@family
def hut(d: Dice) -> list[Surface]:
    """A round house under a cone, or a stall on posts."""
    n, r, h = d.sides(1), d.real(0.6, 0.9), d.real(0.5, 0.9)
    rise, over = d.real(0.4, 1.0), d.real(1.1, 1.35)
    if d.chance(0.5):
        wall = lathe([(r, 0), (r * d.real(0.85, 1), h)], n, top=not d.hidden, bottom=not d.hidden)
        roof = lathe([(r * over, h - 0.06), (0, h + rise)], n, bottom=d.chance(0.7))
        if d.chance(0.4):
            roof = lathe(
                [(r * over, h - 0.06), (r * 0.5, h + rise * 0.5), (r * 0.4, h + rise * 0.55), (0, h + rise)], n
            )
        return [wall, roof, opening(d, 0.32, h * 0.75, 0.12).move(z=r * np.cos(np.pi / n) - 0.01)]
    w, depth = d.real(1.2, 1.8), d.real(0.8, 1.2)
    posts = four(box(0.1, 1.0, 0.1), w * 0.45, depth * 0.42)
    roof = d.pick(
        gable(w * 1.1, rise * 0.6, depth * 1.1),
        hip(w * 1.1, depth * 1.1, rise * 0.6, 0),
        box(w * 1.1, 0.1, depth * 1.2).turn("x", 12),
    )
    counter = box(w * 0.86, 0.45, depth * 0.3).move(z=depth * 0.3)
    return [join(posts, counter) if d.chance(0.7) else posts, roof.move(y=0.96)]


@family
def skyscraper(d: Dice) -> list[Surface]:
    """Blocks stacked and set back; windows are pushed into the front of the lowest."""
    w, depth = d.real(0.8, 1.2), d.real(0.7, 1.1)
    columns, rows = d.count(1, 4), d.count(2, 6)
    h = rows * d.real(0.25, 0.4)
    margin = min(w / columns, h / rows) * d.real(0.15, 0.25)
    base = facade(np.linspace(-w / 2, w / 2, columns + 1), np.linspace(0, h, rows + 1), depth)
    sunk = d.pick(-0.04, -0.04, 0.03)
    for k in range(columns * rows):
        base = base.inset(k, margin).extrude(k, sunk)
    parts, y, s = [base], h, 0.95
    for _ in range(d.count(0, 3)):
        s *= d.real(0.6, 0.9)
        rise = d.real(0.3, 0.9)
        parts.append(box(w * s, rise, depth * s).move(y=y - 0.01))
        y += rise - 0.01
    if d.chance(0.4):
        parts.append(lathe([(0.05, 0), (0.02, d.real(0.4, 0.8))], 4).move(y=y - 0.01))
    elif d.chance(0.6):
        parts.append(
            join(box(0.2, 0.12, 0.2).move(x=w * s * 0.25), box(0.14, 0.18, 0.25).move(x=-w * s * 0.2)).move(y=y - 0.01)
        )
    if d.chance(0.4):
        parts.append(box(w * 1.25, 0.08, depth * 1.25).move(y=-0.06))
    return parts


@family
def tent(d: Dice) -> list[Surface]:
    """A ridge tent or tepee of single sheets, closed or open at the front."""
    w, h, long = d.real(0.9, 1.5), d.real(0.7, 1.2), d.real(1.2, 2.0)
    if d.chance(0.35):
        n, r = d.sides(2), w * 0.6
        cloth = (
            lathe([(r, 0), (0.08, h * 1.5)], n, False, False).drop(*range(n - 1, n))
            if d.chance(0.5)
            else lathe([(r, 0), (0.06, h * 1.5)], n, False, False)
        )
        pole = lathe([(0.03, 0), (0.03, 0.45)], 4).turn("z", 15).move(y=h * 1.35)
        return [cloth, around(pole, 3, 20)]
    thickness = 0.05
    cloth = slab(
        [
            (w / 2, 0),
            (0, h),
            (-w / 2, 0),
            (thickness - w / 2, 0),
            (0, h - thickness * 2 * h / w),
            (w / 2 - thickness, 0),
        ],
        long,
    )
    if d.chance(0.4):
        cloth = slab([(w / 2, 0), (0, h), (-w / 2, 0)], long, 0, front=False, back=True)
    poles = both(lathe([(0.03, 0), (0.03, h * 1.12)], 4).move(z=long / 2 - 0.05), "z")
    flap = plate([(0, 0), (w * 0.48, 0), (0, h)]).turn("y", -35).move(z=long / 2)
    parts = [cloth, poles]
    return [*parts, flap] if d.chance(0.4) else parts


@family
def church(d: Dice) -> list[Surface]:
    w, depth, h = d.real(0.8, 1.1), d.real(1.3, 2.0), d.real(0.6, 0.9)
    rise = d.real(0.4, 0.8)
    nave = slab([(w / 2, 0), (w / 2, h), (0, h + rise), (-w / 2, h), (-w / 2, 0)], depth)
    s, tall = w * d.real(0.4, 0.55), h + rise + d.real(0.2, 0.7)
    n = d.pick(4, 4, 8)
    spire = lathe([(s * 0.78, tall), (0, tall + s * d.real(1.2, 2.4))], n)
    belfry = box(s, tall + 0.02, s)
    cross = join(box(0.05, 0.3, 0.05), box(0.2, 0.05, 0.05).move(y=0.17)).move(y=spire.points[:, 1].max() - 0.05)
    z = depth / 2 + d.pick(0.0, s * 0.4)
    details = [opening(d, s * 0.5, 0.45).move(z=z + s / 2)]
    side = opening(d, 0.16, h * 0.5).turn("y", 90).move(x=w / 2, y=h * 0.3)
    details += [both(side.move(z=k)) for k in np.linspace(-0.35, 0.25, d.count(1, 4)) * depth]
    parts = [nave, belfry.move(z=z), spire.move(z=z), join(*details)]
    return [*parts, cross.move(z=z)] if d.chance(0.7) else parts


@family
def dome(d: Dice) -> list[Surface]:
    """An igloo, observatory or greenhouse: a dome with an entrance."""
    n, r, rows = d.sides(2), d.real(0.7, 1.0), d.steps(2, 4)
    angle = np.linspace(0, np.pi / 2, rows + 1)
    squat = d.real(0.7, 1.1)
    base = d.pick([], [(r, -0.3)])
    profile = base + [(r * np.cos(a) if k < rows else 0, r * squat * np.sin(a)) for k, a in enumerate(angle)]
    parts = [lathe(profile, n, bottom=d.chance(0.5)).move(y=0.3 if base else 0)]
    kind = d.pick("tunnel", "door", "slit")
    if kind == "tunnel":
        half = arc((0, 0), 0.32, 0, 180, d.steps(3, 6))[:, :2]
        inner = half[::-1] * 0.75
        parts.append(slab(np.concatenate([half, inner]), 0.5).move(z=r * 0.95))
    elif kind == "door":
        parts.append(opening(d, 0.35, 0.5, 0.35).move(z=r * 0.9))
    else:
        tube = lathe([(0.14, 0), (0.11, r * 0.9)], d.sides())
        parts.append(tube.turn("x", d.real(30, 60)).move(y=r * squat * 0.6 + (0.3 if base else 0), z=r * 0.2))
    return parts
