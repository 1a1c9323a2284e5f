"""Worker processes that die, hang and eat memory."""

import time
from pathlib import Path

from misbehaving import act

from core.data.prepare.inputs import Item
from core.data.prepare.options import Limits, Task
from core.data.prepare.pool import Pool

TASK = Task(limits=Limits(timeout=1.0, memory=256))


def run(names, workers, tmp_path):
    items = [Item(name, "", "bad", "") for name in names]
    with Pool(TASK, workers, tmp_path, act) as pool:
        outcomes = list(pool.map(items))
        processes = [worker.process for worker in pool.workers]
    assert [item.name for item, _ in outcomes] == list(names)
    assert not any(process.is_alive() for process in processes)
    return [outcome.rejected[0] if outcome.rejected else None for _, outcome in outcomes]


def test_each_file_costs_itself_only(tmp_path):
    names = [f"fine-{k}" for k in range(30)]
    names[3:3] = ["crash-0", "crash-1"]
    names[12:12] = ["hang-0"]
    names[20:20] = ["eat-0", "exit-0"]
    names += ["crash-2"]
    started = time.monotonic()
    reasons = run(names, 2, tmp_path)
    assert time.monotonic() - started < 30
    for name, reason in zip(names, reasons, strict=True):
        kind = name.split("-")[0]
        expected = {"fine": None, "crash": "crash", "exit": "crash", "hang": "time", "eat": "memory"}[kind]
        assert (reason and reason[0]) == expected, name
    assert "SIGSEGV" in reasons[3][1]
    assert "1 s (--timeout)" in reasons[names.index("hang-0")][1]
    assert not list(tmp_path.iterdir())


def test_one_worker_and_nothing_to_do(tmp_path):
    assert run([], 1, tmp_path) == []
    assert run(["crash-0"], 1, tmp_path)[0][0] == "crash"


def test_the_parent_is_not_kept_by_workers(tmp_path):
    """Outcomes that nobody asks for any more do not keep the processes."""
    items = [Item(f"fine-{k}", "", "bad", "") for k in range(100)]
    with Pool(TASK, 2, tmp_path, act) as pool:
        pids = [worker.process.pid for worker in pool.workers]
        assert next(pool.map(items))[0].name == "fine-0"
    for pid in pids:
        state = Path(f"/proc/{pid}/stat")
        assert not state.exists() or " Z " in state.read_text()
