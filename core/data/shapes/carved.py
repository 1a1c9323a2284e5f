"""Other ways to model some families: one connected body, pulled out of one block or cut from one grid."""

import numpy as np

from core.data.shapes.dice import Dice, variant
from core.data.shapes.primitives import (
    FRONT,
    LEFT,
    RIGHT,
    TOP,
    box,
    cells,
    lathe,
    loft,
    rectangle,
    stack,
)
from core.data.shapes.surface import Surface


@variant("axe", 0.45)
@variant("hammer", 0.45)
def hafted(d: Dice) -> list[Surface]:
    """A head pulled out of the sides of a square shaft."""
    h, r, root = d.real(0.6, 1.2), d.real(0.06, 0.1), d.real(0.15, 0.3)
    shaft = stack([rectangle(r, r)] * 4, [0, h - root, h, h + d.real(0.02, 0.1)])
    right, left = 4 + RIGHT, 4 + LEFT
    w = d.real(0.1, 0.3)
    kind = d.pick("axe", "axe", "double", "mallet", "pick")
    if kind == "mallet":
        for face in (right, left):
            shaft = shaft.extrude(face, 0.02, d.real(1.2, 1.8)).extrude(face, w, 1.0)
    elif kind == "pick":
        for face in (right, left):
            shaft = shaft.extrude(face, w, 0.8, (0, -0.05, 0)).extrude(face, w, 0.2, (0, -0.12, 0))
    else:
        grow = d.real(1.3, 2.2)
        for face in (right, left)[: 2 if kind == "double" else 1]:
            shaft = shaft.extrude(face, w * 0.5, 1.1).extrude(face, w, grow)
            edge = shaft.quads[face]
            shaft.points[edge] *= (1, 1, 0.25)
        if kind == "axe" and d.chance(0.5):
            shaft = shaft.extrude(left, w * 0.5, d.real(0.2, 1.0))
    return [shaft]


