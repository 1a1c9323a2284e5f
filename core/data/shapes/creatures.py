"""Creatures and figures, facing +z: four-legged animals, fish, birds, insects, robots, people, snowmen, figurines."""

import numpy as np

from core.data.shapes.dice import Dice, family
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
    stack,
    strip,
    sweep,
)
from core.data.shapes.surface import Surface, around, both, four, join


def limb(d: Dice, length: float, r: float) -> Surface:
    """An arm or leg from y = -length to 0; its upper end is meant to be hidden."""
    if d.detail == 0 or d.chance(0.5):
        return box(r * 2, length, r * 2, d.pick(1.0, 1.25)).move(y=-length)
    return lathe([(r * 0.9, -length), (r, -length * 0.5), (r * 0.8, 0)], d.sides(-1), top=not d.hidden)


def eyes(d: Dice, x: float, y: float, z: float, r: float) -> Surface:
    eye = d.pick(box(r * 2, r * 2, r), ball(r, 0), lathe([(r, 0), (r * 0.8, r * 0.5)], 6).turn("x", 90))
    return both(eye.move(x, y, z))


@family
def animal(d: Dice) -> list[Surface]:
    """Four legs, a body, a neck and a head: cows, dogs, giraffes, pigs, elephants by proportion; boxes or rings."""
    w, h, long = d.real(0.35, 0.55), d.real(0.3, 0.5), d.real(0.7, 1.1)
    tall, r = d.real(0.2, 0.7), d.real(0.06, 0.1)
    boxy = d.chance(0.5)
    if boxy:
        body = soft_box(w, h, long, 0.06) if d.chance(0.5) else box(w, h, long)
        body = body.move(y=tall)
    else:
        n, s = max(5, d.sides()), h / 2
        body = lathe(
            [(s * 0.6, -long / 2), (s, -long * 0.3), (s * d.real(0.8, 1.0), long * 0.2), (s * 0.6, long / 2)], n
        ).turn("x", 90)
        body = body.scale(w / h, 1, 1).move(y=tall + s)
    neck, lean = d.pick(0.1, 0.2, d.real(0.3, 0.8)), d.real(0.05, 0.25)
    top = np.array([0, tall + h * 0.7 + neck, long * 0.5 + lean])
    throat = sweep(
        [(0, tall + h * 0.65, long * 0.38), tuple(top)], rectangle(w * 0.4, w * 0.45), (1.1, 0.85), (1, 0, 0)
    )
    size = d.real(0.22, 0.32)
    snout = d.real(0.1, 0.3)
    head = (
        box(size, size * 0.95, size).extrude(FRONT, snout, d.real(0.5, 0.85), (0, -size * 0.1, 0))
        if boxy
        else lathe([(size * 0.35, -size * 0.5), (size * 0.6, 0), (size * 0.3, size * 0.6 + snout)], max(5, d.sides()))
        .turn("x", 90)
        .move(y=size / 2)
    )
    ear = d.pick(box(0.05, 0.14, 0.05, 0.4), plate([(-0.05, 0), (0.05, 0), (0, 0.16)]), box(0.16, 0.05, 0.08)).move(
        x=size * 0.38, y=size * 0.8
    )
    face = [head, both(ear)]
    if d.chance(0.3):
        horn = sweep(
            [(size * 0.3, size * 0.85, 0), (size * 0.6, size * 1.1, 0), (size * 0.5, size * 1.6, 0.05)],
            polygon(4, 0.05),
            (1, 0.8, 0),
        )
        face.append(both(horn))
    if d.chance(0.4):
        face.append(eyes(d, size * 0.4, size * 0.62, size * 0.42, 0.04))
    skull = join(*face).move(*top).move(y=-size * 0.4)
    hip, sunk = (w / 2 - r * 1.05, 0.06) if boxy else (w * 0.27, h * 0.3)
    legs = four(limb(d, tall + sunk, r), hip, long / 2 - r * 1.8).move(y=tall + sunk)
    tail = sweep(
        [
            (0, tall + h * 0.8, -long * 0.47),
            (0, tall + h * d.real(0.7, 1.2), -long * 0.62),
            (0, tall + h * 0.4, -long * 0.7),
        ],
        rectangle(0.06, 0.06),
        (1, 0.9, 0.6),
        (1, 0, 0),
    )
    return [join(body, throat), skull, legs, tail] if neck > 0.15 else [body, skull, legs, tail]


