"""What a run shows: a progress bar in faces, a line for each result, a summary, and the sheet of pictures."""

import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.data.finish import VERTEX_STEPS
from core.inference.generator import Job, Result
from core.inference.inputs import Task
from core.inference.records import Key, Record
from core.inference.run import Run
from core.inference.sheet import write_sheet

DONE = {
    "weld": "joined {} vertices to others",
    "fill": "added {} faces",
    "snap": "moved {} vertices",
    "orient": "turned {} faces",
}
NEARLY = 0.95  # how far an unfinished mesh counts as made at most


def carry_out(run: Run) -> int:
    """Generate under a progress bar, sum up, draw the sheet.

    Returns:
        The exit code. 0: all is there; 1: something failed; else why the run stopped, see `core.inference.stop`.
    """
    started = time.perf_counter()
    with run.stop:
        faces = _generate(run)
        for line in summary(run, faces, time.perf_counter() - started):
            run.tell(line)
        # The launcher of several processes ends all of them when one leaves with a failure: they leave together.
        run.share.wait_for_others("generated", lambda: run.stop.signalled)
        if not run.stop.signalled and _speaks_for_all(run):
            if run.share.world > 1:
                run.tell(_summary_of_all(run))
            if run.config.sheet:
                write_sheet(run)
        run.share.wait_for_others("drawn", lambda: run.stop.signalled)
    return run.stop.exit_code or int(bool(run.output.failures))


def _generate(run: Run) -> int:
    """Generate under a progress bar, that of the first process alone; returns the faces made."""
    console = Console()
    run.print_line = lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=run.share.rank > 0) as bar:
        shown = bar.add_task("generating", total=len(run.files) * len(run.asked), text="")
        run.show = lambda text: bar.update(shown, description=text)
        meter = Meter(run)

        def on_faces(job: Job, triangles: np.ndarray) -> None:
            meter.on_faces(job, triangles)
            bar.update(shown, completed=meter.done(), text=meter.text())

        run.generate(on_faces, meter.on_result)
    return meter.faces


class Meter:
    """How far a run is.

    Attributes:
        faces: finished so far, before the meshes' finishing.
    """

    def __init__(self, run: Run):
        self.run, self.faces, self.finished = run, 0, 0
        self.running: dict[str, int] = {}
        self._started = time.perf_counter()

    def on_faces(self, job: Job, triangles: np.ndarray) -> None:
        if job.key.stem not in self.running and job.prefix is not None:
            self.faces -= len(self.run.generator.tokenizer.decode(job.prefix)[1])  # those were there already
        self.faces += len(triangles)
        self.running[job.key.stem] = self.running.get(job.key.stem, 0) + len(triangles)

    def on_result(self, task: Task, _: Result) -> None:
        self.running.pop(task.stem, None)
        self.finished += 1

    def done(self) -> float:
        """Meshes, the unfinished ones by their share of the faces asked for."""
        asked = self.run.config.max_faces or max(*self.run.config.test_num_face, 1)
        shares = sum(min(count / asked, NEARLY) for count in self.running.values())
        return self.run.skipped + self.run.output.num_failed + self.finished + shares

    def text(self) -> str:
        speed = self.faces / max(time.perf_counter() - self._started, 1e-9)
        return f"{self.faces:,} faces, {speed:,.0f} faces/s"


def summary(run: Run, faces: int, seconds: float) -> list[str]:
    """What was made, what was not, and what finishing removed."""
    output = run.output
    meshes = [record for record in output.written if record.mesh and not record.partial]
    cut = sum(record.ending == "tokens" for record in meshes)
    partial = sum(record.partial for record in output.written)
    parts = [f"{len(run.files)} inputs", f"{len(meshes)} meshes in {run.folder}"]
    parts += [f"{run.skipped} were there already"] if run.skipped else []
    parts += [f"{cut} cut by the token budget"] if cut else []
    parts += [f"{partial} left partial"] if partial else []
    parts += [f"{len(output.failures)} failed"] if output.failures else []
    lines = [f"{', '.join(parts)}; {seconds:.1f} s, {faces / seconds:,.0f} faces/s"]
    if run.stop.reason:
        without = " (without --overwrite)" if run.config.overwrite else ""
        lines.append(f"{run.stop.reason}: the same command{without} resumes this run")
    if any(output.removed.values()):
        steps = (_of_step(name, count) for name, count in output.removed.items() if count)
        lines.append(f"finishing: {', '.join(steps)}")
    return lines + [f"  failed: {failure.name}: {failure.reason}" for failure in output.failures]


def _of_step(name: str, count: int) -> str:
    if name in DONE:
        return f"{name} {DONE[name].format(f'{count:,}')}"
    return f"{name} removed {count:,} {'vertices' if name in VERTEX_STEPS else 'faces'}"


def _speaks_for_all(run: Run) -> bool:
    """Whether this process sums up for all: the first of those that leave together, else the last one to end."""
    if run.share.world == 1 or run.share.is_launched:
        return run.share.rank == 0
    run.output.ledger.read()
    return len(_records_of_all(run)) == len(run.all_files) * len(run.asked)


def _records_of_all(run: Run) -> list[Record]:
    ledger = run.output.ledger
    found = (ledger.newest.get(Key(file.name, *each)) for file in run.all_files for each in run.asked)
    return [record for record in found if record is not None and record.fingerprint == ledger.fingerprint]


def _summary_of_all(run: Run) -> str:
    run.output.ledger.read()
    records = _records_of_all(run)
    meshes = sum(record.mesh is not None and not record.partial for record in records)
    failed = len({record.name for record in records if record.error})
    text = f"all {run.share.world} processes: {len(run.all_files)} inputs, {meshes} meshes in {run.folder}"
    return text + (f", {failed} inputs failed" if failed else "")
