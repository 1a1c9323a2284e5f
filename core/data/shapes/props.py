"""Lanterns, signposts, flags, gears, icons made thick, and hand tools."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import (
    FRONT,
    ball,
    box,
    cells,
    lathe,
    loft,
    plate,
    polygon,
    rectangle,
    slab,
    soft_box,
    star,
    strip,
    sweep,
    symmetric,
)
from core.data.shapes.surface import Surface, around, both, join


@family
def lantern(d: Dice) -> list[Surface]:
    n, r, h = d.pick(4, 4, 6, 8), d.real(0.25, 0.35), d.real(0.4, 0.7)
    base = lathe([(r * 1.15, 0), (r * 1.15, 0.08), (r * 0.95, 0.12)], n)
    roof = lathe([(r * 1.25, h + 0.1), (r * d.real(0.3, 0.6), h + 0.28), (r * 0.25, h + 0.34)], n)
    glass = lathe([(r * 0.8, 0.1), (r * d.real(0.7, 0.95), h + 0.12)], n, bottom=not d.hidden, top=not d.hidden)
    parts = [join(base, roof)]
    if d.chance(0.5):
        bar = box(0.05, h + 0.02, 0.05).turn("y", 45).move(x=r * 0.98, y=0.1)
        corner = around(bar, n, 180 / n)
        inside = (
            lathe([(0.08, 0.1), (0.08, 0.3), (0, 0.45)], d.sides()) if d.chance(0.6) else glass.scale(0.85, 1, 0.85)
        )
        parts += [corner, inside]
    else:
        parts.append(glass)
    ring = lathe([(0.14, -0.03), (0.14, 0.03), (0.09, 0.03), (0.09, -0.03)], max(5, n), closed=True).turn("x", 90)
    kind = d.pick("ring", "post", "bracket")
    top = h + 0.42
    if kind == "ring":
        parts.append(ring.move(y=top))
    elif kind == "post":
        parts.append(lathe([(0.2, -1.4), (0.09, -1.2), (0.07, 0.02)], d.sides()))
    else:
        path = [(-0.75, top - 0.3, 0), (-0.75, top + 0.25, 0), (-0.1, top + 0.25, 0), (0, top - 0.14, 0)]
        parts.append(join(sweep(path, rectangle(0.07, 0.07)), box(0.08, 0.6, 0.3).move(x=-0.8, y=top - 0.35)))
    return parts


@family
def signpost(d: Dice) -> list[Surface]:
    h, r = d.real(1.0, 1.6), d.real(0.05, 0.08)
    post = lathe([(r * 1.1, 0), (r * 0.9, h)], d.sides(-1)) if d.chance(0.5) else box(r * 1.8, h, r * 1.8)
    kind = d.pick("arrows", "arrows", "board", "octagon", "billboard", "hanging")
    parts = [post]
    if kind == "arrows":
        for k in range(d.count(1, 3)):
            w, t = d.real(0.5, 0.8), d.real(0.16, 0.24)
            outline = np.array(
                [
                    (-w * 0.25, -t / 2),
                    (w * 0.75, -t / 2),
                    (w * 0.75 + t * 0.5, 0),
                    (w * 0.75, t / 2),
                    (-w * 0.25, t / 2),
                ]
            )
            arrow = slab(outline, 0.06).turn("z", d.real(-8, 8)).move(z=r + 0.01)
            parts.append(
                (arrow if d.chance(0.5) else arrow.mirror("x"))
                .turn("y", d.pick(0, d.real(-40, 40)))
                .move(y=h * 0.9 - 0.3 * k)
            )
    elif kind == "board":
        board = box(d.real(0.5, 0.9), d.real(0.3, 0.5), 0.07)
        parts.append((board.inset(FRONT, 0.05).extrude(FRONT, -0.025) if d.chance(0.5) else board).move(y=h * 0.6, z=r))
        if d.chance(0.4):
            roof = slab([(0.55, 0), (0, 0.2), (-0.55, 0)], 0.3)
            parts.append(roof.move(y=h * 0.98))
    elif kind == "octagon":
        n = d.pick(3, 8, 12, 4)
        parts.append(slab(polygon(n, 0.3), 0.05).turn("z", 90 if n == 3 else d.pick(0, 45)).move(y=h, z=r))
    elif kind == "billboard":
        w = d.real(0.9, 1.4)
        parts = [
            both(post.move(x=w * 0.35)),
            box(w, w * 0.5, 0.08).inset(FRONT, 0.06).extrude(FRONT, -0.03).move(y=h * 0.7),
        ]
    else:
        arm = box(0.75, 0.07, 0.07).move(x=0.3, y=h * 0.9)
        board = d.pick(box(0.42, 0.34, 0.05), slab(polygon(6, 0.22), 0.05).move(y=0.17)).move(x=0.4, y=h * 0.9 - 0.45)
        chain = both(box(0.04, 0.12, 0.04).move(x=0.12)).move(x=0.4, y=h * 0.9 - 0.115)
        parts += [join(arm, chain), board]
    return parts


@family
def flag(d: Dice) -> list[Surface]:
    """Cloth as a single sheet, waving from a pole, hanging as a banner, or strung as pennants."""
    kind = d.pick("waving", "waving", "pennant", "banner", "string")
    h, r = d.real(1.2, 1.8), d.real(0.03, 0.05)
    pole = lathe([(r, 0), (r, h)], d.sides(-1))
    tip = ball(r * 2.0, 0).move(y=h + r)
    if kind in ("waving", "pennant"):
        w, tall, columns = d.real(0.6, 1.0), d.real(0.35, 0.6), d.steps(2, 6)
        wave, turns = d.real(0.03, 0.12), d.real(3, 8)
        s = np.linspace(0, 1, columns + 1)
        narrow = 1 - s * (d.real(0.6, 1) if kind == "pennant" else d.pick(0, 0, 0.2))
        rows = d.pick(1, 2)
        t = np.linspace(-0.5, 0.5, rows + 1)[:, None]
        y = h - tall * 0.55 + t * tall * narrow - 0.08 * s * s
        grid = np.stack(
            [
                np.broadcast_to(s * w + r * 0.7, y.shape),
                y,
                np.broadcast_to(wave * np.sin(turns * s) * (0.4 + s), y.shape),
            ],
            axis=2,
        )
        cloth = strip(grid)
        parts = [pole, cloth]
        if d.chance(0.4):
            parts.append(tip)
        if d.chance(0.3):
            parts.append(lathe([(0.2, 0), (0.14, 0.1)], d.sides()))
        return parts
    if kind == "banner":
        w, tall, rows = d.real(0.5, 0.8), d.real(0.8, 1.2), d.steps(1, 4)
        s = np.linspace(0, 1, rows + 1)
        x = np.array([-0.5, 0, 0.5]) * w
        y = np.repeat((h - tall * (1 - s))[:, None], 3, axis=1)
        y[0] += np.array([0, d.pick(-1, 1), 0]) * 0.15
        z = 0.07 + 0.06 * np.sin(4 * (1 - s))[:, None] * np.ones(3)
        cloth = strip(np.stack([np.broadcast_to(x, y.shape), y, z], axis=2))
        bar = lathe([(0.03, -w * 0.6), (0.03, w * 0.6)], d.sides(-1)).turn("z", 90).move(y=h, z=0.05)
        return [join(pole.move(z=-0.02), bar), cloth]
    wide, n = d.real(1.4, 2.0), d.count(3, 6)
    xs = np.linspace(-wide / 2, wide / 2, n + 1)
    sag = 1.0 - 0.22 * (1 - (2 * xs / wide) ** 2)
    rope = sweep(np.stack([xs, sag, 0 * xs], axis=1), rectangle(0.035, 0.035))
    cloths = [
        plate([(a, ya - 0.02), ((a + b) / 2, min(ya, yb) - 0.32), (b, yb - 0.02)])
        for a, b, ya, yb in zip(xs[:-1] + 0.04, xs[1:] - 0.04, sag[:-1], sag[1:], strict=True)
    ]
    posts = both(lathe([(0.045, 0), (0.045, 1.05)], d.sides(-1)).move(x=wide / 2))
    return [join(posts, rope), join(*cloths)]


@family
def gear(d: Dice) -> list[Surface]:
    """Teeth are every second quad of a rim pulled out, or a toothed outline made thick."""
    teeth, r, t = d.count(5, 10), 0.4, d.real(0.12, 0.3)
    tooth, hole = d.real(0.1, 0.16), d.real(0.12, 0.2)
    n = 2 * teeth
    if d.chance(0.6):
        body = lathe([(r, 0), (r, t), (hole, t), (hole, 0)], n, closed=True)
        for k in range(0, n, 2):
            body = body.extrude(k, tooth, d.real(0.75, 1.0) if k == 0 else 0.85)
        return [body.turn("x", 90)]
    radii = np.where(np.arange(4 * teeth) % 4 < 2, r, r + tooth)
    angle = (np.arange(4 * teeth) + np.where(np.arange(4 * teeth) % 2, -0.15, 0.15)) * (2 * np.pi / (4 * teeth))
    outline = np.stack([radii * np.cos(angle), radii * np.sin(angle)], axis=1)
    rings = [outline, outline, outline * hole / r * 0.9, outline * hole / r * 0.9]
    layers = np.stack(
        [
            np.concatenate([ring, np.full((4 * teeth, 1), z)], axis=1)
            for ring, z in zip(rings, (-t / 2, t / 2, t / 2, -t / 2), strict=True)
        ]
    )
    if d.chance(0.5):
        return [loft(layers, closed=True)]
    axle = lathe([(hole * 0.9, -t), (hole * 0.9, t)], d.sides()).turn("x", 90)
    return [loft(layers, closed=True), axle]


@family
def icon(d: Dice) -> list[Surface]:
    """Icons made thick: arrows, stars, hearts, crosses, lightning, crescents, ticks."""
    t, bevel = d.real(0.12, 0.3), d.pick(0.0, 0.0, d.real(0.08, 0.15))
    kind = d.pick("arrow", "star", "heart", "cross", "bolt", "moon", "tick", "pin")
    if kind == "arrow":
        w, neck, head = d.real(0.15, 0.3), d.real(0.3, 0.8), d.real(0.35, 0.6)
        outline = symmetric(
            [(w / 2, -0.6), (w / 2, neck - 0.4), (head, neck - 0.4 - d.pick(0, 0.1)), (0, neck + head * 0.8 - 0.4)]
        )
    elif kind == "star":
        k = d.count(4, 8)
        outline = star(k, d.real(0.35, 0.6), 0.5)
        if d.chance(0.5):  # raised to a point on both faces
            tip = np.zeros_like(outline)
            rings = [
                np.concatenate([o, np.full((2 * k, 1), z)], axis=1)
                for o, z in ((tip, -t * 0.8), (outline, 0), (tip, t * 0.8))
            ]
            return [loft(np.array(rings))]
    elif kind == "heart":
        half = [(0, -0.55), (0.5, 0.0), (0.55, 0.25), (0.35, 0.48), (0.12, 0.42), (0, 0.25)]
        outline = symmetric(half)
    elif kind == "cross":
        a, b = d.real(0.12, 0.22), d.real(0.4, 0.6)
        low = d.pick(b, b * 1.6)
        outline = symmetric([(a, -low), (a, -a), (b, -a), (b, a), (a, a), (a, b)])
    elif kind == "bolt":
        outline = np.array(
            [(-0.15, -0.7), (0.35, 0.1), (0.05, 0.1), (0.3, 0.7), (-0.1, 0.7), (-0.35, -0.08), (-0.02, -0.08)]
        )
    elif kind == "moon":
        k, back = d.steps(4, 8), d.real(0.45, 0.8)
        outer = arc((0, 0), 0.6, -130, 130, k)[:, :2]
        tip = outer[-1] + (back, 0)  # seen from the centre of the inner arc, at (-back, 0)
        reach = np.degrees(np.arctan2(tip[1], tip[0]))
        inner = arc((-back, 0), float(np.hypot(*tip)), reach, -reach, k)[1:-1, :2]
        outline = np.concatenate([outer, inner])
    elif kind == "tick":
        outline = np.array([(-0.1, -0.5), (0.6, 0.45), (0.42, 0.6), (-0.12, -0.15), (-0.42, 0.12), (-0.58, -0.05)])
    else:
        body = lathe([(0, -0.7), (0.35, 0.05), (0.4, 0.3), (0.2, 0.55), (0, 0.6)], d.sides(2))
        return (
            [body, lathe([(0.14, 0), (0.14, 0.84)], d.sides()).turn("x", 90).move(y=0.25, z=-0.42)]
            if d.chance(0.5)
            else [body]
        )
    return [slab(outline, t, bevel if kind in ("arrow", "star", "cross") else 0.0)]


@family
def tool(d: Dice) -> list[Surface]:
    """Spades, brooms, brushes, spoons, forks, wrenches: a shaft along y and its business end."""
    h, r = d.real(0.8, 1.4), d.real(0.035, 0.05)
    shaft = lathe([(r, 0), (r, h)], d.sides(-1), bottom=not d.hidden)
    kind = d.pick("spade", "broom", "spoon", "fork", "wrench", "rake", "brush")
    if kind == "spade":
        half = [(0, -0.45), (0.16, -0.3), (0.18, 0.05), (0.04, 0.08)]
        bent = slab(symmetric(half), 0.05).warp(lambda x, y, z: (x, y, z + 0.25 * x * x * 4))
        grip_ = box(0.24, 0.07, 0.07).move(y=h)
        return [bent, join(shaft, grip_) if d.chance(0.6) else shaft]
    if kind == "broom":
        n = d.sides()
        return [shaft, lathe([(0.22, -0.45), (0.1, -0.05), (0.05, 0.1)], n, squash=d.pick(1, 0.5))]
    if kind == "spoon":
        n = d.sides(2)
        bowl = lathe([(0.04, -0.05), (0.14, 0.0), (0.12, 0.015), (0.03, -0.02)], n).scale(1, 1, 1.5).turn("x", 90)
        neck = sweep([(0, 0.1, 0.01), (0, 0.3, 0.04), (0, h, 0.0)], rectangle(0.06, 0.035), (0.8, 0.8, 1.3))
        return [bowl.move(y=-0.05), neck]
    if kind == "fork":
        solid = np.zeros((5, 2, 1), dtype=bool)
        solid[::2, 0] = solid[:, 1] = True
        head = cells(np.linspace(-0.15, 0.15, 6), (-0.35, -0.1, 0.02), (-0.025, 0.025), solid)
        return [head, box(0.07, h * 0.7, 0.04).move(y=0.005)]
    if kind == "wrench":
        half = [(0.05, 0), (0.05, 0.6), (0.18, 0.7), (0.18, 0.95), (0.07, 1.0), (0.07, 0.8), (0, 0.77)]
        return [
            slab(symmetric(half), 0.09),
            lathe([(0.12, -0.05), (0.12, 0.05), (0.06, 0.05), (0.06, -0.05)], d.sides(1), closed=True)
            .turn("x", 90)
            .move(y=-0.08),
        ]
    if kind == "rake":
        bar = box(0.6, 0.07, 0.07).move(y=-0.05)
        tooth = box(0.045, 0.18, 0.045, 1.0).move(y=-0.2)
        return [shaft, join(bar, *(tooth.move(x=x) for x in np.linspace(-0.27, 0.27, d.count(4, 7))))]
    head = soft_box(0.5, 0.12, 0.16, 0.03).move(y=-0.1)
    bristles = box(0.46, 0.18, 0.12, 0.9).move(y=-0.26)
    return [head, bristles, shaft.turn("x", 20).move(y=-0.02)] if d.chance(0.7) else [head, bristles]
