"""Towers, lighthouses, windmills, wells and gates."""

import numpy as np

from core.data.shapes.buildings import gable, opening, roof_sheet
from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import Outline, box, cells, lathe, plate, polygon, prism, rectangle, slab, sweep
from core.data.shapes.surface import Surface, around, both, join


def crenels(surface: Surface, first: int, n: int, height: float) -> Surface:
    """Raise every second quad of a ring of n quads (n even) as merlons."""
    for k in range(first, first + n, 2):
        surface = surface.extrude(k, height)
    return surface


@family
def tower(d: Dice) -> list[Surface]:
    """Round or square, with battlements that grow out of its rim, or with a pointed roof."""
    n = d.pick(4, 6, 8, 8, 8 + 2 * d.detail)
    r, h = d.real(0.35, 0.6), d.real(1.0, 2.4)
    profile = [(r * d.real(1.0, 1.25), 0), (r, h * 0.15)] if d.chance(0.5) else [(r * d.real(1, 1.2), 0)]
    wide = r * d.pick(1.0, 1.15, 1.3)
    rim, t = d.real(0.15, 0.3), wide * d.real(0.2, 0.3)
    profile += [(r, h), (wide, h + 0.08), (wide, h + 0.08 + rim)] if wide > r else [(r, h + rim)]
    top = profile[-1][1]
    parts = []
    if d.chance(0.6):
        m = max(n, 8) if n > 4 else 12
        if n == 4:  # a square tower: cells give the merlons
            s = r * 1.2
            cuts = np.linspace(-s, s, 6)
            solid = np.zeros((5, 3, 5), dtype=bool)
            solid[:, 0] = True
            solid[[0, -1], 1], solid[:, 1, [0, -1]] = True, True
            solid[::2, 2, [0, -1]] = solid[[0, -1], 2, ::2] = True
            crown = cells(cuts, h + rim * np.array([0, 0.5, 1.5, 2.5]), cuts, solid)
            parts.append(join(crown, box(s * 2.1, h + 0.03, s * 2.1, d.real(0.75, 0.9))))
        else:
            body = lathe([*profile, (wide - t, top), (wide - t, top - rim * 0.8)], m)
            parts.append(crenels(body, (len(profile) - 1) * m, m, rim * d.real(0.6, 1.1)))
    else:
        parts.append(lathe(profile, n, top=not d.hidden))
        rise = r * d.real(1.2, 2.6)
        roof = [(wide * d.real(1.05, 1.25), top - 0.03), (0, top + rise)]
        if d.chance(0.3):
            roof.insert(1, (wide * 0.55, top + rise * 0.35))
        parts.append(lathe(roof, n))
        if d.chance(0.3):
            pole = box(0.04, 0.4, 0.04).move(y=top + rise - 0.1)
            parts.append(join(pole, plate([(0, 0), (0.35, 0.1), (0, 0.2)]).move(y=top + rise + 0.08)))
    if d.chance(0.7):
        face = r * (np.cos(np.pi / n) if n > 4 else 1.0)
        door = opening(d, 0.3, 0.45, 0.3).move(z=face * 1.0 - 0.05 if n > 4 else r * 1.1)
        windows = [opening(d, 0.12, 0.24, 0.2).move(y=h * y, z=face - 0.03) for y in (0.5, 0.75)[: d.count(0, 2)]]
        parts.append(join(door, *windows))
    return parts


@family
def windmill(d: Dice) -> list[Surface]:
    n, h, r = d.sides(1), d.real(1.2, 1.8), d.real(0.4, 0.55)
    body = lathe([(r, 0), (r * d.real(0.55, 0.75), h)], n, top=not d.hidden)
    cap = lathe([(r * 0.8, h - 0.04), (r * 0.72, h + 0.12), (0, h + r * d.real(0.6, 1.0))], n)
    hub = lathe([(0.08, 0), (0.06, 0.3)], d.sides(-1)).turn("x", 90).move(y=h, z=r * 0.6)
    long, wide = d.real(0.7, 1.0), d.real(0.12, 0.2)
    arm = box(0.05, long, 0.05).move(y=0.03)
    if d.chance(0.5):
        blade = plate([(0.02, 0.25 * long), (wide * 1.6, 0.25 * long), (wide * 1.6, long), (0.02, long)])
    else:
        blade = box(wide, long * 0.72, 0.03).move(x=wide * d.pick(0.0, 0.45), y=long * 0.26, z=0.02)
    spin = d.real(0, 90)
    sails = d.pick(3, 4, 4)
    wheel = join(*(join(arm, blade).turn("z", spin + 360 * k / sails) for k in range(sails)))
    return [body, cap, hub, wheel.move(y=h, z=r * 0.6 + 0.27)]


