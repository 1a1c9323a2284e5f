"""The same work on a Ray cluster: an actor a core, each with a worker process of its own that may die.

Paths must be readable on every node (a shared file system, or URLs); meto and requirements.txt must be installed there,
the code of `core` is sent along.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import core
from core.data.prepare.inputs import Item
from core.data.prepare.options import Task
from core.data.prepare.worker import Outcome

BATCH = 32  # inputs to a call of an actor: what is sent back and forth is small beside the work
WAITING = 2  # calls that each actor has waiting


class Preparer:
    """An actor: outcomes of inputs, in their order, from a worker process that outlives the call."""

    def __init__(self, task: Task):
        from core.data.prepare.pool import Pool

        self.pool = Pool(task, 1).__enter__()

    def process(self, items: list[Item]) -> list[Outcome]:
        return [outcome for _, outcome in self.pool.map(items)]


def map_on_ray(items: list[Item], task: Task, address: str, workers: int) -> Iterator[tuple[Item, Outcome]]:
    """(item, outcome) of each input, in their order.

    Args:
        address: as `ray.init` takes it; "local" starts a cluster on this machine.
        workers: actors; 0: one for each of the cluster's cores.

    Raises:
        ValueError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise ValueError("--ray: needs Ray, pip install ray") from None
    started = not ray.is_initialized()
    if started:
        try:
            package = str(Path(core.__file__ or "").parent)
            ray.init(address=address, runtime_env={"py_modules": [package]}, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, TimeoutError) as error:
            raise ValueError(f"--ray {address}: no cluster there ({error})") from error
    try:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        actors = [ray.remote(num_cpus=1)(Preparer).remote(task) for _ in range(count)]
        yield from _ordered(ray, actors, items)
    finally:
        if started:
            ray.shutdown()


def _ordered(ray: Any, actors: list[Any], items: list[Item]) -> Iterator[tuple[Item, Outcome]]:
    """Batches go to the actors in turn; a call's outcomes are fetched when their turn comes."""
    batches = [items[k : k + BATCH] for k in range(0, len(items), BATCH)]
    calls: dict[int, Any] = {}
    given = 0
    for k, batch in enumerate(batches):
        while given < len(batches) and given - k < WAITING * len(actors):
            calls[given] = actors[given % len(actors)].process.remote(batches[given])
            given += 1
        yield from zip(batch, ray.get(calls.pop(k)), strict=True)
