"""main_dit.py's task: what it needs, what it stores, that it can be continued."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.config import PRESETS, Config, with_overrides
from core.model.arae import ArAE
from core.model.diffusion import DiffusionSampling, LatentDiffusion
from core.tokens import Tokenizer
from core.training.dit_task import DiTTask, clips_samples, load_diffusion
from core.training.trainer import Trainer

NANO = with_overrides(
    *(PRESETS["DiT-nano"][1],),
    num_shapes=12,
    max_face_length=800,
    num_workers=0,
    testset_size=4,
    threads=1,
    batch_size=4,
    mixed_precision="no",
    save_minutes=0.0,
)


@pytest.fixture(scope="module")
def arae(tmp_path_factory) -> str:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("arae") / "arae.safetensors"
    save_file(ArAE(NANO.model, Tokenizer(NANO.tokenizer).vocab_size).state_dict(), path)
    return str(path)


def fit(config: Config) -> LatentDiffusion:
    task = DiTTask(config.model.point_encoder, config.diffusion, config.data, config.views, config.train)
    Trainer(config.train, task).fit()
    return task.model


def configured(workspace, **options) -> Config:
    return with_overrides(NANO, workspace=str(workspace), **options)


def test_refuses_to_start_without_an_encoder(tmp_path):
    with pytest.raises(ValueError, match="--resume"):
        fit(configured(tmp_path, max_steps=1))


def test_refuses_weights_without_a_fitting_encoder(tmp_path, arae):
    save_file({"lm_head.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no point encoder"):
        fit(configured(tmp_path / "a", resume=str(tmp_path / "other.safetensors")))
    with pytest.raises(ValueError, match="this preset's is"):
        fit(configured(tmp_path / "b", resume=arae, point_latent_size=8, num_cond_tokens=9))


def test_the_frozen_encoder_and_the_latent_scale_are_stored(tmp_path, arae):
    model = fit(configured(tmp_path, resume=arae, max_steps=2))
    stored, given = load_file(tmp_path / "model.safetensors"), load_file(arae)
    assert torch.equal(stored["point_encoder.linear.weight"], given["point_encoder.linear.weight"])
    assert stored["latent_scale"].isfinite()
    assert stored["latent_scale"] != 1
    assert {name.split(".")[0] for name in stored} == {
        *("dit", "image_encoder", "proj_cond", "norm_cond", "point_encoder"),
        *("latent_mean", "latent_scale"),
    }
    assert torch.equal(stored["latent_scale"], model.latent_scale)


def test_a_stopped_run_continues_bit_for_bit(tmp_path, arae):
    whole = fit(configured(tmp_path / "whole", resume=arae, max_steps=4, num_epochs=2, eval_mode="none"))
    # Stopped by --max_steps, the learning rate would have fallen faster: it is kept level here by its own schedule.
    options = {"resume": arae, "num_epochs": 2, "eval_mode": "none", "save_every": 2}
    config = configured(tmp_path / "parts", max_steps=4, **options)
    task = DiTTask(config.model.point_encoder, config.diffusion, config.data, config.views, config.train)
    trainer = Trainer(config.train, task)
    trainer.budget.is_spent = lambda position: position.step >= 2  # type: ignore[method-assign]
    trainer.fit()
    parts = fit(config)
    assert "continues checkpoint-00000002" in (tmp_path / "parts" / "log.txt").read_text()
    for name, values in whole.state_dict().items():
        assert torch.equal(values, parts.state_dict()[name]), name


def test_cached_latents_are_those_of_the_encoder(tmp_path, arae):
    config = configured(tmp_path, resume=arae, max_steps=2, cache_latents=2, view_cache=str(tmp_path / "cache"))
    task = DiTTask(config.model.point_encoder, config.diffusion, config.data, config.views, config.train)
    Trainer(config.train, task).fit()
    dataset = task.train_set
    sample = dataset[(1, 2)]
    assert sample.points is None
    assert sample.latents is not None
    points = torch.from_numpy(dataset.stored.points[len(dataset) + 2].astype(np.float32))
    fresh = task.model.encode_points(points.unsqueeze(0))[0]
    assert np.abs(sample.latents - fresh.numpy()).max() < 0.01
    assert len(list((tmp_path / "cache").rglob("latents-*.npy"))) == 1


def test_a_dit_goes_on_with_another_encoder(tmp_path, arae):
    """--resume decides on the encoder, and latents of another one have another scale."""
    first = fit(configured(tmp_path / "a", resume=arae, max_steps=1))
    dit = str(tmp_path / "a/model.safetensors")
    same = fit(configured(tmp_path / "b", resume=arae, resume2=dit, max_steps=1))
    assert same.latent_scale == first.latent_scale
    wider = {name: 2 * values if "point_encoder" in name else values for name, values in load_file(arae).items()}
    save_file(wider, tmp_path / "wider.safetensors")
    other = fit(configured(tmp_path / "c", resume=str(tmp_path / "wider.safetensors"), resume2=dit, max_steps=1))
    assert other.latent_scale < 0.9 * first.latent_scale
    for name, values in other.point_encoder.state_dict().items():
        assert torch.equal(values, wider["point_encoder." + name])


def test_the_references_weights_bring_their_residual_and_no_scale(tmp_path):
    torch.manual_seed(0)
    model = LatentDiffusion(NANO.diffusion, NANO.model.point_encoder)
    weights = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith("latent_")}
    save_file(weights, tmp_path / "reference.safetensors")
    model.latent_scale.fill_(7)
    assert load_diffusion(model, str(tmp_path / "reference.safetensors"))
    assert model.latent_scale == 1
    assert model.dit.layers[0].residual == "normed"
    explicit = replace(NANO.diffusion, dit=replace(NANO.diffusion.dit, dit_residual="stream"))
    model = LatentDiffusion(explicit, NANO.model.point_encoder)
    load_diffusion(model, str(tmp_path / "reference.safetensors"))
    assert model.dit.layers[0].residual == "stream"
    assert clips_samples(DiffusionSampling(), True)
    assert not clips_samples(DiffusionSampling(), False)
    assert not clips_samples(DiffusionSampling(clip_sample="no"), True)


def test_towers_names_of_older_transformers_are_read(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(tmp_path / "clip")
    config = replace(NANO.diffusion, dit_image_encoder=str(tmp_path / "clip"))
    model = LatentDiffusion(config, NANO.model.point_encoder)
    old = {
        name.replace("image_encoder.", "image_encoder.vision_model."): value + 1
        for name, value in model.state_dict().items()
    }
    save_file(old, tmp_path / "old.safetensors")
    before = model.state_dict()["image_encoder.pre_layrnorm.weight"].clone()
    load_diffusion(model, str(tmp_path / "old.safetensors"))
    assert torch.equal(model.state_dict()["image_encoder.pre_layrnorm.weight"], before + 1)
