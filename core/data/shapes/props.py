"""Things of games and trades: crates, barrels, chests, gems, coins, lanterns, signs, flags, gears, hats, trophies."""

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
    stack,
    star,
    strip,
    sweep,
    symmetric,
)
from core.data.shapes.surface import Surface, around, both, four, join


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
        hoop = [(0.0, 0.0), (0.0, 0.08)]
        ys = d.pick((0.12, 0.8), (0.1, 0.46, 0.82))
        at = [float(np.interp(y * h + 0.04, [p[1] for p in curve], [p[0] for p in curve])) + 0.025 for y in ys]
        parts.append(
            join(
                *(
                    lathe([(x, y * h + k) for _, k in hoop], n, not d.hidden, not d.hidden)
                    for x, y in zip(at, ys, strict=True)
                )
            )
        )
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
            roof = slab(np.array([(0.55, 0), (0, 0.2), (-0.55, 0)]), 0.3)
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
    peak = slab(np.array([(-r * 0.8, 0), (r * 0.8, 0), (r * 0.6, 0.3), (-r * 0.6, 0.3)]), 0.05).turn(
        "x", 90 + d.real(0, 20)
    )
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
    half = [(0.35, 0), (0.3, 0.15), (0.14, 0.22), (0.14, 0.36), (0.4, 0.42), (0.4, 0.6)]
    body = slab(symmetric(half), 0.34)
    horn = lathe([(0.15, 0), (0.12, 0.15), (0, 0.38)], d.sides()).scale(1, 1, 0.9).turn("z", -90).move(x=0.38, y=0.5)
    return [body, horn]


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
