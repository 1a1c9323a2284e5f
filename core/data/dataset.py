"""What the model trains on: mesh tokens and points of augmented meshes, as a function of (seed, epoch, index) alone."""

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from torch.utils.data import Dataset

from core.data.augment import EVAL_BOUND, AugmentConfig, augment, decimate, decimate_floor, jitter, tidy
from core.data.mesh import Mesh, merge_vertices, normalize, sample_surface
from core.data.sources import TEST_SHARE, FolderSource, MeshSource, PackedMeshes, ShapesSource
from core.tokens import Tokenizer

log = logging.getLogger(__name__)

TEST_SHAPES_SEED = 2**31  # added to the seed: shapes that no training run of another seed has seen
DENSE_FACTOR = 4  # decimation keeps at least a quarter of the faces

Key: TypeAlias = tuple[int, int]  # (epoch, index in the epoch)


@dataclass(frozen=True)
class DataConfig:
    data: tuple[str, ...] = ()
    """Folders of meshes to train on (obj, ply, stl, off, glb, gltf, dae, 3mf). None: procedural shapes."""
    num_shapes: int = 10000
    """Procedural shapes to make: an epoch without --data, the pool to draw from with --shapes_fraction."""
    shapes_fraction: float = 0.0
    """Share of procedural shapes in an epoch beside the meshes of --data: 0 to less than 1."""
    max_face_length: int = 1000
    """Meshes of more faces are left out."""
    use_dense_meshes: bool = False
    """Also train on meshes of up to four times max_face_length, decimated to fit each time."""
    num_workers: int = 64
    """Processes that load data, for each training process; never more than there are cores."""
    testset_size: int = 32
    """Most meshes to evaluate on."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name, least in (("num_shapes", 1), ("max_face_length", 1), ("num_workers", 0), ("testset_size", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be {least} or more")
        if not 0 <= self.shapes_fraction < 1:
            raise ValueError(f"--shapes_fraction {self.shapes_fraction}: must be from 0 to less than 1")


class Sample(NamedTuple):
    ids: np.ndarray
    """(T,) int64 mesh tokens, without BOS and EOS."""
    points: np.ndarray | None
    """(N, 3) float32; None where no points are wanted."""
    num_faces: int
    """Faces in the tokens."""
    name: str


class MeshDataset(Dataset):
    """One source of meshes as samples.

    In training (`train`) the mesh is augmented; else it is the mesh itself at 0.95, its points always the same.
    Meshes that are too long are left out here, and counted; an augmented one that gets too long gives way to the
    plain one, which fits.

    Args:
        point_num: points of each sample; 0 for none.
        max_seq_length: most mesh tokens of a sample.
        seed: of the augmentation and the points.

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
    ):
        self.source, self.tokenizer, self.config = source, tokenizer, config
        self.train, self.point_num, self.max_seq_length, self.seed = train, point_num, max_seq_length, seed
        self.epoch = 0
        counts = np.array([self._plain_length(source[k]) for k in range(len(source))], np.int64)
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
        points = None
        if self.point_num:
            points = sample_surface(mesh, self.point_num, rng)
            if self.train and self.config.augment.use_jitter_aug:
                points = jitter(points, rng)
        return Sample(ids, points, num_faces, self.source.name(int(self.items[index])))

    def _mesh_and_ids(self, item: int, rng: np.random.Generator) -> tuple[Mesh, np.ndarray, int]:
        mesh = self.source[item]
        if self.train:
            varied = augment(mesh, self.config.augment, rng, self.config.max_face_length)
            written = self._write(varied)
            if written is not None:
                return varied, *written
        plain = self._plain(mesh)
        written = self._write(plain)
        assert written is not None, "only meshes that fit are kept"
        return plain, *written

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

    def _plain_length(self, mesh: Mesh) -> int:
        """Tokens of the mesh before augmentation; 0 if it does not fit."""
        most = self.config.max_face_length
        if len(mesh.faces) > most * (DENSE_FACTOR if self.train and self.config.use_dense_meshes else 1):
            return 0
        written = self._write(self._plain(mesh))
        return 0 if written is None else len(written[0])

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


def snap(mesh: Mesh, bins: int) -> Mesh:
    """The mesh as tokens can say it: vertices at the centres of their cells, merged there, and no face lost in one.

    (Quantising again gives the same cells.) The mesh must lie in [-1, 1].
    """
    cells = np.minimum(((mesh.vertices + np.float32(1)) * np.float32(bins) / np.float32(2)).astype(np.int32), bins - 1)
    centers = ((cells + 0.5) / bins * 2 - 1).astype(np.float32)
    return tidy(merge_vertices(Mesh(centers, mesh.faces)))


def build_datasets(
    config: DataConfig, tokenizer: Tokenizer, *, point_num: int, max_seq_length: int, seed: int = 0, train: bool = True
) -> tuple[MeshDataset | MixDataset | None, MeshDataset]:
    """The training set and the test set of a configuration; `train=False` leaves the first None, and its work undone.

    Several folders join into one training set, and their test splits into one test set.
    Raises ValueError for folders that are missing, empty or hold nothing that fits.
    """
    fit = partial(
        MeshDataset, tokenizer=tokenizer, config=config, point_num=point_num, max_seq_length=max_seq_length, seed=seed
    )
    if not config.data:
        log.info("no --data: procedural shapes, %d to train on", config.num_shapes)
        test = ShapesSource(seed + TEST_SHAPES_SEED, max(1, config.testset_size), progress=False)
        return fit(ShapesSource(seed, config.num_shapes), train=True) if train else None, fit(test, train=False)
    folders = [FolderSource(Path(folder)) for folder in config.data]
    test_set = fit(PackedMeshes.join([folder.test for folder in folders]), train=False)
    if not len(test_set):
        log.warning(
            "no mesh of --data falls to the test split (%g %% of files): nothing to evaluate on", 100 * TEST_SHARE
        )
    if not train:
        return None, test_set
    train_set = fit(PackedMeshes.join([folder.train for folder in folders]), train=True)
    if config.shapes_fraction == 0:
        return train_set, test_set
    shapes = fit(ShapesSource(seed, config.num_shapes), train=True)
    count = max(1, round(len(train_set) * config.shapes_fraction / (1 - config.shapes_fraction)))
    return MixDataset([train_set, shapes], [len(train_set), count], seed), test_set
