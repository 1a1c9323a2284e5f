"""From the parts of a modelled object to one triangle mesh."""

import numpy as np

from core.data.mesh import Mesh
from core.data.shapes.dice import Dice, model
from core.data.shapes.surface import Surface, join
from core.data.shapes.triangulate import triangulate, weld

WELD_DISTANCE = 1e-4  # of the longest side, as files are cleaned


def assemble(family: str, rng: np.random.Generator, least: int, most: int) -> tuple[Mesh, np.ndarray]:
    """Model an object of a family until the mesh has `least` to `most` faces; also the part of each face (F,) int32."""
    for _ in range(100):
        dice = Dice(rng)
        parts = model(family, dice)
        if dice.chance(0.07):
            parts = group(dice, [parts, *(model(family, dice) for _ in range(dice.count(1, 3)))])
        if dice.chance(0.15):
            parts = without_floor(parts)
        owner = [
            np.repeat(np.arange(len(parts)), [len(getattr(p, kind)) for p in parts]) for kind in ("quads", "ngons")
        ]
        whole = restyle(dice, join(*parts))
        mesh, part = finish(whole, np.concatenate(owner), dice.pick("strip", "strip", "fan"))
        if least <= len(mesh.faces) <= most and not has_slivers(mesh):
            return mesh, part
    raise AssertionError(f"{family} does not reach {least} to {most} faces")


def has_slivers(mesh: Mesh, height: float = 1e-5) -> bool:
    """Whether a triangle is a line, as a twisted row of collinear corners may leave."""
    a, b, c = mesh.vertices.astype(np.float64)[mesh.faces].swapaxes(0, 1)
    longest = np.sqrt(np.max([((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0))
    return bool((np.linalg.norm(np.cross(b - a, c - a), axis=1) < height * longest).any())


def group(dice: Dice, objects: list[list[Surface]]) -> list[Surface]:
    """Several objects of one family side by side, smaller ones among them, each turned a little."""
    out, x = [], 0.0
    for parts in objects:
        size, turn, z = dice.pick(1.0, dice.real(0.5, 1.0)), dice.pick(0, dice.real(-60, 60)), dice.real(-0.3, 0.3)
        parts = [part.scale(size, size, size).turn("y", turn) for part in parts]
        points = np.concatenate([part.points for part in parts])
        low, high = points.min(axis=0), points.max(axis=0)
        width, depth = (high - low)[[0, 2]]
        out += [part.move(x - low[0], -low[1], z * depth) for part in parts]
        x += width * dice.real(1.02, 1.2)
    return out


def without_floor(parts: list[Surface]) -> list[Surface]:
    """Delete the polygons that lie on the ground, which nobody sees."""
    low = min(part.points[:, 1].min() for part in parts) + 1e-6
    return [
        Surface(
            part.points,
            part.quads[(part.points[part.quads, 1] > low).any(axis=1)],
            tuple(ngon for ngon in part.ngons if (part.points[ngon, 1] > low).any()),
        )
        for part in parts
    ]


def restyle(dice: Dice, surface: Surface) -> Surface:
    """Now and then stretch, lean, taper or twist the whole object, as a cartoon or hand-built style would."""
    if dice.chance(0.3):
        surface = surface.scale(*dice.reals(0.75, 1.3, 3))
    if dice.chance(0.08):
        surface = surface.slant(x=dice.real(-0.2, 0.2) * np.ptp(surface.points[:, 1]))
    if dice.chance(0.08):
        surface = surface.taper(dice.real(0.65, 1.2))
    if dice.chance(0.04):
        surface = twist(surface, dice.real(-20, 20))
    return surface


def twist(surface: Surface, degrees: float) -> Surface:
    """Turn about y in proportion to the height, by `degrees` at the top."""
    y = surface.points[:, 1]
    angle = np.radians(degrees) * (y - y.min()) / np.ptp(y)
    cos, sin = np.cos(angle), np.sin(angle)
    return surface.warp(lambda x, y, z: (cos * x + sin * z, y, cos * z - sin * x))


def finish(surface: Surface, owner: np.ndarray, style: str) -> tuple[Mesh, np.ndarray]:
    """Centre, scale to longest side 1, weld and triangulate. owner: the part of each polygon, quads first."""
    used = np.zeros(len(surface.points), dtype=bool)
    for polygons in (surface.quads, *surface.ngons):
        used[polygons] = True
    low, high = surface.points[used].min(axis=0), surface.points[used].max(axis=0)
    points, index = weld((surface.points - (low + high) / 2) / (high - low).max(), WELD_DISTANCE)
    welded = Surface(points, index[surface.quads], tuple(index[ngon] for ngon in surface.ngons))
    triangles, part = triangulate(welded, owner, style)
    _, first = np.unique(np.sort(triangles, axis=1) @ (1 << np.array([40, 20, 0])), return_index=True)
    if len(first) < len(triangles):  # two parts meet in a face: keep one, as file cleaning does
        triangles, part = triangles[np.sort(first)], part[np.sort(first)]
    kept, compact = np.unique(triangles, return_inverse=True)
    return Mesh(points[kept].astype(np.float32), compact.reshape(-1, 3).astype(np.int32)), part.astype(np.int32)
