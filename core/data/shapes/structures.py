"""Built structures: walls, fences, bridges, stairs, ladders, columns, doorways, ground tiles, pipes, ramps, pallets."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import (
    FRONT,
    box,
    cells,
    lathe,
    polygon,
    prism,
    rectangle,
    slab,
    soft_box,
    stack,
    strip,
    sweep,
)
from core.data.shapes.surface import Surface, both, four, join


@family
def castle_wall(d: Dice) -> list[Surface]:
    """A wall with merlons as one body, perhaps with a walkway, a gate or a corner."""
    merlons, h, t = d.count(2, 5), d.real(0.7, 1.3), d.real(0.25, 0.5)
    n = 2 * merlons - d.pick(1, 1, 0)
    m = d.real(0.16, 0.26)
    xs = np.arange(n + 1) * m
    ys = (0, h, h + d.real(0.12, 0.25))
    walk = d.chance(0.4)
    zs = (-t / 2, t * 0.1, t / 2) if walk else (-t / 2, t / 2)
    solid = np.zeros((n, 2, len(zs) - 1), dtype=bool)
    solid[:, 0] = True
    solid[::2, 1, -1] = True
    if n >= 5 and d.chance(0.35):  # a passage below
        ys = (0, h * d.real(0.5, 0.75), *ys[1:])
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
            brick = soft_box(width * 0.94, h * 0.92, t, 0.015) if d.detail == 2 else box(width * 0.94, h * 0.92, t)
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
def bridge(d: Dice) -> list[Surface]:
    w, depth = d.real(1.6, 2.4), d.real(0.5, 0.9)
    kind = d.pick("stone", "stone", "planks", "beam")
    if kind == "stone":
        steps, rise = d.steps(3, 7), d.real(0.25, 0.5)
        over = arc((0, 0), w / 2, 180, 0, steps)[:, :2] * (1, 2 * rise / w) * (1, 1.0)
        under = arc((0, 0), w * 0.33, 0, 180, steps)[:, :2] * (1, d.real(0.5, 0.8) * 2 * rise / (w * 0.66))
        deck = over + (0, d.real(0.15, 0.25))
        # Over and under have as many points each: the side is a strip of quads between the two, closed at the feet.
        foot = 0.0
        outline_top = np.concatenate([[(-w / 2, foot)], deck, [(w / 2, foot)]])
        outline_low = np.concatenate([[(-w * 0.33, foot)], under[::-1], [(w * 0.33, foot)]])[1:-1]
        ring = np.concatenate([outline_low, outline_top[::-1]])
        body = slab(ring, depth)
        parts = [body]
        if d.chance(0.5):
            rail = slab(np.concatenate([deck - (0, 0.02), (deck + (0, 0.16))[::-1]]), 0.08)
            parts.append(both(rail.move(z=depth / 2 - 0.05), "z"))
        return parts
    sag = d.real(-0.2, 0.25)
    n = d.count(5, 10)
    xs = np.linspace(-w / 2, w / 2, n)
    ys = 0.4 + sag * (1 - (2 * xs / w) ** 2)
    if kind == "planks":
        plank = box(w / n * 0.8, 0.06, depth)
        parts = [join(*(plank.move(x=x, y=y) for x, y in zip(xs, ys, strict=True)))]
    else:
        path = np.stack([xs[:: 2 if n > 6 else 1], ys[:: 2 if n > 6 else 1], 0 * xs[:: 2 if n > 6 else 1]], axis=1)
        parts = [sweep(path, rectangle(depth, 0.09), 1, (0, 1, 0))]
    ends = np.array([-w / 2, w / 2]) * 0.95
    post = four(box(0.09, 0.85, 0.09), ends[1], depth / 2)
    curve = np.linspace(-1, 1, 5)
    path = np.stack([curve * ends[1], 0.78 + (sag - 0.12) * (1 - curve**2), 0 * curve], axis=1)
    rope = sweep(path, rectangle(0.05, 0.05))
    parts.append(join(post, both(rope.move(z=depth / 2), "z")))
    return parts


@family
def stairs(d: Dice) -> list[Surface]:
    steps, w = d.count(3, 9), d.real(0.6, 1.4)
    run, rise = d.real(0.2, 0.3), d.real(0.15, 0.25)
    kind = d.pick("solid", "solid", "open", "spiral", "pyramid")
    if kind == "solid":
        line = [(0.0, 0.0)]
        for k in range(steps):
            line += [(k * run, (k + 1) * rise), ((k + 1) * run, (k + 1) * rise)]
        line.append((steps * run, 0.0))
        if d.chance(0.4):  # cut below, with a constant depth
            line[-1] = (steps * run, (steps - 1.3) * rise)
            line.insert(len(line), (run * 1.3, 0.0))
        body = slab(np.array(line)[::-1], w).turn("y", 90)
        parts = [body]
        if d.chance(0.3):
            side = slab(
                np.array([(steps * run, 0), (steps * run, (steps + 1.2) * rise), (0, rise * 1.6), (-0.05, 0)]), 0.1
            )
            parts.append(both(side.turn("y", 90).move(x=w / 2 + 0.045)))
        return parts
    if kind == "pyramid":
        n = d.pick(4, 4, 6, 8)
        r = 0.5 + steps * 0.12
        profile = [
            p for k in range(steps) for p in ((r - 0.14 * k, k * rise * 0.8), (r - 0.14 * k, (k + 1) * rise * 0.8))
        ]
        return [lathe([p for p in profile if p[0] > 0.1], n)]
    if kind == "open":
        tread = box(w, 0.06, run * 1.05)
        treads = [tread.move(y=(k + 1) * rise, z=-k * run) for k in range(steps)]
        beam = sweep(
            [(0, 0, run * 0.8), (0, steps * rise + 0.05, -(steps - 0.7) * run)], rectangle(0.08, 0.16), 1, (1, 0, 0)
        )
        beams = both(beam.move(x=w * 0.45)) if d.chance(0.7) else beam
        return [join(*treads), beams]
    pole = lathe([(0.09, 0), (0.09, (steps + 2) * rise + 0.5)], d.sides())
    outline = np.array([(0.05, -0.04), (0.7, -0.2), (0.7, 0.2), (0.05, 0.04)])
    tread = prism(outline, 0.07)
    turn = d.real(25, 40) * d.pick(-1, 1)
    return [pole, join(*(tread.turn("y", k * turn).move(y=(k + 0.5) * rise) for k in range(steps + 2)))]


@family
def ladder(d: Dice) -> list[Surface]:
    h, w, rungs, t = d.real(1.2, 2.2), d.real(0.35, 0.55), d.count(3, 8), d.real(0.05, 0.08)
    if d.chance(0.3):  # one body
        ys = np.sort(np.concatenate([[0, h], *([y, y + t] for y in np.linspace(0.15, 0.85, rungs) * h)]))
        solid = np.zeros((3, len(ys) - 1, 1), dtype=bool)
        solid[::2] = solid[:, 1::2] = True
        body = cells((-w / 2 - t, -w / 2, w / 2, w / 2 + t), ys, (-t / 2, t / 2), solid)
    else:
        rail = box(t, h, t, d.pick(1.0, 0.8)).slant(d.pick(0, 0.08))
        rung = lathe([(t * 0.4, -w / 2), (t * 0.4, w / 2)], d.sides(-1)).turn("z", 90)
        rung = rung if d.chance(0.5) else box(w, t * 0.7, t * 0.7).move(y=-t * 0.35)
        body = join(both(rail.move(x=w / 2)), *(rung.move(y=y) for y in np.linspace(0.12, 0.88, rungs) * h))
    if d.chance(0.3):  # a step ladder
        lean = d.real(10, 18)
        front = body.turn("x", -lean)
        back = both(box(t, h * 0.98, t * 0.7).move(x=w / 2)).turn("x", lean).move(z=-2 * h * np.sin(np.radians(lean)))
        return [
            front,
            back,
            box(w * 1.3, t, t * 3).move(y=h * np.cos(np.radians(lean)) - t, z=-h * np.sin(np.radians(lean))),
        ]
    return [body.turn("x", -d.pick(0, d.real(5, 20)))]


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
        beam = join(beam, slab(np.array([(wide / 2, 0), (0, wide * 0.2), (-wide / 2, 0)]), r * 3.2).move(y=h + 0.5))
    return [row, beam]


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
def tile(d: Dice) -> list[Surface]:
    """A square piece of ground: road, slabs, steps, water, or a heap."""
    t, s = d.real(0.1, 0.5), 2.0
    kind = d.pick("road", "slabs", "channel", "ramp", "bumps", "slope")
    if kind in ("road", "channel"):
        edge, deep = d.real(0.15, 0.6), d.real(0.05, 0.3) * (1 if kind == "channel" else 0.4)
        lip = d.pick(0.0, 0.08, 0.15)
        half = [(-s / 2, 0), (-s / 2, t), (-s / 2 + edge, t), (-s / 2 + edge + lip, t - min(deep, t * 0.7))]
        outline = np.array(half + [(-x, y) for x, y in half[::-1]])[::-1]
        body = slab(outline, s)
        parts = [body]
        if kind == "road" and d.chance(0.6):
            dash = box(0.1, 0.03, 0.35).drop(4) if d.hidden else box(0.1, 0.03, 0.35)
            y = t - min(deep, t * 0.7) - 0.005
            parts.append(join(*(dash.move(y=y, z=z) for z in np.linspace(-0.7, 0.7, d.count(2, 4)))))
        return parts
    if kind == "slabs":
        n = d.count(2, 3)
        each = s / n
        stones = [
            box(each * d.real(0.85, 0.93), t * 0.5, each * 0.9, d.real(0.85, 0.97)).move(
                (i - (n - 1) / 2) * each, t * 0.45, (j - (n - 1) / 2) * each
            )
            for i in range(n)
            for j in range(n)
        ]
        return [box(s, t * 0.5, s), join(*stones)]
    if kind == "ramp":
        line = np.array([(s / 2, 0), (s / 2, t), (s * 0.1, t + d.real(0.2, 0.7)), (-s / 2, t + 0.7), (-s / 2, 0)])
        return [slab(line, s)]
    n = d.steps(2, 6)
    if kind == "slope":
        outline = [
            rectangle(s, s),
            rectangle(s, s),
            rectangle(s * d.real(0.6, 0.85), s * d.real(0.6, 0.85)),
            rectangle(s * 0.4, s * 0.4),
        ]
        return [stack(outline, np.array([0, t, t + d.real(0.15, 0.4), t + d.real(0.45, 0.7)]))]
    heights = t + d.reals(0, 0.35, (n + 1) * (n + 1)).reshape(n + 1, n + 1)
    return [ground_block(s, heights)]


def ground_block(size: float, heights: np.ndarray) -> Surface:
    """A square block with an uneven top, heights (N, N) over a regular grid, and no floor."""
    line = np.linspace(-size / 2, size / 2, len(heights))
    x, z = np.meshgrid(line, line[::-1])
    top = np.stack([x, heights, z], axis=2)
    edges = (top[0], top[-1, ::-1], top[::-1, 0], top[:, -1])
    return join(strip(top), *(strip(np.stack([edge * (1, 0, 1), edge])) for edge in edges))


@family
def pipe(d: Dice) -> list[Surface]:
    """A bent pipe with flanges, open or hollow at its ends."""
    n, r, bends = d.sides(1), d.real(0.12, 0.22), d.count(1, 2)
    path = [(0, 0, 0), (0, d.real(0.4, 0.8), 0)]
    y = path[-1][1]
    path += [(0.08, y + 0.2, 0), (0.28, y + 0.28, 0), (d.real(0.7, 1.0), y + 0.28, 0)]
    if bends == 2:
        x = path[-1][0]
        path += [(x + 0.2, y + 0.36, 0), (x + 0.28, y + 0.56, 0), (x + 0.28, y + 1.0, 0)]
    hollow = d.chance(0.5)
    tube = sweep(path, polygon(n, r), bottom=not hollow, top=not hollow)
    flange = lathe([(r * 1.35, 0), (r * 1.35, 0.1), (r * 0.75, 0.1), (r * 0.75, 0)], n, closed=True)
    start = flange.move(y=-0.02)
    last = path[-1]
    end = flange.move(y=-0.08).move(*last) if bends == 2 else flange.turn("z", -90).move(last[0] - 0.08, last[1], 0)
    parts = [tube, join(start, end)]
    if d.chance(0.4):
        wheel = lathe([(0.17, 0), (0.17, 0.05), (0.12, 0.05), (0.12, 0)], n, closed=True)
        spoke = join(box(0.27, 0.035, 0.035), box(0.035, 0.03, 0.27).move(y=0.002))
        stem = box(0.05, r + 0.15, 0.05)
        parts.append(join(wheel, spoke, stem.move(y=-r - 0.12)).turn("x", 90).move(y=path[1][1] * 0.6, z=r + 0.12))
    return parts


@family
def scaffold(d: Dice) -> list[Surface]:
    """A pallet, a jetty or a platform: boards on beams and posts."""
    w, depth, boards = d.real(1.0, 1.8), d.real(0.8, 1.4), d.count(3, 6)
    high = d.pick(0.0, 0.0, d.real(0.5, 1.2))
    each = w / boards
    board = box(each * d.real(0.8, 0.93), 0.06, depth)
    top = [board.move(x=(k - (boards - 1) / 2) * each, y=0.1, z=d.real(-0.03, 0.03)) for k in range(boards)]
    beam = box(w * 0.98, 0.105, 0.1)
    beams = [beam.move(z=z) for z in np.linspace(-0.42, 0.42, d.count(2, 3)) * depth]
    parts = [join(*top).move(y=high), join(*beams).move(y=high)]
    if high:
        leg = box(0.1, high + 0.03, 0.1) if d.chance(0.5) else lathe([(0.07, 0), (0.06, high + 0.03)], d.sides())
        parts.append(four(leg, w * 0.42, depth * 0.4))
        if d.chance(0.5):
            rail = join(both(box(0.07, 0.5, 0.07).move(x=w * 0.45)), box(w, 0.07, 0.07).move(y=0.42))
            parts.append(rail.move(y=high + 0.15, z=-depth * 0.44))
    return parts


@family
def barrier(d: Dice) -> list[Surface]:
    """Road furniture: a concrete barrier, a traffic cone, a hydrant, a bollard row."""
    kind = d.pick("jersey", "cone", "hydrant", "bollards", "sawhorse")
    if kind == "jersey":
        half = [(0.3, 0), (0.3, 0.08), (d.real(0.14, 0.2), 0.3), (d.real(0.08, 0.12), 0.8)]
        right = np.array(half)
        outline = np.concatenate([right, right[::-1] * (-1, 1)])
        body = slab(outline, d.real(1, 2))
        return [body.turn("y", 90)]
    n = d.sides(1)
    if kind == "cone":
        ring = [(0.29, 0.06), (0.2, 0.35), (0.14, 0.55), (0.05, 0.85)] if d.detail else [(0.28, 0.06), (0.05, 0.85)]
        return [
            box(0.75, 0.08, 0.75) if d.chance(0.6) else soft_box(0.75, 0.1, 0.75, 0.04),
            lathe(ring, n, bottom=not d.hidden),
        ]
    if kind == "hydrant":
        body = lathe([(0.26, 0), (0.26, 0.08), (0.18, 0.1), (0.17, 0.6), (0.22, 0.62), (0.2, 0.72), (0, 0.85)], n)
        nozzle = (
            lathe([(0.08, 0.05), (0.08, 0.28), (0.1, 0.28), (0.1, 0.34)], d.sides(), bottom=not d.hidden)
            .turn("z", -90)
            .move(y=0.45)
        )
        return [body, both(nozzle)]
    if kind == "bollards":
        one = lathe([(0.1, 0), (0.1, 0.5), (0.13, 0.55), (0.13, 0.62), (0.0, 0.72)], n)
        xs = np.arange(d.count(2, 3)) * 0.7
        chain = [
            sweep([(x + 0.05, 0.48, 0), (x + 0.35, 0.35, 0), (x + 0.65, 0.48, 0)], rectangle(0.05, 0.05))
            for x in xs[:-1]
        ]
        return [join(*(one.move(x=x) for x in xs)), join(*chain)]
    leg = box(0.08, 0.8, 0.08)
    legs = both(both(leg.move(y=-0.8).turn("x", d.real(12, 25)).move(y=0.8, z=-0.02).move(x=0.5), "z"))
    return [
        legs,
        *(box(1.4, 0.16, 0.05).move(y=y, z=0.1 + (0.75 - y) * 0.3) for y in (0.35, 0.62)),
        box(1.5, 0.1, 0.14).move(y=0.74),
    ]
