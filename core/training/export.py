"""Weights for release, from a training workspace: half precision, their options beside them.

    python -m core.training.export WORKSPACE pretrained/ArAE-tiny

writes model.safetensors (from best.safetensors where there is one) and config.json (preset, options, command and commit
of the run). Parameter names are the reference's; --reference adds the constant that its checkpoints hold as well.
Weights that were trained with changes that no commit holds are refused, unless --allow_dirty is given.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

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


def export(source: Path, target: Path, dtype: torch.dtype, reference: bool = False, allow_dirty: bool = False) -> None:
    """Write the weights of a workspace, or of a checkpoint folder or file, to the folder `target`.

    Raises:
        ValueError: no weights at `source`, or, unless `allow_dirty`, weights of code that no commit holds.
        OSError: `target` cannot be written.
    """
    record = read_record(source)
    if record is not None:
        check_commits(source, record, allow_dirty)
    best = source / BEST_NAME
    weights = {name: tensor.to(dtype) for name, tensor in read_weights(best if best.exists() else source).items()}
    if reference:
        weights[BASIS] = basis()
    target.mkdir(parents=True, exist_ok=True)
    save_file(weights, target / WEIGHTS_NAME, metadata={"format": "pt"})
    (target / WEIGHTS_NAME).chmod(0o644)  # safetensors makes it private
    if record is not None:
        write_json(target / CONFIG_NAME, record)


def read_record(source: Path) -> dict[str, Any] | None:
    """What config.json says of the run, beside a file of weights too; None where there is none."""
    config = (source if source.is_dir() else source.parent) / CONFIG_NAME
    return read_json(config) if config.exists() else None


def check_commits(source: Path, record: dict[str, Any], allow_dirty: bool) -> None:
    """See that all the code which trained the weights can be had again.

    Args:
        record: its `commit` and, of a run that other code began, `earlier_commits`; None is code outside a checkout.

    Raises:
        ValueError: a commit ends with `-dirty`: files differed from it. With `allow_dirty` this is only told.
    """
    commits = [record.get("commit"), *record.get("earlier_commits", [])]
    if dirty := [commit for commit in commits if commit and commit.endswith("-dirty")]:
        text = f"{source}: trained with changes that no commit holds ({', '.join(dirty)})"
        if not allow_dirty:
            raise ValueError(f"{text}: nobody could train it again; commit before training, or give --allow_dirty")
        print(f"warning: {text}", file=sys.stderr)
    if None in commits:
        print(f"warning: {source}: the commit of the code that trained it is not known", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="workspace, checkpoint folder or file of weights")
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16", help="of the weights (default: fp16)")
    parser.add_argument("--reference", action="store_true", help="add the constant that the reference's files hold")
    parser.add_argument("--allow_dirty", action="store_true", help="though its code was changed and not committed")
    options = parser.parse_args()
    export(options.source, options.target, DTYPES[options.dtype], options.reference, options.allow_dirty)
    print(f"{options.target}: {(options.target / WEIGHTS_NAME).stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
