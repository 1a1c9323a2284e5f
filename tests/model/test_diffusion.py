"""Diffusion of latents: weights, schedules, training loss, sampling, image towers."""

from dataclasses import replace

import pytest
import torch

from core.config import PRESETS
from core.model.diffusion import (
    DiffusionConfig,
    DiffusionSampling,
    LatentDiffusion,
    loss_weights,
    sampling_schedule,
    training_schedule,
)
from core.model.dit import DiT

NANO = PRESETS["DiT-nano"][1]
SAMPLING = DiffusionSampling(num_inference_steps=6, guidance_scale=3.0)


def build(config: DiffusionConfig = NANO.diffusion, seed: int = 0) -> LatentDiffusion:
    torch.manual_seed(seed)
    return LatentDiffusion(config, NANO.model.point_encoder).eval()


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model() -> LatentDiffusion:
    model = build()
    model.measure(torch.randn(64, *model.latent_shape) * 3 + 5)
    return model


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> str:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    folder = tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(folder)
    return str(folder)


def test_min_snr_weights():
    snr = torch.tensor([0.01, 1.0, 5.0, 100.0])
    assert loss_weights(snr, 5.0, "v_prediction").tolist() == pytest.approx([0.01 / 1.01, 0.5, 5 / 6, 5 / 101])
    assert loss_weights(snr, 5.0, "epsilon").tolist() == pytest.approx([1, 1, 1, 0.05])
    assert loss_weights(snr, 0.0, "epsilon").tolist() == [1, 1, 1, 1]


def test_schedule_is_the_published_one():
    kept = training_schedule(DiffusionConfig()).alphas_cumprod
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    assert torch.allclose(kept, (1 - betas).cumprod(0), atol=1e-6)
    steps = sampling_schedule(DiffusionConfig(), 100, clip_sample=False).timesteps.tolist()
    assert steps == [10 * k + 1 for k in reversed(range(100))]  # leading, offset 1


def test_pure_noise_comes_last_where_asked_for():
    config = replace(DiffusionConfig(), zero_terminal_snr=True)
    assert training_schedule(config).alphas_cumprod[-1] < 1e-7
    assert sampling_schedule(config, 10, clip_sample=False).timesteps[0] == 999


@pytest.mark.parametrize("options", [{"noise_scheduler_predtype": "epsilon"}, {"latent_std": 0.0}])
def test_preconditioning_says_what_it_needs(options):
    with pytest.raises(ValueError, match="--preconditioned"):
        replace(DiffusionConfig(preconditioned=True), **options)


def test_preconditioned_prediction_is_the_best_linear_guess_where_the_dit_says_nothing(model):
    """Least squares of v on the noisy latent over many draws gives the factor that is used."""
    torch.nn.init.zeros_(model.dit.proj_out.weight)
    torch.nn.init.zeros_(model.dit.proj_out.bias)
    count, at = 4000, 700
    x0, noise = NANO.diffusion.latent_std * torch.randn(count, 16, 32), torch.randn(count, 16, 32)
    timesteps = torch.full((count,), at)
    noisy = model.schedule.add_noise(x0, noise, timesteps)
    velocity = model.schedule.get_velocity(x0, noise, timesteps)
    said, unit = model.predict(noisy[:1], timesteps[:1], torch.zeros(1, 4, 48))
    best = (velocity * noisy).sum() / noisy.square().sum()
    assert torch.allclose(said, best * noisy[:1], atol=2e-3)
    assert unit.item() == pytest.approx((velocity - best * noisy).std().item(), rel=0.01)


def test_latents_are_measured_and_given_back(model):
    latents = torch.randn(64, *model.latent_shape) * 3 + 5
    assert model.normalize(latents).std().item() == pytest.approx(NANO.diffusion.latent_std, rel=0.05)
    assert torch.allclose(model.denormalize(model.normalize(latents)), latents, atol=1e-4)
    assert {"latent_mean", "latent_scale"} <= model.state_dict().keys()


