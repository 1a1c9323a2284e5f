"""Train the ArAE: point cloud -> mesh tokens.

    python main.py ArAE-tiny --workspace workspace_train --data meshes/
    accelerate launch --config_file acc_configs/gpu8.yaml main.py ArAE --workspace workspace_train

Without --data it trains on procedural shapes. The same command continues a run that was stopped or killed.
"""

import sys
from dataclasses import asdict

from core import cli
from core.config import parse_cli
from core.training.arae_task import ArAETask
from core.training.trainer import Trainer


def main() -> int:
    preset, config = parse_cli(__doc__ or "")
    cli.use_threads(config.train.threads)
    task = ArAETask(config.tokenizer, config.model, config.data, config.train)
    record = {"command": " ".join(sys.argv), "preset": preset, "options": asdict(config)}
    Trainer(config.train, task, record).fit()
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
