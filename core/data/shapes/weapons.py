"""Weapons of the hand, upright with their flat side to the front: swords, axes, hammers, spears, shields."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.primitives import (
    Outline,
    ball,
    box,
    lathe,
    loft,
    plate,
    rectangle,
    slab,
    soft_box,
    stack,
    strip,
    sweep,
    symmetric,
)
from core.data.shapes.surface import Surface, around, both, join


def diamond(width: float, depth: float) -> Outline:
    """A blade's section: sharp at both sides, thick in the middle."""
    return np.array([(width / 2, 0), (0, depth / 2), (-width / 2, 0), (0, -depth / 2)])


def blade(d: Dice, length: float, width: float, t: float) -> Surface:
    """A blade on y = 0 that ends in a point."""
    tip = length * d.real(0.75, 0.93)
    kind = d.pick("straight", "straight", "leaf", "single edge")
    if kind == "single edge":
        curve = d.real(0, 0.25) * length
        s = np.linspace(0, 1, d.steps(3, 6))
        back, edge = -width / 2 + curve * s**2, width / 2 + curve * s**2
        back[-1] = edge[-1] - width * d.real(0.05, 0.4)
        ys = length * s
        ys_edge = ys.copy()
        ys[-1] += width * 0.8
        section = [[(e, 0.0), (b, t / 2), (b, -t / 2)] for e, b in zip(edge, back, strict=True)]
        rings = np.array(
            [
                [(x, y if k else ye, -z) for k, (x, z) in enumerate(ring)]
                for ring, y, ye in zip(section, ys, ys_edge, strict=True)
            ]
        )
        return loft(rings)
    widths, heights = [width, width * d.real(0.7, 1.0)], [0, tip]
    if kind == "leaf":
        widths, heights = [width * 0.8, width * 0.6, width * 1.2], [0, length * 0.35, tip]
    if d.chance(0.3):  # flat faces with ground edges
        sections = [
            np.array(
                [
                    (w / 2, 0),
                    (w * 0.25, t / 2),
                    (-w * 0.25, t / 2),
                    (-w / 2, 0),
                    (-w * 0.25, -t / 2),
                    (w * 0.25, -t / 2),
                ]
            )
            for w in widths
        ]
    else:
        sections = [diamond(w, t) for w in widths]
    return stack([*sections, sections[0] * 0], [*heights, length])


def grip(d: Dice, length: float, r: float) -> Surface:
    """A handle on y = 0, plain, bellied or ringed."""
    n = d.sides(-1)
    kind = d.pick("plain", "belly", "rings")
    if kind == "plain":
        return lathe([(r, 0), (r, length)], n, top=not d.hidden)
    if kind == "belly":
        return lathe([(r * 0.8, 0), (r * 1.15, length * 0.45), (r * 0.8, length)], n, top=not d.hidden)
    k = d.count(2, 3)
    profile = [p for i in range(k) for p in ((r * 1.15, length * i / k), (r * 0.8, length * (i + 0.8) / k))]
    return lathe([*profile, (r, length)], n, top=not d.hidden)


@family
def sword(d: Dice) -> list[Surface]:
    length, width, t = d.real(0.5, 1.8), d.real(0.12, 0.3), d.real(0.045, 0.08)
    hilt, r = d.real(0.2, 0.4), d.real(0.035, 0.05)
    steel = blade(d, length, width, t).move(y=hilt)
    wide, g = width * d.real(1.3, 2.6), d.real(0.05, 0.09)
    kind = d.pick("bar", "bar", "swept", "disc")
    if kind == "bar":
        guard = box(wide, g, g * 1.3, d.real(0.8, 1.1)) if d.chance(0.6) else soft_box(wide, g * 1.3, g * 1.4, g * 0.3)
    elif kind == "swept":
        bend = d.real(-0.12, 0.15)
        guard = sweep([(-wide / 2, bend, 0), (0, g / 2, 0), (wide / 2, bend, 0)], rectangle(g, g * 1.3), (0.6, 1, 0.6))
    else:
        guard = lathe([(wide * 0.35, 0), (wide * 0.35, g)], d.sides(1), squash=d.pick(1, 0.6))
    pommel = d.pick(
        ball(r * 1.6, 0),
        box(r * 2.6, r * 2.2, r * 2.6).move(y=-r),
        lathe([(r, -r), (r * 1.7, 0), (r, r)], d.sides()),
        None,
    )
    handle = grip(d, hilt + 0.02, r)
    parts = [
        steel,
        join(guard.move(y=hilt - g * 0.3), handle if pommel is None else join(handle, pommel.move(y=-r * 0.5))),
    ]
    return parts


