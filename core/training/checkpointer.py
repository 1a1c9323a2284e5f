"""The checkpoints of a run: which one it starts from, when one is due, and writing it on the main process alone."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from torch import Tensor, nn

from core.training import checkpoint
from core.training.options import TrainConfig
from core.training.position import Position
from core.training.processes import CpuCollectives
from core.training.state import stored_bytes
from core.training.steps import due
from core.training.weights import WEIGHTS_NAME

logger = logging.getLogger(__name__)


class Checkpointer:
    """Owns the workspace: keeps other runs out until the end of a `with` block, reads and writes checkpoints.

    Args:
        config: --workspace, --save_every and --save_minutes are read.
        collectives: of all processes.
        record: what goes to config.json.

    Raises:
        ValueError: the workspace cannot be written.
    """

    def __init__(self, config: TrainConfig, collectives: CpuCollectives, record: dict[str, Any]):
        self.config, self.collectives, self.record = config, collectives, record
        self.workspace = Path(config.workspace).expanduser()
        self.start: Path | None = None
        """The checkpoint that the run continues from."""
        self.saved_at = 0.0
        """Seconds trained when the last one was written."""
        self._lock: IO[str] | None = None
        collectives.run_on_main(lambda: checkpoint.check_workspace(self.workspace, 2**20))

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock:
            self._lock.close()

    # ------------------------------------------------------------------ at the start

    def open(self, model: nn.Module) -> None:
        """Lock the workspace, find the checkpoint to start from, and see that there is space for those to come.

        Raises:
            ValueError: another run is at work there, or the disk is too full.
        """
        self.collectives.run_on_main(self._claim)
        self.start = checkpoint.latest_checkpoint(self.workspace)
        if self.start:
            self.record = checkpoint.with_earlier_commits(self.record, self.start)
        self.collectives.run_on_main(lambda: self._check_space(model))

    def _claim(self) -> None:
        self._lock = checkpoint.lock_workspace(self.workspace)
        checkpoint.clean_leftovers(self.workspace)

    def _check_space(self, model: nn.Module) -> None:
        weights, moments = stored_bytes(model)
        # Two are kept while a third is written, and best.safetensors may outlive its checkpoint.
        existing = len(checkpoint.checkpoints(self.workspace)) if self.start else 0
        wanted = (checkpoint.KEEP + 1 - existing) * (weights + moments) + weights
        checkpoint.check_workspace(self.workspace, int(1.05 * wanted) + 2**24)

    def read(self) -> dict[str, Any] | None:
        """The state to continue with; None for a new run.

        Raises:
            ValueError: it is damaged, or other machines do not see the same workspace.
        """
        state = checkpoint.read_state(self.start) if self.start else None
        step = state["position"]["step"] if state else 0
        if self.collectives.sum([step])[0] != self.collectives.world * step:
            raise ValueError(
                f"--workspace {self.workspace}: not the same folder on all machines; share it between them"
            )
        return state

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue after a checkpoint of this state; `best` is published anew if a killed process did not get there."""
        self.saved_at = state["position"]["seconds"]
        if state["position"].get("best_step", -1) == state["position"]["step"]:
            self.collectives.run_on_main(lambda: self._publish_start(state))

    def _publish_start(self, state: Mapping[str, Any]) -> None:
        assert self.start is not None
        best = self.start / WEIGHTS_NAME
        if "ema" in state:
            best = self._write_averaged(checkpoint.read_weights(self.start), state["ema"])
        checkpoint.publish(best, self.workspace / checkpoint.BEST_NAME)

    def write_record(self) -> None:
        """Write config.json, and warn of options that are not as they were before; for the main process alone."""
        checkpoint.write_json(self.workspace / checkpoint.CONFIG_NAME, self.record)
        if self.start and (changed := checkpoint.changed_options(self.start, self.record)):
            logger.warning("options changed since %s: %s", self.start.name, ", ".join(changed))

    # ------------------------------------------------------------------ while training

    def is_due(self, position: Position, epoch_ended: bool) -> bool:
        """Whether a checkpoint is to be written after this step: by steps, by epochs or by the clock."""
        minutes = (position.seconds - self.saved_at) / 60
        late = 0 < self.config.save_minutes <= minutes
        return late or due(position.step, self.config.save_every, epoch_ended)

    def save(
        self, position: Position, weights: dict[str, Tensor], state: dict[str, Any], *, is_best: bool = False
    ) -> None:
        """Write a checkpoint; every process calls it.

        Args:
            position: where the run is.
            weights: parameters and buffers by name, on the CPU.
            state: what the loop needs to continue; averaged weights are its `ema`.
            is_best: the evaluation after this step had the lowest loss so far.

        Raises:
            OSError: the disk is full or gone.
        """
        self.collectives.run_on_main(lambda: self._write(position.step, weights, state, is_best))
        self.saved_at = position.seconds

    def _write(self, step: int, weights: dict[str, Tensor], state: dict[str, Any], is_best: bool) -> None:
        folder = checkpoint.save_checkpoint(self.workspace, step, weights, state, self.record)
        evaluated = self._write_averaged(weights, state["ema"]) if "ema" in state else folder / WEIGHTS_NAME
        if is_best:
            checkpoint.publish(evaluated, self.workspace / checkpoint.BEST_NAME)

    def _write_averaged(self, weights: Mapping[str, Tensor], averages: Mapping[str, Tensor]) -> Path:
        """Write ema.safetensors: the weights, those that are trained replaced by their moving average."""
        file = self.workspace / checkpoint.EMA_NAME
        checkpoint.write_weights(file, {**weights, **averages})
        return file
