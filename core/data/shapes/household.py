"""Things of the house: lamps, books, candles, screens, clocks, keys, picture frames, rugs."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import (
    FRONT,
    TOP,
    ball,
    box,
    lathe,
    polygon,
    prism,
    rectangle,
    sheet,
    slab,
    soft_box,
    sweep,
)
from core.data.shapes.surface import Surface, both, four, join


@family
def lamp(d: Dice) -> list[Surface]:
    n, tall, r = d.sides(), d.pick(0.5, 0.6, 1.5), d.real(0.14, 0.28)
    foot, pole = r * d.real(0.5, 0.9), d.real(0.025, 0.04) * (1 + tall)
    stand = [(foot, 0), (foot, 0.04)]
    if d.chance(0.4):
        stand.append((pole * 1.6, 0.07))
    if tall < 1 and d.chance(0.5):  # a bellied stand
        stand += [(r * d.real(0.3, 0.6), tall * 0.35), (pole, tall * 0.8)]
    parts = [lathe([*stand, (pole, tall * 0.2 if len(stand) < 4 else tall * 0.9), (pole, tall)], n, top=not d.hidden)]
    h, narrow = d.real(0.18, 0.35), r * d.real(0.35, 0.95)
    kind = d.pick("open", "closed", "globe")
    if kind == "open":
        shade = lathe([(r, 0), (narrow, h)], n, bottom=False, top=False)
        inner = shade.scale(0.9, 1, 0.9).flip()
        parts.append(shade if d.chance(0.5) else join(shade, inner))
    elif kind == "closed":
        parts.append(lathe([(r, 0), (r * d.real(0.8, 1), h * 0.1), (narrow, h)], n))
    else:
        parts.append(lathe([(r * 0.4, 0), (r * 0.9, h * 0.3), (r * 0.9, h * 0.7), (r * 0.4, h)], n))
    parts[1] = parts[1].move(y=tall - h * d.real(0.1, 0.5))
    if kind == "open":
        parts.append(ball(min(narrow, h) * 0.45, 0).move(y=tall))
    return parts


@family
def desk_lamp(d: Dice) -> list[Surface]:
    n, lower, upper = d.sides(), d.real(0.25, 0.45), d.real(0.25, 0.4)
    knee = (-0.12, 0.05 + lower)
    end = (knee[0] + upper * 0.8, knee[1] + upper * d.real(0.2, 0.6))
    thin = rectangle(0.045, 0.045) if d.chance(0.5) else polygon(d.sides(-1), 0.026)
    arm = sweep([(0, 0.03, 0), (*knee, 0), (*end, 0)], thin)
    foot = lathe([(0.16, 0), (0.16, 0.04), (0.1, 0.06)], n) if d.chance(0.6) else soft_box(0.3, 0.05, 0.22, 0.015)
    r, deep = d.real(0.09, 0.14), d.real(0.12, 0.2)
    head = lathe([(r, -deep), (r * 0.45, -deep * 0.2), (r * 0.4, 0.03)], n, bottom=d.chance(0.5))
    return [join(foot, arm), head.turn("z", d.real(10, 50)).move(x=end[0], y=end[1])]


@family
def book(d: Dice) -> list[Surface]:
    """A pile of books, or one that lies open."""
    if d.chance(0.25):
        half = np.array([(0, 0.0), (0.35, 0.06), (0.7, 0.03), (0.7, 0.13), (0.35, 0.17), (0, 0.1)]) * (
            1,
            d.real(0.8, 1.6),
        )
        pages = both(slab(half, d.real(0.8, 1.1)))
        cover = box(1.5, 0.06, 1.2).move(y=-0.04)
        return [pages.turn("x", 0), cover]
    parts, y = [], 0.0
    for _ in range(d.count(1, 4)):
        w, depth, t = d.real(0.6, 0.8), d.real(0.8, 1.1), d.real(0.1, 0.25)
        cover = slab(
            [
                (-w / 2, 0),
                (w / 2, 0),
                (w / 2, 0.03),
                (0.035 - w / 2, 0.03),
                (0.035 - w / 2, t - 0.03),
                (w / 2, t - 0.03),
                (w / 2, t),
                (-w / 2, t),
            ],
            depth,
        )
        pages = box(w * 0.95, t - 0.06, depth * 0.92).move(y=0.03)
        angle = d.real(-25, 25)
        parts += [cover.turn("y", angle).move(y=y), pages.scale(0.98, 0.999, 1).turn("y", angle).move(y=y)]
        y += t
    return parts


@family
def candle(d: Dice) -> list[Surface]:
    n, r, h = d.sides(), d.real(0.12, 0.2), d.real(0.3, 0.8)
    wax = lathe([(r, 0), (r * d.real(0.85, 1), h), (r * 0.6, h - 0.03)], n)
    flame = lathe([(0, 0), (0.08, 0.1), (0, 0.32)], d.sides(-1)).move(y=h + 0.03)
    wick = box(0.04, 0.12, 0.04).move(y=h - 0.05)
    wide = r * d.real(1.6, 2.4)
    kind = d.pick("none", "plate", "stick", "arms")
    if kind == "none":
        return [wax, join(flame, wick)]
    if kind == "plate":
        holder = lathe([(wide * 0.8, 0), (wide, 0.1), (wide * 0.9, 0.1), (wide * 0.75, 0.04)], n)
        loop = sweep(arc((wide + 0.08, 0.08), 0.11, 0, 360, 6)[:-1], rectangle(0.05, 0.05), closed=True)
        return [wax.move(y=0.03), join(holder, loop) if d.chance(0.6) else holder, join(flame, wick).move(y=0.03)]
    tall = d.real(0.4, 0.8)
    stick = lathe(
        [
            (wide, 0),
            (wide * 0.9, 0.07),
            (r * 0.45, 0.16),
            (r * 0.45, tall),
            (r * 1.35, tall + 0.05),
            (r * 1.35, tall + 0.1),
        ],
        n,
    )
    lit = [wax, join(flame, wick)]
    if kind == "stick":
        return [stick, *(part.move(y=tall + 0.08) for part in lit)]
    arm = sweep([(0, tall * 0.6, 0), (0.4, tall * 0.6, 0), (0.55, tall, 0)], rectangle(0.07, 0.07))
    three = [join(both(part.move(x=0.55)), part) for part in lit]
    return [
        join(stick, both(join(arm, lathe([(r * 1.3, tall), (r * 1.3, tall + 0.1)], n).move(x=0.55)))),
        *(t.move(y=tall + 0.08) for t in three),
    ]


@family
def screen(d: Dice) -> list[Surface]:
    """A television, monitor or laptop; the picture is pushed in."""
    w, h = d.real(0.9, 1.6), d.real(0.6, 0.9)
    if d.chance(0.3):
        t = 0.06
        base = box(w, t, h).inset(TOP, 0.08).extrude(TOP, -0.015)
        lid = box(w, h, t * 0.8).inset(FRONT, 0.07).extrude(FRONT, -0.015).turn("x", -d.real(5, 35))
        return [base, lid.move(y=t, z=-h / 2 + t * 0.4)]
    deep, y = d.pick(0.08, 0.1, d.real(0.3, 0.6)), d.real(0.08, 0.3)
    case = box(w, h, deep).inset(FRONT, d.real(0.05, 0.1)).extrude(FRONT, -0.025)
    if deep > 0.2:
        case = case.extrude(1, deep * 0.5, d.real(0.5, 0.8))
    parts = [case.move(y=y)]
    kind = d.pick("foot", "legs")
    if kind == "foot":
        parts.append(join(box(0.14, y + 0.1, deep * 0.4), box(w * d.real(0.3, 0.6), 0.04, 0.3)).move(z=-deep * 0.2))
    else:
        parts.append(both(box(0.08, y + 0.03, deep + 0.2, 0.5).move(x=w * 0.35)))
    if deep > 0.2 and d.chance(0.5):
        rod = sweep([(0, 0, 0), (0.3, 0.45, 0)], rectangle(0.03, 0.03))
        parts.append(both(rod).move(y=y + h - 0.01))
    return parts


@family
def clock(d: Dice) -> list[Surface]:
    n, r, t = max(6, d.sides(2)), 0.5, d.real(0.12, 0.25)
    rim = d.real(0.75, 0.88)
    case = lathe([(r, 0), (r, t), (r * rim, t), (r * rim * 0.97, t * 0.7)], n).turn("x", 90)
    hand = box(0.04, 0.3, 0.03, 0.5).move(z=t * 0.75)
    hands = join(hand.turn("z", d.real(0, 360)), hand.scale(1.4, 0.65, 1).turn("z", d.real(0, 360)).move(z=0.01))
    parts = [case, hands]
    kind = d.pick("wall", "alarm", "tower")
    if kind == "alarm":
        foot = both(box(0.07, 0.25, t * 0.6, 1.3).move(y=-0.25).turn("z", 30).move(x=0.3, y=-0.35, z=t / 2))
        bell = lathe([(0.2, 0), (0.17, 0.1), (0, 0.16)], d.sides()).turn("z", -30).move(x=0.28, y=0.42, z=t / 2)
        parts += [foot, both(bell)]
    if kind == "tower":
        w = 1.25
        parts.append(
            join(
                box(w, 2.6, 0.45).move(y=-2.0),
                box(w * 1.1, 0.2, 0.55).move(y=-2.15),
                box(w * 1.15, 0.2, 0.55, 0.8).move(y=0.59),
            ).move(z=-0.2)
        )
        parts = [p.move(z=0.02) if k < 2 else p for k, p in enumerate(parts)]
    return parts


@family
def key(d: Dice) -> list[Surface]:
    r, t, long = d.real(0.2, 0.3), d.real(0.08, 0.12), d.real(0.6, 1.0)
    n = d.sides(1)
    ring = [(r, -t / 2), (r, t / 2), (r * 0.55, t / 2), (r * 0.55, -t / 2)]
    head = lathe(ring, n, closed=True, squash=d.pick(1, 1, 1.3)).turn("x", 90)
    shaft = box(t, long, t).move(y=-long - r * 0.75)
    teeth = [
        box(d.real(0.12, 0.25), 0.1, t * 0.8).move(x=0.1, y=-long - r * 0.75 + 0.03 + 0.17 * k)
        for k in range(d.count(1, 3))
    ]
    collar = box(t * 1.7, t, t * 1.7).move(y=-r * 1.15)
    return [join(head, shaft, *teeth, *([collar] if d.chance(0.5) else []))]


@family
def picture_frame(d: Dice) -> list[Surface]:
    w, h, t = d.real(0.6, 1.4), d.real(0.6, 1.2), d.real(0.06, 0.12)
    frame = box(w, h, t).inset(FRONT, d.real(0.07, 0.14)).extrude(FRONT, -t * d.real(0.3, 0.6), d.pick(1, 0.96))
    parts = [frame]
    if d.chance(0.4):
        parts.append(box(w * 0.15, h * 0.8, 0.05).turn("x", 18).move(z=-t / 2 - h * 0.25 * 0.95))
        parts = [p.turn("x", -9) for p in parts]
    elif d.chance(0.5):  # a window: mullions and a sill
        bars = join(
            box(0.06, h * 0.98, t * 0.6).move(y=0.01), box(w * 0.98, 0.06, t * 0.5).move(y=h * d.real(0.45, 0.65))
        )
        parts += [bars, box(w * 1.15, 0.08, t * 2.2).move(y=-0.07, z=t * 0.3)]
    else:
        crown = prism(polygon(3, 0.14), t * 0.8).turn("x", 90).move(y=h + 0.05, z=-t * 0.4)
        parts.append(crown)
    return parts


@family
def rug(d: Dice) -> list[Surface]:
    """A cushion with tassels, a wavy carpet, or one that is being rolled up."""
    kind = d.pick("cushion", "carpet", "roll")
    if kind == "cushion":
        w = d.real(0.6, 0.9)
        return [four(box(0.06, 0.1, 0.06).move(y=0.08), w * 0.49, w * 0.49), soft_box(w, 0.26, w, d.real(0.08, 0.12))]
    wave, turns = d.real(0.02, 0.06), d.real(4, 9)
    if kind == "carpet":
        return [
            sheet(d.real(0.8, 1.2), 1.6, d.steps(2, 5), d.steps(4, 9), lambda x, z: wave * np.sin(turns * z + 2 * x))
        ]
    n, r = d.sides(), 0.22
    lying = sheet(0.9, 1.0, 2, d.steps(2, 4)).move(z=0.5)
    return [lathe([(r, -0.45), (r, 0.45)], n).turn("z", 90).move(y=r * 0.98), lying]
