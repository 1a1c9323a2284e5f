"""The only training loop: any task, one process or many, continued exactly where it was left.

A micro-batch's randomness (dropout) comes from a generator seeded by (seed, step, micro-batch, process) just before
it is used, and the data are a function of (seed, epoch, index): so there is no random state to keep, evaluation and
pictures cannot disturb training, and a run continued from a checkpoint equals the uninterrupted one bit for bit on
the CPU. (Except under --max_minutes, where the learning rate follows the clock.)
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from core.training import checkpoint, log, shard
from core.training.checkpointer import Checkpointer
from core.training.evaluator import Evaluator
from core.training.guards import LossGuard, MemoryGuard
from core.training.learner import Learner, StepResult
from core.training.log import Sums
from core.training.options import TrainConfig
from core.training.position import Budget, Clock, Position
from core.training.processes import CpuCollectives, StopSignal
from core.training.progress import Progress
from core.training.startup import facts, make_accelerator, measure_peak
from core.training.steps import grouped, seed_all, with_last
from core.training.task import TrainingTask

__all__ = ["Position", "TrainConfig", "Trainer"]

logger = logging.getLogger(__name__)


class Trainer:
    """Trains a task's model.

    Making one reads or makes the data, builds the model and loads the weights, the run's last checkpoint if there is
    one; `fit` trains.

    Args:
        config: options of the loop.
        task: model, data, loss and evaluation.
        record: what config.json in checkpoints and workspace holds (all options); the git commit is added.

    Raises:
        ValueError: options that this machine cannot serve, an unusable workspace, unreadable weights or data.
    """

    def __init__(self, config: TrainConfig, task: TrainingTask[Any], record: Mapping[str, Any] | None = None):
        sharded = shard.wanted(config.shard)
        if sharded and config.optimizer == "muon":
            raise ValueError("--optimizer muon: it needs whole matrices, and --shard (FSDP) divides them; use adamw")
        self.config, self.task = config, task
        accelerator = make_accelerator(config)
        self.collectives = CpuCollectives()
        full_record = {**(record or {}), "commit": checkpoint.git_commit(), "task": task.name}
        self.checkpointer = Checkpointer(config, self.collectives, full_record)
        console = log.setup_logging(self.checkpointer.workspace, self.collectives.is_main)
        MemoryGuard(config, accelerator.device, self.collectives.world, sharded).check(task)
        model = self._build_model()
        task.build_data()
        self.learner = Learner(model, task, config, accelerator, sharded)
        peak = measure_peak(accelerator.device, config.mixed_precision, self.collectives) if task.has_flops else 0.0
        state = self.checkpointer.read()
        self.position = self._start_position(state)
        self.budget = Budget(config, self._steps_per_epoch())
        self.clock = Clock(self.position.seconds)
        self.loss_guard = LossGuard(config, task, self.collectives, self.checkpointer.workspace)
        self.progress = Progress(config, task.name, accelerator, console, self.position, self.budget, peak)
        self.evaluator = Evaluator(config, self.learner, self.progress)
        if state:
            self._load_state_dict(state)
        if self.collectives.is_main:
            log.banner(facts(self.learner, self.budget, self.collectives, self.checkpointer.start, peak))
            self.checkpointer.write_record()

    def fit(self) -> Position:
        """Train to the end of the budget, or until SIGTERM; either way the state is saved.

        Raises:
            ValueError: the loss is not finite, or a checkpoint could not be written.
        """
        if self.budget.is_spent(self.position):
            logger.info("this run is finished: raise --num_epochs, --max_steps or --max_minutes to continue it")
        with self.checkpointer, self.progress, StopSignal() as stop:
            if self.evaluator.overdue and self.evaluator.run(self.position):
                self._save(is_best=True)
            for batches, epoch_ended in self._steps():
                result = self._compute_gradients(batches)
                self.loss_guard.check(result, self.position)  # before the weights are touched
                rate = self.learner.update(self.budget.share(self.position, more_steps=1))
                self.position.advance(len(batches), result.tokens, epoch_ended)

                totals, stopping = self._sum_over_processes(result, stop.received)
                self.loss_guard.update(*totals["loss"])
                self.progress.add_step(totals, result, rate)

                ended = self.budget.is_spent(self.position)
                is_best = self.evaluator.run_if_due(
                    self.position, epoch_ended=epoch_ended, ended=ended, stopping=stopping
                )
                if ended or stopping or is_best or self.checkpointer.is_due(self.position, epoch_ended):
                    self._save(is_best)
                if ended or stopping:
                    self.progress.finish("finished" if ended else "stopped by SIGTERM; the same command continues")
                    break
        return self.position

    # ------------------------------------------------------------------ the parts of a step

    def _steps(self) -> Iterator[tuple[list[Any], bool]]:
        """This process's micro-batches of each optimizer step to come, and whether it is the last of its epoch."""
        where, collectives = self.position, self.collectives
        while not self.budget.is_spent(where):
            batches = self.task.batches(where.epoch, where.batch, collectives.rank, collectives.world)
            self.progress.start_step()
            for group, is_last in with_last(grouped(batches, self.config.gradient_accumulation_steps)):
                yield group, is_last
                self.progress.start_step()
            if where.batch:  # continued with options under which this epoch was over already
                where.end_epoch()

    def _compute_gradients(self, batches: list[Any]) -> StepResult:
        weights = [self.task.weight(batch) for batch in batches]
        seconds = self.clock.seconds() if self.collectives.is_main else 0.0  # one clock counts for all
        tokens, self.position.seconds = self.collectives.sum([sum(weights), seconds])
        return self.learner.compute_gradients(batches, weights, tokens, self.position.step)

    def _sum_over_processes(self, result: StepResult, received_stop: bool) -> tuple[Sums, bool]:
        """The step's sums over all processes, and whether any of them received the signal to stop."""
        totals = self.collectives.sum_metrics({**result.sums(), "stop": (float(received_stop), 0.0)})
        return totals, totals.pop("stop")[0] > 0

    # ------------------------------------------------------------------ starting and saving

    def _build_model(self) -> nn.Module:
        """The model with the weights that the run starts from: its last checkpoint's, or those of --resume."""
        seed_all(self.config.seed, "weights")
        model = self.task.build_model()
        self.checkpointer.open(model)
        if self.checkpointer.start:
            checkpoint.load_weights(model, self.checkpointer.start, strict=True)
        else:
            self.task.load_start(model, self.config)
        return model

    def _steps_per_epoch(self) -> int:
        batches = self.task.num_batches(0, self.collectives.world)
        if not batches:
            raise ValueError("there is nothing to train on: the training set is empty")
        return -(-batches // self.config.gradient_accumulation_steps)

    @property
    def _samples_per_batch(self) -> int:
        return self.config.batch_size * self.collectives.world

    def _start_position(self, state: Mapping[str, Any] | None) -> Position:
        position = Position()
        if state:
            position.load_state_dict(state["position"])
            # Another number of processes or batch size: as many samples of the epoch count as used.
            position.batch = position.batch * state["samples_per_batch"] // self._samples_per_batch
        return position

    def _save(self, is_best: bool) -> None:
        weights, state = self.learner.state_dict()
        parts = (self.position, self.loss_guard, self.evaluator)
        position = {name: value for part in parts for name, value in part.state_dict().items()}
        state["position"] = {**position, "seconds": self.clock.seconds()}
        state["window"] = self.progress.window.sums
        state["samples_per_batch"] = self._samples_per_batch
        self.checkpointer.save(self.position, weights, state, is_best=is_best)

    def _load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with what `_save` wrote; the position has been read already."""
        self.learner.load_state_dict(state)
        self.loss_guard.load_state_dict(state["position"])
        self.evaluator.load_state_dict(state["position"])
        self.progress.window.sums = {name: (total, count) for name, (total, count) in state["window"].items()}
        self.checkpointer.resume(state)