@family
def fish(d: Dice) -> list[Surface]:
    """Fish and whales: a spindle with fins that are sheets or solid."""
    n, long, tall = d.pick(4, 6, 6, 8), d.real(1.0, 1.6), d.real(0.25, 0.45)
    steps = d.steps(3, 6)
    s = np.linspace(0, 1, steps + 1)
    radii = tall * np.sin(np.pi * s ** d.real(0.6, 0.9)) ** 0.8 + 0.05 * (1 - s)
    radii[-1] = 0
    radii[0] = max(radii[0], 0.05)
    body = lathe(list(zip(radii, (s - 0.5) * long, strict=True)), n).turn("x", 90).scale(d.real(0.45, 0.9), 1, 1)
    flat = d.chance(0.4)

    def fin(outline: list[tuple[float, float]]) -> Surface:
        """From a side view (z, y)."""
        points = np.array(outline) * (-1, 1)
        surface = plate(points) if flat else slab(points, 0.05)
        return surface.turn("y", 90)

    z = -long * 0.48
    tail = fin([(z + 0.1, 0), (z - 0.3, -0.28), (z - 0.22, 0), (z - 0.3, 0.3)])
    if d.chance(0.3):  # a whale's tail lies flat
        tail = tail.turn("z", 90)
    back = fin([(-0.2, tall * 0.85), (-0.25, tall * 1.35), (0.0, tall * 1.3), (0.25, tall * 0.85)])
    side = (
        plate([(0, 0), (0.25, -0.12), (0.3, 0.06), (0.02, 0.14)])
        if flat
        else slab(np.array([(0, 0), (0.25, -0.12), (0.3, 0.06), (0.02, 0.14)]), 0.045)
    )
    fins = both(side.turn("y", 35).move(x=radii.max() * 0.45, y=-tall * 0.2, z=long * 0.12))
    parts = [body, join(tail, back, fins)]
    if d.chance(0.6):
        parts.append(eyes(d, radii.max() * 0.4, tall * 0.2, long * 0.27, 0.05))
    return parts


@family
def bird(d: Dice) -> list[Surface]:
    """Ducks, penguins and flying birds."""
    n, kind = max(5, d.sides()), d.pick("standing", "standing", "flying")
    if kind == "flying":
        body = lathe([(0, -0.5), (0.14, -0.1), (0.15, 0.2), (0, 0.5)], n).turn("x", 90)
        span, back = d.real(0.6, 1.0), d.real(0.0, 0.3)
        rows = [
            [(0.05, 0.02, 0.2), (0.05, 0.02, -0.15)],
            [(span * 0.5, 0.14, 0.22), (span * 0.5, 0.14, -0.12)],
            [(span, 0.02, 0.0 - back), (span, 0.02, -0.1 - back)],
        ]
        wing = np.array(rows)
        if d.chance(0.5):
            half = loft(np.stack([np.concatenate([r, r[::-1] - (0, 0.05, 0)])[::-1] for r in wing]))
        else:
            half = strip(wing.swapaxes(0, 1))
        tail = (
            slab(np.array([(-0.04, 0), (0.04, 0), (0.16, -0.3), (-0.16, -0.3)])[::-1], 0.045)
            .turn("x", 90)
            .move(z=-0.42)
        )
        beak = lathe([(0.05, 0), (0, 0.16)], 4).turn("x", 90).move(z=0.42)
        return [body, both(half), tail, beak]
    r, h = d.real(0.25, 0.35), d.real(0.4, 0.7)
    body = lathe([(r * 0.6, 0), (r, h * 0.35), (r * 0.8, h * 0.75), (r * 0.35, h)], n)
    size = d.real(0.15, 0.24)
    head = (
        ball(size, 1 if d.detail else 0)
        if d.chance(0.6)
        else soft_box(size * 2, size * 2, size * 2, size * 0.4).move(y=-size)
    )
    beak = d.pick(lathe([(0.07, 0), (0, 0.2)], 4), lathe([(0.08, 0), (0.07, 0.16)], 4)).turn("x", 90).move(z=size * 0.8)
    foot = (
        slab(np.array([(0.02, 0.18), (-0.08, 0.16), (-0.04, -0.06), (0.06, -0.06), (0.1, 0.16)]), 0.045)
        .turn("x", 90)
        .move(x=r * 0.5, y=0.0, z=0.05)
    )
    wing_ = lathe([(0.0, -0.18), (0.11, 0.02), (0.07, 0.16), (0, 0.2)], 4 + d.detail * 2).scale(0.5, h * 2, 1.2)
    tilt = d.real(5, 40)
    parts = [
        body,
        join(head.move(y=h + size * 0.5), eyes(d, size * 0.55, h + size * 0.7, size * 0.75, 0.035)),
        beak.move(y=h + size * 0.4),
    ]
    parts.append(both(wing_.turn("z", tilt).move(x=r * 0.95, y=h * 0.5)))
    parts.append(both(foot.move(y=0.0)))
    if d.chance(0.5):
        parts.append(lathe([(0.1, 0), (0, 0.22)], 4).turn("x", -120).move(y=h * 0.25, z=-r * 0.75))
    return parts


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


