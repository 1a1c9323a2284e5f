"""infer_dit.py and main_dit.py as they are typed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import infer_dit
from core import cli
from core.config import PRESETS, parse_cli, with_overrides
from core.data.mesh import load
from core.inference.generator import MeshGenerator
from core.inference.images import ImageRun, LatentSampler
from core.inference.records import read_records
from core.model.arae import ArAE
from core.model.diffusion import LatentDiffusion
from core.tokens import Tokenizer

ROOT = Path(__file__).parents[1]
NANO = PRESETS["DiT-nano"][1]
QUICK = ["--test_max_seq_length", "120", "--num_inference_steps", "5", "--threads", "1"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(5)
    save_file(ArAE(NANO.model, Tokenizer(NANO.tokenizer).vocab_size).state_dict(), folder / "arae.safetensors")
    save_file(LatentDiffusion(NANO.diffusion, NANO.model.point_encoder).state_dict(), folder / "dit.safetensors")
    return str(folder / "arae.safetensors"), str(folder / "dit.safetensors")


def picture(color: int, corner: int) -> np.ndarray:
    image = np.zeros((60, 80, 4), np.uint8)
    image[corner : corner + 20, corner : corner + 30] = [color, 60, 20, 255]
    return image


@pytest.fixture
def folder(tmp_path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(picture(200, 5)).save(images / "red.png")
    Image.fromarray(picture(20, 25)).save(images / "dark.webp", lossless=True)
    flat = np.full((50, 50, 3), 240, np.uint8)
    flat[10:30, 10:40] = 90
    Image.fromarray(flat).save(images / "flat.jpg")
    (images / "broken.png").write_text("no picture")
    return images


def command(script: str, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
    return subprocess.run(
        [sys.executable, script, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_a_folder_of_images(folder, weights, tmp_path):
    out = tmp_path / "out"
    words = ["--workspace", str(out), "--resume", weights[0], "--resume2", weights[1], "--test_path", str(folder)]
    done = command("infer_dit.py", "DiT-nano", *words, "--test_repeat", "2", *QUICK)
    assert done.returncode == 1, done.stderr  # for the broken one
    assert "broken.png" in done.stdout
    assert "no transparency" in done.stdout + done.stderr
    for name in ("red", "dark", "flat"):
        assert Image.open(out / f"{name}.jpg").size == (512, 512)
        for repeat in range(2):
            assert len(load(out / f"{name}_{repeat}_80f.obj").faces)
            assert np.load(out / f"{name}_{repeat}_80f_tokens.npy").dtype.kind == "i"
    assert (out / "sheet.png").stat().st_size > 1000

    made = [record for record in read_records(out) if record.mesh]
    assert [(record.name, record.repeat) for record in made if record.faces == 0] == []
    assert len(made) == 6
    # The same words again: nothing to do but for the broken one.
    done = command("infer_dit.py", "DiT-nano", *words, "--test_repeat", "2", *QUICK)
    assert "6 were there already, 1 failed" in done.stdout
    done = command("infer_dit.py", "DiT-nano", *words, "--keep", "best", *QUICK)
    assert "error: --keep best: a picture has no points" in done.stderr


def make_run(config, folder: Path, **options) -> ImageRun:
    torch.manual_seed(5)
    arae = ArAE(NANO.model, Tokenizer(NANO.tokenizer).vocab_size)
    diffusion = LatentDiffusion(NANO.diffusion, NANO.model.point_encoder)
    device = torch.device("cpu")
    sampler = LatentSampler(diffusion, config.latent_sampling, device)
    generator = MeshGenerator(arae, Tokenizer(NANO.tokenizer), device)
    return ImageRun(sampler, generator, config.test, folder, 0, tell=lambda line: None, **options)


@pytest.fixture
def config(folder):
    for k in range(3):
        Image.fromarray(picture(60 * k, 5 * k)).save(folder / f"p{k}.png")
    words = [
        "--test_path",
        str(folder),
        "--generate_mode",
        "greedy",
        "--test_repeat",
        "2",
        "--test_num_face",
        "80",
        "-1",
    ]
    return parse_cli("", ["DiT-nano", *words, *QUICK])[1]


def test_a_batch_equals_singles(config, tmp_path):
    make_run(config, tmp_path / "a").generate()
    make_run(with_overrides(config, test_batch_size=1), tmp_path / "b").generate()
    names = [path.name for path in (tmp_path / "a").glob("*.npy")]
    assert len(names) == 6 * 2 * 2
    for name in names:
        np.testing.assert_array_equal(np.load(tmp_path / "a" / name), np.load(tmp_path / "b" / name))


def test_latents_are_sampled_several_at_a_time_and_shared_by_face_counts(config, tmp_path, monkeypatch):
    batches = []
    sample = LatentSampler.sample

    def counting(self, images, seeds, on_step=None):
        batches.append(len(images))
        assert len(set(seeds)) == len(seeds)
        return sample(self, images, seeds, on_step)

    monkeypatch.setattr(LatentSampler, "sample", counting)
    make_run(with_overrides(config, test_batch_size=5), tmp_path).generate()
    assert batches == [5, 5, 2]  # six pictures, two repetitions


def test_an_input_is_not_overwritten_by_the_picture_of_it(config, folder, tmp_path):
    before = (folder / "flat.jpg").read_bytes()
    run = make_run(config, folder)
    run.generate()
    assert "take another --workspace" in dict(run.output.failures)["flat.jpg"]
    assert (folder / "flat.jpg").read_bytes() == before


def test_a_stop_while_latents_are_sampled_is_heeded(config, tmp_path):
    run = make_run(config, tmp_path)
    run.show = lambda text: setattr(run.stop, "reason", "interrupted") if "step 2" in text else None
    run.generate()
    assert run.output.written == []
    assert run.stop.exit_code == 130


def test_the_references_command_line_is_understood():
    words = (
        "DiT --workspace workspace --resume pretrained/ArAE.safetensors --resume2 pretrained/DiT.safetensors "
        "--test_path data_images/ --generate_mode sample --test_num_face 1000 --test_repeat 3"
    )
    preset, config = parse_cli("", words.split())
    assert (preset, config.train.resume2) == ("DiT", "pretrained/DiT.safetensors")
    assert (config.test.test_repeat, config.latent_sampling.guidance_scale) == (3, 7.5)
    assert parse_cli("", ["DiT", "--workspace", "workspace_train_dit"])[1].train.batch_size == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--resume is needed"),
        (["--resume", "x"], "--resume2 is needed"),
        (["--resume", "x", "--resume2", "y"], "--test_path is needed"),
    ],
)
def test_what_is_missing_is_said_in_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "DiT-nano", "--workspace", str(tmp_path / "w"), "--threads", "1", *words])
    assert cli.run(infer_dit.main) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]


def test_training_without_an_encoder_is_refused_in_one_line(tmp_path):
    words = ["--workspace", str(tmp_path / "w"), "--num_shapes", "2", "--num_workers", "0"]
    done = command("main_dit.py", "DiT-nano", *words)
    assert done.returncode == 1
    assert "give an ArAE's with --resume" in done.stderr
    assert "Traceback" not in done.stderr