def test_sampling_follows_from_image_and_seed_alone():
    model = build()
    condition = model.condition(images(3))
    together = model.sample(condition, [5, 6, 5], SAMPLING)
    again = model.sample(condition, [5, 6, 5], SAMPLING)
    assert torch.equal(together, again)
    for k, seed in enumerate([5, 6, 5]):
        assert torch.allclose(model.sample(condition[k : k + 1], [seed], SAMPLING)[0], together[k], atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-2)
    assert not torch.allclose(together[0], together[2], atol=1e-4)  # another image


def test_guidance_and_initial_latents():
    model = build()
    condition = model.condition(images(1))
    plain = model.sample(condition, [0], replace(SAMPLING, guidance_scale=1.0))
    assert not torch.allclose(plain, model.sample(condition, [0], SAMPLING), atol=1e-4)
    given = torch.randn(1, *model.latent_shape)
    steps = []
    near = model.sample(condition, [0], replace(SAMPLING, strength=0.9), given, on_step=steps.append)
    assert steps == [1]  # int(6 * 0.9) of 6 steps are skipped
    far = model.sample(condition, [0], replace(SAMPLING, strength=0.0), given)
    assert (near - given).norm() < (far - given).norm()


def test_clipping_bounds_what_each_step_foresees():
    noisy, said = torch.zeros(1, 4, 4), torch.full((1, 4, 4), 9.0)
    foreseen = {}
    for clip in (True, False):
        schedule = sampling_schedule(DiffusionConfig(), 10, clip)
        foreseen[clip] = schedule.step(said, schedule.timesteps[0], noisy).pred_original_sample.abs().max()
    assert foreseen[True] == 1 < foreseen[False]


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
def test_one_batch_is_learned_by_heart(prediction):
    as_published = {"preconditioned": False, "zero_terminal_snr": False, "snr_gamma": 5.0, "latent_std": 1.0}
    options = as_published if prediction == "epsilon" else {}
    model = build(replace(NANO.diffusion, noise_scheduler_predtype=prediction, **options)).train()
    latents = torch.randn(8, *model.latent_shape)
    model.measure(latents)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3)
    losses = []
    for step in range(40):
        torch.manual_seed(step % 4)
        output = model(images(8), latents=latents)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(output.loss.item())
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert all(p.grad is None for p in model.point_encoder.parameters())


def test_points_are_encoded_where_no_latents_are_given(model):
    points = torch.rand(2, 256, 3) * 2 - 1
    torch.manual_seed(3)
    from_points = model(images(2), points=points).loss
    torch.manual_seed(3)
    assert model(images(2), latents=model.encode_points(points)).loss == from_points
    with pytest.raises(ValueError, match="points or latents"):
        model(images(2))


def test_a_clip_tower_is_frozen_in_half_precision(clip_folder):
    model = build(replace(NANO.diffusion, dit_image_encoder=clip_folder)).train()
    assert {p.dtype for p in model.image_encoder.parameters()} == {torch.bfloat16}
    assert model.condition(torch.rand(2, 3, 50, 40)).shape == (2, 17, 48)
    model(torch.rand(2, 3, 50, 40), latents=torch.randn(2, *model.latent_shape)).loss.backward()
    assert not model.image_encoder.training
    assert all(p.grad is None for p in model.image_encoder.parameters())
    assert model.proj_cond.weight.grad is not None


def test_another_tower_of_transformers_by_folder(tmp_path):
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTModel(ViTConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    model = build(replace(NANO.diffusion, dit_image_encoder=str(tmp_path)))
    assert model.image_encoder.pixel_statistics == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert model.condition(images(1)).shape == (1, 17, 48)


def test_a_missing_tower_is_named(tmp_path):
    with pytest.raises(ValueError, match="--dit_image_encoder .*nowhere"):
        build(replace(NANO.diffusion, dit_image_encoder=str(tmp_path / "nowhere")))


def test_the_full_size_is_half_a_billion_parameters():
    config = PRESETS["DiT"][1]
    points = config.model.point_encoder
    with torch.device("meta"):
        model = DiT(config.diffusion.dit, points.point_latent_size, points.point_latent_dim)
    assert 0.48e9 < sum(p.numel() for p in model.parameters()) < 0.55e9
