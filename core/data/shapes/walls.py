"""Walls, fences, doorways and columns."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.primitives import FRONT, box, cells, lathe, rectangle, slab, soft_box, stack
from core.data.shapes.surface import Surface, both, join


@family
def castle_wall(d: Dice) -> list[Surface]:
    """A wall with merlons as one body, perhaps with a walkway, a gate or a corner."""
    merlons, h, t = d.count(2, 5), d.real(0.7, 1.3), d.real(0.25, 0.5)
    n = 2 * merlons - d.pick(1, 1, 0)
    m = d.real(0.16, 0.26)
    xs = np.arange(n + 1) * m
    ys = [0, h, h + d.real(0.12, 0.25)]
    walk = d.chance(0.4)
    zs = (-t / 2, t * 0.1, t / 2) if walk else (-t / 2, t / 2)
    solid = np.zeros((n, 2, len(zs) - 1), dtype=bool)
    solid[:, 0] = True
    solid[::2, 1, -1] = True
    if n >= 5 and d.chance(0.35):  # a passage below
        ys.insert(1, h * d.real(0.5, 0.75))
        solid = np.concatenate([solid[:, :1], solid], axis=1)
        solid[n // 2 - (n > 5) : n // 2 + 1 + (n > 5), 0] = False
    wall = cells(xs - n * m / 2, ys, zs, solid)
    parts = [wall]
    if d.chance(0.3):
        parts.append(box(n * m * 1.02, h * 0.12, t * 1.3))
    if d.chance(0.25):
        other = wall.turn("y", 90).move(x=n * m / 2 - t / 2 + 0.003, z=n * m / 2 - t * 0.45)
        parts.append(other)
    return parts


@family
def brick_wall(d: Dice) -> list[Surface]:
    """Courses of bricks or stones laid in a bond, with or without a core; some fallen."""
    courses, across = d.count(2, 4), d.count(2, 4)
    w, h, t = d.real(0.3, 0.45), d.real(0.14, 0.24), d.real(0.15, 0.3)
    bricks, top = [], courses * h
    ruin = d.chance(0.4)
    for row in range(courses):
        row_w = np.full(across + row % 2, w)
        if row % 2:
            row_w[[0, -1]] = w / 2
        ends = np.cumsum(row_w)
        for x, width in zip(ends - row_w / 2, row_w, strict=True):
            if ruin and row * h > top * (0.3 + 0.7 * x / ends[-1]):  # fallen down towards one end
                continue
            brick = soft_box(width * 0.94, h * 0.92, t, 0.015) if d.detail >= 2 else box(width * 0.94, h * 0.92, t)
            bricks.append(brick.move(x, row * h, d.real(-0.02, 0.02)))
    parts = [join(*bricks)]
    if d.chance(0.4) and not ruin:
        core = box(across * w * 0.96, courses * h * 0.95, t * 0.7).move(x=across * w / 2)
        parts.append(core)
    return parts


@family
def fence(d: Dice) -> list[Surface]:
    w, h, t = d.real(1.2, 2.2), d.real(0.6, 1.0), d.real(0.05, 0.08)
    kind = d.pick("picket", "rails", "panel", "bars", "one piece")
    posts = d.count(2, 3)
    xs = np.linspace(-w / 2, w / 2, posts)
    if kind == "one piece":  # posts and rails in one body
        cuts = np.sort(np.concatenate([xs - 0.06, xs + 0.06]))
        ys = (0, h * 0.3, h * 0.45, h * 0.65, h * 0.8, h)
        solid = np.zeros((2 * posts - 1, 5, 1), dtype=bool)
        solid[::2] = solid[:, [1, 3]] = True
        return [cells(cuts, ys, (-0.06, 0.06), solid)]
    post = box(t * 1.7, h * 1.02, t * 1.7)
    if d.chance(0.4):
        post = stack([rectangle(t * 1.7, t * 1.7)] * 2 + [np.zeros((4, 2))], [0, h, h + t * 1.5])
    parts = [join(*(post.move(x=x) for x in xs))]
    if kind == "panel":
        parts.append(box(w, h * 0.75, t * 0.7).move(y=h * 0.1))
        return parts
    rail = box(w, 0.09, t * 0.7) if d.chance(0.7) else lathe([(0.05, -w / 2), (0.05, w / 2)], d.sides(-1)).turn("z", 90)
    rails = (0.25, 0.7) if kind != "rails" else d.pick((0.35, 0.75), (0.2, 0.5, 0.8))
    shift = t * 0.9 if kind == "picket" else 0.0
    parts.append(join(*(rail.move(y=h * y) for y in rails)))
    if kind == "picket":
        n, wide = d.count(4, 9), d.real(0.08, 0.13)
        tip = d.pick(0.0, 0.1)
        outline = np.array(
            [(wide / 2, 0), (wide / 2, h * 0.85), (0, h * (0.85 + tip)), (-wide / 2, h * 0.85), (-wide / 2, 0)]
        )
        picket = slab(outline if tip else outline[[0, 1, 3, 4]], 0.05).move(z=shift)
        spots = np.linspace(-0.46, 0.46, n) * w
        parts.append(join(*(picket.move(x=x, y=0.03 + d.real(0, 0.02)) for x in spots)))
    elif kind == "bars":
        n = d.count(4, 9)
        bar = stack([rectangle(0.05, 0.05)] * 2 + [np.zeros((4, 2))], [0, h * 0.95, h * 1.1])
        parts.append(join(*(bar.move(x=x) for x in np.linspace(-0.43, 0.43, n) * w)))
    return parts


@family
def doorway(d: Dice) -> list[Surface]:
    """A piece of wall with a door or window opening, and what is in it."""
    w, h, t = d.real(1.0, 1.6), d.real(1.1, 1.5), d.real(0.1, 0.2)
    gap, tall = w * d.real(0.3, 0.5), h * d.real(0.55, 0.8)
    if d.chance(0.5):
        outline = [
            (w / 2, 0),
            (w / 2, h),
            (-w / 2, h),
            (-w / 2, 0),
            (-gap / 2, 0),
            (-gap / 2, tall),
            (gap / 2, tall),
            (gap / 2, 0),
        ]
        parts = [slab(np.array(outline), t)]
        if d.chance(0.5):
            door = box(gap * 0.94, tall * 0.97, t * 0.4).inset(FRONT, gap * 0.14).extrude(FRONT, -t * 0.12)
            swing = d.pick(0, d.real(20, 70))
            parts.append(door.move(x=gap * 0.47).turn("y", -swing).move(x=-gap * 0.47, z=t * 0.1))
        if d.chance(0.4):
            frame = cells(
                (-gap / 2 - 0.08, -gap / 2 + 0.02, gap / 2 - 0.02, gap / 2 + 0.08),
                (0, tall - 0.02, tall + 0.08),
                (-t * 0.7, t * 0.7),
                np.array([[[1], [1]], [[0], [1]], [[1], [1]]], dtype=bool),
            )
            parts.append(frame)
        return parts
    low = h * d.real(0.25, 0.4)
    solid = np.ones((3, 3, 1), dtype=bool)
    solid[1, 1] = False
    xs, ys = (-w / 2, -gap / 2, gap / 2, w / 2), (0, low, low + tall * 0.55, h)
    parts = [cells(xs, ys, (-t / 2, t / 2), solid)]
    if d.chance(0.6):
        bars = join(box(0.05, tall * 0.55, t * 0.4), box(gap, 0.05, t * 0.35).move(y=tall * 0.25)).move(y=low)
        parts.append(bars)
    if d.chance(0.5):
        parts.append(box(gap * 1.3, 0.07, t * 2).move(y=low - 0.05))
    if d.chance(0.35):
        shutter = box(gap * 0.48, tall * 0.6, 0.05).inset(FRONT, 0.04).extrude(FRONT, -0.015)
        parts.append(both(shutter.move(x=gap * 0.78, y=low - 0.02, z=t / 2 + 0.02)))
    return parts


@family
def column(d: Dice) -> list[Surface]:
    n, r, h = d.sides(1), d.real(0.15, 0.25), d.real(0.9, 1.8)
    slim = r * d.real(0.75, 1.0)
    kind = d.pick("square feet", "turned", "broken", "arcade")
    shaft = [(r, 0), (slim, h)]
    base = box(r * 2.8, 0.14, r * 2.8)
    if kind == "turned":
        low, high = r * d.real(1.3, 1.6), slim * d.real(1.2, 1.6)
        profile = [(low, 0), (low, 0.1), (r, 0.2), (slim, h - 0.15), (high, h - 0.06), (high, h)]
        return [lathe(profile, d.pick(4, n, n))]
    if kind == "broken":
        body = lathe([(r, 0), (r * 0.98, h * 0.4), (slim, h * 0.7)], max(5, n))
        points = body.points.copy()
        top = points[:, 1] > h * 0.65
        points[top, 1] += d.reals(-0.2, 0.2, int(top.sum()))
        drum = (
            lathe([(slim, 0), (slim, r * 1.5)], max(5, n))
            .turn("z", 90)
            .move(d.real(0.5, 0.8), slim * 0.9, d.real(-0.2, 0.2))
        )
        return (
            [join(body.with_points(points).move(y=0.12), base), drum]
            if d.chance(0.6)
            else [body.with_points(points), base]
        )
    capital = stack(
        [rectangle(slim * 2, slim * 2), rectangle(r * 2.8, r * 2.8), rectangle(r * 2.8, r * 2.8)], [0, 0.12, 0.2]
    )
    one = join(base, lathe(shaft, n, bottom=not d.hidden, top=not d.hidden).move(y=0.13), capital.move(y=h + 0.12))
    if kind == "square feet":
        return [one]
    gap, count = r * d.real(5, 7), d.count(2, 3)
    row = join(*(one.move(x=(k - (count - 1) / 2) * gap) for k in range(count)))
    beam = box(gap * (count - 1) + r * 3.4, 0.2, r * 3).move(y=h + 0.31)
    if d.chance(0.5):
        wide = gap * (count - 1) + r * 3.6
        beam = join(beam, slab([(wide / 2, 0), (0, wide * 0.2), (-wide / 2, 0)], r * 3.2).move(y=h + 0.5))
    return [row, beam]
