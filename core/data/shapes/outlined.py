"""Other ways to model some families: one connected body from one profile or side view."""

import numpy as np

from core.data.shapes.dice import Dice, variant
from core.data.shapes.organic import arc, wobble
from core.data.shapes.primitives import (
    lathe,
    polygon,
    rectangle,
    slab,
    stack,
    sweep,
    symmetric,
)
from core.data.shapes.surface import Surface


@variant("sword", 0.4)
@variant("spear", 0.4)
def bladed(d: Dice) -> list[Surface]:
    """Pommel, grip, guard and blade (or shaft and head) as sections of one loft."""
    grip, blade, t = d.real(0.15, 1.2), d.real(0.4, 1.4), d.real(0.06, 0.09)
    thin, wide = d.real(0.06, 0.08), d.real(0.14, 0.28)
    widths, heights = [thin], [0.0]
    if d.chance(0.6):  # pommel
        widths, heights = [thin * 1.2, thin * 2, thin], [0.0, 0.06, 0.12]
    widths += [thin]
    heights += [heights[-1] + grip]
    if d.chance(0.7):  # guard
        guard = wide * d.real(1.3, 2.2)
        widths += [guard, guard]
        heights += [heights[-1] + 0.01, heights[-1] + d.real(0.06, 0.1)]
    base = heights[-1]
    widths += [wide * 0.9, wide * d.real(0.7, 1.1), 0]
    heights += [base + 0.01, base + blade * d.real(0.7, 0.9), base + blade]
    outline = d.pick(polygon(4, 0.5).dot([[0.7, 0.7], [-0.7, 0.7]]), rectangle(1, 1), polygon(6, 0.5))
    depth = np.where(np.array(widths) > 0, t, 0)
    return [stack([outline * (w, z) for w, z in zip(widths, depth, strict=True)], heights)]


@variant("tree", 0.45)
def topiary(d: Dice) -> list[Surface]:
    """Trunk and crown as one profile, uneven."""
    n, h, r, crown = d.sides(1), d.real(0.4, 1.2), d.real(0.07, 0.14), d.real(0.35, 0.7)
    tall = crown * d.real(1.2, 2.6)
    s = np.linspace(0, 1, d.steps(3, 6) + 1)
    radii = crown * np.sin(np.pi * s ** d.real(0.6, 1.3) * 0.97) ** 0.7
    leaves = zip(np.maximum(radii[:-1], r * 1.2), h + tall * s[:-1], strict=True)
    profile = [(r * d.real(1, 1.6), 0), (r, h), *leaves, (0, h + tall)]
    lean = d.pick(0, d.real(-0.2, 0.2))
    body = wobble(d, lathe(profile, n, bottom=not d.hidden), d.pick(0.0, 0.02))
    return [body.warp(lambda x, y, z: (x + lean * y, y, z))]


@variant("conifer", 0.45)
def fir(d: Dice) -> list[Surface]:
    """Trunk and tiers as one profile."""
    n, tiers, h, r = d.sides(), d.count(1, 4), d.real(1.2, 2.2), d.real(0.35, 0.6)
    foot, stem = h * d.real(0.1, 0.25), r * d.real(0.15, 0.3)
    profile = [(stem, 0), (stem * 0.9, foot)]
    lows = foot + (h - foot) * np.arange(tiers) / tiers
    for k, low in enumerate(lows):
        reach = r * (1 - 0.55 * k / max(1, tiers))
        profile += [(reach, low - 0.02 * k), (reach * d.real(0.3, 0.5), low + (h - foot) / tiers)]
    profile[-1] = (0, h)
    return [wobble(d, lathe(profile, n, bottom=not d.hidden), d.pick(0.0, 0.012))]


