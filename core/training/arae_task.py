"""What main.py trains: mesh tokens, from the points of a mesh or from nothing."""

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.data.batch import Batch, BatchSampler, collate, make_loader
from core.data.dataset import DataConfig, MeshDataset, MixDataset, build_datasets
from core.model.arae import ArAE, ArAEConfig, ArAEOutput
from core.model.face_decoder import FaceDecoder
from core.tokens import PAD, Tokenizer, TokenizerConfig
from core.training import estimate, evaluation
from core.training.evaluation import is_coordinate
from core.training.options import TrainConfig
from core.training.processes import outlive_sigterm
from core.training.shard import is_sharded
from core.training.task import EpochLoader, Metrics, TrainingTask

PICTURED = 4  # test meshes in an evaluation's picture
AUGMENTED_LENGTH = 1.1  # tokens of a mesh with augmentation over those without, at most and about

Datasets = tuple[MeshDataset | MixDataset, MeshDataset]
"""The training set and the test set."""


class ArAETask(TrainingTask[Batch]):
    """Mesh tokens from a point cloud (or from nothing): cross-entropy and the latent penalty.

    Args:
        tokenizer, model, data: those parts of the configuration.
        train: batch size, seed, evaluation and activation checkpointing are read here.

    Raises:
        ValueError: a condition for which the data sets have no input.
    """

    name = "ArAE"
    has_flops = True

    def __init__(self, tokenizer: TokenizerConfig, model: ArAEConfig, data: DataConfig, train: TrainConfig):
        if model.cond_mode not in ("point", "none"):
            raise ValueError(f"--cond_mode {model.cond_mode}: training data have points; use point or none")
        self.config, self.data, self.train = model, data, train
        self.tokenizer = Tokenizer(tokenizer)
        self._datasets: Datasets | None = None
        self._loader: EpochLoader | None = None

    def build_model(self) -> nn.Module:
        model = ArAE(self.config, self.tokenizer.vocab_size)
        decoder = model.mesh_decoder if isinstance(model.mesh_decoder, FaceDecoder) else model.mesh_decoder.model
        decoder.checkpointing = self.train.checkpointing
        if self.train.compile:
            decoder.compile_layers()
        return model

    def build_data(self) -> None:
        if self._datasets is None:
            self._datasets = self.build_datasets()

    def build_datasets(self) -> Datasets:
        """Read or make the training set and the test set.

        Raises:
            ValueError: nothing in --data fits.
        """
        train_set, test_set = build_datasets(
            self.data,
            self.tokenizer,
            point_num=self.config.point_encoder.point_num if self.config.cond_mode == "point" else 0,
            max_seq_length=self.config.decoder.max_seq_length,
            seed=self.train.seed,
            steps=self.config.steps if self.config.decoder.decoder == "face" else None,
        )
        assert train_set is not None
        return train_set, test_set

    @property
    def train_set(self) -> MeshDataset | MixDataset:
        """The training set; `build_data` makes it."""
        assert self._datasets is not None, "build_data comes first"
        return self._datasets[0]

    @property
    def test_set(self) -> MeshDataset:
        """The test set; `build_data` makes it."""
        assert self._datasets is not None, "build_data comes first"
        return self._datasets[1]

    def describe(self) -> list[tuple[str, str]]:
        source = f"--data {' '.join(self.data.data)}"
        if not self.data.data:
            source = f"no --data given: training on procedural shapes, {self.data.num_shapes} of them"
        elif self.data.shapes_fraction:
            source += f", {100 * self.data.shapes_fraction:g} % of an epoch procedural shapes"
        lengths = self.train_set.lengths(0)
        size = f"{len(self.train_set)} meshes an epoch, {lengths.mean():.0f} tokens on average, {lengths.max()} at most"
        return [("data", source), ("", f"{size}; {len(self.test_set)} test meshes")]

    # ------------------------------------------------------------------ batches

    def _sampler(self, rank: int, world: int) -> BatchSampler:
        return BatchSampler(
            self.train_set,
            self.train.batch_size,
            seed=self.train.seed,
            sort_by_length=self.train.sort_by_length,
            batch_tokens=self.train.batch_tokens,
            extra_tokens=2 + self.config.num_cond_tokens,
            rank=rank,
            world_size=world,
        )

    def num_batches(self, epoch: int, world: int) -> int:
        sampler = self._sampler(0, world)
        sampler.set_epoch(epoch)
        return len(sampler)

    def batches(self, epoch: int, start: int, rank: int, world: int) -> Iterable[Batch]:
        if self._loader is None:
            sampler = self._sampler(rank, world)
            cuda = torch.cuda.is_available()
            loader = make_loader(self.train_set, sampler, self.data.num_workers, pin_memory=cuda)
            loader.worker_init_fn = outlive_sigterm
            self._loader = EpochLoader(sampler, loader)
        return self._loader.epoch(epoch, start)

    def weight(self, batch: Batch) -> float:
        return float((batch.ids != PAD).sum() - len(batch))  # BOS is not predicted

    def names(self, batch: Batch) -> list[str]:
        return batch.names or []

    # ------------------------------------------------------------------ loss and evaluation

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        given = {"points": batch.points, "latents": batch.latents, "images": batch.images}
        output = model(batch.ids, batch.num_faces, steps=batch.steps, chosen=batch.chosen, **given)
        count = len(output.labels)
        nats = output.loss_ce.detach() * count
        return output.loss, {
            "loss_ce": (nats, count),
            "loss_kl": (output.loss_kl.detach(), 1),
            "nats_per_face": (nats, batch.num_faces.sum()),
            **self._accuracy(output),
            "padding_skipped": ((batch.ids == PAD).sum(), batch.ids.numel()),
        }

    def _accuracy(self, output: ArAEOutput) -> Metrics:
        """Share of tokens that are the likeliest: of all, of the coordinates, and of the ops (turns, BOM, EOS)."""
        if output.groups is not None:
            hits = {"ops": output.groups.kind_hit, "coordinates": output.groups.vertex_hit.flatten()}
        else:
            assert output.logits is not None
            hit = output.logits.detach().argmax(-1) == output.labels
            coordinate = is_coordinate(self.tokenizer, hit.device)[output.labels]
            hits = {"ops": hit[~coordinate], "coordinates": hit[coordinate]}
        sums = {f"accuracy_{name}": (hit.sum(), hit.numel()) for name, hit in hits.items()}
        both = [sum(pair[k] for pair in sums.values()) for k in range(2)]
        return {"token_accuracy": (both[0], both[1]), **sums}

    def flops(self, batch: Batch) -> float:
        lengths = ((batch.ids != PAD).sum(1) - 1).tolist()
        return estimate.step_flops(self.config, self.tokenizer.vocab_size, lengths)

    def with_options(self, **options: Any) -> "ArAETask":
        self.build_data()
        other = copy(self)
        other.train = replace(self.train, **options)
        other._loader = None
        return other

    def memory(self, world: int, sharded: bool) -> estimate.Memory:
        """Estimate the memory of a step on the longest meshes that there are."""
        self.build_data()
        return estimate.memory(
            self.config,
            self.tokenizer.vocab_size,
            self._longest_batch(),
            checkpointing=self.train.checkpointing,
            low_precision=self.train.mixed_precision != "no",
            shards=world if sharded else 1,
        )

    def _longest_batch(self) -> list[int]:
        """Tokens of the longest meshes, with a tenth more for what augmentation adds, and EOS."""
        most = self.config.decoder.max_seq_length
        longest = np.sort(self.train_set.lengths(0))[::-1][: self.train.batch_size]
        lengths = [min(int(AUGMENTED_LENGTH * length), most) + 1 for length in longest]
        if not self.train.batch_tokens:
            return lengths
        fitting = self.train.batch_tokens // (lengths[0] + 1 + self.config.num_cond_tokens)
        return lengths[: max(1, fitting)]

    def evaluate(self, model: nn.Module, accelerator: Any) -> dict[str, float]:
        if not len(self.test_set):
            return {}
        sums: dict[str, Tensor] = {}
        for batch in self._test_batches(accelerator.process_index, accelerator.num_processes):
            batch = self.to(batch, accelerator.device)
            loss, metrics = self.loss(model, batch)
            weight = self.weight(batch)
            for name, pair in {"loss": (loss * weight, weight), **metrics, **self._generated(model, batch)}.items():
                pair_tensor = torch.stack([torch.as_tensor(x, device=accelerator.device).float() for x in pair])
                sums[name] = sums.get(name, 0) + pair_tensor
        sums.pop("padding_skipped")
        totals = accelerator.reduce(torch.stack(list(sums.values())), "sum").tolist()
        return {name: total / count for name, (total, count) in zip(sums, totals, strict=True) if count}

    def _test_batches(self, rank: int, world: int) -> Iterable[Batch]:
        sampler = BatchSampler(self.test_set, self.train.batch_size, shuffle=False, rank=rank, world_size=world)
        return make_loader(self.test_set, sampler)

    def _generated(self, model: nn.Module, batch: Batch) -> Metrics:
        """Compare generated meshes with the batch's own, for --eval_mode generate."""
        if self.train.eval_mode != "generate" or is_sharded(model):  # a sharded model needs all processes at each step
            return {}
        assert isinstance(model, ArAE)
        generated = evaluation.generated_meshes(model, batch, self.tokenizer)
        return evaluation.compare(generated, evaluation.true_meshes(batch, self.tokenizer))

    def pictures(self, model: nn.Module) -> dict[str, np.ndarray]:
        """A row for each of a few test meshes: the mesh, its arg-max tokens, and one generated from its points."""
        assert isinstance(model, ArAE)
        if not len(self.test_set):
            return {}
        device = next(model.parameters()).device
        batch = self.to(collate([self.test_set[k] for k in self._pictured()]), device)
        output = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps, predict=True)
        columns = zip(
            evaluation.true_meshes(batch, self.tokenizer),
            evaluation.argmax_meshes(output, batch, self.tokenizer),
            evaluation.generated_meshes(model, batch, self.tokenizer),
            strict=True,
        )
        rows = [{"ground truth": a, "arg-max": b, "generated": c.mesh} for a, b, c in columns]
        return {"meshes": evaluation.draw_sheet(rows)}

    def _pictured(self) -> list[int]:
        """A few test meshes, spread over the shorter half: generating them takes less time than the evaluation."""
        by_length = np.argsort(self.test_set.lengths(0), kind="stable")
        shorter = by_length[: max(PICTURED, len(by_length) // 2)]
        return [int(shorter[k]) for k in np.linspace(0, len(shorter) - 1, min(PICTURED, len(shorter))).astype(int)]
