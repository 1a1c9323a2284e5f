"""Vessels: mugs, bottles, bowls, vases, teapots, buckets, pans."""

import numpy as np

from core.data.shapes.dice import Dice, family
from core.data.shapes.organic import arc, frond
from core.data.shapes.primitives import ball, lathe, polygon, rectangle, sweep
from core.data.shapes.surface import Surface, around, both, join


@family
def mug(d: Dice) -> list[Surface]:
    """Cup with a handle, which grows out of the wall (one body of genus 1) or is stuck into it."""
    n, r, h = max(6, d.sides()), d.real(0.35, 0.55), d.real(0.7, 1.2)
    low, belly, wall = r * d.real(0.7, 1), r * d.pick(1, 1, d.real(1.0, 1.2)), d.real(0.05, 0.09)
    levels = [(low, 0), (belly, h * 0.2), (belly, h * 0.34), (belly, h * 0.66), (r, h * 0.8), (r, h)]
    inside = [(r - wall, h), (belly - wall, h * 0.6), (low - wall, 0.08)]
    grown = d.chance(0.5)
    if not grown:
        levels = [levels[0], *levels[1:4:2], levels[-1]] if d.chance(0.5) else [levels[0], levels[-1]]
        inside = [inside[0], inside[-1]]
    body = lathe(levels + inside, n)
    if d.chance(0.15) and not grown:  # a sheet without thickness
        body = lathe(levels, n, top=False)
    if grown:
        margin = min(2 * np.pi * belly / n, h * 0.12) * d.real(0.22, 0.36)
        body = body.inset(n, margin).inset(3 * n, margin)
        return [body.bridge(n, 3 * n, d.steps(2, 5), d.real(0.8, 1.4), d.real(0.7, 1.0))]
    thick, reach, y = d.real(0.09, 0.14), d.real(0.75, 1.1), h * d.real(0.45, 0.6)
    loop = arc((0, 0), h * d.real(0.24, 0.34), -90, 90, d.steps(3, 6)) * (reach, 1, 1)
    edge = float(np.interp(y, [p[1] for p in levels], [p[0] for p in levels])) - wall * 0.5
    return [body, sweep(loop + (edge, y, 0), rectangle(thick, thick * d.real(0.8, 1.6)))]


@family
def bottle(d: Dice) -> list[Surface]:
    n, r, h, neck = d.sides(), d.real(0.2, 0.45), d.real(0.7, 1.6), d.real(0.08, 0.14)
    shoulder = h * d.real(0.45, 0.75)
    top = h + d.real(0.1, 0.3)
    profile = [(r * d.real(0.8, 1), 0), (r, h * 0.08), (r, shoulder)]
    if d.detail:
        profile.append(((r + neck) * 0.55, (shoulder + h) / 2 + 0.05))
    profile += [(neck, h), (neck, top)]
    kind = d.pick("lip", "cork", "cap", "plain")
    if kind == "lip":
        profile += [(neck * 1.35, top), (neck * 1.35, top + 0.07)]
    parts = [lathe(profile, n)]
    if kind == "cork":
        parts.append(lathe([(neck * 0.75, -0.05), (neck * 0.9, 0.12)], n, bottom=not d.hidden).move(y=top))
    elif kind == "cap":
        parts.append(lathe([(neck * 1.3, -0.1), (neck * 1.3, 0.06)], n).move(y=top))
    if d.chance(0.25):
        low, high = h * 0.15, shoulder * 0.8
        parts.append(lathe([(r * 1.04, low), (r * 1.04, high)], n, False, False))
    return parts


@family
def bowl(d: Dice) -> list[Surface]:
    """A bowl or plate: a single sheet, or with thickness."""
    n, r, h = d.sides(2), d.real(0.4, 0.7), d.real(0.08, 0.5)
    foot = r * d.real(0.35, 0.6)
    curve = d.real(0.6, 1.0)
    outside = [(foot, 0)] + [(foot + (r - foot) * s**curve, h * s**1.3) for s in np.linspace(0, 1, d.steps(2, 5))[1:]]
    if d.chance(0.35):
        sheet = lathe(outside, n, top=False)
        return [sheet if d.chance(0.6) else sheet.flip()]
    t = d.real(0.04, 0.07)
    inside = [(x - t, y) if k == 0 else (x - t, y + t * 0.5) for k, (x, y) in enumerate(outside[::-1])]
    inside[-1] = (inside[-1][0], t)
    if d.chance(0.3):
        outside.insert(0, (foot * 0.9, -0.06))
    body = [lathe(outside + inside, n)]
    if d.chance(0.3) and h > 0.2:
        body += [
            join(
                *(
                    ball(r * 0.32, d.count(0, 1)).move(x, h * 0.75, z)
                    for x, z in ((-0.3 * r, 0), (0.3 * r, 0.1), (0, -0.35 * r))
                )
            )
        ]
    return body


