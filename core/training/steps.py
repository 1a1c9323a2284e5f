"""Batches as optimizer steps: grouping, what is due, and the random numbers of each."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch


def seed_all(*key: int | str) -> None:
    """Seed torch on every device from a key, the same on every machine."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "little") >> 1)


def due(step: int, every: int, epoch_ended: bool) -> bool:
    """Whether something is due after `step` that is done every `every` steps (0: after each epoch)."""
    return step % every == 0 if every else epoch_ended


def grouped(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` batches; the last one may be shorter."""
    iterator = iter(batches)
    while group := list(itertools.islice(iterator, size)):
        yield group


def with_last(items: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """(item, whether it is the last one)."""
    iterator = iter(items)
    for item in iterator:
        for following in iterator:
            yield item, False
            item = following
        yield item, True
