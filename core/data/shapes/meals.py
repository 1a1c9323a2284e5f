"""Prepared food: cakes, burgers, ice cream, drinks."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import Outline, ball, box, lathe, polygon, prism, rectangle, slab, sweep, symmetric
from core.data.shapes.surface import Surface, around, both, join


def wedge(d: Dice, r: float, degrees: float, steps: int) -> Outline:
    """A slice of a disc seen from above, its point at the origin: (N, 2)."""
    return np.concatenate([[(0.0, 0.0)], arc((0, 0), r, -degrees / 2, degrees / 2, steps)[:, :2]])


@family
def cake(d: Dice) -> list[Surface]:
    """Cakes in tiers, slices, pies, cheeses and pizza slices."""
    n, kind = d.sides(3), d.pick("tiers", "slice", "slice", "cheese", "pie", "cupcake")
    if kind == "tiers":
        parts, y, r = [], 0.0, d.real(0.5, 0.7)
        for _ in range(d.count(1, 3)):
            h = d.real(0.2, 0.35)
            tier = [(r, 0), (r, h)] if d.chance(0.5) else [(r, 0), (r, h * 0.85), (r * 0.92, h)]
            parts.append(lathe(tier, n).move(y=y))
            y, r = y + h - 0.005, r * d.real(0.6, 0.75)
        cherry = ball(0.07, 0).move(y=0.05)
        top = (
            cherry
            if d.chance(0.5)
            else around(
                join(lathe([(0.03, 0), (0.03, 0.2)], 4), lathe([(0, 0.2), (0.04, 0.26), (0, 0.34)], 4)).move(x=r * 0.6),
                d.count(3, 5),
            )
        )
        return [join(*parts), top.move(y=y)]
    if kind in ("slice", "cheese"):
        angle, r, h = d.real(35, 60), d.real(0.7, 1.0), d.real(0.2, 0.45)
        outline = wedge(d, r, angle, 1 + d.detail)
        if kind == "cheese":
            body = prism(outline, h)
            hole = lathe([(0.09, 0), (0.08, 0.03)], d.sides()).turn("x", 90)
            side = join(*(hole.move(x=x * r, y=h * y) for x, y in ((0.3, 0.6), (0.55, 0.35), (0.75, 0.7))))
            return [body, side.turn("y", -angle / 2).move(z=-0.01)]
        layers = d.count(2, 3)
        each = h / layers
        parts = [
            join(
                *(
                    prism(outline * (1 if k % 2 == 0 else 0.97), each * (1 if k % 2 == 0 else 0.98)).move(y=k * each)
                    for k in range(layers)
                )
            )
        ]
        parts.append(ball(0.1, 0 if d.detail == 0 else 1).move(x=r * 0.7, y=h + 0.06))
        if d.chance(0.5):
            crust = sweep(
                arc((0, 0), r, -angle / 2, angle / 2, 1 + d.detail)[:, [0, 2, 1]] * (1, 1, -1),
                polygon(4, 0.09),
                up=(0, 1, 0),
            )
            parts.append(crust.move(y=h))
        return parts
    if kind == "pie":
        r = 0.6
        dish = lathe([(r * 0.75, 0), (r, 0.2), (r * 1.1, 0.2), (r * 1.05, 0.27), (r * 0.9, 0.25)], n)
        strips = [box(1.75 * np.sqrt(max(r * r - x * x, 0.01)), 0.05, 0.1).move(z=x) for x in (-0.3, 0, 0.3)]
        return (
            [dish, join(join(*strips).move(y=0.235), join(*strips).turn("y", 90).move(y=0.255))]
            if d.chance(0.6)
            else [dish]
        )
    cup = lathe([(0.25, 0), (0.38, 0.35)], n, top=not d.hidden)
    swirl = [(0.42, 0.34), (0.4, 0.45), (0.28, 0.52), (0.28, 0.58), (0.12, 0.68), (0, 0.78)]
    cream = lathe(swirl if d.detail else swirl[::2] + [swirl[-1]], n)
    return [cup, cream, ball(0.08, 0).move(y=0.8)] if d.chance(0.6) else [cup, cream]


@family
def burger(d: Dice) -> list[Surface]:
    """Layers between two halves of a bun: separate discs or one zigzag profile; or a sandwich, a hot dog."""
    n, kind = d.sides(2), d.pick("burger", "burger", "hot dog", "sandwich")
    if kind == "hot dog":
        long = d.real(0.9, 1.2)
        half = lathe([(0, -long / 2), (0.15, -long * 0.42), (0.17, 0), (0.15, long * 0.42), (0, long / 2)], n).turn(
            "z", 90
        )
        sausage = lathe([(0, -long * 0.6), (0.1, -long * 0.52), (0.1, long * 0.52), (0, long * 0.6)], n).turn("z", 90)
        xs = np.linspace(-0.4, 0.4, d.count(5, 8)) * long
        path = np.stack([xs, 0 * xs + 0.21, 0.05 * (-1.0) ** np.arange(len(xs))], axis=1)
        parts = [both(half.move(z=0.13), "z"), sausage.move(y=0.1)]
        return [*parts, sweep(path, rectangle(0.045, 0.045), 1, (0, 1, 0))] if d.chance(0.6) else parts
    if kind == "sandwich":
        outline: np.ndarray = d.pick(
            np.array([(0.5, -0.35), (0.5, 0.35), (-0.5, 0.35), (-0.5, -0.35)]),
            np.array([(0.5, -0.4), (0, 0.45), (-0.5, -0.4)]),
        )
        layers, y, parts = d.count(3, 5), 0.0, []
        for k in range(layers):
            h = 0.12 if k in (0, layers - 1) else d.real(0.04, 0.08)
            s = 1.0 if k in (0, layers - 1) else d.real(1.02, 1.1)
            parts.append(prism(outline * s, h).move(y=y))
            y += h * 0.98
        return parts
    r, y, rings, parts = 0.5, 0.0, [], []
    low = [(r * 0.9, 0), (r, 0.06), (r, 0.15)]
    y = 0.15
    for _ in range(d.count(1, 4)):
        h, s = d.real(0.05, 0.11), r * d.real(0.9, 1.12)
        rings.append((s, y, h))
        y += h
    top = [(r, y), (r * 0.95, y + 0.15), (r * 0.6, y + 0.28), (0, y + 0.33)]
    if d.chance(0.35):
        profile = (
            low + [p for s, level, h in rings for p in ((s * 0.93, level + h * 0.1), (s * 1.02, level + h * 0.8))] + top
        )
        return [lathe(profile, n)]
    parts = [join(lathe(low, n), lathe(top, n))]
    for s, level, h in rings:
        disc = (
            lathe([(s, level), (s, level + h)], n)
            if d.chance(0.7)
            else box(s * 1.9, h * 0.7, s * 1.9).turn("y", 45).move(y=level + h * 0.1)
        )
        parts.append(disc.scale(1, 0.999, 1))
    return parts


@family
def ice_cream(d: Dice) -> list[Surface]:
    n, kind = d.sides(1), d.pick("cone", "cone", "lolly", "sundae", "lollipop")
    if kind == "cone":
        r = 0.3
        cone = lathe(
            [(0, 0), (r, 0.8)] if d.chance(0.5) else [(0, 0), (r * 0.9, 0.7), (r * 1.05, 0.7), (r * 1.05, 0.82)],
            n,
            top=not d.hidden,
        )
        scoops = d.count(1, 3)
        places = ([(0.0, 0.95)], [(0.0, 0.95), (0.0, 1.28)], [(-0.17, 0.95), (0.17, 0.95), (0.0, 1.24)])[scoops - 1]
        if d.chance(0.3):  # soft ice in a swirl
            cream = lathe(
                [(r * 0.9, 0.8), (r * 1.1, 0.9), (r * 0.75, 1.05), (r * 0.8, 1.1), (r * 0.4, 1.28), (0, 1.45)], n
            )
            return [cone, cream]
        return [cone, join(*(ball(0.28 if scoops < 3 else 0.24, 1 if d.detail else 0).move(x, y) for x, y in places))]
    stick = box(0.09, 0.45, 0.05)
    if kind == "lolly":
        half = [(0.24, 0.4), (0.24, 1.0), (0.16, 1.15), (0, 1.2)]
        return [slab(symmetric(half), 0.2, d.pick(0, 0.15)), stick]
    if kind == "lollipop":
        disc = lathe([(0.4, -0.07), (0.4, 0.07)] if d.detail == 0 else [(0.33, -0.09), (0.4, 0), (0.33, 0.09)], n + 2)
        return [disc.turn("x", 90).move(y=1.2), lathe([(0.035, 0), (0.035, 0.85)], 4)]
    glass = lathe([(0.25, 0), (0.25, 0.05), (0.05, 0.1), (0.05, 0.3), (0.35, 0.6), (0.4, 0.75)], n, top=not d.hidden)
    heap = [ball(0.22, 1 if d.detail else 0).move(0.15 * np.cos(a), 0.78, 0.15 * np.sin(a)) for a in (0.3, 2.4, 4.5)]
    return [glass, join(*heap), sweep([(0.1, 0.8, 0), (0.3, 1.2, 0)], rectangle(0.06, 0.06))]


@family
def drink(d: Dice) -> list[Surface]:
    """Glasses, cans, cartons and paper cups."""
    n, kind = d.sides(1), d.pick("glass", "can", "carton", "paper cup", "wine", "jar")
    h, r = d.real(0.6, 1.0), d.real(0.22, 0.32)
    straw = sweep([(0, h * 0.3, 0), (0.08, h * 1.1, 0), (0.2, h * 1.3, 0)], polygon(4, 0.035))
    if kind == "can":
        return [lathe([(r * 0.8, 0), (r, 0.07), (r, h - 0.09), (r * 0.82, h), (r * 0.76, h), (r * 0.74, h - 0.04)], n)]
    if kind == "carton":
        w = r * 1.7
        half = [(w / 2, 0), (w / 2, h * 0.7), (0.03, h * 0.7 + w * 0.45)]
        body = slab(np.array(half + [(-x, y) for x, y in half[::-1]]), w)
        cap = lathe([(0.07, 0), (0.07, 0.08)], d.sides()).turn("z", -45).move(x=w * 0.2, y=h * 0.7 + w * 0.2)
        top = box(0.05, 0.14, w * 0.99).move(y=h * 0.7 + w * 0.44)
        return [body, top, cap] if d.chance(0.5) else [body, top]
    if kind == "paper cup":
        lid = lathe(
            [(r * 1.1, h - 0.03), (r * 1.1, h + 0.03), (r * 0.9, h + 0.04), (r * 0.85, h + 0.1)], n, bottom=not d.hidden
        )
        sleeve = lathe([(r * 0.88, h * 0.3), (r * 1.0, h * 0.7)], n, False, False).scale(1.04, 1, 1.04)
        return [
            lathe([(r * 0.75, 0), (r, h)], n),
            lid,
            *([sleeve] if d.chance(0.5) else []),
            *([straw] if d.chance(0.4) else []),
        ]
    if kind == "wine":
        bowl = [(0.05, 0.08), (0.05, h * 0.45), (r, h * 0.7), (r * 0.85, h)]
        inside = [(r * 0.72, h), (r * 0.85, h * 0.7), (0.02, h * 0.52)]
        return [lathe([(r * 0.9, 0), *bowl, *(inside if d.chance(0.6) else [])], n, top=d.chance(0.6))]
    if kind == "jar":
        body = lathe([(r * 0.9, 0), (r, 0.06), (r, h * 0.75), (r * 0.75, h * 0.85), (r * 0.75, h)], n)
        return [body, lathe([(r * 0.85, h - 0.04), (r * 0.85, h + 0.1)], n)]
    t = 0.05
    wall = lathe([(r * 0.8, 0), (r, h), (r - t, h), (r * 0.8 - t, t)], n)
    fill = lathe([(r * 0.7, h * 0.2), (r * 0.82, h * 0.8)], n, bottom=not d.hidden)
    return [wall, *([fill] if d.chance(0.5) else []), *([straw] if d.chance(0.6) else [])]
