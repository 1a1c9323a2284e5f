"""What the model trains on: mesh tokens and points of augmented meshes, as a function of (seed, epoch, index) alone."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from torch.utils.data import Dataset

from core.data.augment import (
    EVAL_BOUND,
    AugmentConfig,
    augment,
    changes_meshes,
    choose_count,
    damage,
    decimate,
    decimate_floor,
    jitter,
)
from core.data.cache import TokenCache, Written, open_cache
from core.data.entries import open_entry, parse_entries
from core.data.mesh import Mesh, normalize, sample_surface
from core.data.snap import grid_cells, snap
from core.data.sources import TEST_SHARE, JoinedMeshes, MeshSource, ShapesSource
from core.groups import StepConfig, Steps, mesh_steps
from core.tokens import Tokenizer

log = logging.getLogger(__name__)

TEST_SHAPES_SEED = 2**31  # added to the seed: shapes that no training run of another seed has seen
TEST_SHAPES_FACTOR = 4
DENSE_FACTOR = 4  # decimation keeps at least a quarter of the faces

Key: TypeAlias = tuple[int, int]  # (epoch, index in the epoch)


@dataclass(frozen=True)
class DataConfig:
    data: tuple[str, ...] = ()
    """What to train on: folders of meshes (obj, ply, stl, off, glb, gltf, dae, 3mf), sets made by prepare.py (folders
    or URLs), shapes:N for N procedural shapes; all or none of them with a weight (a:0.7 b:0.3). Default: procedural
    shapes."""
    num_shapes: int = 10000
    """Number of procedural shapes: of an epoch without --data, or to draw from with --shapes_fraction."""
    shapes_fraction: float = 0.0
    """Share of procedural shapes in an epoch with --data: 0 to less than 1."""
    max_face_length: int = 1000
    """Leave out meshes with more faces."""
    use_dense_meshes: bool = False
    """Also train on meshes with up to four times max_face_length faces, decimated differently each time."""
    num_workers: int = 64
    """Data loader processes per training process; never more than there are cores."""
    testset_size: int = 32
    """Largest number of meshes to evaluate on."""
    token_cache: str = ""
    """Folder that keeps the tokens of unaugmented meshes for later runs, which then start faster and tokenize nothing
    if no augmentation changes meshes."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name, least in (("num_shapes", 1), ("max_face_length", 1), ("num_workers", 0), ("testset_size", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be {least} or more")
        if not 0 <= self.shapes_fraction < 1:
            raise ValueError(f"--shapes_fraction {self.shapes_fraction}: must be from 0 to less than 1")
        weighted = [entry.weight is not None for entry in parse_entries(self.data)]
        if any(weighted) and self.shapes_fraction:
            raise ValueError(
                "--shapes_fraction goes with --data without weights; add shapes:N:WEIGHT to --data instead"
            )


class Sample(NamedTuple):
    ids: np.ndarray
    """(T,) int64 mesh tokens, without BOS and EOS."""
    points: np.ndarray | None
    """(N, 3) float32; None where no points are wanted."""
    num_faces: int
    """Faces in the tokens."""
    name: str
    steps: Steps | None = None
    """For the face decoder: the ids as steps, with what is known before each."""
    chosen: bool = False
    """The augmentation has chosen the face count, see `AugmentConfig.use_count_aug`."""


