"""Hats, helmets and crowns; trophies, bells and hourglasses."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import ball, box, lathe, polygon, rectangle, slab, strip, sweep, symmetric
from core.data.shapes.surface import Surface, around, both, join


@family
def hat(d: Dice) -> list[Surface]:
    """Hats, helmets, crowns; most are hollow or open below."""
    n, r = d.sides(3), 0.4
    kind = d.pick("top", "witch", "straw", "crown", "helmet", "cap", "viking")
    brim, t = r * d.real(1.4, 2.0), 0.05
    open_below = d.chance(0.5)
    if kind in ("top", "witch", "straw"):
        crown = {
            "top": [(r, t), (r * d.real(0.9, 1.1), d.real(0.4, 0.8))],
            "witch": [(r, t), (r * 0.5, 0.45), (0, d.real(0.8, 1.1))],
            "straw": [(r, t), (r * 0.8, 0.25), (r * 0.4, 0.32)],
        }[kind]
        if open_below:
            body = lathe([(brim, 0), *crown], n, bottom=False)
        else:
            body = lathe([(r * 0.9, 0), (brim, 0), (brim * 0.98, t), *crown], n)
        bent = d.real(0, 0.35) if kind == "witch" else 0.0
        body = body.warp(
            lambda x, y, z: (x + bent * np.maximum(y - 0.35, 0), y - d.real(0, 0.06) * (np.abs(x) > r * 1.2), z)
        )
        edge = float(np.interp(0.16, [y for _, y in crown], [x for x, _ in crown]))
        band = lathe([(r * 1.04, t * 0.8), (edge * 1.04, 0.16)], n, False, False)
        return [body, band] if d.chance(0.5) else [body]
    if kind == "crown":
        points = d.count(4, 7)
        ring = lathe([(r, 0), (r * 1.1, 0.25)], 2 * points, False, False)
        wall = ring.points.copy()
        wall[2 * points :: 2, 1] += d.real(0.15, 0.35)
        sheet = ring.with_points(wall)
        if d.chance(0.5):
            return [sheet, join(*(ball(0.05, 0).move(*p) for p in wall[2 * points :: 2]))]
        inner = wall.copy()
        inner[:, [0, 2]] *= 0.88
        skin = join(sheet, sheet.flip().with_points(inner))
        rims = [
            strip(np.stack([np.concatenate([a, a[:1]]), np.concatenate([b, b[:1]])]))
            for a, b in ((inner[: 2 * points], wall[: 2 * points]), (wall[2 * points :], inner[2 * points :]))
        ]
        return [join(skin, *rims)]
    dome = [(r, 0), (r * 0.98, r * 0.4), (r * 0.65, r * 0.85), (0, r * d.real(1.0, 1.4))]
    if not open_below:
        dome = [(r * 0.85, r * 0.1), (r * 0.88, 0), *dome]
    body = lathe(dome, n, bottom=not open_below)
    if kind == "viking":
        horn = sweep(
            [(r * 0.85, 0.2, 0), (r * 1.4, 0.3, 0), (r * 1.6, 0.65, 0)], polygon(d.sides(), 0.1), (1, 0.8, 0.0)
        )
        return [body, both(horn)]
    if kind == "helmet":
        crest = slab(
            np.concatenate([arc((0, 0), r * 1.05, 30, 150, 4)[:, :2], arc((0, 0), r * 1.4, 150, 30, 4)[:, :2]])[::-1],
            0.08,
        )
        nose = box(0.08, 0.35, 0.06).move(y=-0.2, z=r * 0.95)
        return [body, d.pick(crest.turn("y", 90), nose, join(crest.turn("y", 90), nose))]
    peak = slab([(-r * 0.8, 0), (r * 0.8, 0), (r * 0.6, 0.3), (-r * 0.6, 0.3)], 0.05).turn("x", 90 + d.real(0, 20))
    return [body, peak.move(y=0.03, z=r * 0.7)]


@family
def trophy(d: Dice) -> list[Surface]:
    """Cups, goblets, bells, hourglasses: turned things."""
    n, r, h = d.sides(2), d.real(0.3, 0.42), d.real(0.35, 0.6)
    kind = d.pick("cup", "cup", "goblet", "bell", "hourglass", "anvil")
    stem, foot = d.real(0.06, 0.1), r * d.real(0.6, 0.9)
    if kind in ("cup", "goblet"):
        base = [(foot, 0), (foot, 0.08), (stem, 0.16), (stem, 0.3)]
        bowl = [(r * 0.7, 0.42), (r, 0.42 + h)]
        inside = [(r * 0.87, 0.42 + h), (r * 0.55, 0.5)]
        parts = [lathe(base + bowl + (inside if d.chance(0.7) else []), n)]
        if kind == "cup":
            ear = arc((0, 0), h * 0.38, 110, -110, d.steps(3, 6)) * (0.9, 1, 1) + (r * 0.95, 0.42 + h * 0.55, 0)
            parts.append(both(sweep(ear, rectangle(0.06, 0.07))))
            if d.chance(0.6):
                parts.append(box(foot * 2.2, 0.2, foot * 2.2, 0.85).move(y=-0.19))
        return parts
    if kind == "bell":
        body = [(r * 1.2, 0), (r * 0.8, h * 0.35), (r * 0.6, h), (r * 0.3, h * 1.2)]
        parts = [lathe([(r * 1.0, 0), *body] if d.chance(0.5) else body, n, bottom=d.chance(0.5))]
        loop = lathe([(0.12, -0.03), (0.12, 0.03), (0.07, 0.03), (0.07, -0.03)], 6, closed=True).turn("x", 90)
        return [*parts, loop.move(y=h * 1.2 + 0.07), ball(0.1, 0).move(y=-0.02)]
    if kind == "hourglass":
        glass = lathe(
            [(r * 0.75, 0.06), (r * 0.7, 0.3), (0.06, 0.55), (r * 0.7, 0.8), (r * 0.75, 1.04)],
            n,
            not d.hidden,
            not d.hidden,
        )
        plate_ = lathe([(r, 0), (r, 0.08)], n)
        posts = around(box(0.05, 1.0, 0.05).move(x=r * 0.85, y=0.05), d.pick(3, 4))
        return [glass, join(plate_, plate_.move(y=1.02), posts)]
    anvil = [(0.35, 0), (0.3, 0.15), (0.14, 0.22), (0.14, 0.36), (0.4, 0.42), (0.4, 0.6)]
    block = slab(symmetric(anvil), 0.34)
    horn = lathe([(0.15, 0), (0.12, 0.15), (0, 0.38)], d.sides()).scale(1, 1, 0.9).turn("z", -90).move(x=0.38, y=0.5)
    return [block, horn]
