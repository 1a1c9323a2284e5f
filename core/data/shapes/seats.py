"""Chairs, stools, benches, sofas and beds."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.furniture import leg, legs
from core.data.shapes.primitives import box, cells, lathe, slab, soft_box, symmetric
from core.data.shapes.surface import Surface, around, both, four, join


def chair_back(d: Dice, w: float, h: float, t: float) -> Surface:
    """A chair's back in the plane z = 0, standing on the seat (sinks a little into it)."""
    kind = d.pick("panel", "panel", "slats", "rungs", "shaped")
    if kind == "panel":
        return soft_box(w, h, t, t * 0.3) if d.chance(0.4) else box(w, h, t, d.real(0.8, 1.1))
    if kind == "shaped":
        half = [(w * 0.45, 0), (w / 2, h * 0.75), (w * d.real(0.25, 0.4), h * d.real(0.9, 1.0)), (0, h * 1.03)]
        return slab(symmetric(half), t)
    post = both(box(t, h, t).move(x=(w - t) / 2))
    rail = box(w - t, h * 0.16, t * 0.7)
    if kind == "slats":
        n = d.count(2, 4)
        slat = [box(t * 0.7, h * 0.75, t * 0.5).move(x=x) for x in np.linspace(-0.5, 0.5, n + 2)[1:-1] * (w - t)]
        return join(post, rail.move(y=h * 0.72), *slat)
    return join(post, *(rail.move(y=h * y) for y in np.linspace(0.3, 0.78, d.count(2, 3))))


@family
def chair(d: Dice) -> list[Surface]:
    w, depth, seat, back, t = (
        d.real(0.4, 0.6),
        d.real(0.4, 0.6),
        d.real(0.35, 0.6),
        d.real(0.35, 0.8),
        d.real(0.05, 0.09),
    )
    if d.chance(0.25):
        return [one_piece_chair(d, w, depth, seat, back, t)]
    parts = [soft_box(w, t, depth, t * 0.3) if d.chance(0.3) else box(w, t, depth)]
    parts[0] = parts[0].move(y=seat)
    lean = -d.real(0, 14)
    parts.append(chair_back(d, w * d.real(0.85, 1), back, t * d.real(0.6, 1)).turn("x", lean))
    parts[1] = parts[1].move(y=seat + t * 0.6, z=-depth / 2 + t * 0.6)
    parts.append(legs(d, w * 0.95, depth * 0.95, seat + t * 0.3, t * d.real(0.8, 1.2)))
    if d.chance(0.25):
        arm = join(box(t, back * 0.35, t).move(z=depth * 0.3), box(t, t * 0.8, depth * 0.85).move(y=back * 0.34))
        parts.append(both(arm.move(x=w / 2 - t * 0.6, y=seat + t * 0.8)))
    if d.chance(0.25):
        parts.append(box(w * 0.7, t * 0.4, depth * 0.75).move(y=seat + t * 0.9))
    return parts


def one_piece_chair(d: Dice, w: float, depth: float, seat: float, back: float, t: float) -> Surface:
    xs, zs = (-w / 2, -w / 2 + t, w / 2 - t, w / 2), (-depth / 2, -depth / 2 + t, depth / 2 - t, depth / 2)
    ys = (0, seat, seat + t, seat + back * 0.7, seat + back)
    solid = np.zeros((3, 4, 3), dtype=bool)
    solid[::2, 0, ::2] = solid[:, 1] = solid[::2, 2:, 0] = solid[:, 3, 0] = True
    if d.chance(0.5):
        solid[:, 2, 0] = True
    if d.chance(0.3):
        solid[::2, 0, :] = True
    return cells(xs, ys, zs, solid)


@family
def stool(d: Dice) -> list[Surface]:
    n, r, h, t = d.sides(2), d.real(0.18, 0.3), d.real(0.35, 0.8), d.real(0.06, 0.12)
    if d.chance(0.3):  # one turned body
        waist = r * d.real(0.3, 0.7)
        return [lathe([(r * 0.9, 0), (r * 0.8, t), (waist, h * 0.5), (r * 0.8, h - t), (r, h - t), (r, h)], n)]
    seat = (
        lathe([(r, 0), (r, t)], n)
        if d.chance(0.6)
        else lathe([(r * 0.8, 0), (r, t * 0.4), (r, t * 0.8), (r * 0.8, t)], n)
    )
    out = r * 0.75
    one = leg(d, h + t * 0.4, t * 0.8).slant(d.real(0, 0.35) * r).move(x=out)
    parts = [seat.move(y=h), around(one, d.pick(3, 3, 4), 30)]
    if d.chance(0.35):
        parts.append(lathe([(out * 0.9, 0), (out * 0.9, t * 0.4)], n).move(y=h * 0.35))
    return parts


