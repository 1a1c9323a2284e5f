"""Tables, shelves, cabinets and desks."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.primitives import (
    FRONT,
    TOP,
    box,
    cells,
    facade,
    lathe,
    polygon,
    prism,
    rectangle,
    soft_box,
    stack,
    sweep,
)
from core.data.shapes.surface import Surface, around, both, four, join


def leg(d: Dice, height: float, thickness: float) -> Surface:
    """A leg on y = 0 whose top is meant to sink into a seat or a table top."""
    hidden = not d.hidden
    kind = d.pick("square", "square", "square", "round", "turned")
    if kind == "square":
        low = d.pick(1.0, 1.0, d.real(0.5, 0.9))
        return stack(
            [rectangle(thickness * low, thickness * low), rectangle(thickness, thickness)], [0, height], True, hidden
        )
    n = d.sides(-1)
    if kind == "round":
        return lathe([(d.real(0.3, 0.5) * thickness, 0), (thickness / 2, height)], n, top=hidden)
    r, y = thickness / 2, d.real(0.5, 0.8)
    return lathe([(r * 0.6, 0), (r * 0.6, height * y), (r * 1.1, height * (y + 0.1)), (r, height)], n, top=hidden)


def legs(d: Dice, width: float, depth: float, height: float, thickness: float) -> Surface:
    """Four legs whose outer sides stand on a rectangle, straight or splayed."""
    one = leg(d, height, thickness)
    if d.chance(0.3):
        splay = d.real(0.05, 0.2) * height
        one = one.slant(splay, splay * d.pick(0.0, 1.0))
    return four(one, (width - thickness) / 2, (depth - thickness) / 2)


def one_piece_table(d: Dice, w: float, h: float, depth: float, t: float) -> Surface:
    """Top and legs as one body."""
    e = d.real(0.08, 0.16)
    xs, zs = (-w / 2, -w / 2 + e, w / 2 - e, w / 2), (-depth / 2, -depth / 2 + e, depth / 2 - e, depth / 2)
    ys = [0, h - t, h] if (plain := d.chance(0.5)) else [0, h * 0.2, h * 0.2 + t, h - t, h]
    solid = np.zeros((3, len(ys) - 1, 3), dtype=bool)
    if not plain:  # a lower board
        solid[:, 1] = True
    solid[::2, :, ::2] = solid[:, -1] = True
    if d.chance(0.3):
        solid[::2, :-1] = True  # panel ends instead of legs
    return cells(xs, ys, zs, solid)


def tabletop(d: Dice, w: float, depth: float, t: float) -> Surface:
    kind = d.pick("plain", "plain", "bevelled", "cut", "oval")
    if kind == "plain":
        return box(w, t, depth)
    if kind == "bevelled":
        return soft_box(w, t, depth, t * d.real(0.2, 0.4), lower=d.chance(0.5))
    if kind == "cut":
        return prism(rectangle(w, depth, d.real(0.1, 0.3) * depth), t)
    return prism(polygon(d.sides(2)) * (w / 2, depth / 2), t)


@family
def table(d: Dice) -> list[Surface]:
    w, depth, h, t = d.real(0.8, 2), d.real(0.6, 1), d.real(0.45, 0.9), d.real(0.05, 0.12)
    if d.chance(0.25):
        return [one_piece_table(d, w, h, depth, t)]
    top = tabletop(d, w, depth, t).move(y=h - t)
    if d.chance(0.2):  # two trestles and a beam
        trestle = box(0.1, h - t * 0.7, depth * 0.7, d.real(0.6, 1)).move(x=w * 0.32)
        return [top, join(both(trestle), box(w * 0.62, 0.08, 0.08).move(y=h * d.real(0.2, 0.5)))]
    shrink = d.real(0.75, 0.98) if len(top.points) < 20 else 0.72
    size = d.real(0.07, 0.14)
    under = [legs(d, w * shrink, depth * shrink, h - t * 0.7, size)]
    if d.chance(0.25):  # apron
        under.append(box(w * shrink - size, 0.1, depth * shrink - size * 0.6).move(y=h - t - 0.095).drop(TOP))
    if d.chance(0.2):
        under.append(box(w * shrink - size, 0.05, depth * shrink - size).move(y=h * 0.25))
    return [top, join(*under)]


@family
def round_table(d: Dice) -> list[Surface]:
    """One turned foot, as one body with the top or with its own spread feet."""
    n, r, h, t, p = d.sides(3), d.real(0.4, 0.8), d.real(0.5, 1.0), d.real(0.05, 0.1), d.real(0.05, 0.12)
    top = [(r, h - t), (r, h)]
    if d.chance(0.5):
        foot = [(r * d.real(0.4, 0.7), 0), (r * 0.3, d.real(0.04, 0.1))]
        return [lathe([*foot, (p, h * 0.25), (p, h - t), *top], n)]
    post = lathe([(p, 0.05), (p * d.real(0.7, 1.4), h * 0.4), (p, h - t * 0.8)], d.sides(), top=not d.hidden)
    spread = sweep([(p * 0.5, 0.2, 0), (r * 0.4, 0.14, 0), (r * 0.7, 0.04, 0)], rectangle(0.08, 0.08), (1, 0.9, 0.7))
    return [lathe(top, n), join(post, around(spread, d.pick(3, 4)))]


@family
def shelf(d: Dice) -> list[Surface]:
    w, depth, h, t, boards = d.real(0.6, 1.4), d.real(0.25, 0.45), d.real(0.8, 2), d.real(0.04, 0.08), d.count(2, 5)
    ys = np.linspace(0, h - t, boards)
    if d.chance(0.5):  # one body, with or without a back
        cuts = np.sort(np.concatenate([ys, ys + t]))
        columns = 2 * d.pick(1, 1, 2) + 1
        xs = np.sort(np.concatenate([np.linspace(-w / 2, w / 2 - t, (columns + 1) // 2)] * 2))
        xs[1::2] += t
        solid = np.zeros((columns, 2 * boards - 1, 2), dtype=bool)
        solid[::2] = solid[:, ::2] = True
        solid[:, :, 0] |= d.chance(0.6)
        body = cells(xs, cuts, (-depth / 2, -depth / 2 + t, depth / 2), solid)
    else:
        post = four(box(t, h, t), w / 2 - t / 2, depth / 2 - t / 2)
        side = both(box(t, h, depth).move(x=w / 2 - t / 2))
        body = join(side if d.chance(0.5) else post, *(box(w - t, t, depth * 0.96).move(y=y * 0.97 + 0.01) for y in ys))
    parts = [body]
    if d.chance(0.45):
        parts.append(join(*books(d, w, depth, ys[:-1] + t, (ys[1] - ys[0]) - t)))
    return parts


def books(d: Dice, w: float, depth: float, levels: np.ndarray, room: float) -> list[Surface]:
    """Boxes that lean nowhere in particular on some of the boards."""
    out: list[Surface] = []
    for y in levels:
        x, end = -w * 0.42, w * d.real(-0.3, 0.4)
        while x < end and len(out) < 20:
            thick = w * d.real(0.06, 0.12)
            book = box(thick * 0.95, room * d.real(0.55, 0.85), depth * 0.6).move(x=x + thick / 2, y=y, z=depth * 0.06)
            out.append(book.drop(4) if d.hidden else book)
            x += thick
    return out or [box(w * 0.2, room * 0.5, depth * 0.5).move(y=levels[0])]


@family
def cabinet(d: Dice) -> list[Surface]:
    """Drawers and doors are panels pushed into (or pulled out of) the front of one body."""
    columns, rows = d.pick(1, 2, 2, 3), d.pick(1, 2, 3, 4)
    w, h, depth = d.real(0.4, 0.6) * columns, d.real(0.3, 0.6) * rows + 0.1, d.real(0.35, 0.6)
    xs, ys = np.linspace(-w / 2, w / 2, columns + 1), np.linspace(0, h, rows + 1)
    body, out, margin = facade(xs, ys, depth), d.pick(-1, 1) * d.real(0.02, 0.05), d.real(0.03, 0.07)
    for k in range(columns * rows):
        body = body.inset(k, margin).extrude(k, out, d.pick(1, 1, 0.92))
    lift = d.pick(0, d.real(0.08, 0.25))
    parts = [body.move(y=lift)]
    if lift:
        parts.append(legs(d, w * 0.96, depth * 0.96, lift + 0.01, 0.08))
    if d.chance(0.5):
        parts.append(box(w * 1.06, 0.07, depth * 1.06).move(y=h + lift - 0.02))
    if d.chance(0.75):
        knob = d.pick(
            box(0.05, 0.05, 0.06), box(0.16, 0.04, 0.06), lathe([(0.03, 0), (0.045, 0.05), (0, 0.07)], 5).turn("x", 90)
        )
        spots = [((xs[i] + xs[i + 1]) / 2, (ys[j] + ys[j + 1]) / 2) for i in range(columns) for j in range(rows)]
        parts.append(join(*(knob.move(x=x, y=y + lift, z=depth / 2 + max(out, 0) + 0.01) for x, y in spots)))
    return parts


@family
def desk(d: Dice) -> list[Surface]:
    w, depth, h, t = d.real(1.1, 1.8), d.real(0.55, 0.8), d.real(0.7, 0.85), d.real(0.05, 0.08)
    parts = [box(w, t, depth).move(y=h)]
    rows, wide = d.count(1, 4), w * d.real(0.25, 0.35)
    chest = facade((-wide / 2, wide / 2), np.linspace(0, h + t * 0.4, rows + 1), depth * 0.9)
    for k in range(rows):
        chest = chest.inset(k, 0.03).extrude(k, d.pick(-0.02, 0.03))
    parts.append(chest.move(x=w / 2 - wide / 2 - 0.03))
    if d.chance(0.3):
        parts[1] = both(parts[1])
    else:
        side = box(t, h + t * 0.4, depth * 0.9).move(x=-w / 2 + t)
        parts.append(side if d.chance(0.5) else both(box(t, h + t * 0.4, t).move(x=-w / 2 + t, z=depth * 0.4), "z"))
    if d.chance(0.4):
        screen = box(w * 0.35, 0.35, 0.04).inset(FRONT, 0.025).extrude(FRONT, -0.012).move(y=h + t + 0.1)
        parts.append(
            join(screen, box(0.06, 0.2, 0.05).move(y=h + t, z=-0.045), box(0.25, 0.03, 0.16).move(y=h + t - 0.005))
        )
    return parts
