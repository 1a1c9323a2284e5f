"""Animals that face +z: four-legged ones, fish, birds, insects."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.figures import eyes, limb
from core.data.shapes.primitives import (
    FRONT,
    ball,
    box,
    lathe,
    loft,
    plate,
    polygon,
    rectangle,
    slab,
    soft_box,
    strip,
    sweep,
)
from core.data.shapes.surface import Surface, both, four, join


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
        else slab([(0, 0), (0.25, -0.12), (0.3, 0.06), (0.02, 0.14)], 0.045)
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
        tail = slab([(-0.04, 0), (0.04, 0), (0.16, -0.3), (-0.16, -0.3)][::-1], 0.045).turn("x", 90).move(z=-0.42)
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
        slab([(0.02, 0.18), (-0.08, 0.16), (-0.04, -0.06), (0.06, -0.06), (0.1, 0.16)], 0.045)
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
