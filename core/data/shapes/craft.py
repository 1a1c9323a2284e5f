"""What flies or floats, towards +z: rockets, planes, boats, saucers, balloons, helicopters, submarines."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.primitives import (
    TOP,
    box,
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
from core.data.shapes.surface import Surface, around, both, join


@family
def rocket(d: Dice) -> list[Surface]:
    n, r, h = d.sides(1), d.real(0.2, 0.35), d.real(0.8, 1.6)
    waist = r * d.real(0.6, 1.0)
    body = [(waist, 0.1), (r, h * d.real(0.3, 0.5)), (r * d.real(0.8, 1), h * 0.8)]
    tip = h + d.real(0.2, 0.6)
    one = d.chance(0.5)
    nose = [(r * 0.45, (tip + h) / 2), (0, tip)] if d.detail else [(0, tip)]
    shell = [lathe([*body, *nose], n)] if one else [lathe(body, n), lathe([(body[-1][0] * 1.05, h * 0.78), *nose], n)]
    fin_w, fin_h = d.real(0.2, 0.4), d.real(0.3, 0.6)
    outline = np.array(
        [
            (waist * 0.6, 0.15),
            (waist + fin_w, d.real(-0.25, 0.05)),
            (waist + fin_w * 0.8, fin_h * 0.5),
            (waist * 0.6, fin_h),
        ]
    )
    fin = slab(outline, d.real(0.05, 0.09))
    parts = [*shell, around(fin, d.pick(3, 3, 4), d.real(0, 90))]
    if d.chance(0.6):
        parts.append(lathe([(waist * 0.85, -0.08), (waist * 0.55, 0.12)], n, bottom=True, top=not d.hidden))
    if d.chance(0.6):
        window = lathe([(r * 0.42, 0), (r * 0.36, 0.08), (r * 0.26, 0.05)], d.sides(), bottom=not d.hidden).turn(
            "x", 90
        )
        parts.append(window.move(y=h * 0.62, z=r * 0.88))
    if d.chance(0.3):
        boost = lathe([(r * 0.3, 0), (r * 0.3, h * 0.45), (0, h * 0.6)], d.sides())
        parts.append(both(boost.move(x=r * 1.15, y=0.05)))
    return parts


def wing(root: float, tip: float, span: float, sweep_back: float, t: float) -> Surface:
    """A wing along +x with its root at x = 0: chords `root` and `tip` (along z)."""
    sections = []
    for x, chord, z, thick in ((0.0, root, 0.0, t), (span, tip, -sweep_back, t * 0.6)):
        sections.append(
            [
                (x, -thick / 2, z - chord / 2),
                (x, thick / 2, z - chord / 2),
                (x, thick / 2, z + chord / 2),
                (x, -thick / 2, z + chord / 2),
            ]
        )
    return loft(np.array(sections))


@family
def plane(d: Dice) -> list[Surface]:
    n, r, long = d.sides(), d.real(0.16, 0.26), d.real(1.4, 2.2)
    body = lathe(
        [(r * 0.3, 0), (r * 0.75, long * 0.3), (r, long * 0.6), (r * 0.9, long * 0.85), (r * d.real(0.2, 0.6), long)], n
    )
    parts = [body.turn("x", 90).move(z=-long / 2)]
    span, back = d.real(0.7, 1.3), d.pick(0.0, d.real(0.1, 0.6))
    main = wing(d.real(0.35, 0.6), d.real(0.15, 0.35), span, back, 0.07)
    y, z = d.real(-0.5, 0.7) * r, long * d.real(0.0, 0.18)
    wings = [both(main.turn("z", d.real(-4, 10)).move(x=r * 0.4, y=y, z=z))]
    if d.chance(0.2):  # a biplane
        main = main.drop(4)  # the two halves meet
        wings = [
            both(main.move(y=-r * 0.8, z=z)),
            both(main.move(y=r + 0.35, z=z)),
            both(join(box(0.05, r * 1.8 + 0.4, 0.05).move(x=span * 0.7, y=-r * 0.8, z=z - back * 0.7))),
        ]
    tail = wing(0.28, 0.16, span * 0.4, 0.08, 0.055)
    fin = tail.turn("z", 90).scale(1, 0.8, 1).move(y=r * 0.2)
    parts.append(join(*wings, both(tail.move(x=r * 0.1, y=r * 0.1, z=-long * 0.44)), fin.move(z=-long * 0.44)))
    power = d.pick("propeller", "propeller", "jets", "none")
    if power == "propeller":
        blade = box(0.1, d.real(0.3, 0.45), 0.04).move(y=0.02)
        hub = lathe([(0.09, -0.06), (0, 0.14)], d.sides()).turn("x", 90)
        parts.append(
            join(hub, *(blade.turn("z", 20 + a) for a in np.arange(0, 360, d.pick(90, 120, 180)))).move(
                z=long / 2 + 0.05
            )
        )
    elif power == "jets":
        pod = lathe([(0.07, 0), (0.11, 0.12), (0.11, 0.35), (0.08, 0.4)], d.sides()).turn("x", 90)
        parts.append(both(pod.move(x=r * 0.4 + span * 0.4, y=y - 0.13, z=z - back * 0.4 - 0.15)))
    if d.chance(0.6):
        canopy = lathe([(0.02, -0.3), (0.12, 0), (0.11, 0.15), (0.02, 0.25)], d.sides()).turn("x", 90)
        parts.append(canopy.move(y=r * 0.85, z=long * 0.12))
    return parts


@family
def boat(d: Dice) -> list[Surface]:
    """A hull lofted from its stern to its bow, hollow or decked, with a sail, a cabin or oars."""
    w, long, h = d.real(0.3, 0.5), d.real(1.4, 2.2), d.real(0.3, 0.5)
    stations = d.steps(3, 6)
    s = np.linspace(0, 1, stations)
    half = w * np.sqrt(np.maximum(1 - s ** d.real(2, 3.5), 0)) * (0.75 + 0.25 * np.sin(np.pi * np.minimum(s * 1.3, 1)))
    sheer, keel = h + d.real(0, 0.25) * s**2, d.real(0, 0.9) * h * s**3
    z = -long / 2 + long * s
    flat = d.real(0.3, 0.65)
    wide = half[:, None] * np.array([1, -1, -flat, flat])
    y = np.stack([sheer, sheer, keel, keel], axis=1)
    hull = loft(np.stack([wide, y, np.repeat(z[:, None], 4, axis=1)], axis=2), bottom=True)
    parts = []
    if d.chance(0.6):  # hollow: the deck quads sink
        deck = [k * 4 for k in range(stations - 1)]
        inner = np.concatenate(
            [np.stack([half * 0.8, sheer, z * 0.94], axis=1), np.stack([-half * 0.8, sheer, z * 0.94], axis=1)]
        )
        hull = hull.drop(*deck)
        rim_out = np.concatenate([hull.points[0 : 4 * stations : 4], hull.points[1 : 4 * stations : 4][:-1][::-1]])
        rim_in = np.concatenate([inner[:stations], inner[stations:][:-1][::-1]])
        floor = rim_in * (0.85, 0, 0.95) + (0, h * 0.35, 0)
        ring = np.stack([rim_out, rim_in, floor])[:, ::-1]
        parts.append(join(hull, loft(ring, bottom=False)))
        bench = box(w * 1.5, 0.05, 0.16).move(y=h * 0.7)
        parts.append(join(*(bench.move(z=k) for k in np.linspace(-0.25, 0.15, d.count(1, 2)) * long)))
    else:
        parts.append(hull)
    kind = d.pick("sail", "sail", "cabin", "oars")
    if kind == "sail":
        mast_h = d.real(1.0, 1.6)
        parts.append(lathe([(0.04, h * 0.3), (0.03, h + mast_h)], d.sides(-1)).move(z=long * 0.05))
        boom = mast_h * d.real(0.5, 0.7)
        if d.chance(0.5):
            sail = plate([(0.03, 0), (boom, 0.05), (0.03, mast_h * 0.8)]).turn("y", 90 + d.real(-30, 30))
        else:
            wide_s = d.real(0.4, 0.6)
            rows, bow = d.steps(2, 4), 0.25
            t = np.linspace(0, 1, rows + 1)
            line = np.stack([0 * t, mast_h * 0.75 * t, bow * np.sin(np.pi * t)], axis=1)
            sail = strip(np.stack([line - (wide_s, 0, 0), line + (wide_s, 0, 0)], axis=1))
        parts.append(sail.move(y=h + 0.2, z=long * 0.05 + (0.05 if len(sail.points) > 3 else 0)))
    elif kind == "cabin":
        parts.append(box(w * 1.1, d.real(0.3, 0.5), long * 0.3, 0.85).move(y=h * 0.8, z=-long * 0.1))
        parts.append(lathe([(0.1, 0), (0.09, 0.4)], d.sides()).move(y=h + 0.2, z=-long * 0.12))
    else:
        shaft = box(0.05, 1.0, 0.05)
        oar = join(shaft, box(0.14, 0.3, 0.04).move(y=-0.26)).turn("z", 60).move(x=w + 0.45, y=h * 0.45)
        parts.append(both(oar))
    return parts


@family
def saucer(d: Dice) -> list[Surface]:
    n, r = d.sides(3), d.real(0.7, 1.0)
    t = d.real(0.15, 0.35)
    glass = r * d.real(0.35, 0.5)
    hull = [(r * d.real(0.2, 0.5), -t * 0.8), (r, 0), (glass * 1.1, t * 0.8)]
    dome = [(glass, t * 0.78), (glass * 0.85, t + glass * 0.4), (0, t + glass * d.real(0.6, 0.9))]
    parts = [lathe(hull + dome, n)] if d.chance(0.4) else [lathe(hull, n), lathe(dome, d.sides(), bottom=not d.hidden)]
    if d.chance(0.7):
        leg = sweep([(r * 0.4, -t * 0.3, 0), (r * 0.75, -t * 1.6, 0)], rectangle(0.07, 0.07))
        foot = lathe([(0.12, 0), (0.06, 0.06)], d.sides()).move(x=r * 0.76, y=-t * 1.65)
        parts.append(around(join(leg, foot), d.pick(3, 4)))
    elif d.chance(0.6):
        lamp = ball_like(0.08).move(x=r * 0.72, y=t * 0.27)
        parts.append(around(lamp, d.count(4, 8)))
    return parts


def ball_like(r: float) -> Surface:
    """An octahedron about the origin."""
    return lathe([(0, -r), (r, 0), (0, r)], 4)


@family
def balloon(d: Dice) -> list[Surface]:
    """A hot-air balloon, an airship or a party balloon."""
    n, r = d.sides(3), 0.6
    kind = d.pick("hot air", "hot air", "airship", "toy")
    if kind == "airship":
        long = d.real(1.6, 2.4)
        s = np.linspace(0, 1, d.steps(4, 7) + 1)
        radii = 0.45 * np.sin(np.pi * s) ** 0.7
        radii[[0, -1]] = 0
        hull = lathe(list(zip(radii, long * s, strict=True)), n).turn("x", 90).move(z=-long / 2)
        fin = slab([(0.05, -0.15), (0.5, -0.1), (0.45, 0.12), (0.05, 0.3)], 0.06).turn("x", 90)
        fins = join(*(fin.turn("z", a) for a in (0, 90, 180, 270))).move(z=-long * 0.36)
        cabin = soft_box(0.22, 0.16, long * 0.3, 0.04).move(y=-0.58)
        return [hull, fins, cabin.move(y=0.02)]
    profile = [(0.14, -0.72), (0.42, -0.35), (r, 0.1), (r * 0.8, 0.5), (0, 0.68)]
    if kind == "toy":
        knot = lathe([(0.1, -0.86), (0.0, -0.7)], d.sides())
        string = sweep([(0, -0.8, 0), (0.06, -1.2, 0), (-0.04, -1.7, 0)], rectangle(0.035, 0.035))
        return [lathe([(0, -0.74), *profile[1:]], n), join(knot, string)]
    envelope = lathe(profile, n, bottom=d.chance(0.5))
    deep = d.real(1.1, 1.4)
    b = d.real(0.14, 0.2)
    basket = box(2 * b, 0.25, 2 * b).inset(TOP, 0.04).extrude(TOP, -0.18).move(y=-deep)
    if d.chance(0.4):
        basket = lathe([(b * 0.9, 0), (b * 1.1, 0.25), (b * 0.85, 0.25), (b * 0.75, 0.05)], n).move(y=-deep)
    rope = sweep([(b * 0.85, 0.2 - deep, b * 0.85), (0.12, -0.68, 0.12)], rectangle(0.035, 0.035))
    return [envelope, basket, both(both(rope), "z")]


@family
def helicopter(d: Dice) -> list[Surface]:
    n, r = d.sides(1), d.real(0.3, 0.4)
    body = lathe([(r * 0.25, -0.6), (r, -0.15), (r, 0.25), (r * 0.5, 0.55), (0, 0.62)], n).turn("x", 90)
    boom = sweep([(0, 0.05, -0.35), (0, 0.12, -1.4)], polygon(d.sides(-1), 0.1), (1, 0.5), (0, 1, 0))
    fin = slab([(0, 0), (0.2, 0), (0.3, 0.35), (0.15, 0.35)], 0.05).turn("y", 90).move(y=0.1, z=-1.2)
    mast = box(0.06, 0.2, 0.06).move(y=r * 0.9)
    long = d.real(0.8, 1.1)
    blades = d.pick(2, 3, 4)
    rotor = around(box(long, 0.035, 0.12).move(x=long / 2 + 0.02), blades, d.real(0, 90)).move(y=r * 0.9 + 0.17)
    runner = sweep(
        [(0, -r - 0.2, 0.5), (0, -r - 0.22, 0.35), (0, -r - 0.22, -0.5)], rectangle(0.06, 0.05), 1, (0, 1, 0)
    ).move(x=0.28)
    strut = sweep([(0.14, -r * 0.6, 0), (0.28, -r - 0.2, 0)], rectangle(0.05, 0.05))
    skids = both(join(runner, strut.move(z=0.2), strut.move(z=-0.25)))
    parts = [join(body, boom), fin, join(mast, rotor), skids]
    if d.chance(0.6):
        tail = join(*(box(0.03, 0.22, 0.06).move(y=0.01).turn("x", a) for a in (30, 150, 270))).move(
            x=0.07, y=0.13, z=-1.36
        )
        parts.append(tail)
    return parts


@family
def submarine(d: Dice) -> list[Surface]:
    n, r, long = d.sides(1), d.real(0.25, 0.35), d.real(1.2, 1.9)
    hull = lathe(
        [(r * 0.2, 0), (r * 0.8, long * 0.2), (r, long * 0.45), (r, long * 0.75), (r * 0.6, long * 0.93), (0, long)], n
    )
    parts = [hull.turn("x", 90).move(z=-long / 2)]
    sail = stack([rectangle(r * 0.7, long * 0.25), rectangle(r * 0.5, long * 0.18)], [0, r * 0.7]).move(
        y=r * 0.8, z=long * 0.1
    )
    scope = sweep([(0, 0, 0), (0, 0.3, 0), (0, 0.32, 0.16)], rectangle(0.06, 0.06), 1, (1, 0, 0)).move(
        y=r * 1.4, z=long * 0.1
    )
    fin = wing(0.22, 0.14, r * 0.9, 0.06, 0.05)
    parts.append(join(sail, scope))
    parts.append(join(*(fin.move(x=0.06).turn("z", a).move(z=-long * 0.36) for a in (0, 90, 180, 270))))
    if d.chance(0.6):
        prop = join(*(box(0.1, 0.24, 0.03).move(y=0.02).turn("y", 25).turn("z", a) for a in (0, 120, 240))).move(
            z=-long / 2 - 0.06
        )
        parts.append(join(prop, box(0.08, 0.08, 0.16).move(y=-0.04, z=-long / 2 - 0.04)))
    if d.chance(0.5):
        port = lathe([(0.1, 0), (0.07, 0.06)], d.sides(), bottom=not d.hidden).turn("z", -90)
        parts.append(both(join(*(port.move(x=r * 0.93, z=z) for z in (0.0, 0.22)))).move(y=0.03))
    return parts
