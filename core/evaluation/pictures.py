"""Pictures of references and what was made of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.data.mesh import Mesh, load, sample_surface
from core.data.page import fewer_colors
from core.data.render import contact_sheet, render, save_image
from core.evaluation.measure import Case, Measured

POINTS_SHOWN = 1024  # where the folder does not hold those that the model saw
GRID_SIZE = 200  # pixels
GRID_COLUMNS = 3  # inputs in a row


def input_points(case: Case, folder: Path) -> Mesh:
    """The points that the model saw, NAME_pc.obj as infer.py writes it, else points of the reference; in its frame."""
    path = folder / f"{case.reference.name}_pc.obj"
    if path.is_file():
        return case.reference.frame.apply(load(path))
    points = sample_surface(case.mesh, POINTS_SHOWN, np.random.default_rng(0))
    return Mesh(points, np.zeros((0, 3), np.int32))


def draw(mesh: Mesh | None, case: Case, size: int) -> np.ndarray:
    """A mesh or points of a case with edges, framed by its reference; a blank where there is no mesh."""
    if mesh is None:
        return np.full((size, size, 3), 255, np.uint8)
    return render(mesh, size, fit=case.mesh.vertices)


def write_grid(cases: Sequence[Case], folder: Path, path: str) -> int:
    """Input points, the first sample's mesh and the reference of each case, three cases in a row; returns how many.

    Raises ValueError for an unknown suffix.
    """
    groups = [_grid_group(case, folder) for case in cases]
    cut = range(0, len(groups), GRID_COLUMNS)
    rows = [[picture for group in groups[k : k + GRID_COLUMNS] for picture in group[0]] for k in cut]
    labels = [[label for group in groups[k : k + GRID_COLUMNS] for label in group[1]] for k in cut]
    header = ["input", "generated", "ground truth"] * min(GRID_COLUMNS, len(groups))
    save_image(path, fewer_colors(contact_sheet(rows, labels, header=header)))
    return len(groups)


def _grid_group(case: Case, folder: Path) -> tuple[list[np.ndarray | None], list[str]]:
    measured = case.samples[0]
    cloud = input_points(case, folder)
    drawn = (cloud, measured.mesh, case.mesh)
    labels = [case.reference.name, label(measured), f"{len(case.mesh.faces)} faces"]
    return [draw(mesh, case, GRID_SIZE) for mesh in drawn], labels


def label(measured: Measured) -> str:
    """What stands below a generated mesh."""
    if measured.mesh is None:
        return "no mesh"
    return f"{len(measured.mesh.faces)} faces{', cut' if measured.finished is False else ''}"
