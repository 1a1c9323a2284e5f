"""The only training loop: any task, one process or many, continued exactly where it was left.

A micro-batch's randomness (dropout) comes from a generator seeded by (seed, step, micro-batch, process) just before
it is used, and the data are a function of (seed, epoch, index): so there is no random state to keep, evaluation and
pictures cannot disturb training, and a run continued from a checkpoint equals the uninterrupted one bit for bit on
the CPU. (Except under --max_minutes, where the learning rate follows the clock.)
"""

import itertools
import json
import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.training import checkpoint, estimate, log, shard
from core.training.ema import Ema
from core.training.log import Sums
from core.training.optim import build_optimizers, learning_rate, take_step
from core.training.options import TrainConfig
from core.training.processes import Agreement, StopSignal
from core.training.state import restore, snapshot, stored_bytes
from core.training.steps import due, grouped, seed_all, with_last

if TYPE_CHECKING:
    from core.training.tasks import Task

__all__ = ["Position", "TrainConfig", "Trainer"]

SMOOTHING = 0.02  # weight of a step in the moving average of the loss
STEPS_TO_KNOW = 50  # that this average needs before anything is called an explosion

logger = logging.getLogger(__name__)


@dataclass
class Position:
    """Where a run is; stored in checkpoints."""

    step: int = 0
    """Optimizer steps taken."""
    epoch: int = 0
    batch: int = 0
    """Batches of this epoch that each process has used."""
    seconds: float = 0.0
    """Time trained, over all restarts."""
    tokens: float = 0.0
    """Units of loss (tokens) trained on."""
    best_loss: float = math.inf
    best_step: int = -1
    smooth_loss: float = math.nan
    """Moving average of the loss, for telling when it explodes."""
    evaluation_due: bool = False
    """Stopped when an evaluation was due: it comes first on continuing."""


