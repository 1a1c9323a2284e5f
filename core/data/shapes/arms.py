"""Weapons that shoot or burst: bows, cannons, pistols, bombs."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc, flatten, wobble
from core.data.shapes.primitives import ball, box, lathe, rectangle, slab, soft_box, sweep
from core.data.shapes.surface import Surface, around, both, join


@family
def bow(d: Dice) -> list[Surface]:
    """A bow with its string, or a crossbow."""
    h, reach, steps = d.real(0.6, 0.9), d.real(0.25, 0.45), d.steps(4, 8)
    s = np.linspace(-1, 1, steps + 1 + steps % 2)
    curl = d.pick(0.0, d.real(0.1, 0.3))
    x = reach * (1 - s**2) - curl * np.maximum(np.abs(s) - 0.7, 0) * -1.5
    path = np.stack([x, h * s, 0 * s], axis=1)
    limb = sweep(path, rectangle(0.055, 0.08), 0.45 + 0.55 * (1 - np.abs(s)) ** 0.6)
    string = box(0.03, 2 * h * 0.98, 0.03).move(x=x[0], y=-h * 0.98)
    if d.chance(0.35):
        stock = box(0.09, 1.1, 0.1).move(y=-0.85)
        lying = join(limb.move(x=-reach), string.move(x=-reach)).turn("z", 90).scale(0.7, 0.7, 1)
        butt = box(0.11, 0.3, 0.2, 0.7).move(y=-1.0)
        return [stock, lying.move(y=0.15, z=0.05), butt]
    parts = [limb, string]
    if d.chance(0.6):
        parts.append(lathe([(0.05, -0.1), (0.06, 0), (0.05, 0.1)], d.sides()).move(x=reach))
    return parts


@family
def cannon(d: Dice) -> list[Surface]:
    n, r, long = d.sides(1), d.real(0.15, 0.22), d.real(0.9, 1.4)
    profile = [
        (0, -0.1),
        (r * 1.15, 0),
        (r * 1.2, 0.15),
        (r * 0.95, long * 0.85),
        (r * 1.25, long * 0.88),
        (r * 1.2, long),
        (r * 0.65, long),
        (r * 0.6, long * 0.7),
    ]
    barrel = lathe(profile, n).turn("x", 90 - d.real(0, 30)).move(y=0.5, z=-0.35)
    w = d.real(0.24, 0.34)
    wheel = lathe([(w, -0.05), (w, 0.05), (w * 0.25, 0.09)] if d.chance(0.5) else [(w, -0.05), (w, 0.05)], n).turn(
        "z", -90
    )
    cheek = slab([(-0.5, 0.1), (0.35, 0.25), (0.35, 0.55), (0.0, 0.55), (-0.55, 0.2)], 0.08).turn("y", -90)
    parts = [barrel, both(cheek.move(x=r + 0.05)), both(wheel.move(x=r + 0.16, y=w))]
    if d.chance(0.5):
        parts.append(
            join(
                *(
                    ball(0.13, 0 if d.detail == 0 else 1).move(x, y, 0.9)
                    for x, y in ((-0.14, 0.12), (0.14, 0.12), (0, 0.34))
                )
            )
        )
    return parts


@family
def pistol(d: Dice) -> list[Surface]:
    """Blasters, pistols and rifles along +x."""
    long, h, t = d.real(0.6, 1.3), d.real(0.14, 0.22), d.real(0.1, 0.16)
    body = soft_box(long, h, t, 0.025) if d.chance(0.5) else box(long, h, t)
    lean = d.real(-0.15, -0.02)
    handle = slab([(0.06, 0.03), (-0.12, 0.03), (-0.12 + lean, -0.3), (0.04 + lean, -0.3)], t * 0.8)
    n, r = d.sides(-1), h * d.real(0.25, 0.4)
    muzzle = [(r, 0), (r, 0.25)] if d.chance(0.5) else [(r, 0), (r, 0.15), (r * 1.5, 0.18), (r * 1.5, 0.3)]
    tube = lathe(muzzle, n, bottom=not d.hidden).turn("z", -90).move(x=long / 2 - 0.02, y=h * 0.6)
    guard = sweep(arc((0, 0), 0.08, 180, 360, d.steps(3, 5)), rectangle(0.025, 0.04)).move(x=-long * 0.2 + 0.13, y=0.01)
    parts = [body, handle.move(x=-long * 0.25), join(tube, guard)]
    extra = d.pick("none", "sight", "stock", "magazine")
    if extra == "sight":
        parts.append(join(box(0.25, 0.06, 0.06).move(y=h + 0.03), box(0.06, 0.06, 0.04).move(y=h - 0.01)))
    elif extra == "stock":
        outline = [(-long * 0.45, 0.02), (-long * 0.45, h * 0.9), (-long * 0.9, h * 0.7), (-long * 0.9, -0.2)]
        parts.append(slab(np.array(outline), t * 0.7))
    elif extra == "magazine":
        parts.append(box(0.12, 0.25, t * 0.7).move(y=-0.22).slant(0.06).move(x=long * 0.08))
    return parts


@family
def bomb(d: Dice) -> list[Surface]:
    n, r = d.sides(2), 0.4
    body = (
        ball(r, 1)
        if d.chance(0.4)
        else lathe([(r * 0.5, -r * 0.9), (r, -r * 0.3), (r, r * 0.3), (r * 0.5, r * 0.9)], n)
    )
    kind = d.pick("fuse", "mine", "rough")
    neck = lathe([(0.14, r * 0.8), (0.13, r * 1.12)], d.sides(), bottom=not d.hidden)
    bend = d.real(-0.2, 0.2)
    fuse = sweep([(0, r, 0), (bend * 0.3, r + 0.2, 0), (bend, r + 0.32, 0)], rectangle(0.05, 0.05))
    if kind == "fuse":
        return [body, neck, fuse]
    if kind == "rough":
        return [flatten(d, wobble(d, ball(r, 1), 0.02), 3, 0.3), fuse]
    stud = lathe([(0.08, 0), (0.05, 0.16)], d.pick(4, 5, 6), bottom=not d.hidden).move(y=r * 0.9)
    studs = around(stud.turn("x", 75), d.count(4, 6))
    return [body, join(stud, studs)]
