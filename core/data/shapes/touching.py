"""Other ways to model some families: parts that share a ring, an edge or a spine, which is where meshes turn
non-manifold once they are welded; and single sheets."""

import numpy as np

from core.data.shapes.dice import Dice, family, variant
from core.data.shapes.primitives import box, cells, lathe, plate, rectangle, sheet, slab, stack, strip
from core.data.shapes.surface import Surface, both, join

Profile = list[tuple[float, float]]


def lidded(low: Profile, high: Profile, sides: int) -> list[Surface]:
    """Two turned parts that meet in a ring, high[0] == low[-1]; the lower one keeps its lid, the upper has no floor."""
    assert high[0] == low[-1]
    return [lathe(low, sides), lathe(high, sides, bottom=False)]


@variant("rocket", 0.2)
@variant("tower", 0.2)
@variant("hut", 0.25)
@variant("windmill", 0.15)
def pointed(d: Dice) -> list[Surface]:
    """A shaft under a cone, with or without eaves."""
    n, r, h = d.sides(1), d.real(0.3, 0.6), d.real(0.5, 1.8)
    top = r * d.real(0.7, 1.0)
    low = [(r, 0), (top, h)] if d.chance(0.5) else [(r * 1.15, 0), (r, h * 0.15), (top, h)]
    high = [(top, h), (0, h + d.real(0.3, 0.9))]
    if d.chance(0.5):
        high.insert(1, (top * d.real(1.25, 1.5), h - d.real(0, 0.04)))
    return lidded(low, high, n)


@variant("ice_cream", 0.25)
@variant("cake", 0.15)
@variant("drink", 0.2)
@variant("bottle", 0.15)
@variant("trophy", 0.1)
def filled(d: Dice) -> list[Surface]:
    """A cup and what is heaped on it, or a jar and its lid."""
    n, r, h = d.sides(1), d.real(0.25, 0.5), d.real(0.3, 1.0)
    low = [(r * d.real(0.1, 0.9), 0), (r, h)]
    rise = r * d.real(0.5, 1.4)
    heap = [(r, h), (r * d.real(0.8, 1.2), h + rise * 0.4)]
    if d.detail:
        heap.append((r * 0.6, h + rise * 0.8))
    return lidded(low, [*heap, d.pick((0, h + rise), (r * 0.3, h + rise))], n)


@variant("house", 0.15)
@variant("church", 0.2)
def roofed_box(d: Dice) -> list[Surface]:
    """Walls with a ceiling and a roof that starts on their upper edges."""
    w, h, depth, rise = d.real(0.7, 1.2), d.real(0.4, 1.0), d.real(0.7, 1.6), d.real(0.2, 0.8)
    walls = box(w, h, depth)
    if d.chance(0.5):
        roof = slab([(w / 2, 0), (0, rise), (-w / 2, 0)], depth).drop(2)
    else:
        ridge = max(0.0, depth - w * d.real(0.5, 1.5))
        roof = stack([rectangle(w, depth), rectangle(0, ridge)], [0, rise], bottom=False, top=False)
    parts = [walls, roof.move(y=h)]
    if d.chance(0.5):  # a wing at the side that shares a wall's edges
        low = h * d.real(0.5, 1.0)
        parts.append(box(w * 0.6, low, depth).move(x=w * 0.8).drop(2))
    return parts


@variant("grass", 0.35)
@variant("bush", 0.2)
@variant("flower", 0.15)
@variant("tree", 0.08)
@variant("conifer", 0.08)
def crossed_cards(d: Dice) -> list[Surface]:
    """Flat cut-outs through one upright spine, as games draw plants; several make a clump."""
    rows, h, w = d.steps(1, 4), d.real(0.6, 1.2), d.real(0.25, 0.5)
    s = np.linspace(0, 1, rows + 2)
    half = w * np.interp(s, np.linspace(0, 1, 4), [d.real(0.05, 1), *d.reals(0.3, 1, 2), d.real(0, 0.6)])
    half[-1] *= d.pick(0, 1)
    spine = np.stack([0 * s, h * s, 0 * s], axis=1)
    side = np.outer(half, (1, 0, 0))
    card = strip(np.stack([spine, spine + side], axis=1))
    blades = d.pick(3, 4, 4, 5, 6)
    clump = join(*(card.turn("y", 360 * k / blades) for k in range(blades)))
    places = ((0.5, 0.2), (-0.4, 0.4))[: d.count(0, 2)]
    others = [clump.scale(0.7, d.real(0.4, 0.9), 0.7).move(x, 0, z) for x, z in places]
    return [join(clump, *others)]


