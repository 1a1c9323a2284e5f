"""Is data ever what training waits for, and what does a mesh cost to prepare and to draw?

    python benchmarks/data.py [--files FOLDER]

loader_ratio: tokens/s that one loader process delivers (a prepared set, all augmentation of the preset, batches
included), over the tokens/s that a training step of ArAE-tiny consumes, measured in turn in this run.
prepare_files_per_s_per_core: OBJ files of 400 to 600 faces through prepare.py's whole way into shards, over the
processor time that all of its processes took (so other work on the machine does not count); the wall clock's figure is
beside it.   render_ms: median of a picture at 512 x 512 of such a mesh, read back.

The files: ../shared/data where it is (written as OBJ), else procedural shapes. The last line is one JSON object.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from core import cli
from core.config import PRESETS
from core.data.batch import Batch, BatchSampler, make_loader
from core.data.dataset import build_datasets
from core.data.mesh import Mesh, list_inputs, load, save
from core.data.prepare.inputs import list_source
from core.data.prepare.options import Content, PrepareConfig, Task
from core.data.prepare.pool import Pool
from core.data.prepare.run import prepare
from core.data.prepare.store import Store, features
from core.data.render import render
from core.data.shapes import make_shape
from core.model.arae import ArAE
from core.tokens import Tokenizer

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data" / "lowpoly_cc0.npz"
FACES = (400, 600)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, help="folder of OBJ files to prepare instead")
    parser.add_argument("--count", type=int, default=600, help="most files (default: 600)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of loader and training step (default: 5)")
    options = parser.parse_args()
    threads = cli.use_threads(0)
    figures = {"name": "data", "threads": threads}
    with tempfile.TemporaryDirectory() as place:
        files = options.files or write_files(Path(place) / "files", options.count)
        figures.update(measure_prepare(files, Path(place)))
        figures.update(measure_render(files))
        figures.update(measure_loader(Path(place), options.rounds))
    print(json.dumps(figures))
    return 0


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
    with np.load(SHARED) as z:
        vertices, faces, vo, fo = (z[name] for name in ("vertices", "faces", "vertex_offsets", "face_offsets"))
    sizes = np.diff(fo)
    chosen = np.flatnonzero((sizes >= FACES[0]) & (sizes <= FACES[1]))[:count].tolist()
    return [Mesh(vertices[vo[i] : vo[i + 1]], faces[fo[i] : fo[i + 1]].astype(np.int32)) for i in chosen]


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


def processor_seconds(pid: int) -> float:
    """That a process has used so far, its start included (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def measure_loader(place: Path, rounds: int) -> dict[str, float]:
    """Loader and training step in turn, so that both see the same machine; medians."""
    config = PRESETS["ArAE-tiny"][1]
    prepare(PrepareConfig("shapes:1500", str(place / "set")))
    tokenizer = Tokenizer(config.tokenizer)
    data = replace(config.data, data=(str(place / "set"),))
    points = config.model.point_encoder.point_num
    train, _ = build_datasets(data, tokenizer, point_num=points, max_seq_length=config.model.decoder.max_seq_length)
    torch.manual_seed(0)
    model = ArAE(config.model, tokenizer.vocab_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.train.lr)
    sampler = BatchSampler(train, config.train.batch_size, sort_by_length=config.train.sort_by_length)
    loader = make_loader(train, sampler, num_workers=1)
    next(iter(loader))  # starts the process
    delivered, consumed = [], []
    for epoch in range(rounds):
        sampler.set_epoch(epoch)
        started = time.perf_counter()
        batches = list(loader)
        delivered.append(tokens(batches) / (time.perf_counter() - started))
        some = batches[:: max(1, len(batches) // 4)][:4]
        started = time.perf_counter()
        for batch in some:
            step(model, optimizer, batch)
        if epoch:  # the first compiles kernels
            consumed.append(tokens(some) / (time.perf_counter() - started))
        print(f"loader {delivered[-1]:,.0f} tokens/s, step {consumed[-1] if consumed else 0:,.0f}", file=sys.stderr)
    figures = {"loader_tokens_per_s": float(np.median(delivered)), "step_tokens_per_s": float(np.median(consumed))}
    return {"loader_ratio": figures["loader_tokens_per_s"] / figures["step_tokens_per_s"], **figures}


def step(model: ArAE, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """As the trainer does it: bf16 autocast, clipped gradients, AdamW."""
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(batch.ids, batch.num_faces, points=batch.points).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def tokens(batches: list[Batch]) -> int:
    """That are predicted: mesh tokens and ends."""
    return sum(int((batch.ids != 0).sum()) - len(batch) for batch in batches)


if __name__ == "__main__":
    os.environ.setdefault("HF_DATASETS_CACHE", tempfile.mkdtemp())
    sys.exit(cli.run(main))