@family
def axe(d: Dice) -> list[Surface]:
    h, r, w, edge = d.real(0.7, 1.5), d.real(0.035, 0.055), d.real(0.2, 0.4), d.real(0.3, 0.6)
    shaft = lathe([(r * 1.1, 0), (r * 0.9, h)], d.sides(-1)) if d.chance(0.7) else box(r * 2, h, r * 1.6)
    root, t = edge * d.real(0.3, 0.6), d.real(0.08, 0.14)
    sag = d.real(-0.05, 0.15)
    # Sections from the shaft outward that get taller and thinner: a wedge.
    n = d.steps(2, 4)
    s = np.linspace(0, 1, n)
    tall = root + (edge - root) * s ** d.real(1, 2.2)
    rings = [
        [(w * k, -h_ / 2 - sag * k, z), (w * k, -h_ / 2 - sag * k, -z), (w * k, h_ / 2, -z), (w * k, h_ / 2, z)]
        for k, h_, z in zip(s, tall, np.linspace(t / 2, 0.008, n), strict=True)
    ]
    head = loft(np.array(rings)).move(x=r * 0.3, y=h * d.real(0.82, 0.9))
    back = d.pick("plain", "double", "spike", "hammer")
    parts = [shaft, head]
    if back == "double":
        parts = [shaft, both(head)]
    elif back == "spike":
        parts.append(
            sweep([(0, 0, 0), (-w * 0.4, 0.02, 0), (-w * 0.9, -0.04, 0)], rectangle(0.08, 0.07), (1, 0.8, 0)).move(
                y=h * 0.86
            )
        )
    elif back == "hammer":
        parts.append(box(w * 0.6, root * 0.7, t * 1.2).move(x=-w * 0.35, y=h * 0.86 - root * 0.35))
    if d.chance(0.3):
        parts.append(lathe([(r * 1.6, 0), (r * 1.4, 0.08)], d.sides()).move(y=-0.02))
    return parts


@family
def hammer(d: Dice) -> list[Surface]:
    """Hammers, mallets, maces and pickaxes."""
    h, r, w, s = d.real(0.6, 1.3), d.real(0.035, 0.06), d.real(0.3, 0.6), d.real(0.14, 0.3)
    shaft = lathe([(r * 1.2, 0), (r, h)], d.sides(-1), top=not d.hidden)
    kind = d.pick("block", "mallet", "claw", "mace", "pick")
    if kind == "block":
        head = soft_box(w, s, s, s * d.real(0.1, 0.2)) if d.chance(0.6) else box(w, s, s, d.real(0.8, 1))
        head = head.move(y=h - s * 0.5)
    elif kind == "mallet":
        n, a = d.sides(1), s * d.real(0.5, 0.7)
        head = lathe([(a * 0.85, 0), (a, 0.06), (a, w - 0.06), (a * 0.85, w)], n).turn("z", 90).move(x=w / 2, y=h)
    elif kind == "claw":
        front = lathe([(s * 0.35, 0), (s * 0.4, w * 0.45)], d.sides()).turn("z", -90)
        claw = sweep(
            [(0, 0, 0), (-w * 0.3, 0.02, 0), (-w * 0.6, -0.12, 0)], rectangle(s * 0.5, s * 0.5), (1.2, 0.9, 0.25)
        )
        head = join(front, claw).move(y=h - 0.02)
    elif kind == "mace":
        core = ball(s * 0.8, 1 if d.detail else 0)
        spike = lathe([(s * 0.22, 0), (0, s * 0.55)], 4, bottom=not d.hidden).turn("x", 90).move(z=s * 0.68)
        head = join(core, around(spike, d.pick(4, 6)), spike.turn("x", -90)).move(y=h)
    else:
        path = [
            (-w * 0.9, -w * 0.3, 0),
            (-w * 0.45, -0.04, 0),
            (0, 0.02, 0),
            (w * 0.45, -0.04, 0),
            (w * 0.9, -w * 0.3, 0),
        ]
        head = sweep(path, rectangle(0.1, 0.09), (0.15, 0.8, 1.1, 0.8, 0.15)).move(y=h - 0.03)
    return [shaft, head]


def shield_outline(d: Dice, steps: int) -> Outline:
    """Half a shield, from its lowest to its highest point."""
    kind = d.pick("heater", "round", "kite", "square")
    if kind == "round":
        a = np.radians(np.linspace(-90, 90, steps + 3))
        return np.stack([0.5 * np.cos(a), 0.5 * np.sin(a)], axis=1).round(9)
    if kind == "heater":
        return np.array([(0, -0.65), (0.3, -0.35), (0.46, 0), (0.48, 0.4), (0.2, 0.42), (0, d.real(0.4, 0.5))])
    if kind == "kite":
        return np.array([(0, -0.8), (0.28, -0.2), (0.4, 0.25), (0.25, 0.45), (0, 0.52)])
    return np.array([(0, -0.6), (0.35, -0.6), (0.42, 0), (0.35, 0.6), (0, 0.6)])