@family
def vase(d: Dice) -> list[Surface]:
    n, h, rings = d.sides(1), d.real(0.8, 1.5), d.count(3, 6)
    radii = d.reals(0.15, 0.5, rings)
    ys = np.linspace(0, h, rings)
    profile = list(zip(radii, ys, strict=True))
    kind = d.pick("open", "hollow", "hollow", "solid")
    if kind == "hollow":
        profile += [(radii[-1] * 0.8, h), (radii[-1] * 0.7, h * 0.85)]
    body = lathe(profile, n, top=kind != "open")
    handles = []
    if d.chance(0.3):
        a, b = sorted(d.rng.choice(rings, 2, replace=False))
        start, end = (radii[a] * 0.85, ys[a] + 0.06), (radii[b] * 0.85, ys[b] - 0.06)
        middle = (max(radii[a], radii[b]) + d.real(0.12, 0.25), (start[1] + end[1]) / 2)
        path = [
            (*start, 0),
            (middle[0], start[1] * 0.7 + end[1] * 0.3, 0),
            (middle[0], end[1] * 0.8 + start[1] * 0.2, 0),
            (*end, 0),
        ]
        handles = [both(sweep(path, rectangle(0.08, 0.08)))]
    return [body, *handles, *(plant(d, radii[-1], h) if d.chance(0.3) else [])]


def plant(d: Dice, radius: float, y: float) -> list[Surface]:
    """Leaves that stand out of a pot: single-sided pointed strips."""
    leaf = frond(d.real(0.35, 0.6), d.real(0.08, 0.14), d.real(0.8, 1.4), d.real(0.3, 1.2), 2 + d.detail)
    return [around(leaf.move(x=radius * 0.2, y=y - 0.1), d.count(3, 6))]


@family
def teapot(d: Dice) -> list[Surface]:
    n, r, h = max(6, d.sides()), d.real(0.4, 0.55), d.real(0.5, 0.8)
    body = lathe([(r * 0.6, 0), (r, h * 0.3), (r * 0.95, h * 0.65), (r * 0.45, h)], n)
    lid = lathe([(r * 0.5, -0.02), (r * 0.45, 0.06), (0.07, 0.12), (0.1, 0.2), (0, 0.24)], n, bottom=not d.hidden).move(
        y=h
    )
    spout = sweep(
        [(r * 0.7, h * 0.3, 0), (r * 1.25, h * 0.55, 0), (r * 1.5, h * 0.95, 0)],
        polygon(max(4, n - 2), 0.13),
        (1, 0.75, 0.5),
    )
    loop = arc((0, 0), h * 0.32, 70, 290, d.steps(3, 6)) + (-r * 0.95, h * 0.52, 0)
    handle = sweep(loop, rectangle(0.09, 0.09))
    return [join(body, spout), lid, handle]


@family
def bucket(d: Dice) -> list[Surface]:
    n, low, high, h = d.sides(2), d.real(0.3, 0.4), d.real(0.42, 0.55), d.real(0.6, 0.9)
    t = 0.06
    profile = [(low, 0), (high, h)]
    if d.chance(0.5):
        profile = [(low, 0), (high * 0.98, h * 0.88), (high + 0.05, h * 0.88), (high + 0.05, h)]
    hollow = d.chance(0.7)
    body = lathe([*profile, (high - t, h), (low - t, 0.08)] if hollow else profile, n, top=hollow)
    path = arc((0, 0), high, 0, 180, d.steps(4, 8))
    if d.chance(0.7):
        handle = sweep(path * (1, d.real(0.6, 0.9), 1), rectangle(0.06, 0.05))
    else:  # fallen to the front
        handle = sweep(path * (1, 1.15, 1), rectangle(0.06, 0.05)).turn("x", 115)
    handle = handle.move(y=h * 0.93)
    return [body, handle]


@family
def pan(d: Dice) -> list[Surface]:
    n, r, h, t = d.sides(3), d.real(0.4, 0.6), d.real(0.1, 0.45), 0.045
    body = lathe([(r * d.real(0.8, 1), 0), (r, h), (r - t, h), (r * 0.8 - t, t)], n)
    parts = [body]
    if d.chance(0.65):
        long = d.real(0.4, 0.8)
        half = d.real(0.05, 0.08)
        parts.append(
            sweep(
                [(0, h * 0.7, r - t), (0, h * 0.8, r + long * 0.4), (0, h, r + long)],
                rectangle(half * 2, 0.06),
                (0.8, 1, 1.2),
                (0, 1, 0),
            )
        )
    else:
        ear = [(r - t, h * 0.7, 0.12), (r + 0.12, h * 0.75, 0.1), (r + 0.12, h * 0.75, -0.1), (r - t, h * 0.7, -0.12)]
        parts.append(both(sweep(ear, rectangle(0.06, 0.06), 1, (0, 1, 0))))
    if d.chance(0.35):
        parts.append(
            lathe([(r * 1.01, h * 0.95), (r * 0.9, h + 0.1), (0.06, h + 0.14), (0.1, h + 0.24), (0, h + 0.26)], n)
        )
    return parts
