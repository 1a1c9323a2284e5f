"""When the model is evaluated during training, how, and which of its checkpoints is the best."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from core.training import log
from core.training.learner import Learner
from core.training.options import TrainConfig
from core.training.position import Position
from core.training.progress import Progress
from core.training.steps import due, seed_all

logger = logging.getLogger(__name__)


class Evaluator:
    """Loss and pictures on the test split, and the lowest loss so far.

    Args:
        config: --eval_mode, --eval_every and --seed are read.
        learner: has the model and the task.
        progress: is given the metrics and pictures.
    """

    def __init__(self, config: TrainConfig, learner: Learner, progress: Progress):
        self.config, self.learner, self.progress = config, learner, progress
        self.best_loss = math.inf
        self.best_step = -1
        self.overdue = False
        """Stopped when an evaluation was due: it comes first on continuing."""

    def run_if_due(self, position: Position, *, epoch_ended: bool, ended: bool, stopping: bool) -> bool:
        """Evaluate after a step where that is due; True if the loss is the lowest so far.

        Args:
            position: where the run is.
            epoch_ended: the step was the last of its epoch.
            ended: it was the last of the run.
            stopping: by SIGTERM; the scheduler gives little time, so the evaluation is put off until the run continues.
        """
        is_due = ended or due(position.step, self.config.eval_every, epoch_ended)
        if self.config.eval_mode == "none" or not is_due:
            return False
        if stopping:
            self.overdue = True
            return False
        return self.run(position)

    def run(self, position: Position) -> bool:
        """Evaluate now; True if the loss is the lowest so far."""
        task, accelerator = self.learner.task, self.learner.accelerator
        begun = time.monotonic()
        with self.learner.evaluating() as model:
            seed_all(self.config.seed, "evaluation")
            metrics = task.evaluate(model, accelerator)
            drawn = accelerator.is_main_process and not self.learner.sharded
            pictures = task.pictures(model) if drawn else {}
        self.overdue = False
        text = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        logger.info("step %d, test: %s (%s)", position.step, text, log.duration(time.monotonic() - begun))
        self.progress.add_evaluation(metrics, pictures)
        if not metrics.get("loss", math.inf) < self.best_loss:
            return False
        self.best_loss, self.best_step = metrics["loss"], position.step
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best evaluation, and whether one is overdue."""
        return {"best_loss": self.best_loss, "best_step": self.best_step, "evaluation_due": self.overdue}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with what `state_dict` returned; other names in `state` are ignored."""
        self.best_loss = state.get("best_loss", math.inf)
        self.best_step = state.get("best_step", -1)
        self.overdue = state.get("evaluation_due", False)
