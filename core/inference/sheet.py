"""The contact sheet of a folder of results: a row for each input, read back from the files that were written."""

from pathlib import Path

import numpy as np

from core.data import mesh as meshes
from core.data.mesh import Mesh
from core.data.render import contact_sheet, render, save_image
from core.inference.inputs import InputFile
from core.inference.records import Key, Record
from core.inference.run import Run

SHEET_INPUTS = 16  # rows at most
SHEET_RESULTS = 6  # results of one input at most
PICTURE_SIZE = 320  # pixels

Row = tuple[list[np.ndarray | None], list[str]]  # pictures and what is written under them


def write_sheet(run: Run) -> None:
    """Draw the results of all processes as sheet.png: what each was made of, and the meshes with their edges."""
    run.output.ledger.read()
    rows: list[Row] = []
    num_rows = 0
    for file in run.all_files:
        records = [run.output.ledger.newest.get(Key(file.name, *each)) for each in run.asked]
        made = [record for record in records if record is not None and record.mesh is not None]
        num_rows += bool(made)
        if made and len(rows) < SHEET_INPUTS:
            rows.append(_row(run, file, made[:SHEET_RESULTS]))
    if not rows:
        return
    path = run.folder / "sheet.png"
    save_image(path, contact_sheet([pictures for pictures, _ in rows], [labels for _, labels in rows]))
    run.tell(f"{path}: {len(rows)} of {num_rows} inputs and their results")


def _row(run: Run, file: InputFile, records: list[Record]) -> Row:
    results = [(meshes.load(run.folder / str(record.mesh)), record) for record in records]
    shown = run.folder / f"{file.name}.jpg"
    pictures, labels = _of_picture(shown) if shown.is_file() else _of_points(run.folder, file, run.config.drop_strays)
    # All framed by the input, or, of a picture, each by itself: that has no place of its own.
    fit = None if shown.is_file() else meshes.load(file.path, run.config.drop_strays, warn=False).vertices
    pictures += [render(mesh, PICTURE_SIZE, fit=fit) for mesh, _ in results]
    return pictures, [f"{file.name}: {labels[0]}", *labels[1:], *(_label(mesh, record) for mesh, record in results)]


def _of_points(folder: Path, file: InputFile, drop_strays: bool) -> Row:
    given = meshes.clean(meshes.load(file.path, drop_strays, warn=False))
    cloud = meshes.load(folder / f"{file.name}_pc.obj", warn=False)
    pictures: list[np.ndarray | None] = [render(mesh, PICTURE_SIZE, fit=given.vertices) for mesh in (given, cloud)]
    return pictures, [_size(given), _size(cloud)]


def _of_picture(path: Path) -> Row:
    from PIL import Image

    with Image.open(path) as file:
        return [np.asarray(file.convert("RGB").resize((PICTURE_SIZE, PICTURE_SIZE)))], ["picture"]


def _label(mesh: Mesh, record: Record) -> str:
    marks = {"tokens": ", cut", "faces": ", closed", "stopped": ", partial"}
    return f"{_size(mesh)}{', partial' if record.partial else marks.get(record.ending or '', '')}"


def _size(mesh: Mesh) -> str:
    return f"{len(mesh.vertices)} points" if mesh.is_points else f"{len(mesh.faces)} faces"
