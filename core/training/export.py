"""Weights for release, from a training workspace: half precision, their options beside them.

    python -m core.training.export WORKSPACE pretrained/ArAE-tiny

writes model.safetensors (from best.safetensors where there is one) and config.json (preset, options and command of the
run). Parameter names are the reference's; --reference adds the constant that its checkpoints hold as well.
"""

import argparse
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from core import cli
from core.training.checkpoint import BEST_NAME, CONFIG_NAME, write_json
from core.training.weights import WEIGHTS_NAME, read_json, read_weights

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
BASIS = "point_encoder.point_embed.basis"


def basis(num_frequencies: int = 8) -> Tensor:
    """(3, 3 * num_frequencies): frequencies 2^k * pi of x, y and z, each in its own columns."""
    frequencies = math.pi * 2.0 ** torch.arange(num_frequencies)
    return torch.block_diag(*[frequencies.unsqueeze(0)] * 3)


def export(source: Path, target: Path, dtype: torch.dtype, reference: bool = False) -> None:
    """Write the weights of a workspace, or of a checkpoint folder or file, to the folder `target`.

    Raises:
        ValueError: no weights at `source`.
        OSError: `target` cannot be written.
    """
    best = source / BEST_NAME
    weights = {name: tensor.to(dtype) for name, tensor in read_weights(best if best.exists() else source).items()}
    if reference:
        weights[BASIS] = basis()
    target.mkdir(parents=True, exist_ok=True)
    save_file(weights, target / WEIGHTS_NAME, metadata={"format": "pt"})
    (target / WEIGHTS_NAME).chmod(0o644)  # safetensors makes it private
    config = source / CONFIG_NAME
    if config.exists():
        write_json(target / CONFIG_NAME, read_json(config))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="workspace, checkpoint folder or file of weights")
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16", help="of the weights (default: fp16)")
    parser.add_argument("--reference", action="store_true", help="add the constant that the reference's files hold")
    options = parser.parse_args()
    export(options.source, options.target, DTYPES[options.dtype], options.reference)
    print(f"{options.target}: {(options.target / WEIGHTS_NAME).stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