@family
def insect(d: Dice) -> list[Surface]:
    """Beetles, spiders, butterflies and snails: bodies with sheets for wings and bent sticks for legs."""
    n, kind = d.sides(), d.pick("beetle", "butterfly", "snail", "spider")
    if kind == "snail":
        body = sweep(
            [(0, 0.1, -0.6), (0, 0.12, -0.1), (0, 0.14, 0.35), (0, 0.4, 0.55)],
            polygon(max(4, n - 1), 0.14),
            (0.2, 1.0, 0.9, 0.8),
            (1, 0, 0),
        )
        shell = (
            lathe([(0, -0.18), (0.3, -0.14), (0.36, 0), (0.3, 0.14), (0, 0.2)], n + 1)
            .turn("z", 90)
            .move(y=0.45, z=-0.1)
        )
        horn = sweep([(0.05, 0.45, 0.56), (0.1, 0.68, 0.66)], rectangle(0.045, 0.045), 1, (1, 0, 0))
        return [body, shell, both(horn)]
    body = lathe([(0, -0.55), (0.16, -0.3), (0.17, 0.05), (0.08, 0.2)], n).turn("x", 90)
    head = ball(0.14, 0 if d.detail == 0 else 1).move(z=0.28)
    feeler = sweep(
        [(0.04, 0.06, 0.36), (0.12, 0.2, 0.5), (0.2, 0.22, 0.62)], rectangle(0.04, 0.04), (1, 0.9, 0.7), (0, 1, 0)
    )
    if kind == "butterfly":
        upper = [(0.0, 0.02), (0.6, 0.35), (0.75, 0.1), (0.4, -0.1)]
        lower = [(0.0, -0.05), (0.4, -0.12), (0.55, -0.4), (0.2, -0.5)]
        lift = d.real(10, 50)
        wings = [
            plate(np.array(o)[::-1] * d.real(1.3, 1.9)).turn("x", -90).mirror("z").turn("z", lift)
            for o in (upper, lower)
        ]
        return [
            body.scale(0.5, 0.5, 1),
            head.scale(0.7, 0.7, 1),
            both(join(*wings).move(x=0.04)),
            both(feeler.scale(0.7, 1, 1)),
        ]
    leg = sweep([(0.08, 0, 0), (0.35, d.real(0.1, 0.3), 0), (0.5, -0.22, 0)], rectangle(0.045, 0.045), (1, 0.9, 0.5))
    pairs = 3 if kind == "beetle" else 4
    legs = both(
        join(
            *(
                leg.turn("y", a).move(z=z)
                for a, z in zip(np.linspace(-35, 35, pairs), np.linspace(0.12, -0.25, pairs), strict=True)
            )
        )
    )
    parts = [body, head, legs]
    if kind == "beetle":
        parts.append(both(feeler))
        if d.chance(0.5):
            horn = sweep(
                [(0, 0.05, 0.38), (0, 0.12, 0.55), (0, 0.32, 0.62)], polygon(4, 0.06), (1, 0.8, 0.1), (1, 0, 0)
            )
            parts.append(horn)
    return parts
