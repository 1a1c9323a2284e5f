"""Samples to batches: which samples go together, in what order, on which process; and their tensors."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from core.data.dataset import Key, Sample
from core.data.sources import cpu_count
from core.groups import Steps, join_steps
from core.tokens import BOS, EOS, PAD

log = logging.getLogger(__name__)

SORT_POOL = 32  # batches whose samples are sorted by length together


@dataclass
class Batch:
    ids: Tensor
    """(B, T) int64: BOS, mesh tokens, EOS, then PAD."""
    num_faces: Tensor
    """(B,) int64 faces in the tokens."""
    points: Tensor | None = None
    """(B, N, 3) float32."""
    images: Tensor | None = None
    """(B, 3, 224, 224) float32."""
    latents: Tensor | None = None
    """(B, L, D)."""
    names: list[str] | None = None
    steps: Steps | None = None
    """Of the face decoder: the meshes' steps one after the other."""
    chosen: Tensor | None = None
    """(B,) bool the augmentation has chosen the face count: nothing else tells it."""

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, function: Any) -> "Batch":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: function(v) for name, v in values.items() if isinstance(v, Tensor | Steps)})


def collate(samples: list[Sample]) -> Batch:
    """Samples as one batch, padded on the right to the longest."""
    ids = np.full((len(samples), max(len(s.ids) for s in samples) + 2), PAD, np.int64)
    ids[:, 0] = BOS
    for row, sample in zip(ids, samples, strict=True):
        row[1 : len(sample.ids) + 1] = sample.ids
        row[len(sample.ids) + 1] = EOS
    clouds = [s.points for s in samples if s.points is not None]
    steps = [s.steps for s in samples if s.steps is not None]
    return Batch(
        ids=torch.from_numpy(ids),
        num_faces=torch.tensor([s.num_faces for s in samples]),
        chosen=torch.tensor([s.chosen for s in samples]),
        points=torch.from_numpy(np.stack(clouds)) if clouds else None,
        names=[s.name for s in samples],
        steps=join_steps(steps) if steps else None,
    )


class HasLengths(Protocol):
    def __len__(self) -> int: ...
    def lengths(self, epoch: int) -> np.ndarray: ...
    def __getitem__(self, key: Any) -> Any: ...


class BatchSampler(Sampler[list[Key]]):
    """Lists of (epoch, index), a batch each: the same for a given seed and epoch, whatever loads them.

    Every sample comes once an epoch, and every process gets the same number of batches: where the last ones would not
    go round, the largest are halved, and where every batch is of one sample, the first ones come twice.

    Args:
        dataset: gives its size and, for `sort_by_length` and `batch_tokens`, the length of each sample in an epoch.
        batch_size: most samples in a batch (of one process).
        seed: of the shuffling.
        shuffle: off: in order, for evaluation.
        sort_by_length: batches are of about equally long samples (sorted within random pools of 32 batches), so that
            processes have about equal work at each step; their order is still random.
        batch_tokens: most tokens of a batch, by the lengths known beforehand; 0: no limit. Augmentation changes a
            length, so this is a budget and no guarantee.
        extra_tokens: that each sample has beside its mesh: BOS, EOS and condition.
        rank, world_size: this process, and how many there are.
    """

    def __init__(
        self,
        dataset: HasLengths,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        sort_by_length: bool = False,
        batch_tokens: int = 0,
        extra_tokens: int = 2,
        rank: int = 0,
        world_size: int = 1,
    ):
        if batch_size < 1:
            raise ValueError(f"--batch_size {batch_size}: must be 1 or more")
        if batch_tokens < 0:
            raise ValueError(f"--batch_tokens {batch_tokens}: must be 0 (no limit) or more")
        self.dataset, self.batch_size = dataset, batch_size
        self.batch_tokens, self.extra_tokens = batch_tokens, extra_tokens
        self.seed, self.shuffle, self.sort_by_length = seed, shuffle, sort_by_length
        self.rank, self.world_size = rank, world_size
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """What the next iteration yields: the batches of `epoch` from number `start` on (to resume within one)."""
        self.epoch, self.start = epoch, start
        self.batches = self._batches()

    def __len__(self) -> int:
        """Batches of this process in the whole epoch, those before `start` included."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self.batches[self.start :]:
            yield [(self.epoch, int(index)) for index in batch]

    def _batches(self) -> list[np.ndarray]:
        """This process's batches of the epoch, each an array of indices."""
        rng = np.random.default_rng((self.seed, self.epoch))
        count, world = len(self.dataset), self.world_size
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        lengths = self.dataset.lengths(self.epoch)
        if self.sort_by_length:
            pool = SORT_POOL * self.batch_size * world
            pools = [order[k : k + pool] for k in range(0, count, pool)]
            order = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools] or [order])
        batches = _divide(self._cut(order, lengths), world)
        groups = np.arange(len(batches) // world)  # neighbours, so about equal work for the processes at each step
        if self.shuffle and self.sort_by_length:
            groups = rng.permutation(groups)
        return [batches[group * world + self.rank] for group in groups]

    def _cut(self, order: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """Runs of `order`: at most `batch_size` samples and `batch_tokens` tokens, but a sample at least."""
        if not self.batch_tokens:
            return [order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)]
        batches, first, total = [], 0, 0
        for k, length in enumerate((lengths[order] + self.extra_tokens).tolist()):
            total += length
            if k > first and (k - first == self.batch_size or total > self.batch_tokens):
                batches.append(order[first:k])
                first, total = k, length
        return [*batches, order[first:]] if len(order) else []


def _divide(batches: list[np.ndarray], multiple: int) -> list[np.ndarray]:
    """As many batches as the next multiple: the largest are halved, or the first repeated if all are of one sample."""
    batches, made = list(batches), len(batches)
    while batches and len(batches) % multiple:
        largest = max(range(len(batches)), key=lambda k: len(batches[k]))
        batch, half = batches[largest], (len(batches[largest]) + 1) // 2
        if len(batch) > 1:
            batches[largest : largest + 1] = [batch[:half], batch[half:]]
        else:
            batches.append(batches[len(batches) % made])
    return batches


def make_loader(
    dataset: HasLengths, sampler: BatchSampler, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader:
    """The batches of `sampler`, loaded by `worker_count(num_workers)` processes that stay for all epochs (0: here)."""
    workers = worker_count(num_workers)
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )


def worker_count(wanted: int) -> int:
    """`wanted` processes, or as many as there are cores for them; a log line says so where that is fewer."""
    cores = cpu_count()
    if wanted > cores:
        log.info("--num_workers %d: %d cores for this process, so %d loader processes", wanted, cores, cores)
    return min(wanted, cores)
