"""What a run of inference shows: a progress bar in faces, a summary, and the sheet of pictures."""

import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from core.data.mesh import Mesh
from core.data.render import contact_sheet, render, save_image
from core.inference.files import Request, Run
from core.inference.generator import Result

SHEET_INPUTS = 16  # rows of the sheet at most
SHEET_RESULTS = 6  # results of one input on it at most
PICTURE_SIZE = 320  # pixels


def generate_all(run: Run) -> None:
    """Run every batch under a progress bar, then sum up."""
    started = time.perf_counter()
    console = Console()
    run.tell = lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)
    expected = _expected_faces(run)
    columns: list[ProgressColumn] = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} faces"),
        TimeElapsedColumn(),
    ]
    columns += [TimeRemainingColumn()] if expected else []
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("generating", total=expected or None)
        run.show = lambda text: bar.update(task, description=text)
        done = 0

        def show(count: int) -> None:
            bar.update(task, completed=done + count)

        for batch in run.batches():
            begun = time.perf_counter()
            faces = run.run_batch(batch, show)
            seconds = time.perf_counter() - begun
            done += faces
            show(0)
            speed = f"{faces:,} faces in {seconds:.1f} s, {faces / seconds:.0f} faces/s"
            run.tell(f"batch of {len(batch)}: {speed}, {seconds / len(batch):.1f} s a mesh")
    run.tell(_summary(run, time.perf_counter() - started))
    for failure in run.failures:
        run.tell(f"  failed: {failure.name}: {failure.reason}")


def _expected_faces(run: Run) -> int:
    """Faces asked for in all, as a guess of the work; 0 where a count is left to the model."""
    counts = run.config.test_num_face
    return 0 if min(counts) < 0 else len(run.paths) * run.config.test_repeat * sum(counts)


def _summary(run: Run, seconds: float) -> str:
    cut = sum(not result.finished for _, result, _ in run.written)
    parts = [f"{len(run.paths)} inputs", f"{len(run.written)} meshes in {run.folder}"]
    parts += [f"{cut} cut by the token budget"] if cut else []
    parts += [f"{len(run.failures)} failed"] if run.failures else []
    return f"{', '.join(parts)}; {seconds:.1f} s"


def write_sheet(run: Run, path: Path) -> None:
    """One row an input: the input, the points that the model saw, and the generated meshes with their edges."""
    rows: dict[str, list[tuple[Request, Result]]] = {}
    for request, result, _ in run.written:
        rows.setdefault(request.source.name, []).append((request, result))
    shown = [_row(made[:SHEET_RESULTS]) for made in list(rows.values())[:SHEET_INPUTS]]
    save_image(path, contact_sheet([images for images, _ in shown], [labels for _, labels in shown]))
    run.tell(f"{path}: input, points and results of {len(shown)} of {len(rows)} inputs")


def _row(made: list[tuple[Request, Result]]) -> tuple[list[np.ndarray | None], list[str]]:
    """Pictures and labels for the results of one input, all framed by it."""
    source = made[0][0].source
    given = Mesh(source.placement.apply(source.mesh.vertices), source.mesh.faces)
    cloud = Mesh(source.points, np.zeros((0, 3), np.int32))
    drawn = (given, cloud, *(result.mesh for _, result in made))
    images: list[np.ndarray | None] = [render(mesh, PICTURE_SIZE, fit=given.vertices) for mesh in drawn]
    labels = [f"{source.name}: {_size(given)}", _size(cloud)]
    labels += [f"{_size(result.mesh)}{'' if result.finished else ', cut'}" for _, result in made]
    return images, labels


def _size(mesh: Mesh) -> str:
    return f"{len(mesh.vertices)} points" if mesh.is_points else f"{len(mesh.faces)} faces"
