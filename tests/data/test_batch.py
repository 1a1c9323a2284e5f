import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import batch as batches
from core.data.batch import Batch, BatchSampler, collate, make_loader
from core.data.dataset import DataConfig, MeshDataset, Sample
from core.data.mesh import normalize
from core.data.sources import PackedMeshes
from core.tokens import BOS, EOS, PAD, Tokenizer, TokenizerConfig


class Lengths:
    """A data set of which only the lengths are known."""

    def __init__(self, count: int, seed: int = 0):
        self.values = np.random.default_rng(seed).integers(9, 1200, count)

    def __len__(self):
        return len(self.values)

    def lengths(self, epoch):
        return self.values

    def __getitem__(self, key):
        raise AssertionError("a sampler looks at lengths only")


def epochs(sampler: BatchSampler, epoch: int) -> list[list]:
    sampler.set_epoch(epoch)
    return list(sampler)


def padding(sampler: BatchSampler) -> float:
    rows = [[sampler.dataset.values[i] for _, i in keys] for keys in sampler]
    return 1 - sum(map(sum, rows)) / sum(max(row) * len(row) for row in rows)


# ---- collate


def test_collate_pads_on_the_right():
    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    batch = collate([Sample(np.array([5, 6, 7]), points, 2, "a"), Sample(np.array([8]), points + 1, 1, "b")])
    assert batch.ids.tolist() == [[BOS, 5, 6, 7, EOS], [BOS, 8, EOS, PAD, PAD]]
    assert batch.ids.dtype == torch.int64
    assert batch.num_faces.tolist() == [2, 1]
    assert batch.points.shape == (2, 4, 3)
    assert batch.points[1, 0].tolist() == [1, 2, 3]
    assert batch.names == ["a", "b"]
    assert len(batch) == 2
    assert collate([Sample(np.array([5]), None, 1, "a")]).points is None


def test_moving_a_batch_moves_every_tensor():
    batch = Batch(torch.zeros(1, 3, dtype=torch.int64), torch.ones(1), points=torch.zeros(1, 2, 3), names=["a"])
    moved = batch.to("meta")
    assert {t.device.type for t in (moved.ids, moved.num_faces, moved.points)} == {"meta"}
    assert moved.images is None
    assert moved.names == ["a"]


# ---- sampler


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(0, 90),
    size=st.integers(1, 9),
    world=st.integers(1, 5),
    tokens=st.sampled_from([0, 800, 5000]),
    sort=st.booleans(),
    shuffle=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_every_sample_once_and_as_many_batches_on_each_process(count, size, world, tokens, sort, shuffle, epoch):
    options = {"batch_tokens": tokens, "sort_by_length": sort, "shuffle": shuffle, "world_size": world}
    ranks = [epochs(BatchSampler(Lengths(count), size, rank=r, **options), epoch) for r in range(world)]
    assert len({len(rank) for rank in ranks}) == 1
    keys = [key for rank in ranks for batch in rank for key in batch]
    assert {e for e, _ in keys} <= {epoch}
    assert {i for _, i in keys} == set(range(count))
    repeated = len(keys) - count
    assert 0 <= repeated < world
    assert not repeated or all(len(batch) == 1 for rank in ranks for batch in rank)
    lengths = Lengths(count).values + 2 if count else []
    for batch in (b for rank in ranks for b in rank):
        assert 1 <= len(batch) <= size
        assert not tokens or len(batch) == 1 or sum(lengths[i] for _, i in batch) <= tokens


def test_the_order_is_a_function_of_seed_and_epoch():
    one, same, other = (BatchSampler(Lengths(50), 4, seed=seed, sort_by_length=True) for seed in (1, 1, 2))
    epochs(one, 9)
    assert epochs(one, 2) == epochs(same, 2)
    assert epochs(one, 2) != epochs(other, 2)
    assert [i for b in epochs(one, 2) for _, i in b] != [i for b in epochs(one, 3) for _, i in b]


def test_without_shuffling_all_come_in_order():
    sampler = BatchSampler(Lengths(10), 4, shuffle=False)
    assert [[i for _, i in batch] for batch in sampler] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_an_epoch_continues_at_any_batch():
    sampler = BatchSampler(Lengths(50), 4, sort_by_length=True, rank=1, world_size=2)
    whole = epochs(sampler, 3)
    sampler.set_epoch(3, start=4)
    assert list(sampler) == whole[4:]
    assert len(sampler) == len(whole)


def test_sorting_by_length_saves_padding_at_random_order():
    mixed, sorted_ = BatchSampler(Lengths(2000), 16), BatchSampler(Lengths(2000), 16, sort_by_length=True)
    assert padding(mixed) > 0.35
    assert padding(sorted_) < 0.06
    lengths = [np.mean([sorted_.dataset.values[i] for _, i in keys]) for keys in sorted_]
    assert abs(np.corrcoef(lengths[1:], lengths[:-1])[0, 1]) < 0.3


def test_processes_have_equal_work_at_each_step():
    ranks = [BatchSampler(Lengths(2000), 8, sort_by_length=True, rank=r, world_size=2) for r in (0, 1)]
    work = [[sum(s.dataset.values[i] for _, i in keys) for keys in s] for s in ranks]
    ratio = np.array(work[0]) / work[1]
    assert np.median(np.abs(np.log(ratio))) < 0.05
    apart = [BatchSampler(Lengths(2000), 8, rank=r, world_size=2) for r in (0, 1)]
    work = [[sum(s.dataset.values[i] for _, i in keys) for keys in s] for s in apart]
    assert np.median(np.abs(np.log(np.array(work[0]) / work[1]))) > 0.1


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 2, "batch_tokens": -1}])
def test_impossible_batches(options):
    name, value = list(options.items())[-1]
    with pytest.raises(ValueError, match=f"--{name} {value}"):
        BatchSampler(Lengths(4), **options)


# ---- loader


@pytest.fixture(scope="module")
def dataset(variants) -> MeshDataset:
    source = PackedMeshes([normalize(m)[0] for m in variants], [str(k) for k in range(len(variants))])
    tokenizer = Tokenizer(TokenizerConfig(discrete_bins=64))
    return MeshDataset(source, tokenizer, DataConfig(), train=True, point_num=32, max_seq_length=4000, seed=5)


def test_batches_are_the_same_with_any_number_of_workers(dataset, monkeypatch):
    monkeypatch.setattr(batches, "cpu_count", lambda: 2)
    runs = []
    for workers in (0, 2):
        sampler = BatchSampler(dataset, 8, seed=5, sort_by_length=True)
        loader = make_loader(dataset, sampler, workers)
        run = []
        for epoch, start in ((0, 0), (1, 2)):  # the workers of the first epoch serve the second
            sampler.set_epoch(epoch, start)
            run += list(loader)
        runs.append(run)
    assert len(runs[0]) == len(runs[1]) == 5 + 3
    for one, other in zip(*runs, strict=True):
        assert one.names == other.names
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.points, other.points)


def test_no_more_workers_than_cores(monkeypatch, caplog):
    monkeypatch.setattr(batches, "cpu_count", lambda: 3)
    with caplog.at_level(logging.INFO):
        assert batches.worker_count(64) == 3
    assert len(caplog.records) == 1
    assert "64" in caplog.text
    assert batches.worker_count(0) == 0


def test_processes_of_a_launch_share_the_cores(monkeypatch):
    alone = batches.cpu_count()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert batches.cpu_count() == max(1, alone // 2)