@variant("lamp", 0.45)
@variant("lantern", 0.25)
@variant("candle", 0.45)
@variant("lighthouse", 0.45)
def turned(d: Dice) -> list[Surface]:
    """Foot, post, shade and tip as one profile."""
    n, h, post = d.sides(1), d.real(0.3, 1.6), d.real(0.04, 0.12)
    r = d.real(0.15, 0.3)
    foot = r * d.real(0.5, 1.1)
    profile = [(foot, 0), (foot, d.real(0.03, 0.08)), (post * d.real(1.0, 1.6), 0.12), (post, 0.12 + h)]
    top = profile[-1][1]
    tall, narrow = d.real(0.15, 0.4), r * d.real(0.3, 1.0)
    profile += [(r, top + d.pick(0, 0.03)), (narrow, top + tall)]
    if d.chance(0.6):
        profile += [(narrow * d.real(1.05, 1.4), top + tall + 0.01), (0, top + tall + d.real(0.1, 0.3))]
    return [lathe(profile, n)]


@variant("snowman", 0.45)
@variant("figurine", 0.2)
def stacked_balls(d: Dice) -> list[Surface]:
    """Balls that melt into each other: one wavy profile."""
    n, y, r, profile = d.sides(2), 0.0, d.real(0.3, 0.5), []
    for k in range(d.pick(2, 3, 3)):
        waist = 0.6 if k == 0 else 0.55
        profile += [(r * waist, y), (r, y + r * 0.55), (r * 0.95, y + r * 1.05)]
        y += r * d.real(1.4, 1.6)
        r *= d.real(0.6, 0.8)
    hat = d.chance(0.5)
    end = [(r * 1.8, y), (r * 1.8, y + 0.05), (r * 0.9, y + 0.06), (r * 0.8, y + 0.35)] if hat else [(0, y + r * 0.15)]
    return [lathe([*profile, *end], n)]


@variant("fruit", 0.4)
@variant("vegetable", 0.2)
@variant("balloon", 0.2)
def blob(d: Dice) -> list[Surface]:
    """A turned body with a stalk or knot in its profile."""
    n, h = d.sides(1), d.real(0.6, 1.2)
    s = np.linspace(0.12, 0.9, d.steps(3, 6))
    radii = 0.45 * np.sin(np.pi * s ** d.real(0.6, 1.6))
    stalk = d.real(0.04, 0.07)
    profile = [(0, 0), *zip(radii, s * h, strict=True), (stalk, h * 0.92), (stalk * d.real(0.7, 1.5), h * 1.15)]
    lean = d.real(-0.3, 0.3)
    return [lathe(profile, n).warp(lambda x, y, z: (x + lean * y * y, y, z))]


@variant("bow", 0.45)
def hoop(d: Dice) -> list[Surface]:
    """Limb and string as one closed sweep."""
    h, reach, steps = d.real(0.6, 0.9), d.real(0.25, 0.5), d.steps(4, 8)
    s = np.linspace(-1, 1, steps + 1)
    limb = np.stack([reach * (1 - s**2), h * s, 0 * s], axis=1)
    path = np.concatenate([limb, [(0, h * 0.4, 0), (0, -h * 0.4, 0)]])
    girth = np.concatenate([0.5 + 0.5 * (1 - np.abs(s)), [0.5, 0.5]])
    return [sweep(path, rectangle(0.06, 0.08), girth, closed=True)]


@variant("pistol", 0.45)
def gun_plate(d: Dice) -> list[Surface]:
    """A gun's side view made thick."""
    long, h, lean = d.real(0.5, 1.0), d.real(0.15, 0.25), d.real(0.05, 0.2)
    grip = [(-0.2, 0), (-0.22 - lean, -0.35), (-0.05 - lean, -0.38), (0.0, -0.02)]
    guard = [(0.06, -0.12), (0.14, -0.12), (0.14, 0)]
    barrel = [(long, 0), (long, h * 0.8), (0.3, h), (-0.15, h), (-0.25, h * 0.6)]
    return [slab([*grip, *guard, *barrel], d.real(0.08, 0.18))]


@variant("key", 0.5)
def key_plate(d: Dice) -> list[Surface]:
    """A key without a hole: a round bow and a toothed blade above it."""
    bow = arc((0, 0), d.real(0.18, 0.26), 110, 430, d.steps(5, 9))[:, :2]
    end, tooth = d.real(0.7, 1.1), 0.06 + d.real(0.1, 0.2)
    right = [(0.06, end - 0.25), (tooth, end - 0.25), (tooth, end - 0.1), (0.06, end - 0.1), (0.06, end), (-0.06, end)]
    return [slab([*bow, *right], d.real(0.06, 0.14))]


