"""Generate meshes from the meshes or point clouds of a file or folder.

    python infer.py ArAE-tiny --resume pretrained/ArAE-tiny --test_path examples --workspace workspace
    accelerate launch --multi_gpu --num_processes 8 infer.py ArAE ...     # a folder over the GPUs of a machine

For each input NAME: NAME_pc.obj (the points that the model sees), and for each repetition i and face count n
NAME_{i}_{n}f.ply (the mesh, at the input's place and scale) and NAME_{i}_{n}f_tokens.npy; results.jsonl says what
became of each, and sheet.png shows them all. Ctrl-C writes what there is; the same command then goes on.
"""

import sys
from pathlib import Path

from core import cli
from core.config import parse_cli
from core.inference.generator import MeshGenerator
from core.inference.options import check_face_counts, pick_device, pick_dtype
from core.inference.report import carry_out
from core.inference.run import Run
from core.inference.share import Share
from core.inference.stop import Stop
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.weights import build_loaded


def main() -> int:
    _, config = parse_cli(__doc__ or "")
    cli.require(config.train.resume, "--resume", "the weights to generate with")
    cli.require(config.test.test_path, "--test_path", "a mesh, a point cloud, or a folder of them")
    check_face_counts(config.test.test_num_face, config.data.max_face_length)
    device = pick_device(config.test.device)
    cli.use_threads(config.train.threads)
    share, stop = Share.of_environment(), Stop(config.test.time_limit)

    tokenizer = Tokenizer(config.tokenizer)
    dtype = pick_dtype(config.test.dtype, device)
    model = build_loaded(lambda: ArAE(config.model, tokenizer.vocab_size), config.train.resume, dtype)
    generator = MeshGenerator(model, tokenizer, device, take_weights=True, dtype=dtype)
    return carry_out(Run(generator, config.test, Path(config.train.workspace), config.train.seed, share, stop))


if __name__ == "__main__":
    sys.exit(cli.run(main))
