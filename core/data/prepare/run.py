"""The command: a source to a set."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from core.data.prepare.inputs import Item, Listing, list_source, source_name
from core.data.prepare.options import PrepareConfig, Task
from core.data.prepare.pool import Pool
from core.data.prepare.rules import REASONS
from core.data.prepare.store import Store, new_items
from core.data.prepare.worker import Outcome
from core.data.sources import cpu_count

log = logging.getLogger(__name__)


def prepare(config: PrepareConfig) -> Store:
    """Make or continue the set at `config.dst`, and its report.

    Raises ValueError for a source that is not there or holds no mesh, a folder that cannot be continued, and where not
    one mesh could be kept.
    """
    content = config.task.content
    task = replace(config.task, content=replace(content, source=content.source or source_name(config.src)))
    store = Store(config.dst, task, config.src, config.restart)
    with _scratch(store.folder) as scratch:
        listing = list_source(config.src, scratch, content.seed)
        items = _news(listing, store)
        started = time.monotonic()
        for item, outcome in _progress(_outcomes(items, task, config, scratch), len(items)):
            store.add(item, outcome)
        seconds = time.monotonic() - started
    store.finish(listing.passed_over)
    _summarise(store, len(items), seconds)
    if not store.counts["kept"]:
        raise ValueError(
            f"{config.src}: none of its {len(store.done)} inputs can be used; see {store.folder}/rejected.jsonl"
        )
    from core.data.prepare.report import write_report

    write_report(store.folder)
    log.info("report: %s", store.folder / "report.html")
    return store


def _news(listing: Listing, store: Store) -> list[Item]:
    items, changed = new_items(listing.items, store.done)
    known = len(listing.items) - len(items)
    if known:
        log.info("%d inputs are in the set already, %d are new", known, len(items))
    if changed:
        log.warning(
            "%d files have changed since they were prepared: the set keeps the old content too (--restart: a new set)",
            changed,
        )
    gone = len(store.done.keys() - {item.name for item in listing.items})
    if gone:
        log.warning("%d inputs are no longer there; their meshes stay in the set (--restart makes a new one)", gone)
    return items


def _outcomes(items: list[Item], task: Task, config: PrepareConfig, scratch: Path) -> Iterator[tuple[Item, Outcome]]:
    if not items:
        return
    if config.ray:
        from core.data.prepare.cluster import map_on_ray

        yield from map_on_ray(items, task, config.ray, config.workers)
        return
    workers = min(config.workers or cpu_count(), len(items))
    with Pool(task, workers, scratch) as pool:
        yield from pool.map(items)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for what is unpacked; also what a killed run left there goes."""
    scratch = folder / ".scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _progress(outcomes: Iterator[tuple[Item, Outcome]], total: int) -> Iterator[tuple[Item, Outcome]]:
    from rich.progress import track

    yield from track(outcomes, description="preparing", total=total, transient=True)


def _summarise(store: Store, new: int, seconds: float) -> None:
    counts = store.counts
    log.info("%d inputs in %.1f s: %.1f a second", new, seconds, new / max(seconds, 1e-9))
    log.info("%s: %d meshes to train on, %d to test on", store.folder, counts["train"], counts["test"])
    lost = {reason: counts[reason] for reason in REASONS if counts[reason]}
    if lost:
        told = "".join(f"\n  {count:7d}  {reason}: {REASONS[reason]}" for reason, count in lost.items())
        log.info("%d rejected, each listed in %s:%s", sum(lost.values()), store.folder / "rejected.jsonl", told)