@family
def bench(d: Dice) -> list[Surface]:
    w, depth, h, t = d.real(1.0, 2.2), d.real(0.35, 0.6), d.real(0.35, 0.5), d.real(0.06, 0.1)
    boards = d.pick(1, 2, 3)
    board = box(w, t, depth / boards * (0.85 if boards > 1 else 1))
    seat = [board.move(y=h, z=z) for z in (np.arange(boards) - (boards - 1) / 2) * depth / boards]
    if d.chance(0.5):
        foot = both(box(t * 1.3, h + t * 0.3, depth * 0.85, d.real(0.7, 1)).move(x=w * d.real(0.32, 0.45)))
    else:
        foot = legs(d, w * 0.9, depth * 0.9, h + t * 0.3, t * 1.1)
    parts = [join(*seat), foot]
    if d.chance(0.5):
        post = both(box(t, 0.6, t).move(x=w * 0.36))
        rails = [box(w, 0.14, t * 0.6).move(y=y, z=t * 0.6) for y in ((0.4,), (0.15, 0.42))[d.count(0, 1)]]
        parts.append(join(post, *rails).turn("x", -d.real(4, 14)).move(y=h, z=-depth / 2 + t * 0.55))
    return parts


@family
def sofa(d: Dice) -> list[Surface]:
    seats = d.count(1, 3)
    a, depth, seat = d.real(0.15, 0.25), d.real(0.7, 0.9), d.real(0.25, 0.4)
    w = seats * d.real(0.55, 0.75) + 2 * a
    ys = (0, seat, seat + d.real(0.15, 0.3), seat + d.real(0.35, 0.6))
    solid = np.zeros((3, 3, 2), dtype=bool)
    solid[:, 0] = solid[:, :, 0] = solid[:: d.pick(2, 3), 1] = True
    body = cells((-w / 2, -w / 2 + a, w / 2 - a, w / 2), ys, (-depth / 2, -depth / 2 + a * 1.1, depth / 2), solid)
    lift = d.real(0.06, 0.15)
    parts = [body.move(y=lift)]
    if d.chance(0.75):
        parts.append(four(box(0.08, lift + 0.02, 0.08, d.real(1, 1.3)), w / 2 - 0.09, depth / 2 - 0.09))
    if d.chance(0.65):
        each = (w - 2 * a) / seats
        cushion = soft_box(each * 0.96, 0.14, depth - a * 1.05, 0.035, lower=False)
        row = [cushion.move(x=(k - (seats - 1) / 2) * each, y=lift + seat - 0.01, z=a * 0.6) for k in range(seats)]
        parts.append(join(*row))
    return parts


@family
def bed(d: Dice) -> list[Surface]:
    w, length, h = d.real(0.8, 1.7), d.real(1.8, 2.1), d.real(0.25, 0.45)
    mattress = soft_box(w * 0.95, 0.25, length * 0.96, d.real(0.03, 0.07), lower=False).move(y=h - 0.02)
    board = slab(symmetric([(w / 2, 0), (w / 2, 0.75), (w * 0.3, d.real(0.8, 1.0)), (0, 1.05)]), 0.09)
    head = board if d.chance(0.4) else box(w * 1.02, d.real(0.7, 1.1), 0.09)
    wood = [head.move(z=-length / 2), box(w, h * 0.6, length).move(y=h * 0.4)]
    if d.chance(0.6):
        wood.append(box(w * 1.02, d.real(0.5, 0.7), 0.09).move(z=length / 2))
    wood.append(four(box(0.12, h * 0.5, 0.12), w / 2 - 0.07, length / 2 - 0.1))
    parts = [join(*wood), mattress]
    pillows = 2 if w > 1.25 else 1
    pillow = soft_box(w * 0.8 / pillows, 0.16, 0.38, 0.06).turn("x", d.real(0, 20))
    spread = [pillow.move(x=(k - (pillows - 1) / 2) * w * 0.46, y=h + 0.19, z=-length * 0.34) for k in range(pillows)]
    if d.chance(0.85):
        parts.append(join(*spread))
    if d.chance(0.5):
        parts.append(box(w * 1.0, 0.2, length * d.real(0.3, 0.6)).move(y=h + 0.08, z=length * 0.17))
    return parts