class Trainer:
    """Trains a task's model; see `Task` for what a task is.

    Args:
        config: options of the loop.
        task: model, data, loss and evaluation.
        record: what config.json in checkpoints and workspace holds (all options); the git commit is added.

    Raises:
        ValueError: options that this machine cannot serve, an unusable workspace, unreadable weights or data.
    """

    def __init__(self, config: TrainConfig, task: "Task", record: dict[str, Any] | None = None):
        self.config, self.task = config, task
        self.workspace = Path(config.workspace).expanduser()
        self.sharded = shard.wanted(config.shard)
        if self.sharded and config.optimizer == "muon":
            raise ValueError("--optimizer muon: it needs whole matrices, and --shard (FSDP) divides them; use adamw")
        self.accelerator = _accelerator(config, self.workspace)
        self.is_main = self.accelerator.is_main_process
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.agreement = Agreement()
        self._once_on_main(lambda: checkpoint.check_workspace(self.workspace, 2**20))
        self.console = log.setup_logging(self.workspace, self.is_main)
        self.record = {**(record or {}), "commit": checkpoint.git_commit(), "task": task.name}
        self.position = Position()
        self.window = log.Window()
        self.reported: dict[str, float] = {}

    def fit(self) -> Position:
        """Train to the end of the budget, or until SIGTERM; either way the state is saved.

        Raises:
            ValueError: the loss is not finite, or a checkpoint could not be written.
        """
        self._setup()
        if self._finished():
            logger.info("this run is finished: raise --num_epochs, --max_steps or --max_minutes to go on with it")
        self.bar = log.Bar(self.console, self.is_main, self._done(), self.task.name)
        try:
            with StopSignal() as self.stop:
                if self.position.evaluation_due:
                    self._evaluate()
                while not self._finished() and not self._epoch():
                    pass
        finally:
            self.bar.close()
            self.trackers.close()
            if self.is_main:
                self.lock.close()
        return self.position

    # ------------------------------------------------------------------ before the first step

    def _setup(self) -> None:
        self._check_memory()
        seed_all(self.config.seed, "weights")
        model = self.task.build_model()
        self._once_on_main(self._take_workspace)
        start = checkpoint.latest_checkpoint(self.workspace)
        self._once_on_main(lambda: self._check_space(model, start))
        if start:
            self.record = checkpoint.with_earlier_commits(self.record, start)
            checkpoint.load_weights(model, start, strict=True)
        elif hasattr(self.task, "load_start"):  # a task that reads --resume in its own way
            self.task.load_start(model)
        else:
            for path in filter(None, (self.config.resume, self.config.resume2)):
                checkpoint.load_weights(model, path, self.config.align_posemb)
        self.task.build_data()
        self._prepare(model)
        if start:
            self._restore(start)
        if not self.task.num_batches(0, self.world):
            raise ValueError("there is nothing to train on: the training set is empty")
        self.steps_per_epoch = -(-self.task.num_batches(0, self.world) // self.config.gradient_accumulation_steps)
        self.started = time.monotonic() - self.position.seconds
        self.saved_at = self.position.seconds
        self.trackers = log.Trackers(self.accelerator, self.workspace, self.position.step, self.config.use_wandb)
        if self.is_main:
            checkpoint.write_json(self.workspace / checkpoint.CONFIG_NAME, self.record)
            self.metrics = log.MetricsFile(self.workspace, self.position.step)
            log.banner(self._facts(start))
            if start and (changed := checkpoint.changed_options(start, self.record)):
                logger.warning("options changed since %s: %s", start.name, ", ".join(changed))

    def _prepare(self, model: torch.nn.Module) -> None:
        """The model on its device, replicated or sharded, with its optimizer; and how fast that device is."""
        if self.sharded:
            # Not through accelerate, which would replicate it; so what its wrapper does for precision is done here.
            self.model = shard.shard(model.to(self.accelerator.device), self.accelerator.device)
            self.precision: Callable[[], AbstractContextManager] = self.accelerator.autocast
            made = build_optimizers(self.model, self.config)
            optimizers = [self.accelerator.prepare(optimizer) for optimizer, _ in made]
        else:
            made = build_optimizers(model, self.config)
            self.model, *optimizers = self.accelerator.prepare(model, *(optimizer for optimizer, _ in made))
            self.precision = nullcontext
        self.optimizers = [(optimizer, rate) for optimizer, (_, rate) in zip(optimizers, made, strict=True)]
        self.ema = Ema(self._plain_model(), self.config.ema) if self.config.ema else None
        self.peak, self.flops = 0.0, getattr(self.task, "flops", lambda _batch: 0.0)
        if hasattr(self.task, "flops"):
            peak = estimate.matmul_peak(self.accelerator.device, self.config.mixed_precision)
            self.peak = self.agreement.sum([peak])[0]

    def _check_memory(self) -> None:
        """Before the model is made: a machine without the memory would swap, or kill the process hours from now.

        Raises:
            ValueError: it will not do, by the estimate.
        """
        task: Any = self.task
        if not hasattr(task, "memory"):
            return
        need = task.memory(self.world, self.sharded)
        there = log.free_memory(self.accelerator.device)
        if need.total <= there:
            return
        text = f"training takes about {estimate.describe(need)}; each process has {there / estimate.GIB:.1f} GiB here"
        if self.config.allow_misfit:
            logger.warning("%s; going on all the same (--allow_misfit)", text)
            return
        raise ValueError(f"{text}. {self._what_would_fit(task, there)}--allow_misfit goes on all the same")

    def _what_would_fit(self, task: Any, there: float) -> str:
        changes: list[dict[str, Any]] = [{}] if self.config.checkpointing else [{}, {"checkpointing": True}]
        sizes = [n for n in (self.config.batch_size, 2, 1) if n <= self.config.batch_size]
        for size, more in itertools.product(dict.fromkeys(sizes), changes):
            options = {"batch_size": size, **more}
            if task.with_options(**options).memory(self.world, self.sharded).total <= there:
                words = [f"--{k}" if v is True else f"--{k} {v}" for k, v in options.items()]
                return f"What would fit: {' '.join(words)}; else "
        return "A smaller --max_seq_length, model, or more processes with --shard would take less; "

    def _take_workspace(self) -> None:
        self.lock = checkpoint.lock_workspace(self.workspace)
        checkpoint.clean_leftovers(self.workspace)

    def _check_space(self, model: torch.nn.Module, start: Path | None) -> None:
        weights, moments = stored_bytes(model)
        # Two are kept while a third is written, and best.safetensors may outlive its checkpoint.
        there = len(checkpoint.checkpoints(self.workspace)) if start else 0
        wanted = (checkpoint.KEEP + 1 - there) * (weights + moments) + weights
        checkpoint.check_workspace(self.workspace, int(1.05 * wanted) + 2**24)

    def _restore(self, path: Path) -> None:
        state = checkpoint.read_state(path)
        restore(self.model, self._plain_optimizers(), self.accelerator.scaler, state)
        self.position = Position(**state["position"])
        self.window.sums = {name: (total, count) for name, (total, count) in state["window"].items()}
        if self.ema and "ema" in state:
            self.ema.load(state["ema"])
        # Another number of processes or batch size: as many samples of the epoch count as used.
        used = self.position.batch * state["samples_per_batch"]
        self.position.batch = used // self._samples_per_batch()
        if self.is_main and self.position.best_step == self.position.step:
            kept = self.workspace / checkpoint.EMA_NAME if "ema" in state else path / checkpoint.WEIGHTS_NAME
            if "ema" in state:
                checkpoint.write_weights(kept, {**checkpoint.read_weights(path), **state["ema"]})
            checkpoint.publish(kept, self.workspace / checkpoint.BEST_NAME)
        steps = self.agreement.sum([self.position.step])[0]
        if steps != self.world * self.position.step:
            raise ValueError(
                f"--workspace {self.workspace}: not the same folder on all machines; share it between them"
            )

    def _samples_per_batch(self) -> int:
        return self.config.batch_size * self.world

    def _facts(self, start: Path | None) -> list[tuple[str, str]]:
        config, accelerator = self.config, self.accelerator
        parameters = list(self._plain_model().parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        total = sum(p.numel() for p in parameters)
        device = torch.cuda.get_device_name(accelerator.device) if accelerator.device.type == "cuda" else "CPU"
        processes = f"{self.world} process(es) of {torch.get_num_threads()} CPU thread(s)"
        processes += " that share weights and optimizer (FSDP)" if self.sharded else ""
        accumulation = config.gradient_accumulation_steps
        batch = f"{config.batch_size} x {self.world} process(es) x {accumulation} = "
        limits = [f"{config.num_epochs} epochs of {self.steps_per_epoch} steps"]
        limits += [f"{config.max_steps} steps"] if config.max_steps else []
        limits += [f"{config.max_minutes:g} minutes"] if config.max_minutes else []
        begin = f"continues {start.name}" if start else "starts from " + (config.resume or "random weights")
        return [
            ("training", f"{self.task.name}: {total:,} parameters, {trained:,} of them trained; {begin}"),
            ("on", f"{device}, {processes}, precision {config.mixed_precision}"),
            ("batch", f"{batch}{config.batch_size * self.world * accumulation} meshes a step"),
            *([("peak", f"{self.peak / 1e12:.2f} TFLOP/s of matrix products, measured")] if self.peak else []),
            ("until", " or ".join(limits) + (" (the first of them)" if len(limits) > 1 else "")),
            *self.task.describe(),
            ("workspace", f"{self.workspace} (curves: tensorboard --logdir {self.workspace})"),
        ]

    # ------------------------------------------------------------------ the loop

    def _epoch(self) -> bool:
        """Train on the rest of the current epoch; True if the run has to stop."""
        where = self.position
        batches = self.task.batches(where.epoch, where.batch, self.rank, self.world)
        self.mark = time.monotonic()
        steps = with_last(grouped(batches, self.config.gradient_accumulation_steps))
        for group, is_last in steps:
            where.batch += len(group)
            self._train_step(group)
            if is_last:
                where.epoch, where.batch = where.epoch + 1, 0
            if self._after_step(is_last):
                return True
        if where.batch:  # continued with options under which this epoch was over already
            where.epoch, where.batch = where.epoch + 1, 0
        return False

    def _train_step(self, group: list[Any]) -> None:
        """One optimizer step on the micro-batches of `group`, each weighing what it has of the whole step's tokens.

        So several processes and accumulation give the gradient of one large batch, however long its meshes are.
        """
        where, config = self.position, self.config
        weights = [self.task.weight(batch) for batch in group]
        total, where.seconds = self.agreement.sum([sum(weights), self._clock() if self.is_main else 0.0])
        losses, sums = [], []
        flops = sum(self.flops(batch) for batch in group)
        for k, (batch, weight) in enumerate(zip(group, weights, strict=True)):
            with self._synchronised(k == len(group) - 1):
                seed_all(config.seed, "step", where.step, k, self.rank)
                batch = self.task.to(batch, self.accelerator.device)
                with self.precision():
                    loss, metrics = self.task.loss(self.model, batch)
                self.accelerator.backward(loss * (weight * self.world / total))
            losses.append(loss.detach())
            sums.append(metrics)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), config.gradient_clip or math.inf)
        norm = shard.whole(norm)
        values = torch.stack([*losses, torch.as_tensor(norm, device=losses[0].device)]).float().tolist()
        self._stop_if_bad(group, values[:-1], values[-1])
        done = self._done(next_step=True)
        rate = learning_rate(done, config.lr, config.warmup_ratio)
        take_step(self.optimizers, done, config.warmup_ratio)
        if self.ema:
            self.ema.update()
        where.step += 1
        where.tokens += total
        loss_sum = sum(loss * weight for loss, weight in zip(values, weights, strict=False))
        own = {"loss": (loss_sum, sum(weights)), "mfu": (flops, 0.0)}
        self._note(log.add_up([own, *map(log.numbers, sums)]), total)
        self.window.add({"grad_norm": (values[-1], 1.0), "lr": (rate, 1.0)})

    def _synchronised(self, last: bool) -> AbstractContextManager:
        """Gradients are exchanged once a step, in its last micro-batch's backward pass."""
        return nullcontext() if last else self.accelerator.no_sync(self.model)

    def _clock(self) -> float:
        """Seconds trained; the main process's count for all."""
        return time.monotonic() - self.started

    def _note(self, sums: Sums, tokens: float) -> None:
        """Add a step's sums, over all processes, to the window; hear whether any of them is to stop."""
        names = sorted(sums)
        flat = self.agreement.sum([*itertools.chain(*map(sums.__getitem__, names)), float(self.stop.received)])
        self.stopping = flat.pop() > 0
        together = {name: (flat[2 * k], flat[2 * k + 1]) for k, name in enumerate(names)}
        loss, count = together["loss"]
        smooth = self.position.smooth_loss
        now_loss = loss / count
        self.position.smooth_loss = now_loss if math.isnan(smooth) else smooth + SMOOTHING * (now_loss - smooth)
        now = time.monotonic()
        together["mfu"] = (together["mfu"][0], self.peak * (now - self.mark))
        self.window.add(together)
        self.window.add({"tokens_per_second": (tokens, now - self.mark)})
        self.mark = now

    def _stop_if_bad(self, group: list[Any], losses: list[float], norm: float) -> None:
        """Before the weights are touched. (fp16's scaler skips a step of overflown gradients by itself.)"""
        bad_norm = not math.isfinite(norm) and self.config.mixed_precision != "fp16"
        bad = bad_norm or not all(map(math.isfinite, losses))
        not_finite, exploded = self.agreement.sum([float(bad), float(not bad and self._exploded(losses))])
        if not not_finite and not exploded:
            return
        what = "is not finite" if not_finite else f"exploded (moving average {self.position.smooth_loss:.4f})"
        step = self.position.step + 1
        kind = "not-finite" if not_finite else "exploded"
        file = self.workspace / f"{kind}-step-{step:08d}-process-{self.rank}.json"
        batches = [{"loss": repr(x), "samples": self.task.names(b)} for x, b in zip(losses, group, strict=True)]
        content = {"step": step, "epoch": self.position.epoch, "gradient_norm": repr(norm), "batches": batches}
        file.write_text(json.dumps(content, indent=2) + "\n")
        last = checkpoint.latest_checkpoint(self.workspace)
        go_on = "" if not_finite else ", a higher --explosion goes on"
        raise ValueError(
            f"the loss {what} at step {step} (loss {losses}, gradient norm {norm:g}); the samples are named in {file}; "
            f"the last checkpoint is {last.name if last else 'none'}; a lower --lr usually helps{go_on}"
        )

    def _exploded(self, losses: list[float]) -> bool:
        where, factor = self.position, self.config.explosion
        known = factor > 0 and where.step >= STEPS_TO_KNOW
        return known and sum(losses) / len(losses) > factor * abs(where.smooth_loss) + 1

    def _after_step(self, epoch_ended: bool) -> bool:
        """Report, evaluate and save as is due; True if the run has to stop."""
        config, where = self.config, self.position
        self.bar.update(self._done(), self._status())
        if where.step % config.log_every == 0:
            self._report()
        ended = self._finished()
        evaluate = config.eval_mode != "none" and (ended or due(where.step, config.eval_every, epoch_ended))
        is_best = False
        if evaluate and self.stopping:
            where.evaluation_due = True  # the scheduler gives little time
        elif evaluate:
            is_best = self._evaluate()
        minutes = (where.seconds - self.saved_at) / 60
        late = config.save_minutes > 0 and minutes >= config.save_minutes
        if ended or self.stopping or is_best or late or due(where.step, config.save_every, epoch_ended):
            self._save(is_best)
        self.mark = time.monotonic()
        if ended or self.stopping:
            self.bar.update(self._done(), self._status(), force=True)
            reason = "finished" if ended else "stopped by SIGTERM; the same command continues"
            logger.info("%s after %d steps, %s", reason, where.step, log.duration(where.seconds))
        return ended or self.stopping

    def _done(self, next_step: bool = False) -> float:
        """Share of the run that is done, by whichever limit is nearer; `next_step`: with the step being taken."""
        where, config = self.position, self.config
        total = config.num_epochs * self.steps_per_epoch
        total = min(total, config.max_steps) if config.max_steps else total
        by_steps = (where.step + int(next_step)) / total
        by_time = where.seconds / (60 * config.max_minutes) if config.max_minutes else 0.0
        return min(max(by_steps, by_time), 1.0)

    def _finished(self) -> bool:
        where, config = self.position, self.config
        out_of_steps = 0 < config.max_steps <= where.step
        out_of_time = 0 < config.max_minutes * 60 <= where.seconds
        return where.epoch >= config.num_epochs or out_of_steps or out_of_time

    # ------------------------------------------------------------------ what is told and kept

    def _status(self) -> str:
        where, means = self.position, self.window.means() or self.reported
        place = f"epoch {min(where.epoch + 1, self.config.num_epochs)} step {where.step}"
        speed = f"{means.get('tokens_per_second', math.nan):,.0f} tokens/s"
        if self.peak:
            skipped = f", {100 * means.get('padding_skipped', 0):.0f} % skipped" if "padding_skipped" in means else ""
            speed += f" | padding 0 %{skipped} | MFU {100 * means.get('mfu', math.nan):.0f} %"
        return f"{place} | loss {means.get('loss', math.nan):.4f} | {speed} | {log.memory(self.accelerator.device)}"

    def _report(self) -> None:
        means = {**self.window.means(), "epoch": self.position.epoch, "tokens": self.position.tokens}
        self.window.clear()
        self.reported = means
        self.trackers.scalars("train", means, self.position.step)
        if self.is_main:
            self.metrics.write(self.position.step, "train", means)

    def _evaluate(self) -> bool:
        """Loss and pictures on the test split; True if the loss is the lowest so far."""
        where = self.position
        model = self._plain_model()
        model.eval()
        begun = time.monotonic()
        averaged = self.ema.in_place() if self.ema else nullcontext()
        with torch.no_grad(), self.accelerator.autocast(), averaged:
            seed_all(self.config.seed, "evaluation")
            metrics = self.task.evaluate(model, self.accelerator)
            images = self.task.pictures(model) if self.is_main and not self.sharded else {}
        self.model.train()
        where.evaluation_due = False
        text = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        logger.info("step %d, test: %s (%s)", where.step, text, log.duration(time.monotonic() - begun))
        self.trackers.scalars("test", metrics, where.step)
        if self.is_main:
            self.metrics.write(where.step, "test", metrics)
            self.trackers.images(images, where.step)
        if not metrics.get("loss", math.inf) < where.best_loss:
            return False
        where.best_loss, where.best_step = metrics["loss"], where.step
        return True

    def _plain_model(self) -> torch.nn.Module:
        """The model without the wrapper that waits for other processes (a sharded one is always together with them)."""
        return self.model if self.sharded else self.accelerator.unwrap_model(self.model)

    def _plain_optimizers(self) -> list[torch.optim.Optimizer]:
        """Those of torch, without accelerate's wrapper."""
        return [optimizer.optimizer for optimizer, _ in self.optimizers]

    def _save(self, is_best: bool) -> None:
        weights, state = snapshot(self.model, self._plain_optimizers(), self.accelerator.scaler)
        state |= {
            "position": {**asdict(self.position), "seconds": self._clock()},
            "window": self.window.sums,
            "samples_per_batch": self._samples_per_batch(),
        }
        if self.ema:
            state["ema"] = {name: shard.whole(average).cpu() for name, average in self.ema.averages.items()}

        def write() -> None:
            folder = checkpoint.save_checkpoint(self.workspace, self.position.step, weights, state, self.record)
            kept = folder / checkpoint.WEIGHTS_NAME
            if self.ema:
                kept = self.workspace / checkpoint.EMA_NAME
                checkpoint.write_weights(kept, {**weights, **state["ema"]})
            if is_best:
                checkpoint.publish(kept, self.workspace / checkpoint.BEST_NAME)

        self._once_on_main(write)
        self.saved_at = self.position.seconds

    def _once_on_main(self, action: Any) -> None:
        """Do it on the main process while the others wait; its failure is everybody's, so that none is left waiting."""
        failure: Exception | None = None
        if self.is_main:
            try:
                action()
            except (OSError, ValueError) as error:
                failure = error
        if self.agreement.any(failure is not None):
            raise failure or SystemExit(1)


def _accelerator(config: TrainConfig, workspace: Path) -> Any:
    import importlib.util

    from accelerate import Accelerator
    from accelerate.utils import ProjectConfiguration

    if config.use_wandb and importlib.util.find_spec("wandb") is None:
        raise ValueError("--use_wandb needs the package wandb: pip install wandb")
    return Accelerator(
        # Without it accelerate takes a launch of several processes on a machine with no GPU for one process each.
        cpu=not torch.accelerator.is_available(),
        mixed_precision=config.mixed_precision,
        log_with=["tensorboard", "wandb"] if config.use_wandb else ["tensorboard"],
        project_config=ProjectConfiguration(str(workspace), logging_dir=str(workspace)),
    )