@variant("tool", 0.4)
def tool_plate(d: Dice) -> list[Surface]:
    """A cleaver, an anchor or a spade cut from a plate."""
    kind, t = d.pick("cleaver", "anchor", "spade"), d.real(0.06, 0.14)
    if kind == "cleaver":
        h, w = d.real(0.4, 0.8), d.real(0.25, 0.4)
        back = [(w, 0), (w, h), (-0.06, h * d.real(0.8, 1.0))]
        return [slab([(-0.06, -0.5), (0.06, -0.5), (0.06, 0), *back], t)]
    if kind == "spade":
        w, top = d.real(0.14, 0.22), d.real(0.5, 0.9)
        half = [(0, -0.5), (w, -0.35), (w, 0), (0.04, 0.05), (0.04, top), (0.13, top + 0.02), (0.13, top + 0.1)]
        return [slab(symmetric(half), t)]
    arm = [(0, -0.6), (0.3, -0.5), (0.5, -0.2), (0.6, -0.25), (0.55, 0.05), (0.35, -0.1), (0.42, -0.15), (0.28, -0.36)]
    stock = [(0.07, -0.45), (0.07, 0.2), (0.25, 0.2), (0.25, 0.32), (0.07, 0.32), (0.07, 0.5)]
    return [slab(symmetric([*arm, *stock]), t)]


@variant("car", 0.4)
@variant("truck", 0.25)
@variant("train", 0.2)
def toy_car(d: Dice) -> list[Surface]:
    """A side view with the wheels in it, made thick; the cabin narrows."""
    long, low, h, r = d.real(1.4, 2.2), d.real(0.12, 0.2), d.real(0.3, 0.5), d.real(0.16, 0.24)
    front, rear, deck = long / 2, -long / 2, low + h
    under: list[tuple[float, float]] = []
    for x in (-long * 0.3, long * 0.3):
        bow = arc((x, r), r, 200, 340, d.steps(3, 6))[:, :2]
        under += [(x - r * 1.05, low), *bow, (x + r * 1.05, low)]
    cab, a, b = deck + d.real(0.25, 0.5), long * d.real(0.0, 0.25), -long * d.real(0.1, 0.4)
    over = [(front, low), (front, deck * 0.95), (a + 0.2, deck), (a, cab), (b, cab), (b - 0.12, deck), (rear, deck)]
    body = slab([*under, *over, (rear, low)], d.real(0.6, 0.9)).turn("y", -90)
    slim = d.real(0.7, 1.0)
    return [body.warp(lambda x, y, z: (x * np.where(y > deck + 0.01, slim, 1.0), y, z))]


@variant("chest", 0.4)
def coffer(d: Dice) -> list[Surface]:
    """A chest from its side view, with a lip under the lid."""
    w, h, depth = d.real(0.7, 1.3), d.real(0.3, 0.5), d.real(0.4, 0.6)
    bow = arc((0, h), depth / 2, 0, 180, d.steps(2, 6))[:, :2] * (1, d.real(0.8, 1.05))
    lip = d.pick(0.0, 0.04)
    bow = bow * (1 + 2 * lip / depth, 1)
    seam = [(depth / 2, h - 0.05), *bow, (-depth / 2, h - 0.05)] if lip else list(bow)
    return [slab([(-depth / 2, 0), (depth / 2 * d.pick(1, 0.99), 0), *seam], w).turn("y", 90)]


@variant("house", 0.25)
def cottage(d: Dice) -> list[Surface]:
    """Walls and overhanging eaves as one cross-section, a door pushed into the front."""
    w, h, depth, rise = d.real(0.8, 1.3), d.real(0.5, 0.9), d.real(0.8, 1.6), d.real(0.3, 0.7)
    over, t = d.real(0.08, 0.2), d.real(0.05, 0.1)
    low = h - over * rise / (w / 2)
    outline = [(w / 2, 0), (w / 2, h - t), (w / 2 + over, low - t * 0.5), (w / 2 + over, low + t), (0, h + rise)]
    return [slab(symmetric(outline), depth)]
