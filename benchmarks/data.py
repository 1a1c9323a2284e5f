"""Is data ever what training waits for, and what does a mesh cost to prepare and to draw?

    python benchmarks/data.py [--preset ArAE-tiny] [--files FOLDER]

loader_ratio: mesh ids a second that one loader process delivers over those that a training step takes on the other
cores, measured in turn in this run. Both are the preset's own training, through `ArAETask`: a prepared set, all
augmentation, the face decoder's features made by the loader, batches by the token budget, the preset's optimizers.
loader_ratio_cpu_time: the same by the loader process's processor time and the step's. The clock counts the wait for the
next epoch's first batch as well.
prepare_files_per_s_per_core: OBJ files of 400 to 600 faces through prepare.py's whole way into shards, over the
processor time that all of its processes took (so other work on the machine does not count); the wall clock's figure is
beside it.   render_ms: median of a picture at 512 x 512 of such a mesh, read back.

The files: ../shared/data where it is (written as OBJ), else procedural shapes. The last line is one JSON object.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import Spent, finish, medians, processor_seconds, rates, ratios, timed
from benchmarks.meshes import SHARED, packed_meshes
from benchmarks.models import train_step
from core import cli
from core.config import PRESETS
from core.data.batch import Batch
from core.data.mesh import Mesh, list_inputs, load, save
from core.data.prepare.inputs import list_source
from core.data.prepare.options import Content, PrepareConfig, Task
from core.data.prepare.pool import Pool
from core.data.prepare.run import prepare
from core.data.prepare.store import Store, features
from core.data.render import render
from core.data.shapes import make_shape
from core.training.arae_task import ArAETask
from core.training.optim import build_optimizers
from core.training.steps import seed_all

FACES = (400, 600)
STEPS = 8  # of training in a round


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="ArAE-tiny", help="that is trained (default: ArAE-tiny)")
    parser.add_argument("--files", type=Path, help="folder of OBJ files to prepare instead")
    parser.add_argument("--shapes", type=int, default=1500, help="procedural shapes to train on (default: 1500)")
    parser.add_argument("--count", type=int, default=600, help="most files (default: 600)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of loader and training step (default: 5)")
    options = parser.parse_args()
    threads = cli.use_threads(0)
    figures: dict[str, Any] = {"name": "data", "preset": options.preset, "threads": threads}
    with tempfile.TemporaryDirectory() as place:
        files = options.files or write_files(Path(place) / "files", options.count)
        figures.update(measure_prepare(files, Path(place)))
        figures.update(measure_render(files))
        figures.update(measure_loader(options.preset, Path(place), options.shapes, options.rounds))
    return finish(figures)


def write_files(folder: Path, count: int) -> Path:
    """OBJ files of 400 to 600 faces."""
    folder.mkdir()
    for k, mesh in enumerate(middling_meshes(count)):
        save(folder / f"{k:04d}.obj", mesh)
    return folder


def middling_meshes(count: int) -> list[Mesh]:
    if not SHARED.is_file():
        print("../shared/data is not here: procedural shapes instead", file=sys.stderr)
        shapes = (make_shape(0, k)[0] for k in range(100_000))
        middling = (mesh for mesh in shapes if FACES[0] <= len(mesh.faces) <= FACES[1])
        return [mesh for mesh, _ in zip(middling, range(count), strict=False)]
    return packed_meshes(SHARED, *FACES)[1][:count]


def measure_prepare(files: Path, place: Path) -> dict[str, float]:
    """Listing, workers and shards, on all cores; not the report, whose cost is the same for a set of any size."""
    workers = cli.usable_cores()
    task = Task(content=Content(source="benchmark"))
    features(views=False)  # imports datasets and pyarrow
    used, started = time.process_time(), time.perf_counter()
    store = Store(place / "prepared", task, str(files))
    with Pool(task, workers) as pool:
        for item, outcome in pool.map(list_source(str(files), place).items):
            store.add(item, outcome)
        spent = sum(processor_seconds(worker.process.pid) for worker in pool.workers)
    store.finish(Counter())
    seconds, wall = spent + time.process_time() - used, time.perf_counter() - started
    count = len(store.done)
    text = f"prepare: {count} files, {wall:.1f} s with {workers} workers, {seconds:.1f} s of processor time"
    print(text, file=sys.stderr)
    return {
        "prepare_files": count,
        "prepare_files_per_s_per_core": count / seconds,
        "prepare_files_per_s_wall": count / wall,
        "prepare_workers": workers,
    }


def measure_render(files: Path) -> dict[str, float]:
    meshes = [load(path) for path in list_inputs(files)[:40]]
    render(meshes[0], 512)  # starts OpenGL
    times, used = [], time.process_time()
    for mesh in meshes:
        started = time.perf_counter()
        render(mesh, 512)
        times.append(time.perf_counter() - started)
    figures = {"render_ms": np.median(times), "render_best_ms": min(times)}
    figures["render_processor_ms"] = (time.process_time() - used) / len(meshes)
    return {name: 1000 * float(value) for name, value in figures.items()}


def measure_loader(preset: str, place: Path, shapes: int, rounds: int) -> dict[str, Any]:
    """An epoch of one loader process and some training steps in turn, so that both see the same machine."""
    config = PRESETS[preset][1]
    prepare(PrepareConfig(f"shapes:{shapes}", str(place / "set")))
    data = replace(config.data, data=(str(place / "set"),), num_workers=1)
    task = ArAETask(config.tokenizer, config.model, data, config.train)
    task.build_data()
    seed_all("weights")
    model = task.build_model().train()
    optimizers = build_optimizers(model, config.train)
    next(iter(task.batches(0, 0, 0, 1)))  # starts the process
    delivered, taken = [], []
    for epoch in range(rounds + 1):
        batches, spent = load_epoch(task, epoch)
        some = batches[:: max(1, len(batches) // STEPS)][:STEPS]
        _, step_spent = timed(lambda some=some: [step(task, model, optimizers, batch) for batch in some])
        if epoch:  # in the first one kernels are made
            delivered.append(rates(count_ids(task, batches), spent))
            taken.append(rates(count_ids(task, some), step_spent))
            text = f"loader {delivered[-1][0]:,.0f} ids/s ({delivered[-1][1]:,.0f} a second of its processor time)"
            print(f"{text}, step {taken[-1][0]:,.0f} ({taken[-1][1]:,.0f})", file=sys.stderr)
    return {
        **ratios("loader_ratio", delivered, taken),
        **medians("loader_ids_per_s", delivered),
        **medians("step_ids_per_s", taken),
        "optimizer": config.train.optimizer,
        "samples_per_batch": round(statistics.mean(map(len, batches)), 1),
        "features": batches[0].steps is not None,
    }


def load_epoch(task: ArAETask, epoch: int) -> tuple[list[Batch], Spent]:
    """The batches of an epoch, and what they took: the clock, and the loader process's processor time."""
    before = children_seconds()
    begun = time.perf_counter()
    batches = list(task.batches(epoch, 0, 0, 1))
    return batches, Spent(time.perf_counter() - begun, children_seconds() - before)


def children_seconds() -> float:
    """Processor time of the processes that this one has started and that still run."""
    return sum(processor_seconds(child.pid) for child in multiprocessing.active_children() if child.pid)


def step(task: ArAETask, model: Any, optimizers: Sequence[Any], batch: Batch) -> float:
    return train_step(model, batch, optimizers, loss_of=lambda model, batch: task.loss(model, batch)[0])


def count_ids(task: ArAETask, batches: list[Batch]) -> float:
    """Ids that are predicted: mesh ids and ends."""
    return sum(task.weight(batch) for batch in batches)


if __name__ == "__main__":
    os.environ.setdefault("HF_DATASETS_CACHE", tempfile.mkdtemp())
    sys.exit(cli.run(main))
