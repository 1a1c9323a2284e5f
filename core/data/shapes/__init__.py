"""Procedural low-poly meshes: parametric objects as an artist would model them by hand.

    from core.data.shapes import FAMILIES, make_shape
    mesh, family = make_shape(seed=0, index=7)

Every shape is a pure function of (seed, index). y is up, the front looks along +z (vehicles drive that way), swords and
other tools stand upright with their flat side to the front. A shape is welded like a cleaned file, centred, its longest
side 1. Parts that are closed are closed surfaces oriented outward; sheets (flags, leaves, cups without thickness) are
open, some bodies lack the faces that nobody sees, and some parts share an edge or a vertex.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from core.data.mesh import Mesh
from core.data.shapes import (  # noqa: F401  (importing a module registers its families)
    arms,
    buildings,
    carved,
    containers,
    craft,
    creatures,
    figures,
    food,
    furniture,
    ground,
    household,
    meals,
    outlined,
    plants,
    props,
    seats,
    structures,
    tableware,
    touching,
    towers,
    trees,
    vehicles,
    walls,
    weapons,
    wearables,
)
from core.data.shapes.assemble import assemble
from core.data.shapes.dice import MODELLERS

MIN_FACES, MAX_FACES = 20, 800

__all__ = ["FAMILIES", "MAX_FACES", "MIN_FACES", "make_parts", "make_shape"]


def _model(name: str, rng: np.random.Generator) -> Mesh:
    return assemble(name, rng, MIN_FACES, MAX_FACES)[0]


FAMILIES: dict[str, Callable[[np.random.Generator], Mesh]] = {name: partial(_model, name) for name in sorted(MODELLERS)}


def make_parts(seed: int, index: int, families: Sequence[str] | None = None) -> tuple[Mesh, str, np.ndarray]:
    """As `make_shape`, and the part of each face: (F,) int32, 0, 1, ...; faces of one part have one material.

    families: names to draw from, all when None. Raises ValueError for a name that is not in FAMILIES.
    """
    names = list(FAMILIES) if families is None else list(families)
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        raise ValueError(f"families {unknown or names}: expected some of {', '.join(FAMILIES)}")
    rng = np.random.default_rng([seed, index])
    name = names[int(rng.integers(len(names)))]
    mesh, part = assemble(name, rng, MIN_FACES, MAX_FACES)
    return mesh, name, part


def make_shape(seed: int, index: int, families: Sequence[str] | None = None) -> tuple[Mesh, str]:
    """Shape number `index` of the endless set `seed`, 20 to 800 triangles, and the name of its family.

    seed, index: not negative. families: names to draw from, all when None.
    """
    mesh, name, _ = make_parts(seed, index, families)
    return mesh, name
