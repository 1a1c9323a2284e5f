"""Pictures of meshes to train image -> latent on: random views, as a function of (seed, epoch, index) alone.

A sample is a mesh's surface points and one picture of it. The camera stands at an azimuth of --view_azimuth, so a mesh
is learned as it stands in the picture (its front and right side seen): turning the mesh by --rotate_step before gives
every side its turn. The object fills 80 % of the square, as pictures are centred for inference.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from core.data.augment import EVAL_BOUND, augment, jitter, rotate
from core.data.camera import View
from core.data.dataset import TEST_SHAPES_SEED, DataConfig, Key, shapes_beside, share_out
from core.data.entries import open_entry, parse_entries
from core.data.mesh import Mesh, normalize, sample_surface
from core.data.render import CLAY, render
from core.data.sources import JoinedMeshes, MeshSource, ShapesSource, cpu_count

log = logging.getLogger(__name__)

VIEW_MARGIN = 0.1  # on each side: the object fills 80 % of the square
FIELDS_OF_VIEW = (15.0, 40.0)  # degrees
TEST_VIEW = View(azimuth=35.0, elevation=22.0, margin=VIEW_MARGIN)


@dataclass(frozen=True)
class ViewConfig:
    view_size: int = 224
    """Width and height of the training pictures in pixels."""
    view_azimuth: tuple[float, float] = (10.0, 60.0)
    """Range of the camera's azimuth in degrees; 0 is in front of the mesh, 90 at its right (+x)."""
    view_elevation: tuple[float, float] = (5.0, 40.0)
    """Range of the camera's elevation in degrees above the horizon."""
    cache_latents: int = 0
    """Views of each mesh to render and encode once, at the start, and use in turn; 0: new ones in every epoch."""
    use_stored_views: bool = True
    """Train on the pictures of a prepared set (prepare.py --views) if it has any; its meshes are then rotated to match
    and not augmented. Off: render new ones."""
    view_cache: str = ""
    """Folder that keeps the pictures of --cache_latents for later runs with the same data options."""

    def __post_init__(self) -> None:
        if not 16 <= self.view_size <= 1024:
            raise ValueError(f"--view_size {self.view_size}: 16 to 1024 pixels are possible")
        for name, most in (("view_azimuth", 360), ("view_elevation", 90)):
            low, high = getattr(self, name)
            if not -most <= low <= high <= most:
                raise ValueError(f"--{name} {low} {high}: two angles from -{most} to {most}, the lower first")
        if self.cache_latents < 0:
            raise ValueError(f"--cache_latents {self.cache_latents}: must be 0 (no cache) or more")


class ViewSample(NamedTuple):
    image: np.ndarray
    """(S, S, 3) uint8, on white."""
    points: np.ndarray | None
    """(N, 3) float32 on the surface."""
    latents: np.ndarray | None
    """(L, D) float16 of those points, where they are cached."""
    name: str


@dataclass
class ViewBatch:
    images: Tensor
    """(B, 3, S, S) uint8."""
    points: Tensor | None
    """(B, N, 3) float32; None where latents are cached."""
    latents: Tensor | None
    """(B, L, D) float32."""
    names: list[str]

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ViewBatch":
        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=non_blocking)

        images = self.images.to(device, non_blocking=non_blocking)
        return ViewBatch(images, move(self.points), move(self.latents), self.names)

    def pin_memory(self) -> "ViewBatch":
        def pin(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.pin_memory()

        return ViewBatch(self.images.pin_memory(), pin(self.points), pin(self.latents), self.names)


def collate_views(samples: Sequence[ViewSample]) -> ViewBatch:
    """Samples as one batch."""
    points = [s.points for s in samples if s.points is not None]
    latents = [s.latents for s in samples if s.latents is not None]
    return ViewBatch(
        torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.stack(points).astype(np.float32)) if points else None,
        torch.from_numpy(np.stack(latents).astype(np.float32)) if latents else None,
        [s.name for s in samples],
    )


def random_view(config: ViewConfig, rng: np.random.Generator) -> View:
    """A view from the ranges of the configuration."""
    azimuth, elevation = rng.uniform(*config.view_azimuth), rng.uniform(*config.view_elevation)
    return View(float(azimuth), float(elevation), float(rng.uniform(*FIELDS_OF_VIEW)), VIEW_MARGIN)


def random_color(mesh: Mesh, rng: np.random.Generator) -> np.ndarray:
    """(F, 3) colours: clay (a third), one for all (a third), or one for each connected piece."""
    kind = rng.integers(3)
    if kind == 0:
        return np.broadcast_to(np.asarray(CLAY, np.float32), (len(mesh.faces), 3))
    palette = _colors(rng, 8)
    if kind == 1:
        return np.broadcast_to(palette[0], (len(mesh.faces), 3))
    return palette[_pieces(mesh) % len(palette)]


