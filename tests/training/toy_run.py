"""One process of a run of the toy task: python toy_run.py WORKSPACE [KEY=VALUE ...], alone or under torchrun.

(With the project's folder in PYTHONPATH.)
"""

import ast
import sys

from toy import ToyTask

from core import cli
from core.training.trainer import TrainConfig, Trainer


def main() -> None:
    options = {k: ast.literal_eval(v) for k, v in (text.split("=", 1) for text in sys.argv[2:])}
    of_task = {name: options.pop(name) for name in ("bad_step", "dropout", "pause") if name in options}
    task = ToyTask(12, **of_task)
    config = {"mixed_precision": "no", "num_epochs": 3, "lr": 1e-2, "log_every": 1, **options}
    cli.use_threads(1)
    Trainer(TrainConfig(workspace=sys.argv[1], **config), task).fit()


if __name__ == "__main__":
    sys.exit(cli.run(main))
