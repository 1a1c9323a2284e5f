"""What is trained: the tasks that the loop (trainer.py) is given. The loop knows nothing about meshes."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from core.data.batch import Batch, BatchSampler, collate, make_loader
from core.data.dataset import DataConfig, build_datasets
from core.model.arae import ArAE, ArAEConfig, ArAEOutput
from core.model.face_decoder import FaceDecoder
from core.tokens import PAD, Tokenizer, TokenizerConfig
from core.training import estimate, evaluation
from core.training.evaluation import is_coordinate
from core.training.options import TrainConfig
from core.training.processes import outlive_sigterm
from core.training.shard import is_sharded

PICTURED = 4  # test meshes in an evaluation's picture
AUGMENTED_LENGTH = 1.1  # tokens of a mesh with augmentation over those without, at most and about

Metrics = dict[str, tuple[Any, Any]]
"""(sum, count) by name: means come out right over batches and processes of any size."""


class Task(Protocol):
    """A model, its data and its loss. `batch` is whatever the task's own batches are."""

    name: str

    def build_model(self) -> nn.Module:
        """The model with fresh weights, on the CPU; called once, with torch seeded."""

    def build_data(self) -> None:
        """Read or make the data sets, once; called before what follows. Raises ValueError where there are none."""

    def describe(self) -> list[tuple[str, str]]:
        """(subject, fact) lines about the data for the start of the log."""

    def num_batches(self, epoch: int, world: int) -> int:
        """Batches that each of `world` processes gets in an epoch."""

    def batches(self, epoch: int, start: int, rank: int, world: int) -> Iterable[Any]:
        """This process's batches of an epoch from number `start` on; the same for the same arguments, always."""

    def to(self, batch: Any, device: torch.device) -> Any:
        """The batch on a device."""

    def weight(self, batch: Any) -> float:
        """How many equal parts (tokens, samples) the batch's loss is the mean of."""

    def names(self, batch: Any) -> list[str]:
        """The names of its samples, for the report on a loss that is not finite."""

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        """Mean loss of a batch, and what else is worth a curve."""

    # A task may also have `flops(batch)`, for the share of the machine's speed that is used (MFU), and
    # `memory(world, sharded)`, an `estimate.Memory`, and `with_options(**options)`, the task with other options of
    # training, for refusing what cannot fit before the model is made and saying what would.

    def evaluate(self, model: nn.Module, accelerator: Any) -> dict[str, float]:
        """Metrics on the test split, equal on every process; the lowest `loss` makes the best checkpoint."""

    def pictures(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Pictures (H, W, 3) uint8 by name; called after an evaluation, on the main process alone."""


class ArAETask:
    """Mesh tokens from a point cloud (or from nothing): cross-entropy and the latent penalty.

    Args:
        tokenizer, model, data: those parts of the configuration.
        train: batch size, seed, evaluation and activation checkpointing are read here.

    Raises:
        ValueError: a condition for which the data sets have no input.
    """

    name = "ArAE"

    def __init__(self, tokenizer: TokenizerConfig, model: ArAEConfig, data: DataConfig, train: TrainConfig):
        if model.cond_mode not in ("point", "none"):
            raise ValueError(f"--cond_mode {model.cond_mode}: training data have points; use point or none")
        self.config, self.data, self.train = model, data, train
        self.tokenizer = Tokenizer(tokenizer)

    def build_model(self) -> nn.Module:
        model = ArAE(self.config, self.tokenizer.vocab_size)
        decoder = model.mesh_decoder if isinstance(model.mesh_decoder, FaceDecoder) else model.mesh_decoder.model
        decoder.checkpointing = self.train.checkpointing
        if self.train.compile:
            decoder.compile_layers()
        return model

    def build_data(self) -> None:
        if hasattr(self, "train_set"):
            return
        train_set, self.test_set = build_datasets(
            self.data,
            self.tokenizer,
            point_num=self.config.point_encoder.point_num if self.config.cond_mode == "point" else 0,
            max_seq_length=self.config.decoder.max_seq_length,
            seed=self.train.seed,
            steps=self.config.steps if self.config.decoder.decoder == "face" else None,
        )
        assert train_set is not None
        self.train_set = train_set
        self.sampler: BatchSampler | None = None

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
        if self.sampler is None:
            self.sampler = self._sampler(rank, world)
            cuda = torch.cuda.is_available()
            self.loader = make_loader(self.train_set, self.sampler, self.data.num_workers, pin_memory=cuda)
            self.loader.worker_init_fn = outlive_sigterm
        self.sampler.set_epoch(epoch, start)
        return self.loader

    def to(self, batch: Batch, device: torch.device) -> Batch:
        return batch.to(device, non_blocking=True)

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
        """Operations that the model needs for a training step on the batch."""
        lengths = ((batch.ids != PAD).sum(1) - 1).tolist()
        return estimate.step_flops(self.config, self.tokenizer.vocab_size, lengths)

    def with_options(self, **options: Any) -> "ArAETask":
        """The task with other options of training and the same data."""
        task = ArAETask(self.tokenizer.config, self.config, self.data, replace(self.train, **options))
        self.build_data()
        task.train_set, task.test_set, task.sampler = self.train_set, self.test_set, None
        return task

    def memory(self, world: int, sharded: bool) -> estimate.Memory:
        """Memory of a step on the longest meshes that there are; called before the model is made."""
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
        """How whole generated meshes compare with the batch's own, for --eval_mode generate."""
        if self.train.eval_mode != "generate" or is_sharded(model):  # not all of it is here
            return {}
        assert isinstance(model, ArAE)
        made = evaluation.generated_meshes(model, batch, self.tokenizer)
        return evaluation.compare(made, evaluation.true_meshes(batch, self.tokenizer))

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