def _colors(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) of any hue, seldom dark: shading has to show on them."""
    hue = rng.uniform(0, 1, (count, 1)) + np.array([[0, 1 / 3, 2 / 3]])
    pure = np.clip(np.abs((hue % 1) * 6 - 3) - 1, 0, 1)
    saturation, value = rng.uniform(0, 0.8, (count, 1)), rng.uniform(0.45, 1, (count, 1))
    return (value * (1 - saturation * (1 - pure))).astype(np.float32)


def _pieces(mesh: Mesh) -> np.ndarray:
    """(F,) number of each face's connected piece."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    f = mesh.faces
    rows, columns = np.concatenate([f[:, 0], f[:, 1]]), np.concatenate([f[:, 1], f[:, 2]])
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(mesh.vertices),) * 2)
    return connected_components(graph, directed=False)[1][f[:, 0]]


def take_view(mesh: Mesh, config: ViewConfig, rng: np.random.Generator) -> np.ndarray:
    """A training picture (S, S, 3) uint8 of a mesh; a quarter of them with its edges drawn."""
    view, color = random_view(config, rng), random_color(mesh, rng)
    return render(mesh, config.view_size, view, color=color, edges=bool(rng.random() < 0.25))


class ViewDataset(Dataset):
    """Views of the meshes of several sources.

    An epoch has `counts[k]` samples of part k, which goes round through all of its own over several epochs. With
    --cache_latents K, epoch e is epoch e modulo K.

    Args:
        parts: where meshes come from.
        counts: samples of each in an epoch; None: all of its meshes.
        train: augmented meshes, random views; else the meshes as they are, from one view.
        point_num: points of each sample.

    Raises ValueError where no mesh is small enough.
    """

    def __init__(
        self,
        parts: Sequence[MeshSource],
        counts: Sequence[int] | None,
        config: DataConfig,
        views: ViewConfig,
        *,
        train: bool,
        point_num: int,
        seed: int = 0,
    ):
        self.parts, self.config, self.views = parts, config, views
        self.train, self.point_num, self.seed = train, point_num, seed
        self.items = [_small_enough(part, config.max_face_length) for part in parts]
        self.counts = [len(items) for items in self.items] if counts is None else list(counts)
        if not train:
            self.counts = [min(count, config.testset_size) for count in self.counts]
        self.ends = np.cumsum(self.counts)
        if train and not all(len(items) for items in self.items):
            raise ValueError(f"no mesh of at most {config.max_face_length} faces (--max_face_length) to take views of")
        self.stored: StoredViews | None = None
        self.latents: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @property
    def rounds(self) -> int:
        """Epochs after which the samples are the same again; 0: never."""
        return self.views.cache_latents if self.train else 1

    def lengths(self, epoch: int) -> np.ndarray:
        """(len,) ones: all samples cost the same."""
        return np.ones(len(self), np.int64)

    def __getitem__(self, key: int | Key) -> ViewSample:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        epoch = epoch % self.rounds if self.rounds else epoch
        number = epoch * len(self) + index
        if self.latents is not None and self.stored is not None:
            return ViewSample(self.stored.images[number], None, self.latents[number], self.name(epoch, index))
        if self.stored is not None:
            points = self.stored.points[number].astype(np.float32)
            return ViewSample(self.stored.images[number], points, None, self.name(epoch, index))
        return self._take(epoch, index)

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """Of all that is random in a sample."""
        return np.random.default_rng((self.seed, epoch, index))

    def mesh(self, index: int) -> Mesh:
        """Mesh of test sample `index`, as it is."""
        part, item = self._place(0, index)
        return normalize(self.parts[part][item], EVAL_BOUND)[0]

    def name(self, epoch: int, index: int) -> str:
        part, item = self._place(epoch, index)
        return self.parts[part].name(item)

    def _place(self, epoch: int, index: int) -> tuple[int, int]:
        """(part, mesh in it) of a sample."""
        part = int(np.searchsorted(self.ends, index, side="right"))
        within = index - (int(self.ends[part]) - self.counts[part])
        items = self.items[part]
        return part, int(items[(epoch * self.counts[part] + within) % len(items)])

    def _take(self, epoch: int, index: int) -> ViewSample:
        part, item = self._place(epoch, index)
        rng = self.generator(epoch, index)
        mesh = self.parts[part][item]
        if not self.train:
            mesh = normalize(mesh, EVAL_BOUND)[0]
            image = render(mesh, self.views.view_size, TEST_VIEW, edges=False)
            return ViewSample(image, sample_surface(mesh, self.point_num, rng), None, self.parts[part].name(item))
        stored = stored_view(self.parts[part], item, self.views, rng) if self.views.use_stored_views else None
        if stored is not None:
            image, turn = stored
            points = sample_surface(normalize(rotate(mesh, turn), EVAL_BOUND)[0], self.point_num, rng)
            return ViewSample(image, points, None, self.parts[part].name(item))
        mesh = augment(mesh, self.config.augment, rng)
        points = sample_surface(mesh, self.point_num, rng)
        if self.config.augment.use_jitter_aug:
            points = jitter(points, rng)
        return ViewSample(take_view(mesh, self.views, rng), points, None, self.parts[part].name(item))