@variant("tile", 0.3)
@variant("castle_wall", 0.1)
@variant("stairs", 0.15)
def blocks(d: Dice) -> list[Surface]:
    """Columns of uneven height on a grid: where two meet across a corner only the edge is shared."""
    nx, nz, levels = d.count(2, 4), d.count(2, 4), d.count(2, 3)
    heights = d.rng.integers(0, levels + 1, (nx, nz))
    heights[0, 0] = max(1, heights[0, 0])
    solid = np.arange(levels)[None, :, None] < heights[:, None, :]
    rise = d.real(0.15, 0.5)
    return [cells(np.arange(nx + 1) - nx / 2, np.arange(levels + 1) * rise, np.arange(nz + 1) - nz / 2, solid)]


@family
def voxels(d: Dice) -> list[Surface]:
    """A mirrored picture of blocks, as of an old game: a creature, a ship, a letter."""
    half, tall = d.count(2, 4), d.count(4, 7)
    mask = d.rng.random((half, tall)) < d.real(0.45, 0.65)
    mask[0, tall // 3 : 2 * tall // 3 + 1] = True
    both_halves = np.concatenate([mask[::-1], mask[d.count(0, 1) :]])
    layers = d.pick(1, 1, 1, 2)
    solid = np.repeat(both_halves[:, :, None], layers, axis=2)
    if layers == 2:
        solid[:, :, 1] &= d.rng.random(both_halves.shape) < 0.6
    xs, ys = np.arange(solid.shape[0] + 1.0), np.arange(tall + 1.0)
    return [cells(xs, ys, np.arange(layers + 1.0) * d.real(0.6, 2), solid)]


@family
def sheets(d: Dice) -> list[Surface]:
    """Cloth and paper without thickness: a cloth over an edge, a kite, a folding screen, a parasol, a scroll."""
    kind = d.pick("cloth", "kite", "screen", "parasol", "scroll")
    if kind == "cloth":
        m, w = d.steps(3, 7), d.real(0.8, 1.4)
        edge, drop, turns = d.real(0.25, 0.4), d.real(0.8, 2.4), d.real(4, 10)

        def hang(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            over = np.maximum(np.maximum(np.abs(x), np.abs(z)) - edge, 0)
            return -over * drop + 0.04 * np.sin(turns * (x + z)) * (over > 0)

        return [sheet(w, w * d.real(0.8, 1.2), m, m, hang)]
    if kind == "kite":
        spine, wide = d.real(0.5, 0.8), d.real(0.35, 0.6)
        half = plate([(0, -spine), (wide, 0.2), (0, 0.5)]).warp(lambda x, y, z: (x, y, z - 0.25 * np.abs(x)))
        rods = join(box(0.03, spine + 0.48, 0.03).move(y=-spine), box(wide * 1.7, 0.03, 0.03).move(y=0.2))
        bow = both(plate([(0, 0), (0.12, -0.06), (0.12, 0.06)]))
        bows = [bow.move(d.real(-0.1, 0.1), -spine - 0.2 * k) for k in range(1, d.count(2, 5))]
        return [both(half), rods.move(z=-0.1), join(*bows)]
    if kind == "screen":
        panels, w, h = d.count(3, 6), d.real(0.3, 0.5), d.real(0.9, 1.4)
        turn, rows = np.radians(d.real(20, 50)), d.count(2, 4)
        x, z = np.arange(panels + 1) * w * np.cos(turn), w * np.sin(turn) * (np.arange(panels + 1) % 2)
        y = np.broadcast_to(np.linspace(0, h, rows + 1)[:, None], (rows + 1, panels + 1))
        return [strip(np.stack([x + 0 * y, y, z + 0 * y], axis=2))]
    if kind == "parasol":
        n, r, rise = d.sides(1), d.real(0.6, 0.9), d.real(0.3, 0.6)
        roof = lathe([(r, 0.9), (r * 1.02, 1.0), (r * 0.5, 1.0 + rise * 0.6), (0, 1.0 + rise)], n, bottom=False)
        return [roof, lathe([(0.05, 0), (0.04, 1.0 + rise * 0.8)], d.sides(-1)), lathe([(0.3, 0), (0.25, 0.08)], n)]
    angle = np.linspace(0, d.real(2.0, 3.6) * np.pi, d.steps(8, 14))
    roll = (0.12 + 0.02 * angle)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    path = np.concatenate([roll, roll[-1:] + (d.real(0.5, 1.0), -0.1)])
    edges = [np.insert(path, 2, z, axis=1) for z in (-0.4, 0.4)]
    return [strip(np.stack(edges))]
