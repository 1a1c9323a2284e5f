"""Bridges, stairs, ladders, ground tiles, pipes, scaffolds and road barriers."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import (
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
            side = slab([(steps * run, 0), (steps * run, (steps + 1.2) * rise), (0, rise * 1.6), (-0.05, 0)], 0.1)
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
        squares = [
            rectangle(s, s),
            rectangle(s, s),
            rectangle(s * d.real(0.6, 0.85), s * d.real(0.6, 0.85)),
            rectangle(s * 0.4, s * 0.4),
        ]
        return [stack(squares, np.array([0, t, t + d.real(0.15, 0.4), t + d.real(0.45, 0.7)]))]
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
    path = [(0.0, 0.0, 0.0), (0.0, d.real(0.4, 0.8), 0.0)]
    y = path[-1][1]
    path += [(0.08, y + 0.2, 0.0), (0.28, y + 0.28, 0.0), (d.real(0.7, 1.0), y + 0.28, 0.0)]
    if bends == 2:
        x = path[-1][0]
        path += [(x + 0.2, y + 0.36, 0.0), (x + 0.28, y + 0.56, 0.0), (x + 0.28, y + 1.0, 0.0)]
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
