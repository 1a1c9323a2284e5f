"""Generate meshes from the meshes or point clouds of a file or folder.

    python infer.py ArAE-tiny --resume pretrained/ArAE-tiny --test_path examples --workspace workspace

For each input NAME: NAME_pc.obj (the points that the model sees), and for each repetition i and face count n
NAME_{i}_{n}f.ply (the mesh, at the input's place and scale) and NAME_{i}_{n}f_tokens.npy; sheet.png shows them all.
"""

import sys
from pathlib import Path

from core import cli
from core.config import parse_cli
from core.inference.files import Run
from core.inference.generator import MeshGenerator, check_face_counts, pick_device
from core.inference.report import generate_all, write_sheet
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training.weights import load_weights


def main() -> int:
    _, config = parse_cli(__doc__ or "")
    cli.require(config.train.resume, "--resume", "the weights to generate with")
    cli.require(config.test.test_path, "--test_path", "a mesh, a point cloud, or a folder of them")
    check_face_counts(config.test.test_num_face, config.data.max_face_length)
    device = pick_device(config.test.device)
    cli.use_threads(config.train.threads)

    tokenizer = Tokenizer(config.tokenizer)
    model = ArAE(config.model, tokenizer.vocab_size)
    load_weights(model, config.train.resume, strict=True)
    folder = Path(config.train.workspace)
    run = Run(MeshGenerator(model, tokenizer, device), config.test, folder, config.train.seed)
    generate_all(run)
    if config.test.sheet and run.written:
        write_sheet(run, folder / "sheet.png")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
