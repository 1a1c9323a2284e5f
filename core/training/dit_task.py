"""What main_dit.py trains: latent diffusion, on the frozen point encoder's latents and views of meshes."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from core.data.batch import BatchSampler, worker_count
from core.data.dataset import DataConfig
from core.data.views import (
    ViewBatch,
    ViewConfig,
    ViewDataset,
    build_view_datasets,
    collate_views,
    progress,
    store_views,
)
from core.model.diffusion import DiffusionConfig, DiffusionSampling, LatentDiffusion
from core.model.point_encoder import PointEncoderConfig
from core.training.options import TrainConfig
from core.training.processes import outlive_sigterm
from core.training.task import EpochLoader, Metrics, TrainingTask
from core.training.weights import load_weights, read_weights

log = logging.getLogger(__name__)

MEASURED = 2048  # training samples that the latents' mean and scale are measured on
ENCODED_AT_ONCE = 32
ENCODER = "point_encoder."
SCALE = "latent_scale"
NOISY = 900  # timesteps from here on: next to nothing but the image says what the latent is


class DiTTask(TrainingTask[ViewBatch]):
    """Latents from images.

    Args:
        points: the point encoder's sizes.
        model, data, views: those parts of the configuration.
        train: where weights come from, batch size, seed and activation checkpointing are read here.
    """

    name = "DiT"

    def __init__(
        self,
        points: PointEncoderConfig,
        model: DiffusionConfig,
        data: DataConfig,
        views: ViewConfig,
        train: TrainConfig,
    ):
        self.points, self.config, self.data, self.views, self.train = points, model, data, views, train
        self._model: LatentDiffusion | None = None
        self._datasets: tuple[ViewDataset, ViewDataset] | None = None
        self._loader: EpochLoader | None = None

    @property
    def model(self) -> LatentDiffusion:
        """What `build_model` made."""
        assert self._model is not None, "build_model comes first"
        return self._model

    @property
    def train_set(self) -> ViewDataset:
        """The training set; `build_data` makes it."""
        assert self._datasets is not None, "build_data comes first"
        return self._datasets[0]

    @property
    def test_set(self) -> ViewDataset:
        """The test set; `build_data` makes it."""
        assert self._datasets is not None, "build_data comes first"
        return self._datasets[1]

    def build_model(self) -> nn.Module:
        self._model = LatentDiffusion(self.config, self.points)
        self.model.dit.checkpointing = self.train.checkpointing
        # Whether weights came is seen by what is still not a number once they are loaded.
        with torch.no_grad():
            self.model.latent_scale.fill_(torch.nan)
            for parameter in self.model.point_encoder.parameters():
                parameter.fill_(torch.nan)
        return self.model

    def load_start(self, model: nn.Module, config: TrainConfig) -> None:
        """Load the weights of --resume2 (a DiT), then those of --resume (the ArAE's point encoder replaces the DiT's).

        Raises:
            ValueError: the weights cannot be read, or --resume holds no point encoder of this size.
        """
        assert isinstance(model, LatentDiffusion)
        has_own_scale = bool(config.resume2) and not load_diffusion(model, config.resume2, strict=False)
        if config.resume:
            before = [parameter.detach().clone() for parameter in model.point_encoder.parameters()]
            load_point_encoder(model, config.resume)
            same = all(map(torch.equal, before, model.point_encoder.parameters()))
            if has_own_scale and not same:
                log.info("%s: another point encoder than the DiT's; the latent scale is re-measured", config.resume)
                with torch.no_grad():
                    model.latent_scale.fill_(torch.nan)

    def build_data(self) -> None:
        model = self.model
        if any(parameter.isnan().any() for parameter in model.point_encoder.parameters()):
            raise ValueError(
                "the DiT learns the latents of a trained point encoder, and there are no weights of one: give an "
                "ArAE's with --resume"
            )
        train_set, test_set = build_view_datasets(
            self.data, self.views, point_num=self.points.point_num, seed=self.train.seed
        )
        assert train_set is not None
        self._datasets = train_set, test_set
        if self.views.cache_latents:
            self._cache(train_set)
        if model.latent_scale.isnan():
            model.latent_scale.fill_(1)
            model.measure(self._some_latents())

    def _cache(self, dataset: ViewDataset) -> None:
        folder = Path(self.views.view_cache or self.train.workspace) / "views"
        dataset.stored = store_views(dataset, folder, self.data.num_workers)
        dataset.latents = encode_all(self.model, dataset.stored.points, folder)

    def _some_latents(self) -> Tensor:
        keys = np.linspace(0, len(self.train_set) - 1, min(MEASURED, len(self.train_set))).astype(int)
        latents = []
        for first in range(0, len(keys), ENCODED_AT_ONCE):
            batch = collate_views([self.train_set[(0, int(k))] for k in keys[first : first + ENCODED_AT_ONCE]])
            latents.append(batch.latents if batch.points is None else self.model.encode_points(batch.points))
        return torch.cat([part for part in latents if part is not None])

    def describe(self) -> list[tuple[str, str]]:
        source = f"--data {' '.join(self.data.data)}" if self.data.data else "procedural shapes"
        if self.data.data and self.data.shapes_fraction:
            source += f", {100 * self.data.shapes_fraction:g} % of an epoch procedural shapes"
        views = f"{len(self.train_set)} views an epoch, "
        views += (
            f"{self.train_set.rounds} epochs of them cached" if self.train_set.rounds else "taken as they are needed"
        )
        scale = f"latents times {self.model.latent_scale.item():.3f}, less their mean"
        return [("data", source), ("", f"{views}; {len(self.test_set)} test meshes"), ("latents", scale)]

    # ------------------------------------------------------------------ batches

    def _sampler(self, rank: int, world: int) -> BatchSampler:
        return BatchSampler(self.train_set, self.train.batch_size, seed=self.train.seed, rank=rank, world_size=world)

    def num_batches(self, epoch: int, world: int) -> int:
        return len(self._sampler(0, world))

    def batches(self, epoch: int, start: int, rank: int, world: int) -> Iterable[ViewBatch]:
        if self._loader is None:
            sampler = self._sampler(rank, world)
            workers = 0 if self.train_set.latents is not None else worker_count(self.data.num_workers)
            loader: DataLoader[Any] = DataLoader(
                self.train_set,
                batch_sampler=sampler,
                collate_fn=collate_views,
                num_workers=workers,
                pin_memory=torch.cuda.is_available(),
                persistent_workers=workers > 0,
                worker_init_fn=outlive_sigterm,
            )
            self._loader = EpochLoader(sampler, loader)
        return self._loader.epoch(epoch, start)

    def weight(self, batch: ViewBatch) -> float:
        return float(len(batch))

    def names(self, batch: ViewBatch) -> list[str]:
        return batch.names

    # ------------------------------------------------------------------ loss and evaluation

    def loss(self, model: nn.Module, batch: ViewBatch) -> tuple[Tensor, Metrics]:
        output = model(batch.images.float() / 255, points=batch.points, latents=batch.latents)
        noisy = output.timesteps >= NOISY
        return output.loss, {
            "error": (output.errors.sum(), len(batch)),
            "error_noisy": ((output.errors * noisy).sum(), noisy.sum()),
        }

    def evaluate(self, model: nn.Module, accelerator: Any) -> dict[str, float]:
        """The loss on test views, and the loss with other test views' images: the gap is what the images say."""
        if not len(self.test_set):
            return {}
        sums = torch.zeros(3, device=accelerator.device)
        mine = range(accelerator.process_index, len(self.test_set), accelerator.num_processes)
        for first in range(0, len(mine), self.train.batch_size):
            numbers = mine[first : first + self.train.batch_size]
            batch = collate_views([self.test_set[k] for k in numbers]).to(accelerator.device)
            others = [self.test_set[(k + len(self.test_set) // 2) % len(self.test_set)] for k in numbers]
            shuffled = collate_views(others).to(accelerator.device).images
            random = torch.random.get_rng_state()
            right = model(batch.images.float() / 255, points=batch.points).loss
            torch.random.set_rng_state(random)  # the same noise
            wrong = model(shuffled.float() / 255, points=batch.points).loss
            sums += torch.stack([right, wrong, torch.ones_like(right)]) * len(batch)
        right, wrong, count = accelerator.reduce(sums, "sum").tolist()
        return {"loss": right / count, "loss_other_image": wrong / count}


def encode_all(model: LatentDiffusion, points: np.ndarray, folder: Path) -> np.ndarray:
    """Latents (M, L, D) float16 of all stored points, kept in `folder` under the encoder's fingerprint."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr(points.shape).encode())
    digest.update(np.ascontiguousarray(points[:: max(1, len(points) // 64)]).tobytes())
    for parameter in model.point_encoder.parameters():
        digest.update(parameter.detach().float().numpy().tobytes())
    file = folder / f"latents-{digest.hexdigest()}.npy"
    if not file.exists():
        unfinished = file.with_suffix(".tmp")
        latents = np.lib.format.open_memmap(unfinished, "w+", np.float16, (len(points), *model.latent_shape))
        starts = range(0, len(points), ENCODED_AT_ONCE)
        for first in progress(starts, "encoding latents", len(starts)):
            part = torch.from_numpy(points[first : first + ENCODED_AT_ONCE].astype(np.float32))
            latents[first : first + ENCODED_AT_ONCE] = model.encode_points(part).half().numpy()
        latents.flush()
        unfinished.rename(file)
    stored: np.ndarray = np.load(file, mmap_mode="r")
    return stored


def load_point_encoder(model: LatentDiffusion, path: str) -> None:
    """The point encoder of an ArAE's weights (or of a DiT's) into the model.

    Raises:
        ValueError: there is none in the file, or one of another size.
    """
    weights = read_weights(path)
    target = model.point_encoder.state_dict()
    missing = [name for name in target if ENCODER + name not in weights]
    if missing:
        raise ValueError(f"{path}: holds no point encoder ({ENCODER}{missing[0]} is not in it)")
    for name, tensor in target.items():
        values = weights[ENCODER + name]
        if values.shape != tensor.shape:
            raise ValueError(
                f"{path}: {ENCODER}{name} is {tuple(values.shape)}, and this preset's is {tuple(tensor.shape)}"
            )
        tensor.copy_(values)


def load_diffusion(model: LatentDiffusion, path: str, strict: bool = True) -> bool:
    """A DiT's weights into the model; True where they are the reference's (which know of no latent scale).

    Those get its residual (unless --dit_residual says otherwise), and latents as they are.

    Raises:
        ValueError: unreadable, or, if strict, not this model's weights.
    """
    is_reference = SCALE not in read_weights(path)
    if is_reference:
        model.latent_mean.zero_()
        model.latent_scale.fill_(1)
        if model.config.dit.dit_residual == "auto":
            log.info("%s: holds no latent scale, so it is taken for the reference's: residual after the norm", path)
            model.dit.use_residual("normed")
    load_weights(model, path, strict=strict)
    return is_reference


def clips_samples(config: DiffusionSampling, is_reference: bool) -> bool:
    """What --clip_sample comes to."""
    return is_reference if config.clip_sample == "auto" else config.clip_sample == "yes"