@family
def shield(d: Dice) -> list[Surface]:
    """A bent board with a rim, a boss, or a ridge; a solid or a single sheet."""
    half = shield_outline(d, 1 + d.detail) * (d.real(0.8, 1.1), d.real(0.9, 1.2))
    outline = symmetric(half)
    t, bulge = d.real(0.05, 0.1), d.real(0.0, 0.2)
    kind = d.pick("board", "ridge", "bevel", "sheet")
    if kind == "board":
        body = slab(outline, t)
    elif kind == "bevel":
        body = slab(outline, t * 1.4, d.real(0.1, 0.25))
    else:
        mid = half * (0, 1)
        rows = np.stack([half * (-1, 1), mid, half], axis=1)
        front = np.concatenate([rows, np.zeros((*rows.shape[:2], 1))], axis=2)
        front[:, 1, 2] = bulge + 0.06
        front[[0, -1], :, 2] = front[0, 0, 2]
        body = strip(front)
        if kind == "ridge":
            body = join(
                body,
                body.flip().warp(lambda x, y, z: (x, y, z * 0.2 - np.where(np.abs(x) < 1e-9, 0.06, 0.0) * (z > 0))),
            )
    parts = [body]
    z = t / 2 if kind in ("board", "bevel") else bulge
    boss = d.pick("none", "boss", "cross", "rim")
    if boss == "boss":
        parts.append(
            lathe([(0.16, 0), (0.12, 0.07), (0, 0.1)], d.sides(), bottom=not d.hidden).turn("x", 90).move(z=z * 0.98)
        )
    elif boss == "cross" and kind == "board":
        parts.append(join(box(0.12, 0.85, 0.05).move(y=-0.45), box(0.7, 0.12, 0.045).move(y=0.05)).move(z=z))
    elif boss == "rim" and kind == "board":
        ring = np.stack([outline * 1.06, outline * 0.9])
        layers = np.stack(
            [
                np.concatenate([ring[k], np.full((len(outline), 1), s * t)], axis=1)
                for k, s in ((0, -0.8), (0, 0.8), (1, 0.8), (1, -0.8))
            ]
        )
        parts.append(loft(layers, closed=True))
    if d.chance(0.5):
        parts.append(
            sweep(
                [(-0.14, 0.0, 0.02), (-0.12, 0, -0.1), (0.12, 0, -0.1), (0.14, 0, 0.02)],
                rectangle(0.06, 0.06),
                1,
                (0, 1, 0),
            ).move(z=-0.02)
        )
    return parts


@family
def spear(d: Dice) -> list[Surface]:
    """Spears, tridents, arrows and staffs."""
    h, r = d.real(0.9, 1.8), d.real(0.03, 0.05)
    shaft = lathe([(r, 0), (r, h)], d.sides(-1), top=not d.hidden)
    kind = d.pick("spear", "trident", "arrow", "staff", "halberd")
    if kind == "trident":
        bar = sweep([(-0.2, 0.18, 0), (-0.17, 0.02, 0), (0.17, 0.02, 0), (0.2, 0.18, 0)], rectangle(0.07, 0.07))
        tine = stack([diamond(0.08, 0.06), diamond(0.12, 0.06), diamond(0, 0)], [0, 0.12, 0.32])
        return [shaft, join(bar, both(tine.move(x=0.2, y=0.16)), tine.scale(1, 1.3, 1).move(y=0.02)).move(y=h)]
    head = stack(
        [diamond(0.07, 0.05), diamond(d.real(0.14, 0.24), 0.06), diamond(0, 0)],
        [0, d.real(0.08, 0.2), d.real(0.3, 0.5)],
    )
    if kind == "arrow":
        fin = plate([(0.02, 0), (0.16, 0.04), (0.16, 0.22), (0.02, 0.32)])
        fins = (
            around(fin, d.pick(3, 4))
            if d.chance(0.5)
            else around(slab([(0.0, 0), (0.15, 0.04), (0.15, 0.22), (0.0, 0.3)], 0.02).move(x=0.015), 3)
        )
        return [shaft, head.move(y=h - 0.03), fins.move(y=0.04)]
    if kind == "staff":
        claw = sweep([(0.03, 0, 0), (0.14, 0.12, 0), (0.1, 0.28, 0)], rectangle(0.06, 0.06), (1, 0.9, 0.2))
        gem = ball(0.1, d.count(0, 1)) if d.chance(0.5) else lathe([(0, -0.14), (0.09, 0), (0, 0.14)], d.sides())
        return [shaft, around(claw, d.pick(3, 4)).move(y=h - 0.04), gem.move(y=h + 0.14)]
    parts = [shaft, head.move(y=h - 0.03)]
    if kind == "halberd":
        cheek = slab([(0, -0.1), (0.3, -0.22), (0.36, 0.05), (0.28, 0.25), (0, 0.1)], 0.05)
        parts.append(join(cheek, lathe([(0.05, 0), (0, 0.25)], 4).turn("z", 90)).move(y=h * 0.88))
    if d.chance(0.4):
        parts.append(lathe([(r * 1.5, 0), (r * 1.5, 0.08)], d.sides()).move(y=h - 0.08))
    return parts