@family
def well(d: Dice) -> list[Surface]:
    n, r, h = d.sides(2), d.real(0.45, 0.6), d.real(0.35, 0.5)
    wall = lathe([(r * 1.05, 0), (r, h), (r * 0.75, h), (r * 0.75, 0.08)], n)
    tall = h + d.real(0.6, 0.9)
    posts = both(box(0.1, tall, 0.1).move(x=r * 0.88))
    roof = d.pick(
        gable(r * 1.9, 0.5, r * 2.6).turn("y", 90),
        prism(polygon(4, r * 1.9), 0.5, 0),
        roof_sheet(r * 1.4, 0.4, r * 2.6, 0.08, 0.15).turn("y", 90),
    )
    beam = lathe([(0.05, -r * 0.95), (0.05, r * 0.95)], d.sides(-1)).turn("z", 90).move(y=h + 0.35)
    parts = [wall, join(posts, beam), roof.move(y=tall - 0.05)]
    if d.chance(0.5):
        pail = lathe([(0.1, 0), (0.14, 0.2), (0.1, 0.2), (0.08, 0.04)], d.sides())
        parts.append(join(pail.move(y=h - 0.05), box(0.04, 0.25, 0.04).move(y=h + 0.08)))
    return parts


@family
def lighthouse(d: Dice) -> list[Surface]:
    n, r, h = d.sides(2), d.real(0.35, 0.5), d.real(1.4, 2.2)
    top = r * d.real(0.55, 0.8)
    shaft = [(r * 1.15, 0), (r * 1.15, 0.12), (r, 0.12)] if d.chance(0.5) else [(r, 0)]
    body = lathe(
        [*shaft, (top, h), (top * 1.35, h), (top * 1.35, h + 0.08), (top * 0.7, h + 0.08), (top * 0.7, h + 0.4)],
        n,
        top=not d.hidden,
    )
    roof = lathe([(top * 0.95, h + 0.38), (0, h + d.real(0.6, 0.9))], n)
    parts = [body, roof, opening(d, 0.24, 0.4, 0.2).move(z=r * 0.9)]
    if d.chance(0.5):
        rail = lathe(
            [(top * 1.3, h + 0.22), (top * 1.3, h + 0.26), (top * 1.2, h + 0.26), (top * 1.2, h + 0.22)], n, closed=True
        )
        post = box(0.04, 0.2, 0.04).move(x=top * 1.24, y=h + 0.06)
        parts.append(join(rail, around(post, d.pick(4, 6))))
    return parts


def arch_outline(width: float, height: float, gap: float, rise: float, steps: int) -> Outline:
    """A wall seen from the front with an arched gate: (N, 2)."""
    bow = arc((0, rise), gap / 2, 180, 0, steps)[:, :2]
    return np.concatenate(
        [
            [(width / 2, 0), (width / 2, height), (-width / 2, height), (-width / 2, 0), (-gap / 2, 0)],
            bow,
            [(gap / 2, 0)],
        ]
    )


@family
def gate(d: Dice) -> list[Surface]:
    """A wall with an arched passage, between towers or with a cornice; or a Japanese gate."""
    if d.chance(0.25):
        w, h = d.real(1.2, 1.8), d.real(1.2, 1.6)
        post = lathe([(0.1, 0), (0.08, h)], d.sides()).slant(0.12).move(x=w / 2)
        lintel = sweep([(-w * 0.75, h + 0.16, 0), (0, h + 0.04, 0), (w * 0.75, h + 0.16, 0)], rectangle(0.18, 0.14))
        return [join(both(post), box(w * 1.15, 0.1, 0.1).move(y=h * 0.75)), lintel]
    w, h, t = d.real(1.2, 2), d.real(1.0, 1.6), d.real(0.25, 0.5)
    gap = w * d.real(0.35, 0.6)
    rise = (h - gap / 2) * d.real(0.5, 0.8)
    parts = [slab(arch_outline(w, h, gap, rise, d.steps(3, 7)), t)]
    if d.chance(0.5):
        r, tall = t * d.real(0.6, 0.9), h * d.real(1.15, 1.5)
        n = d.sides()
        side = lathe([(r, 0), (r, tall)], n) if d.chance(0.5) else box(r * 1.7, tall, r * 1.7)
        roof = lathe([(r * 1.3, tall - 0.02), (0, tall + r * 2)], n)
        parts.append(both((join(side, roof) if d.chance(0.6) else side).move(x=w / 2 + r * 0.5)))
    else:
        parts.append(box(w * 1.08, 0.12, t * 1.25).move(y=h - 0.02))
    if d.chance(0.4):
        merlon = box(0.16, 0.18, t * 0.8)
        parts.append(
            join(
                *(
                    merlon.move(x=x, y=h + (0.09 if len(parts) == 2 else -0.01))
                    for x in np.linspace(-0.42, 0.42, d.count(3, 5)) * w
                )
            )
        )
    return parts