class MeshDataset(Dataset):
    """One source of meshes as samples.

    In training (`train`) the mesh is augmented; else it is the mesh itself at 0.95, its points always the same.
    Meshes that are too long are left out here, and counted; an augmented one that gets too long gives way to the
    plain one, which fits.

    Args:
        point_num: points of each sample; 0 for none.
        max_seq_length: most mesh tokens of a sample.
        seed: of the augmentation and the points.
        steps: makes the face decoder's steps as well, with these options.

    Raises ValueError where no mesh fits.
    """

    def __init__(
        self,
        source: MeshSource,
        tokenizer: Tokenizer,
        config: DataConfig,
        *,
        train: bool,
        point_num: int,
        max_seq_length: int,
        seed: int = 0,
        steps: StepConfig | None = None,
    ):
        self.steps = steps
        self.source, self.tokenizer, self.config = source, tokenizer, config
        self.train, self.point_num, self.max_seq_length, self.seed = train, point_num, max_seq_length, seed
        self.epoch = 0
        self.cache = self._open_cache() if config.token_cache else None
        counts = self._plain_lengths()
        self.items = np.flatnonzero(counts > 0)
        if not train:
            self.items = self.items[: config.testset_size]
        self.token_counts = counts[self.items]
        self._report(counts)

    def __len__(self) -> int:
        return len(self.items)

    def set_epoch(self, epoch: int) -> None:
        """The epoch of items asked for by a plain index (samplers of this project ask for (epoch, index))."""
        self.epoch = epoch

    def lengths(self, epoch: int) -> np.ndarray:
        """(len,) tokens of each sample, about: those of the mesh before augmentation."""
        return self.token_counts

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        return self.sample(index, self.generator(epoch, index))

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch if self.train else 0, index))

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Item `index`, all its randomness drawn from `rng`."""
        mesh, ids, num_faces = self._mesh_and_ids(int(self.items[index]), rng)
        surface, wrong, chosen = mesh, None, False
        if self.train and self.config.augment.use_count_aug:
            varied = choose_count(mesh, rng, self.config.max_face_length)
            if varied is not None and (written := self._write(varied)) is not None:
                mesh, (ids, num_faces), chosen = varied, written, True
        if self.train and self.steps is not None and self.config.augment.use_damage_aug and rng.random() < 0.5:
            ids, num_faces, wrong = self._damaged(mesh, rng) or (ids, num_faces, None)
        points = None
        if self.point_num:
            points = sample_surface(surface, self.point_num, rng)
            if self.train and self.config.augment.use_jitter_aug:
                points = jitter(points, rng)
        steps = None
        if self.steps is not None:
            steps = mesh_steps(ids, points, self.steps, self.tokenizer.config.discrete_bins, wrong)
        return Sample(ids, points, num_faces, self.source.name(int(self.items[index])), steps, chosen)

    def _mesh_and_ids(self, item: int, rng: np.random.Generator) -> tuple[Mesh, np.ndarray, int]:
        mesh = self.source[item]
        if self.train and not self._unchanged(mesh):
            varied = augment(mesh, self.config.augment, rng, self.config.max_face_length)
            written = self._write(varied)
            if written is not None:
                return varied, *written
        plain = self._plain(mesh)
        written = self._write(plain) if self.cache is None else self.cache[item]
        assert written is not None, "only meshes that fit are kept"
        return plain, *written

    def _damaged(self, mesh: Mesh, rng: np.random.Generator) -> tuple[np.ndarray, int, np.ndarray] | None:
        """(ids, faces, vertices (W, 3) on the grid that are wrong) of the mesh damaged; None if that gets too long."""
        bins = self.tokenizer.config.discrete_bins
        damaged, wrong = damage(mesh, rng)
        written = self._write(damaged)
        return None if written is None else (*written, grid_cells(damaged.vertices[wrong], bins))

    def _plain(self, mesh: Mesh) -> Mesh:
        """The mesh without augmentation; a dense one decimated as far as augmentation would."""
        if len(mesh.faces) > self.config.max_face_length:
            mesh = decimate(mesh, decimate_floor(mesh))
        return normalize(mesh, EVAL_BOUND)[0]

    def _write(self, mesh: Mesh) -> tuple[np.ndarray, int] | None:
        """(ids, number of faces in them), or None if there are too many of either."""
        snapped = snap(mesh, self.tokenizer.config.discrete_bins)
        if not 0 < len(snapped.faces) <= self.config.max_face_length:
            return None
        try:
            ids = self.tokenizer.encode(*snapped)
        except ValueError:  # a relative value out of the range of this backend (LR)
            return None
        return (ids, len(snapped.faces)) if len(ids) <= self.max_seq_length else None

    def _unchanged(self, mesh: Mesh) -> bool:
        """Whether augmentation leaves this mesh as it is."""
        return not changes_meshes(self.config.augment) and len(mesh.faces) <= self.config.max_face_length

    def _write_plain(self, item: int) -> Written:
        """What is written of mesh `item` before augmentation; None if it does not fit."""
        mesh, most = self.source[item], self.config.max_face_length
        if len(mesh.faces) > most * (DENSE_FACTOR if self.train and self.config.use_dense_meshes else 1):
            return None
        return self._write(self._plain(mesh))

    def _plain_lengths(self) -> np.ndarray:
        """(n,) tokens of each plain mesh, 0 for one that does not fit; a test set: as many as needed."""
        if self.cache is not None:
            return self.cache.lengths()
        known = self.source.known_lengths(self.tokenizer.config)
        most = self.config.max_face_length
        dense = np.arange(len(self.source))
        counts = np.zeros(len(self.source), np.int64)
        if known is not None:
            faces, tokens = known
            counts = np.where((faces <= most) & (tokens <= self.max_seq_length), tokens, 0).astype(np.int64)
            dense = np.flatnonzero(faces > most) if self.train and self.config.use_dense_meshes else dense[:0]
        for seen, item in enumerate(dense):
            written = self._write_plain(int(item))
            counts[item] = 0 if written is None else len(written[0])
            if not self.train and (counts > 0).sum() == self.config.testset_size:
                return counts[: seen + 1]
        return counts

    def _open_cache(self) -> TokenCache:
        config = self.config
        facts = {
            "source": self.source.fingerprint(),
            "tokenizer": asdict(self.tokenizer.config),
            "max_face_length": config.max_face_length * (DENSE_FACTOR if config.use_dense_meshes and self.train else 1),
            "target": config.max_face_length,
            "max_seq_length": self.max_seq_length,
        }
        return open_cache(Path(config.token_cache), facts, len(self.source), self._write_plain)

    def _report(self, counts: np.ndarray) -> None:
        config, dropped = self.config, int((counts == 0).sum())
        if dropped:
            log.warning(
                "%d of %d %s meshes are left out: over %d faces (--max_face_length) or %d tokens (--max_seq_length)",
                *(dropped, len(counts), "training" if self.train else "test"),
                *(config.max_face_length, self.max_seq_length),
            )
        if self.train and not len(self.items):
            raise ValueError(
                f"none of {len(counts)} meshes has at most {config.max_face_length} faces (--max_face_length) "
                f"and {self.max_seq_length} tokens (--max_seq_length)"
            )


class MixDataset(Dataset):
    """Several data sets in one epoch: `counts[k]` samples of the k-th, which goes round through all of its own.

    Sample j of part k in an epoch is its item (epoch * counts[k] + j) modulo its length: a pool that is larger than
    its share of an epoch is used up over several.
    """

    def __init__(self, parts: list[MeshDataset], counts: list[int], seed: int = 0):
        self.parts, self.counts, self.seed = parts, counts, seed
        self.ends = np.cumsum(counts)
        self.epoch = 0

    def __len__(self) -> int:
        return int(self.ends[-1])

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def lengths(self, epoch: int) -> np.ndarray:
        rounds = [(epoch * n + np.arange(n)) % len(part) for part, n in zip(self.parts, self.counts, strict=True)]
        return np.concatenate([part.token_counts[r] for part, r in zip(self.parts, rounds, strict=True)])

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        k = int(np.searchsorted(self.ends, index, side="right"))
        part, count = self.parts[k], self.counts[k]
        within = index - (int(self.ends[k]) - count)
        return part.sample((epoch * count + within) % len(part), np.random.default_rng((self.seed, epoch, index)))


def build_datasets(
    config: DataConfig,
    tokenizer: Tokenizer,
    *,
    point_num: int,
    max_seq_length: int,
    seed: int = 0,
    train: bool = True,
    steps: StepConfig | None = None,
) -> tuple[MeshDataset | MixDataset | None, MeshDataset]:
    """The training set and the test set of a configuration; `train=False` leaves the first None, and its work undone.

    Without weights all of --data is one training set, in which each mesh comes once an epoch. With weights an epoch has
    as many samples as there are meshes, and each part its share of them. The test splits are one test set.
    Raises ValueError for places that are missing, empty or hold nothing that fits.
    """
    fit = partial(
        MeshDataset,
        tokenizer=tokenizer,
        config=config,
        point_num=point_num,
        max_seq_length=max_seq_length,
        seed=seed,
        steps=steps,
    )
    count = TEST_SHAPES_FACTOR * max(1, config.testset_size)  # small presets leave most of them out as too long
    test_shapes = partial(ShapesSource, seed + TEST_SHAPES_SEED, count, progress=False)
    entries = parse_entries(config.data)
    if not entries:
        log.info("no --data: procedural shapes, %d to train on", config.num_shapes)
        return fit(ShapesSource(seed, config.num_shapes), train=True) if train else None, fit(
            test_shapes(), train=False
        )
    opened = [open_entry(entry, seed) for entry in entries]
    only_shapes = all(entry.shapes for entry in entries)
    test_set = fit(test_shapes() if only_shapes else JoinedMeshes.of([test for _, test in opened]), train=False)
    if not len(test_set):
        log.warning(
            "no mesh of --data falls to the test split (%g %% of files): nothing to evaluate on", 100 * TEST_SHARE
        )
    if not train:
        return None, test_set
    weights = [entry.weight for entry in entries if entry.weight is not None]
    if weights:
        parts = [fit(part, train=True) for part, _ in opened]
        return MixDataset(parts, share_out(sum(map(len, parts)), weights), seed), test_set
    train_set = fit(JoinedMeshes.of([part for part, _ in opened]), train=True)
    if config.shapes_fraction == 0:
        return train_set, test_set
    shapes = fit(ShapesSource(seed, config.num_shapes), train=True)
    counts = [len(train_set), shapes_beside(len(train_set), config.shapes_fraction)]
    return MixDataset([train_set, shapes], counts, seed), test_set


def shapes_beside(meshes: int, fraction: float) -> int:
    """Procedural shapes that make up `fraction` of an epoch beside so many meshes, 1 at least."""
    return max(1, round(meshes * fraction / (1 - fraction)))


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """`total` samples in proportion to the weights, 1 at least for each."""
    return [max(1, round(total * weight / sum(weights))) for weight in weights]
