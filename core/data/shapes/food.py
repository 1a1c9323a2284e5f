"""Food as it is: fruit, vegetables, bread, meat."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc, frond, wobble
from core.data.shapes.primitives import ball, box, lathe, polygon, rectangle, slab, soft_box, sweep, symmetric
from core.data.shapes.surface import Surface, around, both, join


def stalk(d: Dice, y: float) -> Surface:
    """A stalk on top of a fruit, perhaps with a leaf."""
    tip = d.real(-0.08, 0.08)
    twig = sweep(
        [(0, y - 0.06, 0), (tip * 0.4, y + 0.08, 0), (tip, y + 0.18, 0)], polygon(d.pick(3, 4), 0.04), (1, 0.8, 0.9)
    )
    if d.chance(0.4):
        return twig
    return join(twig, frond(0.25, 0.08, d.real(0.2, 0.8), 0.4, 2).turn("y", d.real(0, 360)).move(y=y + 0.04))


@family
def fruit(d: Dice) -> list[Surface]:
    """Apples, pears, pumpkins, lemons, peppers: turned bodies with a dent or ribs."""
    n, kind = d.sides(1), d.pick("apple", "pear", "pumpkin", "lemon", "cherry", "melon")
    if kind == "cherry":
        one = (
            ball(0.2, 1 if d.detail else 0)
            if d.chance(0.5)
            else lathe([(0, -0.2), (0.19, -0.05), (0.16, 0.13), (0, 0.15)], n)
        )
        twig = sweep([(0, 0.12, 0), (-0.08, 0.4, 0), (-0.26, 0.66, 0)], rectangle(0.045, 0.045))
        return [both(one.move(x=0.26)), both(twig.move(x=0.26))]
    if kind == "lemon":
        s = np.linspace(0, 1, d.steps(4, 6) + 1)
        radii = 0.35 * np.sin(np.pi * s) ** d.real(0.6, 0.9)
        radii[[0, -1]] = 0
        return [lathe(list(zip(radii, 1.0 * s, strict=True)), n).turn("z", d.pick(0, 90))]
    if kind == "melon":  # a slice
        half = arc((0, 0), 0.6, 180, 360, d.steps(4, 8))[:, :2]
        return [slab(half, d.real(0.15, 0.4)), *([slab(half * 1.12, 0.12)] if d.chance(0.3) else [])]
    profiles = {
        "apple": [(0, 0.06), (0.18, 0), (0.4, 0.25), (0.44, 0.45), (0.3, 0.66), (0, 0.56)],
        "pear": [(0, 0), (0.25, 0.02), (0.4, 0.28), (0.24, 0.62), (0.13, 0.85), (0, 0.9)],
        "pumpkin": [(0, 0.08), (0.3, 0), (0.55, 0.25), (0.52, 0.48), (0.28, 0.64), (0, 0.56)],
    }
    profile = profiles[kind]
    if d.detail == 0:
        profile = [p for k, p in enumerate(profile) if k != 3]
    if kind == "pumpkin":
        n = 2 * d.count(4, 6)
    body = lathe(profile, n)
    if kind == "pumpkin":  # every second rib sinks
        body.points[:] *= np.where(np.arange(len(body.points)) % n % 2, 0.86, 1.0)[:, None] * (1, 0, 1) + (0, 1, 0)
    body = wobble(d, body, d.pick(0, 0.015))
    return [body, stalk(d, 0.85 if kind == "pear" else 0.58)]


@family
def vegetable(d: Dice) -> list[Surface]:
    """Carrots, corn, aubergines, turnips, broccoli, bananas, leeks."""
    n, kind = d.sides(), d.pick("carrot", "corn", "aubergine", "turnip", "broccoli", "banana")
    if kind == "banana":
        steps = d.steps(3, 6)
        path = arc((0, 0), 0.6, 200, 340, steps)
        girth = np.sin(np.pi * np.linspace(0.12, 0.93, steps + 1)) ** 0.6
        girth[[0, -1]] = 0.4
        one = sweep(path, polygon(max(4, n - 1), 0.14), girth)
        count = d.pick(1, 1, 2, 3)
        return [join(*(one.turn("x", 14 * k).move(z=0.19 * k, y=0.01 * k) for k in range(count)))]
    leaf = frond(d.real(0.3, 0.5), 0.09, d.real(0.9, 1.6), d.real(0.3, 0.9), 2)
    if kind == "carrot":
        body = lathe(
            [(0, -0.9), (0.09, -0.5), (0.17, -0.1), (0.08, 0.02)]
            if d.detail
            else [(0, -0.9), (0.17, -0.08), (0.08, 0.02)],
            n,
        )
        return [body, around(leaf, d.count(3, 5))]
    if kind == "turnip":
        body = lathe([(0, -0.5), (0.08, -0.35), (0.3, -0.12), (0.28, 0.1), (0.1, 0.2)], n)
        return [body, around(leaf.move(y=0.17), d.count(3, 5))]
    if kind == "corn":
        body = lathe([(0.12, 0), (0.18, 0.3), (0.14, 0.7), (0, 0.9)], n)
        husk = frond(0.6, 0.18, d.real(1.4, 2.4), d.real(0.8, 1.8), d.steps(2, 3))
        return [body, around(husk.move(x=0.08), d.pick(3, 4))]
    if kind == "aubergine":
        body = lathe([(0, 0), (0.2, 0.06), (0.24, 0.3), (0.13, 0.65), (0.1, 0.75)], n)
        cap = lathe([(0.15, 0.68), (0.07, 0.8), (0.04, 0.95)], n)
        return [join(body, cap).warp(lambda x, y, z: (x + 0.15 * y * y, y, z))]
    stem = lathe([(0.12, 0), (0.1, 0.35)], n, top=not d.hidden)
    heads = [
        ball(0.19, 1 if d.detail >= 2 else 0).move(0.17 * np.cos(a), 0.42, 0.17 * np.sin(a))
        for a in np.arange(d.count(3, 4)) * 1.7
    ]
    return [stem, join(*heads, ball(0.22, 0 if d.detail == 0 else 1).move(y=0.55))]


@family
def bread(d: Dice) -> list[Surface]:
    """Loaves, slices of toast, doughnuts, pretzels, croissants, sushi."""
    n, kind = d.sides(1), d.pick("loaf", "toast", "doughnut", "croissant", "baguette", "sushi")
    if kind == "doughnut":
        m, a, b = max(5, d.sides()), 0.4, d.real(0.13, 0.2)
        angle = np.arange(m) * (2 * np.pi / m)
        ring = list(zip(a + b * np.cos(angle), b * np.sin(angle), strict=True))
        body = lathe(ring, n + 3, closed=True)
        if d.chance(0.4):
            upper = [(x + (x - a) * 0.1, y * 1.12) for x, y in ring[: m // 2 + 1]]
            return [body, lathe(upper, n + 3, False, False)]
        return [body]
    if kind == "toast":
        outline = symmetric([(0.4, 0), (0.4, 0.45), (0.48, 0.55), (0.45, 0.72), (0.3, 0.8)])
        t = d.real(0.12, 0.5)
        butter = [soft_box(0.2, 0.05, 0.2, 0.012).turn("x", 90).move(y=0.4, z=t / 2)] if d.chance(0.4) else []
        return [slab(outline, t), *butter]
    if kind == "sushi":
        rice = lathe([(0.3, 0), (0.3, 0.35)], n + 1)
        core = lathe([(0.13, 0.34), (0.13, 0.4)], d.sides(), bottom=not d.hidden)
        band = lathe([(0.32, 0.02), (0.32, 0.33)], n + 1, False, False)
        return (
            [rice, core, band]
            if d.chance(0.6)
            else [soft_box(0.4, 0.25, 0.8, 0.06), soft_box(0.44, 0.14, 0.9, 0.05, lower=False).move(y=0.23)]
        )
    steps = d.steps(3, 7)
    s = np.linspace(0, 1, steps + 1)
    girth = np.sin(np.pi * (0.1 + 0.8 * s)) ** 0.6
    if kind == "croissant":
        ridge = np.repeat(girth, 2)
        ridge[1::2] *= 0.85
        angles = np.radians(np.linspace(200, 340, 2 * (steps + 1)))
        path = np.stack([0.6 * np.cos(angles), 0.6 * np.sin(angles), 0 * angles], axis=1)
        return [sweep(path, polygon(n, 0.2), ridge).turn("x", -90)]
    long, thin = (1.6, 0.16) if kind == "baguette" else (0.9, 0.28)
    body = sweep(np.stack([(s - 0.5) * long, 0 * s, 0 * s], axis=1), polygon(max(6, n), thin, d.real(0.7, 1.0)), girth)
    if d.chance(0.5):
        cut = box(0.06, 0.06, thin * 1.2).turn("y", 35)
        return [body, join(*(cut.move(x=x * long, y=thin * 0.62) for x in np.linspace(-0.25, 0.25, d.count(2, 4))))]
    return [body]


@family
def meat(d: Dice) -> list[Surface]:
    """A leg on the bone, a steak, an egg, a fish on a plate, a skewer, a bone."""
    n, kind = d.sides(), d.pick("leg", "steak", "egg", "skewer", "bone", "sausages")
    knob = 0 if d.detail == 0 else d.pick(0, 1)
    if kind == "leg":
        body = lathe([(0, -0.45), (0.25, -0.35), (0.36, -0.05), (0.22, 0.25), (0.1, 0.45)], n)
        bone = lathe([(0.07, 0.3), (0.06, 0.75)], d.sides(-1), top=not d.hidden)
        return [wobble(d, body, 0.015), join(bone, both(ball(0.1, knob).move(x=0.07, y=0.78)))]
    if kind == "steak":
        outline = np.array(
            [
                (0.5, 0.0),
                (0.4, 0.35),
                (0.05, 0.4),
                (-0.3, 0.25),
                (-0.55, 0.3),
                (-0.6, -0.05),
                (-0.3, -0.3),
                (0.2, -0.35),
            ]
        )
        outline = outline * d.reals(0.85, 1.1, 8)[:, None]
        flesh = slab(outline, 0.18, d.pick(0, 0.1))
        bone = (
            lathe([(0.1, 0), (0.1, 0.22), (0.05, 0.22), (0.05, 0)], d.sides(), closed=True)
            .turn("x", 90)
            .move(x=0.15, z=-0.11)
        )
        return [flesh, bone] if d.chance(0.5) else [flesh]
    if kind == "egg":
        if d.chance(0.5):
            return [
                lathe([(0, 0), (0.26, 0.1), (0.36, 0.4), (0.2, 0.75), (0, 0.85)], n + 1),
                lathe([(0.3, -0.2), (0.2, -0.1), (0.26, 0.15)], n + 1),
            ]
        white = lathe([(0.5, 0), (0.5, 0.07), (0.25, 0.1)], max(6, n + 2))
        stretch = np.repeat(d.reals(0.75, 1.2, max(6, n + 2))[None], 3, axis=0).reshape(-1, 1)
        white = white.with_points(white.points * np.concatenate([stretch, np.ones_like(stretch), stretch], axis=1))
        return [white, lathe([(0.18, 0.09), (0.14, 0.18), (0, 0.21)], d.sides(1), bottom=not d.hidden)]
    if kind == "skewer":
        stick = lathe([(0.03, 0), (0.03, 1.4)], 4)
        bits = [
            d.pick(ball(0.16, knob), box(0.26, 0.24, 0.26).move(y=-0.12), lathe([(0.17, -0.07), (0.17, 0.07)], n))
            .turn("y", d.real(0, 90))
            .move(y=0.35 + 0.28 * k)
            for k in range(d.count(2, 4))
        ]
        return [stick, join(*bits)]
    if kind == "bone":
        shaft = lathe([(0.09, -0.5), (0.07, 0), (0.09, 0.5)], n, bottom=not d.hidden, top=not d.hidden)
        end = both(ball(0.14, knob).move(x=0.11, y=0.54))
        return [join(shaft, both(end, "y"))]
    link = lathe([(0, -0.35), (0.12, -0.28), (0.14, 0), (0.12, 0.28), (0, 0.35)], n)
    links = d.count(2, 4)
    return [join(*(link.turn("z", d.real(55, 125)).move(x=0.66 * k, y=d.real(-0.03, 0.03)) for k in range(links)))]
