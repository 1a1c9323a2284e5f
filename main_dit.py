"""Train the DiT: image -> latent of a trained ArAE.

    python main_dit.py DiT-tiny --resume pretrained/ArAE-tiny --workspace workspace_train_dit --data meshes/
    accelerate launch --config_file acc_configs/gpu8.yaml main_dit.py DiT --resume ArAE.safetensors --workspace W

Pictures are taken of the meshes; without --data, of procedural shapes. The same command continues a run that was
stopped or killed.
"""

import sys
from dataclasses import asdict

from core import cli
from core.config import parse_cli
from core.training.dit_task import DiTTask
from core.training.trainer import Trainer


def main() -> int:
    preset, config = parse_cli(__doc__ or "")
    cli.use_threads(config.train.threads)
    task = DiTTask(config.model.point_encoder, config.diffusion, config.data, config.views, config.train)
    record = {"command": " ".join(sys.argv), "preset": preset, "options": asdict(config)}
    Trainer(config.train, task, record).fit()
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
