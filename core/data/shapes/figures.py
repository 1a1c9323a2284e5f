"""Figures that stand and face +z: people, robots, snowmen, ghosts, pawns, skulls."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.primitives import FRONT, ball, box, cells, lathe, polygon, rectangle, slab, soft_box, stack, sweep
from core.data.shapes.surface import Surface, around, both, join


def limb(d: Dice, length: float, r: float) -> Surface:
    """An arm or leg from y = -length to 0; its upper end is meant to be hidden."""
    if d.detail == 0 or d.chance(0.5):
        return box(r * 2, length, r * 2, d.pick(1.0, 1.25)).move(y=-length)
    return lathe([(r * 0.9, -length), (r, -length * 0.5), (r * 0.8, 0)], d.sides(-1), top=not d.hidden)


def eyes(d: Dice, x: float, y: float, z: float, r: float) -> Surface:
    eye = d.pick(box(r * 2, r * 2, r), ball(r, 0), lathe([(r, 0), (r * 0.8, r * 0.5)], 6).turn("x", 90))
    return both(eye.move(x, y, z))


@family
def person(d: Dice) -> list[Surface]:
    """A blocky figure; joints as separate boxes, or body and limbs grown out of one grid."""
    if d.chance(0.25):  # one body from a grid
        xs = np.array([-0.5, -0.28, -0.16, -0.05, 0.05, 0.16, 0.28, 0.5]) * (d.real(0.8, 1.2), 1, 1, 1, 1, 1, 1, 1)
        xs[0] = -xs[-1]
        ys = np.array([0, 0.55, 1.0, 1.15, 1.22, 1.5]) * d.real(0.8, 1.2)
        solid = np.zeros((7, 5, 1), dtype=bool)
        solid[[1, 2, 4, 5], 0] = solid[1:6, 1] = solid[:, 2] = solid[2:5, 3] = solid[2:5, 4] = True
        body = cells(xs, ys, (-0.13, 0.13), solid)
        return [body, box(0.36, 0.34, 0.34).move(y=ys[-2] + 0.05)] if d.chance(0.5) else [body]
    w, h, deep = d.real(0.4, 0.55), d.real(0.45, 0.6), d.real(0.2, 0.28)
    leg, r = d.real(0.35, 0.65), d.real(0.08, 0.11)
    torso = stack([rectangle(w * d.real(0.7, 1), deep), rectangle(w, deep)], [leg, leg + h])
    size = d.real(0.28, 0.4)
    head = d.pick(
        box(size, size, size * 0.9),
        soft_box(size, size, size * 0.9, 0.05),
        lathe(
            [(size * 0.35, 0), (size * 0.52, size * 0.3), (size * 0.5, size * 0.8), (size * 0.25, size)],
            max(6, d.sides()),
        ),
    )
    arm = join(
        limb(d, h * 0.95, r),
        box(r * 2, r * 1.8, r * 2).move(y=-h * 0.95 - r * 1.7) if d.chance(0.5) else ball(r * 1.2, 0).move(y=-h * 0.98),
    )
    left, right = d.real(3, 100 if d.chance(0.4) else 25), d.real(3, 25)
    arms = [
        arm.turn("z", left).move(x=w / 2 + r * 0.6, y=leg + h - r),
        arm.turn("z", -right).move(x=-w / 2 - r * 0.6, y=leg + h - r),
    ]
    shoe = box(r * 2.1, r * 1.2, r * 3.4).move(y=-leg - 0.0, z=r * 0.6)
    stand = join(limb(d, leg, r * 1.05).move(y=0.03), shoe) if d.chance(0.6) else limb(d, leg, r * 1.05).move(y=0.03)
    parts = [torso, join(*arms), both(stand.move(x=w * 0.24, y=leg)), head.move(y=leg + h + 0.03)]
    if d.chance(0.6):
        hair = d.pick(
            lathe([(size * 0.62, 0), (size * 0.56, size * 0.2), (0, size * 0.55)], d.sides(1)),
            box(size * 1.08, size * 0.35, size),
            lathe([(size * 0.8, 0), (size * 0.5, 0.02), (size * 0.4, size * 0.5)], d.sides(1)),
        )
        parts.append(hair.move(y=leg + h + size * 0.85))
    if d.chance(0.5):
        parts.append(eyes(d, size * 0.2, leg + h + size * 0.5, size * 0.45, 0.035))
    return parts


@family
def robot(d: Dice) -> list[Surface]:
    w, h, deep = d.real(0.5, 0.7), d.real(0.5, 0.7), d.real(0.35, 0.5)
    base = d.pick("legs", "legs", "tracks", "wheel", "hover")
    chest = soft_box(w, h, deep, 0.06) if d.chance(0.4) else box(w, h, deep, d.real(0.9, 1.2))
    if len(chest.quads) == 6 and d.chance(0.6):
        chest = chest.inset(FRONT, w * 0.15).extrude(FRONT, d.pick(-0.05, 0.05))
    y = {"legs": d.real(0.3, 0.5), "tracks": 0.3, "wheel": 0.35, "hover": 0.4}[base]
    size = d.real(0.3, 0.45)
    head = d.pick(
        box(size * 1.2, size, size),
        lathe([(size * 0.6, 0), (size * 0.6, size * 0.5), (size * 0.3, size * 0.9)], max(6, d.sides())),
        soft_box(size * 1.2, size * 0.9, size, 0.07),
    )
    rod = lathe([(0.035, 0), (0.025, 0.25)], 4).move(y=size * 0.85)
    antenna = join(rod, ball(0.06, 0).move(y=size * 0.85 + 0.27))
    neck = lathe([(0.1, 0), (0.1, 0.12)], d.sides(), bottom=not d.hidden, top=not d.hidden)
    look = eyes(d, size * 0.28, size * 0.5, size * 0.52, 0.07)
    skull = join(head.move(y=0.08), look, *([antenna] if d.chance(0.6) else []))
    hand = both(box(0.05, 0.14, 0.07, 0.8).move(y=-0.13).turn("z", 15).move(x=0.05))
    elbow = sweep(
        [(0, 0, 0), (0.12, -0.15, 0), (0.16, -0.4, 0.1 * d.count(0, 3))], rectangle(0.11, 0.11), 1, (0, 0.2, 1)
    )
    arm = join(elbow, hand.move(0.16, -0.4, elbow.points[-1, 2] - 0.02), ball(0.1, 0))
    parts = [chest.move(y=y), join(skull, neck.move(y=-0.03)).move(y=y + h), both(arm.move(x=w * 0.55, y=y + h * 0.8))]
    if base == "legs":
        parts.append(
            both(join(box(0.15, y + 0.02, 0.15).move(y=0.0), box(0.2, 0.1, 0.3).move(z=0.05)).move(x=w * 0.27))
        )
    elif base == "tracks":
        outline = np.array([(-0.3, 0.12), (-0.22, 0), (0.22, 0), (0.3, 0.12), (0.15, 0.32), (-0.15, 0.32)])
        parts.append(both(slab(outline, 0.16).turn("y", 90).move(x=w * 0.42)))
    elif base == "wheel":
        parts.append(lathe([(0.24, -0.1), (0.24, 0.1)], d.sides(2)).turn("z", 90).move(y=0.24))
    else:
        parts.append(lathe([(0.05, 0), (w * 0.4, 0.3), (w * 0.3, 0.42)], d.sides(1), top=not d.hidden))
    return parts


@family
def snowman(d: Dice) -> list[Surface]:
    balls, r = d.pick(2, 3, 3), d.real(0.4, 0.55)
    parts, y, spots = [], 0.0, []
    for _ in range(balls):
        if d.chance(0.4):
            one = ball(r, 1)
        else:
            one = lathe([(r * 0.6, -r * 0.8), (r, -r * 0.2), (r, r * 0.2), (r * 0.6, r * 0.8)], d.sides(2))
        y += r * 0.85
        parts.append(one.move(y=y))
        spots.append((y, r))
        y += r * 0.72
        r *= d.real(0.65, 0.8)
    top, size = spots[-1]
    nose = lathe([(0.06, 0), (0, 0.35)], d.pick(4, 5, 6)).turn("x", 90).move(y=top, z=size * 0.85)
    twig = sweep([(0, 0, 0), (0.3, 0.12, 0), (0.5, 0.4, 0)], rectangle(0.05, 0.05), (1, 0.9, 0.6)).move(
        x=spots[-2][1] * 0.85, y=spots[-2][0] + 0.08
    )
    extra = [join(nose, eyes(d, size * 0.35, top + size * 0.3, size * 0.85, 0.05)), both(twig)]
    if d.chance(0.6):
        n = d.sides(1)
        extra.append(
            lathe([(size * 0.9, 0), (size * 0.9, 0.05), (size * 0.55, 0.05), (size * 0.5, 0.4)], n).move(
                y=top + size * 0.75
            )
        )
    if d.chance(0.4):
        scarf = lathe(
            [(size * 0.95, -0.07), (size * 1.02, 0.05), (size * 0.7, 0.06), (size * 0.65, -0.06)],
            d.sides(1),
            closed=True,
        )
        extra.append(scarf.move(y=top - size * 0.75))
    return [join(*parts), *extra]


@family
def figurine(d: Dice) -> list[Surface]:
    """Ghosts, pawns, skittles, jellyfish and slimes: a turned body with a face, a hem or a base."""
    n, kind = d.sides(2), d.pick("ghost", "pawn", "slime", "skittle", "skull", "jelly")
    r, h = d.real(0.3, 0.45), d.real(0.5, 0.9)
    if kind in ("ghost", "jelly"):
        n += n % 2
        profile = [(r * 1.15, 0), (r, h * 0.5), (r * 0.8, h * 0.85), (0, h)]
        body = lathe(profile, n, bottom=False)
        hem = body.points.copy()
        hem[:n:2, 1] -= d.real(0.08, 0.2)
        body = body.with_points(hem)
        if kind == "jelly":
            arm = sweep(
                [(r * 0.6, 0.1, 0), (r * 0.7, -0.3, 0), (r * 0.5, -0.7, 0)],
                polygon(3, 0.05),
                (1, 0.9, 0.3),
                bottom=not d.hidden,
            )
            return [body, around(arm, d.count(4, 6))]
        return [body, eyes(d, r * 0.35, h * 0.6, r * 0.78, 0.07)]
    if kind == "pawn":
        profile = [
            (r, 0),
            (r, 0.08),
            (r * 0.8, 0.14),
            (r * 0.4, 0.3),
            (r * 0.33, h),
            (r * 0.6, h + 0.03),
            (r * 0.6, h + 0.08),
        ]
        head = d.pick("ball", "ball", "crown", "tower")
        if head == "ball":
            return [lathe(profile, n), ball(r * 0.55, 1 if d.detail else 0).move(y=h + 0.08 + r * 0.45)]
        if head == "crown":
            return [lathe([*profile, (r * 0.45, h + 0.12), (r * 0.65, h + 0.4), (0, h + 0.48)], n)]
        m = max(8, n + n % 2)
        body = lathe([*profile, (r * 0.6, h + 0.25), (r * 0.4, h + 0.25), (r * 0.4, h + 0.15)], m)
        for k in range(7 * m, 8 * m, 2):
            body = body.extrude(k, 0.1)
        return [body]
    if kind == "slime":
        body = lathe([(r, 0), (r * 1.15, 0.12), (r * 0.9, h * 0.45), (r * 0.45, h * 0.65), (0, h * 0.7)], n)
        return [body, eyes(d, r * 0.35, h * 0.32, r * 0.95, 0.06)]
    if kind == "skittle":
        return [
            lathe([(r * 0.4, 0), (r * 0.65, 0.3), (r * 0.3, h), (r * 0.4, h + 0.18), (0, h + 0.3)], n),
            *([ball(r * 0.6, 1).move(x=r * 1.6, y=r * 0.6)] if d.chance(0.4) else []),
        ]
    head = soft_box(0.7, 0.55, 0.7, 0.1).move(y=0.25)
    jaw = box(0.42, 0.3, 0.4, 1.1).move(z=0.1)
    socket = lathe([(0.1, 0), (0.08, 0.06)], d.sides(1)).turn("x", 90).move(x=0.16, y=0.5, z=0.33)
    teeth = [box(0.06, 0.12, 0.05).move(x=x, y=0.0, z=0.3) for x in np.linspace(-0.15, 0.15, d.count(3, 4))]
    return [head, jaw, both(socket), join(*teeth)]
