"""Crates, barrels, chests, and what is kept in them: gems and coins."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import (
    BACK,
    BOTTOM,
    FRONT,
    LEFT,
    RIGHT,
    TOP,
    box,
    lathe,
    polygon,
    rectangle,
    slab,
    stack,
    star,
    strip,
)
from core.data.shapes.surface import Surface, both, four, join


@family
def crate(d: Dice) -> list[Surface]:
    """Boxes with framed faces, planks or corner posts; alone, stacked, or touching along an edge."""
    w, h, depth = d.real(0.7, 1.2), d.real(0.6, 1.1), d.real(0.7, 1.2)
    kind = d.pick("framed", "framed", "planks", "posts", "touching", "pile")
    if kind == "framed":  # panels pushed into one body
        body, m, deep = box(w, h, depth), d.real(0.08, 0.16), d.real(0.03, 0.07)
        for face in (RIGHT, BACK, LEFT, FRONT, TOP) + (() if d.hidden else (BOTTOM,)):
            body = body.inset(face, m).extrude(face, -deep, d.pick(1, 1, 0.95))
        if d.chance(0.4):
            bar = (
                box(np.hypot(w - 2 * m, h - 2 * m), 0.1, deep * 0.9)
                .move(y=-0.05)
                .turn("z", np.degrees(np.arctan2(h, w)))
            )
            return [body, both(bar.move(y=h / 2, z=depth / 2 - deep * 0.5), "z")]
        return [body]
    if kind == "planks":
        n = d.count(3, 5)
        each = h / n
        wall = [box(w, each * 0.88, 0.06).move(y=k * each + 0.03, z=depth / 2) for k in range(n)]
        side = [box(0.06, each * 0.88, depth * 0.93).move(x=w / 2 - 0.04, y=k * each + 0.03) for k in range(n)]
        return [join(both(join(*wall), "z"), both(join(*side))), box(w * 0.92, h * 0.9, depth * 0.92)]
    if kind == "posts":
        post = four(box(0.14, h, 0.14), w / 2, depth / 2)
        rails = [box(w, 0.1, 0.09).move(y=y, z=depth / 2) for y in (0.04, h - 0.14)]
        return [post, box(w * 0.98, h * 0.94, depth * 0.98).move(y=0.02), both(join(*rails), "z")]
    if kind == "touching":  # two boxes that share an edge: non-manifold once welded
        second = (
            box(w, h * d.real(0.5, 1), depth).move(x=w, z=depth) if d.chance(0.5) else box(w, h, depth).move(x=w, y=h)
        )
        third = [box(w, h, depth).move(x=-w, z=depth)] if d.chance(0.4) else []
        return [box(w, h, depth), second, *third]
    levels = d.count(2, 3)
    out, y = [], 0.0
    for k in range(levels):
        s = d.real(0.55, 0.75)
        one = box(s, s, s).inset(FRONT, 0.09).extrude(FRONT, -0.04)
        out.append(one.turn("y", d.real(-20, 20)).move(y=y, x=d.real(-0.08, 0.08)))
        if k == 0 and d.chance(0.5):
            out.append(one.turn("y", d.real(-25, 25)).move(x=0.9))
        y += s
    return out


@family
def barrel(d: Dice) -> list[Surface]:
    n, h, r = d.sides(2), d.real(0.9, 1.3), d.real(0.32, 0.42)
    belly = r * d.real(1.1, 1.3)
    curve = [(r, 0), (belly, h * 0.3), (belly, h * 0.7), (r, h)] if d.detail else [(r, 0), (belly, h * 0.5), (r, h)]
    kind = d.pick("plain", "hoops", "grown hoops", "drum", "open")
    if kind == "grown hoops":
        a, b, out = h * 0.2, h * 0.3, 0.035
        mid = r + (belly - r) * 0.7
        low = [(r, 0), (mid, a), (mid + out, a), (mid + out, b), (mid, b)]
        high = [(x, h - y) for x, y in low[::-1]]
        return [lathe(low + [(belly, h / 2)] + high, n)]
    if kind == "drum":
        bands = [p for y in (0.33, 0.66) for p in ((r, h * y - 0.03), (r * 1.06, h * y), (r, h * y + 0.03))]
        return [lathe([(r, 0), *bands, (r, h)], n)]
    rim = [(r * 0.86, h), (r * 0.84, h - 0.08)] if d.chance(0.5) else []
    if kind == "open":
        rim = [(r * 0.86, h), (belly * 0.85, h * 0.5), (r * 0.8, 0.1)]
    body = lathe(curve + rim, n)
    if kind == "plain" and d.chance(0.5):  # lying on chocks
        lying = body.turn("x", 90).move(y=belly * np.cos(np.pi / n) + 0.05, z=-h / 2)
        return [lying, both(box(belly * 1.7, 0.16, 0.12).move(z=h * 0.25), "z")]
    parts = [body]
    if kind == "hoops":
        ys = d.pick((0.12, 0.8), (0.1, 0.46, 0.82))
        at = [float(np.interp(y * h + 0.04, [p[1] for p in curve], [p[0] for p in curve])) + 0.025 for y in ys]
        capped = not d.hidden
        hoops = [lathe([(x, y * h), (x, y * h + 0.08)], n, capped, capped) for x, y in zip(at, ys, strict=True)]
        parts.append(join(*hoops))
    if d.chance(0.25):
        tap = (
            lathe([(0.05, 0), (0.05, 0.2)], d.sides(-1), bottom=not d.hidden)
            .turn("x", 90)
            .move(y=h * 0.25, z=belly * 0.9)
        )
        parts.append(tap)
    return parts


@family
def chest(d: Dice) -> list[Surface]:
    w, h, depth = d.real(0.8, 1.3), d.real(0.35, 0.55), d.real(0.5, 0.7)
    steps, rise = d.steps(2, 5), d.real(0.6, 1.1)
    bow = arc((0, 0), depth / 2, 0, 180, steps)[:, :2] * (1, rise)
    t = 0.06
    opened = d.chance(0.45)
    hollow = opened or d.chance(0.2)
    base = box(w, h, depth)
    if hollow:
        base = base.inset(TOP, t).extrude(TOP, -(h - t))
    lid = slab(bow, w).turn("y", 90) if d.chance(0.75) else box(w, depth * 0.25, depth)
    if opened:
        lid = lid.move(z=depth / 2).turn("x", -d.real(30, 100)).move(y=h, z=-depth / 2)
    else:
        lid = lid.scale(1.02, 1, 1.02).move(y=h - (0.0 if d.chance(0.3) else 0.01))
    parts = [base, lid]
    if not opened:
        lock = box(0.14, 0.18, 0.07) if d.chance(0.6) else slab(polygon(d.sides(), 0.1), 0.08).move(y=0.09)
        parts.append(lock.move(y=h - 0.1, z=depth / 2))
    if d.chance(0.5):
        corner = four(box(0.12, h * 0.99, 0.12), w / 2 - 0.045, depth / 2 - 0.045)
        parts.append(corner.move(y=-0.02))
    if opened and d.chance(0.6):
        heap = lathe([(0.32, 0), (0.2, 0.12), (0, 0.18)], d.sides(1), squash=depth / w).scale(w * 1.25, 1, w * 1.25)
        coins = [
            lathe([(0.08, 0), (0.08, 0.03)], 6)
            .turn("x", d.real(10, 80))
            .move(d.real(-0.25, 0.25) * w, h + d.real(0.0, 0.06), d.real(-0.1, 0.1))
            for _ in range(3)
        ]
        parts.append(join(heap.move(y=h * 0.75), *coins))
    return parts


@family
def gem(d: Dice) -> list[Surface]:
    n, r = d.pick(4, 5, 6, 6, 8, 8, 10), d.real(0.4, 0.6)
    kind = d.pick("brilliant", "double", "emerald", "long", "cluster")
    if kind == "brilliant":
        table, crown, deep = r * d.real(0.45, 0.7), d.real(0.12, 0.25), d.real(0.4, 0.7)
        girdle = [(r, 0.0)] if d.chance(0.5) else [(r, 0.0), (r, 0.06)]
        return (
            [lathe([(0, -deep), *girdle, (table, girdle[-1][1] + crown)], max(5, n))]
            if n > 4
            else [lathe([(0, -deep), (r * 0.6, -deep * 0.4), *girdle, (table, 0.3)], 6)]
        )
    if kind == "double":
        mid = [(r, -0.1), (r, 0.1)] if d.chance(0.5) else [(r, 0)]
        return [lathe([(0, -d.real(0.4, 0.9)), *mid, (0, d.real(0.4, 1.1))], max(n, 8) if len(mid) == 1 else max(5, n))]
    if kind == "emerald":
        w, depth, cut = d.real(0.6, 1), d.real(0.6, 1.3), 0.18
        outlines = [rectangle(w * s, depth * s, cut * s) for s in (0.5, 1.0, 1.0, 0.7)]
        return [stack(outlines, [0, 0.35, 0.42, 0.6])]
    if kind == "long":
        tall = d.real(0.8, 1.4)
        return [lathe([(0, 0), (r * 0.6, 0.25), (r * d.real(0.6, 0.8), tall - 0.3), (r * 0.2, tall)], max(5, n))]
    stones = []
    for k in range(d.count(3, 6)):
        s = d.real(0.15, 0.3)
        stones.append(
            lathe([(0, -s), (s, 0), (0, s * 1.3)], 4)
            .turn("z", d.real(-40, 40))
            .turn("y", d.real(0, 90))
            .move(0.45 * (k % 3), s, 0.4 * (k // 3))
        )
    return [join(*stones)]


@family
def coin(d: Dice) -> list[Surface]:
    """A coin, medal or pile of coins; rims and emblems grow out of the disc."""
    n, r, t = d.sides(4), 0.5, d.real(0.08, 0.16)
    kind = d.pick("plain", "rim", "rim", "emblem", "medal", "pile", "hole")
    flat = lathe([(r, 0), (r, t)], n)
    if kind == "plain":
        return [
            flat.turn("x", 90),
            *(
                [star_slab(d, r * 0.55, t * 1.4).move(z=t / 2)]
                if d.chance(0.5)
                else [lathe([(r * 0.6, -0.04), (r * 0.6, t + 0.04)], n).turn("x", 90)]
            ),
        ]
    if kind == "hole":
        return [lathe([(r, 0), (r, t), (r * 0.35, t), (r * 0.35, 0)], max(n, 6), closed=True).turn("x", 90)]
    rim = d.real(0.75, 0.88)
    inner = [(r * rim, t), (r * rim * 0.97, t * 0.75)]
    low = [(r * rim * 0.97, t * 0.25), (r * rim, 0)] if d.chance(0.5) else []
    disc = lathe([*low, (r, 0), (r, t), *inner], n).turn("x", 90)
    if kind == "rim":
        return [disc]
    if kind == "emblem":
        return [disc, star_slab(d, r * 0.5, t * 0.9).move(z=t * 0.5)]
    if kind == "medal":
        ribbon = strip(np.array([[(-0.3, 1.1, 0.02), (0, 1.1, 0.02)], [(-0.1, 0.45, 0.02), (0.12, 0.4, 0.02)]])[::-1])
        return [
            disc,
            both(ribbon.move(z=0.02 + t / 2)),
            lathe([(0.12, 0), (0.12, 0.06)], d.sides()).turn("x", 90).move(y=r),
        ]
    pile = [flat.move(d.real(-0.06, 0.06), k * t * 1.02, d.real(-0.06, 0.06)) for k in range(d.count(2, 6))]
    side = [flat.move(x=1.05, z=d.real(-0.2, 0.4)), flat.turn("x", 70).move(x=0.6, y=r * 0.9, z=0.65)][: d.count(0, 2)]
    return [join(*pile, *side)]


def star_slab(d: Dice, r: float, t: float) -> Surface:
    return slab(star(5, d.real(0.4, 0.55), r), t) if d.chance(0.7) else slab(polygon(d.pick(3, 4, 6), r), t)