def stored_view(
    source: MeshSource, item: int, config: ViewConfig, rng: np.random.Generator
) -> tuple[np.ndarray, float] | None:
    """One of the pictures that a source holds of a mesh, and by how many degrees to turn the mesh to be seen like that.

    View k of N is taken 360 k / N degrees round from the usual place. None where the source has no pictures.
    """
    from PIL import Image

    if isinstance(source, JoinedMeshes):
        source, item = source.place(item)
    pictures = source.views(item) if hasattr(source, "views") else []
    if not pictures:
        return None
    k = int(rng.integers(len(pictures)))
    picture = pictures[k].convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    size = (config.view_size, config.view_size)
    return np.asarray(on_white.resize(size, Image.Resampling.BILINEAR)), -360 * k / len(pictures)


def _small_enough(part: MeshSource, most: int) -> np.ndarray:
    """Numbers of the meshes of at most `most` faces; the others are counted in a warning."""
    sizes = np.array([len(part[k].faces) for k in range(len(part))], np.int64)
    if (sizes > most).any():
        text = "%d of %d meshes are left out: over %d faces (--max_face_length)"
        log.warning(text, (sizes > most).sum(), len(sizes), most)
    return np.flatnonzero(sizes <= most)


class StoredViews(NamedTuple):
    """All views of a data set's rounds: images (M, S, S, 3) uint8, points (M, N, 3) float16 (a step of 0.0005)."""

    images: np.ndarray
    points: np.ndarray


def store_views(dataset: ViewDataset, folder: Path, workers: int = 0) -> StoredViews:
    """Take all views of a training set's rounds, or map those that `folder` holds of the same options.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = folder / _fingerprint(dataset)
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _take_all(dataset, folder, workers)
        (folder / "done").touch()
    return StoredViews(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in StoredViews._fields))


def _take_all(dataset: ViewDataset, folder: Path, workers: int) -> None:
    total = dataset.rounds * len(dataset)
    size = dataset.views.view_size
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (total, size, size, 3))
    points = np.lib.format.open_memmap(folder / "points.npy", "w+", np.float16, (total, dataset.point_num, 3))
    keys = [(epoch, index) for epoch in range(dataset.rounds) for index in range(len(dataset))]
    batches = [keys[k : k + 32] for k in range(0, total, 32)]
    loader: Iterable[Any] = DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=list,
        num_workers=min(workers, cpu_count()),
    )
    for k, samples in enumerate(progress(loader, "taking views", len(batches))):
        rows = slice(32 * k, 32 * k + len(samples))
        images[rows] = np.stack([s.image for s in samples])
        points[rows] = np.stack([s.points for s in samples])
    images.flush()
    points.flush()


def progress(items: Iterable[Any], title: str, total: int) -> Iterable[Any]:
    """The items under a progress bar with the time left."""
    from rich.progress import track

    return track(items, description=title, total=total, transient=True)


def _fingerprint(dataset: ViewDataset) -> str:
    """Of all that the views depend on: options, seed and meshes."""
    views = {k: v for k, v in asdict(dataset.views).items() if k != "view_cache"}
    options = {"views": views, "augment": asdict(dataset.config.augment), "faces": dataset.config.max_face_length}
    digest = hashlib.blake2b(json.dumps([options, dataset.counts, dataset.point_num, dataset.seed]).encode())
    for part, items in zip(dataset.parts, dataset.items, strict=True):
        for k in items:
            digest.update(part[int(k)].vertices.tobytes())
    return digest.hexdigest()[:16]


def build_view_datasets(
    config: DataConfig, views: ViewConfig, *, point_num: int, seed: int = 0, train: bool = True
) -> tuple[ViewDataset | None, ViewDataset]:
    """The training set and the test set; `train=False` leaves the first None.

    Meshes of --data and, for the share --shapes_fraction of an epoch or without --data, procedural shapes.
    Raises ValueError for folders that are missing or hold nothing that fits.
    """

    def make(parts: Sequence[MeshSource], counts: Sequence[int] | None, train: bool) -> ViewDataset:
        return ViewDataset(parts, counts, config, views, train=train, point_num=point_num, seed=seed)

    shapes: Callable[[], ShapesSource] = lambda: ShapesSource(seed, config.num_shapes)  # noqa: E731
    if not config.data:
        test = make([ShapesSource(seed + TEST_SHAPES_SEED, max(1, config.testset_size), progress=False)], None, False)
        return make([shapes()], None, True) if train else None, test
    entries = parse_entries(config.data)
    opened = [open_entry(entry, seed) for entry in entries]
    test = make([JoinedMeshes.of([tests for _, tests in opened])], None, False)
    if not train:
        return None, test
    if entries[0].weight is not None:
        total = sum(len(_small_enough(part, config.max_face_length)) for part, _ in opened)
        counts = share_out(total, [entry.weight or 0 for entry in entries])
        return make([part for part, _ in opened], counts, True), test
    meshes = JoinedMeshes.of([part for part, _ in opened])
    if config.shapes_fraction == 0:
        return make([meshes], None, True), test
    size = len(_small_enough(meshes, config.max_face_length))
    return make([meshes, shapes()], [size, shapes_beside(size, config.shapes_fraction)], True), test