@variant("cactus", 0.5)
def saguaro(d: Dice) -> list[Surface]:
    """Arms pulled out of a ringed trunk, then up."""
    n, h, r = d.pick(6, 8, 8), d.real(1.0, 1.6), d.real(0.15, 0.24)
    rows = 5
    ys = np.linspace(0, h * 0.85, rows + 1)
    body = lathe([*((r, y) for y in ys), (r * 0.6, h * 0.96), (0, h)], n, bottom=not d.hidden)
    for side in (0, n // 2)[: d.count(1, 2)]:
        face = d.count(1, 3) * n + side
        body = body.extrude(face, r * d.real(0.8, 1.6), 0.9)
        elbow = len(body.quads) - 2  # the upper wall of what was pulled out
        body = body.extrude(elbow, h * d.real(0.1, 0.2), 0.95).extrude(elbow, h * d.real(0.05, 0.2), 0.7)
    return [body]


@variant("rocket", 0.45)
def finned_rocket(d: Dice) -> list[Surface]:
    """Fins pulled out of the lowest ring."""
    n, r, h = d.pick(6, 8, 8, 12), d.real(0.2, 0.35), d.real(0.9, 1.6)
    waist, row = r * d.real(0.6, 1.0), 0
    profile = [(waist, 0), (waist + (r - waist) * 0.6, h * 0.25), (r, h * 0.5), (r * d.real(0.8, 1.0), h * 0.75)]
    if d.chance(0.4):  # a nozzle
        profile, row = [(waist * 0.8, -0.12), (waist * 0.5, 0), *profile], 2
    body = lathe([*profile, (r * 0.45, h * 0.92), (0, h * 1.05)], n)
    fins = d.pick(2, 4) if n % 4 == 0 else d.pick(2, 3)
    drop, out = d.real(0.0, 0.4), d.real(0.2, 0.45)
    for k in range(fins):
        body = body.extrude(row * n + k * n // fins, out, d.real(0.3, 0.6), (0, -drop, 0))
    return [body]


@variant("plane", 0.45)
@variant("fish", 0.5)
@variant("submarine", 0.45)
def winged(d: Dice) -> list[Surface]:
    """Wings (fins) and a tail pulled out of a spindle that lies along z."""
    n, long, r = d.pick(4, 8, 8), d.real(1.2, 2.0), d.real(0.18, 0.35)
    profile = [(r * 0.25, 0), (r * 0.4, long * 0.12), (r * 0.8, long * 0.4), (r, long * 0.6), (r * 0.8, long * 0.85)]
    body = lathe([*profile, (0, long) if d.chance(0.5) else (r * 0.3, long)], n).turn("x", 90).move(z=-long / 2)
    body = body.scale(1, d.real(0.7, 1.4), 1)
    right, top, left = 0, n // 4, n // 2
    flat, thin, upturned = d.real(0.3, 1.0), d.real(0.3, 0.7), d.chance(0.3)
    for side in (right, left):  # wings
        body = body.extrude(2 * n + side, flat, thin, (0, 0, -long * 0.1))
        if upturned:
            body = body.extrude(2 * n + side, flat * 0.3, 0.6, (0, 0.1, -0.05))
    tail = d.real(0.15, 0.4)
    for side in (right, left) if d.chance(0.6) else ():
        body = body.extrude(side, tail, 0.6, (0, 0, -0.1))
    body = body.extrude(top, tail * d.real(0.8, 1.3), 0.6, (0, 0, -0.12))
    if d.chance(0.4):  # a dorsal fin, cockpit or tower
        body = body.extrude(3 * n + top, r * d.real(0.3, 0.8), d.real(0.5, 0.9))
    return [body]


@variant("animal", 0.5)
def block_animal(d: Dice) -> list[Surface]:
    """Legs, body, neck and head cut out of one grid, the head pulled forward."""
    w, long, leg = d.real(0.3, 0.5), d.real(0.6, 1.0), d.real(0.2, 0.6)
    r, h, neck = d.real(0.1, 0.14), d.real(0.25, 0.4), d.real(0.1, 0.5)
    xs = (-w / 2, -w / 2 + r, w / 2 - r, w / 2)
    ys = [0, leg, leg + h, leg + h + neck, leg + h + neck + 0.22]
    zs = [-long / 2, -long / 2 + r * 1.2, long / 2 - r * 1.2, long / 2, long / 2 + d.real(0.15, 0.3)]
    solid = np.zeros((3, 4, 4), dtype=bool)
    solid[::2, 0, 0] = solid[::2, 0, 2] = solid[:, 1, :3] = solid[:, 2, 2] = solid[:, 3, 2:4] = True
    if d.chance(0.4):  # horns or ears
        ys.append(ys[-1] + 0.15)
        solid = np.concatenate([solid, np.zeros((3, 1, 4), dtype=bool)], axis=1)
        solid[::2, 4, 2] = True
    if d.chance(0.5):  # a tail
        zs.insert(0, zs[0] - 0.15)
        solid = np.concatenate([np.zeros((3, solid.shape[1], 1), dtype=bool), solid], axis=2)
        solid[1, 1, 0] = True
    slim = d.real(0.6, 1.0)
    body = cells(xs, ys, zs, solid)
    return [body.warp(lambda x, y, z: (x * np.where(y > leg + h + 1e-6, slim, 1.0), y, z))]


@variant("robot", 0.4)
@variant("person", 0.2)
def block_figure(d: Dice) -> list[Surface]:
    """A figure of one grid, head and hands pulled out of it."""
    w, deep = d.real(0.3, 0.5), d.real(0.18, 0.3)
    leg, chest, arm = d.real(0.3, 0.6), d.real(0.35, 0.6), d.real(0.1, 0.16)
    gap = w * d.real(0.15, 0.35)
    xs = (-w / 2, -gap / 2, gap / 2, w / 2)
    ys = (0, leg, leg + chest - arm * 1.2, leg + chest)
    solid = np.ones((3, 3, 1), dtype=bool)
    solid[1, 0] = False
    body = cells(xs, ys, (-deep / 2, deep / 2), solid)
    centres = body.points[body.quads].mean(axis=1)
    shoulders = [int(np.argmax(s * centres[:, 0] + 0.5 * centres[:, 1])) for s in (1, -1)]
    collar = int(np.argmax(centres[:, 1] - np.abs(centres[:, 0]) - np.abs(centres[:, 2])))
    drop = d.real(0.0, 0.25)
    for face in shoulders:
        body = body.extrude(face, d.real(0.12, 0.2), 1.0, (0, -drop * 0.3, 0)).extrude(face, 0.2, 0.8, (0, -drop, 0))
    size = d.real(1.2, 2.0)
    return [
        body.extrude(collar, 0.05, 0.9).extrude(collar, 0.01, size).extrude(collar, d.real(0.2, 0.4), d.real(0.8, 1.1))
    ]


@variant("boat", 0.4)
def ark(d: Dice) -> list[Surface]:
    """A decked hull with a cabin pulled out of its deck."""
    w, long, h = d.real(0.3, 0.45), d.real(1.2, 2.0), d.real(0.25, 0.45)
    s = np.linspace(0, 1, 4)
    half = w * np.array([d.real(0.6, 0.9), 1.0, 0.85, 0.08])
    sheer, keel = h + d.real(0, 0.2) * s**2, h * d.real(0, 0.7) * s**3
    flat = d.real(0.3, 0.7)
    x, y = half[:, None] * (1, -1, -flat, flat), np.stack([sheer, sheer, keel, keel], axis=1)
    hull = loft(np.stack([x, y, np.broadcast_to(((s - 0.5) * long)[:, None], x.shape)], axis=2))
    cabin = d.count(0, 1) * 4  # the deck's quads are every fourth, from the stern
    hull = hull.extrude(cabin, 0.01, d.real(0.6, 0.85)).extrude(cabin, d.real(0.2, 0.4), d.real(0.8, 1.0))
    if d.chance(0.4):
        hull = hull.extrude(cabin, 0.01, 0.5).extrude(cabin, d.real(0.1, 0.3), 0.9)
    return [hull]


@variant("skyscraper", 0.5)
@variant("church", 0.2)
def setbacks(d: Dice) -> list[Surface]:
    """One block whose top is inset and raised again and again; its front may carry sunk panels."""
    w, depth, h = d.real(0.6, 1.0), d.real(0.6, 1.0), d.real(0.5, 1.2)
    body = box(w, h, depth)
    for face in (RIGHT, LEFT, FRONT):
        if d.chance(0.5):
            body = body.inset(face, min(w, h, depth) * d.real(0.1, 0.2)).extrude(face, d.real(-0.08, 0.15), 0.95)
    for _ in range(d.count(1, 4)):
        size = d.real(0.5, 0.85)
        body = body.extrude(TOP, 0.0, size, (d.pick(0, 0, 0.08), 0, 0)).extrude(
            TOP, d.real(0.2, 0.7), d.pick(1, 1, 0.7)
        )
    if d.chance(0.6):
        body = body.extrude(TOP, d.real(0.1, 0.6), d.real(0.02, 0.2))
    return [body]


@variant("bench", 0.4)
@variant("bed", 0.4)
@variant("desk", 0.25)
def grid_furniture(d: Dice) -> list[Surface]:
    """A seat or board on ends, with or without a back and sides, cut out of one grid."""
    w, depth, h, t = d.real(0.8, 2.0), d.real(0.4, 1.0), d.real(0.25, 0.8), d.real(0.06, 0.12)
    xs = (-w / 2, -w / 2 + t, w / 2 - t, w / 2)
    ys = (0, h, h + t, h + t + d.real(0.15, 0.4), h + t + d.real(0.45, 0.7))
    zs = (-depth / 2, -depth / 2 + t, depth / 2 - t, depth / 2)
    solid = np.zeros((3, 4, 3), dtype=bool)
    solid[:, 1] = True
    ends = d.pick("legs", "panels", "block")
    solid[:: 2 if ends != "block" else 1, 0, :: 2 if ends == "legs" else 1] = True
    if d.chance(0.7):
        solid[:, 2, 0] = True
        solid[:, 3, 0] = d.chance(0.5)
    side = d.pick("none", "none", "both", "left")
    if side != "none":
        solid[:: 2 if side == "both" else 3, 2] = True
    return [cells(xs, ys, zs, solid)]


@variant("tank", 0.4)
@variant("cannon", 0.25)
def turret(d: Dice) -> list[Surface]:
    """A hull whose deck is raised to a turret, from which a barrel is pulled."""
    w, long, h = d.real(0.6, 0.9), d.real(1.0, 1.5), d.real(0.25, 0.4)
    hull = stack([rectangle(w, long * 0.85), rectangle(w * 1.05, long), rectangle(w, long * 0.9)], [0, h * 0.6, h])
    top = len(hull.quads) - 1
    hull = hull.extrude(top, 0.0, d.real(0.45, 0.65), (0, 0, -0.05)).extrude(top, d.real(0.15, 0.3), d.real(0.6, 0.9))
    face = len(hull.quads) - 1  # the last wall raised looks to the front
    slim = d.real(0.25, 0.4)
    hull = hull.extrude(face, 0.01, slim).extrude(face, d.real(0.4, 0.8), 0.9)
    return [hull if d.chance(0.5) else hull.extrude(face, 0.0, 1.4).extrude(face, 0.12, 1.0)]


@variant("signpost", 0.4)
def signboard(d: Dice) -> list[Surface]:
    """Post and board as one body of a grid, the board pushed in or out."""
    h, w, board, r = d.real(0.6, 1.2), d.real(0.4, 1.0), d.real(0.3, 0.6), d.real(0.05, 0.09)
    xs, ys = (-w / 2, -r, r, w / 2), (0, h, h + board, h + board + d.real(0.05, 0.2))
    solid = np.zeros((3, 3, 1), dtype=bool)
    solid[1] = solid[:, 1] = True
    if d.chance(0.5):
        solid[1, 2] = False
    body = cells(xs, ys, (-r, r), solid)
    if d.chance(0.5):
        return [body.taper(d.real(0.6, 1.2))]
    tip = d.real(0.1, 0.25)
    return [body.warp(lambda x, y, z: (x + np.where((x > w * 0.4) & (y > h + board / 2), -tip, 0), y, z))]
