"""Generate meshes from the images (png, jpg, webp) of a file or folder.

    python infer_dit.py DiT-tiny --resume pretrained/ArAE-tiny --resume2 pretrained/DiT-tiny --test_path examples/images

One object to an image, best on a transparent or plain background. For each image NAME: NAME.jpg (cut out and centred,
as the model is shown it), and for each repetition i and face count n NAME_{i}_{n}f.obj and NAME_{i}_{n}f_tokens.npy;
results.jsonl says what became of each, and sheet.png shows them all. Ctrl-C writes what there is; the same command then
goes on.
"""

import logging
import sys
from pathlib import Path

from core import cli
from core.config import Config, parse_cli
from core.inference.generator import MeshGenerator
from core.inference.images import ImageRun, LatentSampler, latent_of_mesh
from core.inference.options import check_face_counts, pick_device, pick_dtype
from core.inference.report import carry_out
from core.inference.share import Share
from core.inference.stop import Stop
from core.model.arae import ArAE
from core.model.diffusion import LatentDiffusion
from core.tokens import Tokenizer
from core.training.dit_task import clips_samples, load_diffusion, load_point_encoder
from core.training.weights import build_loaded


def main() -> int:
    _, config = parse_cli(__doc__ or "")
    cli.require(config.train.resume, "--resume", "the weights of the ArAE")
    cli.require(config.train.resume2, "--resume2", "the weights of the DiT")
    cli.require(config.test.test_path, "--test_path", "an image, or a folder of them")
    check_face_counts(config.test.test_num_face, config.data.max_face_length)
    cli.use_threads(config.train.threads)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return carry_out(prepare(config, Share.of_environment(), Stop(config.test.time_limit)))


def prepare(config: Config, share: Share, stop: Stop) -> ImageRun:
    """Both models with their weights, ready to run."""
    device = pick_device(config.test.device)
    tokenizer = Tokenizer(config.tokenizer)
    dtype = pick_dtype(config.test.dtype, device)
    arae = build_loaded(lambda: ArAE(config.model, tokenizer.vocab_size), config.train.resume, dtype)
    diffusion = LatentDiffusion(config.diffusion, config.model.point_encoder)
    is_reference = load_diffusion(diffusion, config.train.resume2)
    sampling = config.latent_sampling
    initial = None
    if sampling.init_mesh:
        load_point_encoder(diffusion, config.train.resume)
        initial = latent_of_mesh(diffusion, sampling.init_mesh, config.train.seed)
    sampler = LatentSampler(diffusion, sampling, device, clips_samples(sampling, is_reference), initial)
    generator = MeshGenerator(arae, tokenizer, device, take_weights=True, dtype=dtype)
    return ImageRun(sampler, generator, config.test, Path(config.train.workspace), config.train.seed, share, stop)


if __name__ == "__main__":
    sys.exit(cli.run(main))
