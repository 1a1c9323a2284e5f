"""Measure generated meshes against reference meshes: figures with intervals, baselines, and pictures.

    python infer.py ArAE-tiny --resume pretrained/ArAE-tiny --test_path meshes/ --workspace out
    python evaluate.py out meshes/ --json figures.json --report report.html     # of infer.py, or of any other system
    python evaluate.py ArAE-tiny shapes:100 --resume pretrained/ArAE-tiny       # both steps, on shapes never seen

Every mesh of GENERATED is compared with the reference of its name. What the figures mean: docs/evaluate.md.
"""

import logging
import sys
from pathlib import Path

from core import cli
from core.evaluation.options import EvaluateConfig


def main() -> int:
    import tyro

    config, others = tyro.cli(
        EvaluateConfig,
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff),
        use_underscores=True,
        return_unknown_args=True,
    )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from core.config import PRESETS
    from core.evaluation.generate import generate_first
    from core.evaluation.run import Evaluation

    if config.generated in PRESETS and not Path(config.generated).exists():
        config = generate_first(config, others)
    elif others:
        raise ValueError(f"{' '.join(others)}: evaluate.py has no such options (--help)")
    evaluation = Evaluation(config)
    evaluation.run()
    return 1 if evaluation.bad else 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
