"""What a user would reach for instead: other ways from the same input to as many faces."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.data.augment import decimate, tidy
from core.data.mesh import Mesh, clean, load
from core.evaluation import instant_meshes

BASELINES = {"decimated_input": "decimated input", "instant_meshes": "Instant Meshes of the input"}


def find_input(given: str, recorded: Path | None, name: str, reference: Path) -> Path:
    """The file that a sample was made of.

    Args:
        given: folder or file of the inputs, or "".
        recorded: the path that the records tell.
        name: of the reference.
        reference: its file, which is the input where nothing else is known.

    Raises:
        ValueError: the folder has no file of that name.
    """
    if not given:
        return recorded if recorded is not None and recorded.is_file() else reference
    place = Path(given)
    if place.is_file():
        return place
    found = sorted(path for path in place.rglob("*") if path.stem in (name, reference.stem) and path.is_file())
    if not found:
        raise ValueError(f"--inputs {given}: has no file called {name}")
    return found[0]


def make_baselines(path: Path, faces: int) -> dict[str, Mesh | None]:
    """The meshes that the baselines make of a file, of about as many faces; None where one makes nothing of it.

    Raises:
        ValueError: the file cannot be read.
    """
    mesh = load(path)
    if mesh.is_points:
        return dict.fromkeys(BASELINES)
    mesh = clean(mesh)
    return {"decimated_input": _sound(decimate_to, mesh, faces), "instant_meshes": _sound(remesh, mesh, faces)}


def decimate_to(mesh: Mesh, faces: int) -> Mesh:
    """Quadric edge collapse; the mesh itself where it has no more faces than that."""
    return decimate(mesh, faces) if faces < len(mesh.faces) else mesh


def remesh(mesh: Mesh, faces: int) -> Mesh:
    """Instant Meshes, in the input's frame; no face where nothing came of it."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    center, size = (low + high) / 2, float((high - low).max())  # it takes 32 bits, which eat things far from the origin
    made = instant_meshes.remesh((mesh.vertices - center) / size, mesh.faces, faces)
    if made is None:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    return tidy(Mesh(made[0].astype(np.float64) * size + center, made[1]))


def check_installed() -> None:
    """Raise ValueError where the package of a baseline is not installed."""
    if not instant_meshes.is_installed():
        raise ValueError("--baselines needs the package pyinstantmeshes (pip install pyinstantmeshes)")


def _sound(make: Callable[[Mesh, int], Mesh], mesh: Mesh, faces: int) -> Mesh | None:
    made = make(mesh, faces)
    return made if len(made.faces) and bool(np.isfinite(made.vertices).all()) else None
