"""What rolls, towards +z: cars, trucks, carts, trains, tanks, and wheels alone."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc
from core.data.shapes.primitives import TOP, box, lathe, rectangle, slab, soft_box, stack, strip, sweep
from core.data.shapes.surface import Surface, around, both, four, join


def wheel_body(d: Dice, r: float, t: float, n: int | None = None) -> Surface:
    """A wheel about the x axis, its hub to +x; about the origin."""
    n = n or d.sides(1)
    kind = d.pick("disc", "disc", "rim", "hub")
    if kind == "disc":
        profile = [(r, -t / 2), (r, t / 2)]
    elif kind == "rim":
        profile = [(r, -t / 2), (r, t / 2), (r * 0.65, t / 2), (r * 0.6, t * 0.3)]
    else:
        profile = [(r, -t / 2), (r, t / 2), (r * 0.35, t * 0.5), (r * 0.3, t * 0.75)]
    return lathe(profile, n).turn("z", -90)


def side_profile(points: list[tuple[float, float]], width: float) -> Surface:
    """A body given by its side view: (z, y) from the rear low corner up, forward over the top, and down."""
    outline = np.array(points) * (-1, 1)
    return slab(outline, width).turn("y", 90)


@family
def car(d: Dice) -> list[Surface]:
    w, long, h = d.real(0.8, 1.1), d.real(1.7, 2.4), d.real(0.3, 0.45)
    r, t = d.real(0.2, 0.28), d.real(0.14, 0.22)
    lift = r * 0.6
    cab = d.real(0.3, 0.45)
    kind = d.pick("profile", "two boxes", "two boxes", "van", "pickup")
    front, rear = long / 2, -long / 2
    nose, tail = long * d.real(0.12, 0.3), long * d.real(0.0, 0.25)
    if kind == "profile":
        view = [
            (rear, lift),
            (front, lift),
            (front, lift + h * 0.85),
            (front - nose, lift + h),
            (front - nose - 0.2, lift + h + cab),
            (rear + tail + 0.12, lift + h + cab),
            (rear + tail * 0.5, lift + h),
            (rear, lift + h),
        ]
        body = side_profile(view[::-1], w)
        parts = [body.warp(lambda x, y, z: (x * np.where(y > lift + h * 1.1, 0.85, 1), y, z))]
    elif kind == "two boxes":
        low = soft_box(w, h, long, h * d.real(0.1, 0.25)) if d.chance(0.5) else box(w, h, long, d.real(0.9, 1))
        top = box(w * 0.92, cab, (long - nose - tail) * 0.85, d.real(0.65, 0.9)).move(
            y=lift + h - 0.01, z=(tail - nose) / 2
        )
        parts = [low.move(y=lift), top]
    elif kind == "van":
        body = (
            soft_box(w, h + cab * 1.3, long, 0.06).move(y=lift)
            if d.chance(0.5)
            else box(w, h + cab * 1.2, long, 0.92).move(y=lift)
        )
        parts = [body]
    else:
        low = box(w, h, long).inset(TOP, 0.07)
        parts = [
            low.move(y=lift),
            box(w * 0.95, cab, long * 0.35, 0.85).move(y=lift + h - 0.01, z=long * d.real(0.0, 0.15)),
        ]
    if d.chance(0.5):
        lamp = box(0.14, 0.08, 0.06) if d.chance(0.6) else lathe([(0.06, 0), (0.05, 0.06)], d.sides()).turn("x", 90)
        parts.append(both(lamp.move(x=w * 0.33, y=lift + h * 0.5, z=front - 0.02)))
    if d.chance(0.4):
        bumper = box(w * 1.04, 0.1, 0.1).move(y=lift + 0.03)
        parts.append(join(bumper.move(z=front), bumper.move(z=rear)))
    if d.chance(0.15):
        parts.append(
            join(
                box(w * 0.9, 0.05, 0.2).move(y=lift + h + 0.18, z=rear + 0.08),
                both(box(0.05, 0.2, 0.1).move(x=w * 0.3, y=lift + h - 0.01, z=rear + 0.1)),
            )
        )
    parts.append(four(wheel_body(d, r, t), w / 2 - t * 0.25, long * d.real(0.28, 0.34)).move(y=r))
    return parts


@family
def truck(d: Dice) -> list[Surface]:
    w, r = d.real(0.8, 1.0), d.real(0.18, 0.26)
    cab, load = d.real(0.5, 0.7), d.real(1.0, 2.0)
    h, lift = d.real(0.6, 0.9), r * 0.9
    long = cab + load + 0.06
    head = (
        box(w * 0.95, h, cab)
        if d.chance(0.4)
        else side_profile([(-cab / 2, 0), (-cab / 2, h), (cab * 0.2, h), (cab / 2, h * 0.5), (cab / 2, 0)], w * 0.95)
    )
    head = head.move(y=lift + 0.08, z=long / 2 - cab / 2)
    frame = box(w * 0.6, 0.12, long * 0.98).move(y=lift)
    kind = d.pick("box", "open", "tank", "dump")
    z = -long / 2 + load / 2
    if kind == "box":
        cargo = box(w, h * d.real(1.0, 1.4), load)
    elif kind == "open":
        cargo = box(w, 0.35, load).inset(TOP, 0.06).extrude(TOP, -0.27)
    elif kind == "tank":
        n, a = d.sides(2), w * 0.46
        cargo = (
            lathe([(a * 0.7, 0), (a, 0.08), (a, load - 0.08), (a * 0.7, load)], n)
            .turn("x", 90)
            .move(y=a * 0.95, z=-load / 2)
        )
    else:
        cargo = (
            stack([rectangle(w * 0.8, load * 0.7), rectangle(w, load)], [0, 0.45])
            .inset(TOP, 0.07)
            .extrude(TOP, -0.32, 0.8)
            .move(y=0.05)
        )
    axles = [long * 0.36, -long * 0.22] + ([-long * 0.38] if load > 1.4 else [])
    one = wheel_body(d, r, 0.16)
    wheels = both(join(*(one.move(x=w * 0.42, y=r, z=a) for a in axles)))
    return [head, frame, cargo.move(y=lift + 0.1, z=z), wheels]


@family
def wheel(d: Dice) -> list[Surface]:
    """A wheel alone: a tyre, a cart wheel with spokes, or a steering wheel of a ship."""
    n, r, t = max(6, d.sides(3)), 0.5, d.real(0.1, 0.25)
    kind = d.pick("tyre", "spokes", "spokes", "helm")
    if kind == "tyre":
        inner = d.real(0.45, 0.7) * r
        tyre = lathe(
            [(inner, -t / 2), (r * 0.92, -t / 2), (r, -t * 0.25), (r, t * 0.25), (r * 0.92, t / 2), (inner, t / 2)],
            n,
            closed=True,
        )
        hub = lathe([(inner, -t * 0.2), (inner, t * 0.2), (inner * 0.4, t * 0.3), (inner * 0.35, t * 0.45)], n)
        return [tyre.turn("x", 90), hub.scale(0.99, 1, 0.99).turn("x", 90)]
    rim = lathe([(r * 0.84, -t / 2), (r, -t / 2), (r, t / 2), (r * 0.84, t / 2)], n, closed=True)
    hub = lathe([(0.11, -t * 0.6), (0.11, t * 0.6)], max(5, n - 2))
    spokes = d.count(4, 8)
    reach = r * 0.87 if kind == "spokes" else r * 1.3
    spoke = box(0.06, reach, t * 0.4) if d.chance(0.5) else box(0.08, reach, t * 0.4, 0.7)
    spoke = spoke.turn("z", -90).turn("x", 90).move(x=0.05)
    return [join(rim, around(spoke, spokes, d.real(0, 40))).turn("x", 90), hub.turn("x", 90)]


@family
def cart(d: Dice) -> list[Surface]:
    w, long, h, r = d.real(0.6, 0.9), d.real(0.8, 1.4), d.real(0.25, 0.45), d.real(0.22, 0.35)
    bed = box(w, h, long, d.real(1.0, 1.25)).inset(TOP, 0.06).extrude(TOP, -h * 0.75, d.real(0.85, 1.0)).move(y=r * 0.9)
    wheels = both(wheel_body(d, r, 0.1).move(x=w / 2 + 0.07, y=r, z=0 if (two := d.chance(0.5)) else long * 0.3))
    parts = [bed]
    if two:
        pole = sweep(
            [(0, r * 1.1, long * 0.4), (0, r * 1.2, long * 0.9), (0, r * 1.6, long * 1.2)],
            rectangle(0.06, 0.06),
            1,
            (1, 0, 0),
        )
        parts.append(both(pole.move(x=w * 0.3)) if d.chance(0.5) else pole)
        axles = [0.0]
    else:
        wheels = join(wheels, wheels.move(z=-long * 0.6))
        axles = [long * 0.3, -long * 0.3]
        if d.chance(0.5):  # a covered wagon
            hoop = arc((0, 0), w * 0.55, 0, 180, d.steps(3, 6))[::-1] * (1, 1.3, 1)
            parts.append(
                strip(np.stack([hoop + (0, 0, z) for z in (long * 0.48, 0, -long * 0.48)]))
                .flip()
                .move(y=r * 0.9 + h * 0.9)
            )
    parts += [wheels, join(*(box(w + 0.12, 0.06, 0.06).move(y=r - 0.03, z=z) for z in axles))]
    if d.chance(0.3):
        heap = lathe([(w * 0.42, 0), (w * 0.3, h * 0.35), (0, h * 0.55)], d.sides(), squash=long / w)
        parts.append(heap.move(y=r * 0.9 + h * 0.5))
    return parts


@family
def train(d: Dice) -> list[Surface]:
    w, long, r = d.real(0.6, 0.8), d.real(1.4, 2.0), d.real(0.14, 0.2)
    n, wheels = d.sides(1), d.count(2, 4)
    frame = box(w, 0.15, long).move(y=r * 1.2)
    one = wheel_body(d, r, 0.08, d.sides())
    row = both(join(*(one.move(x=w * 0.48, y=r, z=z) for z in np.linspace(-0.4, 0.4, wheels) * long)))
    y = r * 1.2 + 0.13
    if d.chance(0.3):  # a wagon
        load = box(w * 0.95, 0.45, long * 0.95, d.pick(1, 1.12))
        load = load.inset(TOP, 0.07).extrude(TOP, -0.3) if d.chance(0.6) else load
        return [frame, row, load.move(y=y)]
    boiler = (
        lathe([(w * 0.36, 0), (w * 0.36, long * 0.6), (w * 0.2, long * 0.66)], n)
        .turn("x", 90)
        .move(y=y + w * 0.33, z=-long * 0.15)
    )
    cab = box(w * 0.95, 0.7, long * 0.3).move(y=y - 0.01, z=-long * 0.32)
    roof = box(w * 1.1, 0.07, long * 0.38).move(y=y + 0.67, z=-long * 0.32)
    top = w * 0.66 + y
    stack_ = lathe(
        [(0.07, 0), (0.07, 0.2), (0.13, 0.35)] if d.chance(0.5) else [(0.08, 0), (0.08, 0.3)], d.sides()
    ).move(y=top - 0.05, z=long * 0.35)
    dome = lathe([(0.1, 0), (0.09, 0.12), (0, 0.18)], d.sides()).move(y=top - 0.05, z=long * 0.08)
    parts = [frame, row, boiler, join(cab, roof), join(stack_, dome) if d.chance(0.6) else stack_]
    if d.chance(0.4):
        plough = slab([(0.0, 0), (0.22, 0), (0.0, 0.28)], w * 0.9).turn("y", -90)
        parts.append(plough.move(y=0.05, z=long / 2 - 0.02))
    return parts


@family
def tank(d: Dice) -> list[Surface]:
    w, long = d.real(0.6, 0.8), d.real(1.2, 1.6)
    h = d.real(0.26, 0.36)
    outline = [
        (-long / 2, h * 0.35),
        (-long * 0.38, 0),
        (long * 0.38, 0),
        (long / 2, h * 0.35),
        (long * 0.46, h),
        (-long * 0.46, h),
    ]
    track = slab(np.array(outline), 0.24).turn("y", 90)
    hull = side_profile(
        [
            (-long * 0.45, 0.12),
            (long * 0.46, 0.12),
            (long * 0.5, h * 0.75),
            (long * 0.3, h + 0.12),
            (-long * 0.46, h + 0.12),
        ][::-1],
        w * 1.02,
    )
    n = d.pick(4, 6, 8)
    turret = lathe([(0.32, 0), (0.34, 0.1), (0.22, 0.26)], n, bottom=not d.hidden)
    r = d.real(0.045, 0.07)
    gun = (
        lathe([(r, 0.1), (r, 0.7), (r * 1.4, 0.7), (r * 1.4, 0.85)], d.sides(-1))
        .turn("x", 90 - d.real(0, 10))
        .move(y=0.12, z=0.1)
    )
    aim = d.pick(0, d.real(-60, 60))
    head = join(turret, gun).turn("y", aim).move(y=h + 0.1, z=-0.08)
    return [both(track.move(x=w / 2 + 0.1)), hull, head]
