"""Image -> latent by diffusion: noise schedules, the training loss, and sampling with guidance.

The schedulers are diffusers' (imported when the first one is made). Names of parameters are those of the reference's
checkpoints: `dit.*`, `image_encoder.*`, `proj_cond.*`, `norm_cond.*`, `point_encoder.*`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from core.model.dit import DiT, DiTConfig
from core.model.image_encoder import (
    CLIP_VIT_H,
    OWN_TOWER,
    ViTConfig,
    build_image_encoder,
    encode_images,
    freeze,
)
from core.model.layers import LAYER_NORM_EPS
from core.model.point_encoder import PointEncoder, PointEncoderConfig

TRAIN_STEPS = 1000
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}

Prediction = Literal["v_prediction", "epsilon"]


@dataclass(frozen=True)
class DiffusionConfig:
    dit: DiTConfig = field(default_factory=DiTConfig)
    vit: ViTConfig = field(default_factory=ViTConfig)
    dit_image_encoder: str = CLIP_VIT_H
    """Image tower of the DiT: a transformers model by hub id or local folder, frozen and in half precision; or vit, a
    small one that is trained with the DiT."""
    noise_scheduler_predtype: Prediction = "v_prediction"
    """What the DiT is trained to say: the velocity, or the noise."""
    snr_gamma: float = 5.0
    """Weights of the timesteps by their signal-to-noise ratio, at most this one; 0: all weigh the same."""
    cond_dropout_ratio: float = 0.1
    """Share of training samples whose image is withheld, for guidance."""
    latent_std: float = 1.0
    """Latents are centred and scaled to this standard deviation, by what is measured at the start of training; 0: they
    are taken as they are. The smaller, the more noise there is at each timestep."""
    preconditioned: bool = False
    """Let the DiT say only what the best linear guess from the noisy latent lacks, in units of that (EDM, arXiv
    2206.00364, expressed in v): it need not learn to copy noise. For v_prediction; needs --latent_std."""
    zero_terminal_snr: bool = False
    """Let the last timestep be nothing but noise (arXiv 2305.08891); for v_prediction."""

    def __post_init__(self) -> None:
        if not 0 <= self.cond_dropout_ratio <= 1:
            raise ValueError(f"--cond_dropout_ratio {self.cond_dropout_ratio}: a probability in [0, 1] is needed")
        for name in ("snr_gamma", "latent_std"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must not be negative")
        if self.preconditioned and (self.latent_std == 0 or self.noise_scheduler_predtype != "v_prediction"):
            raise ValueError(
                f"--preconditioned with --noise_scheduler_predtype {self.noise_scheduler_predtype} and --latent_std "
                f"{self.latent_std}: v_prediction and a --latent_std over 0 are needed"
            )
        if self.zero_terminal_snr and self.noise_scheduler_predtype != "v_prediction":
            raise ValueError(
                f"--zero_terminal_snr: --noise_scheduler_predtype {self.noise_scheduler_predtype} says nothing about "
                "pure noise; v_prediction is needed"
            )


@dataclass(frozen=True)
class DiffusionSampling:
    num_inference_steps: int = 100
    """Steps of DDIM."""
    guidance_scale: float = 7.5
    """How far to go from what any image would give towards what this one gives; 1: no guidance."""
    clip_sample: Literal["auto", "yes", "no"] = "auto"
    """Keep the latent that each step foresees within [-1, 1]; auto: for the reference's weights alone."""
    init_mesh: str = ""
    """A mesh file whose latent to start from, instead of noise alone."""
    strength: float = 0.5
    """Share of the steps to skip of --init_mesh: the larger, the more of it is kept."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_inference_steps <= TRAIN_STEPS:
            raise ValueError(f"--num_inference_steps {self.num_inference_steps}: 1 to {TRAIN_STEPS} are possible")
        if not 0 <= self.strength < 1:
            raise ValueError(f"--strength {self.strength}: 0 to less than 1 is possible")


class DiffusionOutput(NamedTuple):
    """Weighted loss; and, each (B,), the un-weighted squared error of what the DiT says, and the timesteps."""

    loss: Tensor
    errors: Tensor
    timesteps: Tensor


def training_schedule(config: DiffusionConfig) -> Any:
    """diffusers' DDPMScheduler: it adds noise and knows what is to be predicted."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        TRAIN_STEPS,
        prediction_type=config.noise_scheduler_predtype,
        rescale_betas_zero_snr=config.zero_terminal_snr,
        clip_sample=False,
        **BETAS,
    )


def sampling_schedule(config: DiffusionConfig, steps: int, clip_sample: bool) -> Any:
    """diffusers' DDIMScheduler with its timesteps set; eta is 0, so a sample follows from its first noise."""
    from diffusers import DDIMScheduler

    schedule: Any = DDIMScheduler(
        TRAIN_STEPS,
        prediction_type=config.noise_scheduler_predtype,
        clip_sample=clip_sample,
        set_alpha_to_one=False,
        steps_offset=0 if config.zero_terminal_snr else 1,
        timestep_spacing="trailing" if config.zero_terminal_snr else "leading",
        rescale_betas_zero_snr=config.zero_terminal_snr,
        **BETAS,
    )
    schedule.set_timesteps(steps)
    return schedule


def loss_weights(snr: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """Min-SNR weights of the squared error (Hang et al. 2023, arXiv 2303.09556, section 3.4).

    min(snr, gamma) / (snr + 1) where the velocity is predicted, min(snr, gamma) / snr for the noise; gamma 0: ones.
    """
    if gamma == 0:
        return torch.ones_like(snr)
    return snr.clamp(max=gamma) / (snr + 1 if prediction == "v_prediction" else snr)


def initial_noise(seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """(len(seeds), *shape) float32 on the CPU; each row follows from its own seed, whatever stands beside it."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


class LatentDiffusion(nn.Module):
    """An image tower, the DiT, and the frozen point encoder whose latents it learns.

    Args:
        config: sizes, condition and noise.
        points: the point encoder's sizes, which are the latent's.
        tower: an image tower instead of the one that `config` names.

    Attributes:
        latent_mean, latent_scale: the diffusion's latent is (latent - latent_mean) * latent_scale; 0 and 1 until
            `measure` or weights set them.
    """

    latent_mean: Tensor
    latent_scale: Tensor

    def __init__(self, config: DiffusionConfig, points: PointEncoderConfig, tower: nn.Module | None = None):
        super().__init__()
        self.config = config
        self.latent_shape = (points.point_latent_size, points.point_latent_dim)
        dim = config.dit.dit_hidden_dim
        self.frozen_tower = config.dit_image_encoder != OWN_TOWER
        self.image_encoder = tower or build_image_encoder(config.dit_image_encoder, config.vit)
        if self.frozen_tower:
            # bf16 on the CPU: its half precision multiplies matrices slowly, if at all.
            freeze(self.image_encoder).to(torch.float16 if torch.cuda.is_available() else torch.bfloat16)
        width: int = self.image_encoder.config.hidden_size  # type: ignore[union-attr, assignment]
        self.proj_cond = nn.Linear(width, dim)
        self.norm_cond = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.dit = DiT(config.dit, *self.latent_shape)
        self.point_encoder = freeze(PointEncoder(points))
        self.register_buffer("latent_mean", torch.zeros(self.latent_shape))
        self.register_buffer("latent_scale", torch.ones(()))
        self.schedule = training_schedule(config)

    # ------------------------------------------------------------------ latents

    @torch.no_grad()
    def encode_points(self, points: Tensor) -> Tensor:
        """Surface points (B, N, 3) -> the point encoder's latents (B, L, D), in float32."""
        with torch.autocast(points.device.type, enabled=False):
            return self.point_encoder(points)

    def measure(self, latents: Tensor) -> None:
        """Set mean and scale by latents (M, L, D) of training samples (see --latent_std)."""
        if self.config.latent_std == 0:
            return
        self.latent_mean.copy_(latents.float().mean(0))
        self.latent_scale.fill_(self.config.latent_std / (latents.float() - self.latent_mean.cpu()).std().item())

    def normalize(self, latents: Tensor) -> Tensor:
        """From the ArAE's latents to the diffusion's."""
        return (latents - self.latent_mean) * self.latent_scale

    def denormalize(self, latents: Tensor) -> Tensor:
        """From the diffusion's latents to the ArAE's."""
        return latents / self.latent_scale + self.latent_mean

    # ------------------------------------------------------------------ training

    def condition(self, images: Tensor) -> Tensor:
        """Condition tokens (B, S, C) of images (B, 3, H, W) in [0, 1]."""
        tokens = encode_images(self.image_encoder, images)
        return self.norm_cond(self.proj_cond(tokens.to(self.proj_cond.weight.dtype)))

    def forward(self, images: Tensor, points: Tensor | None = None, latents: Tensor | None = None) -> DiffusionOutput:
        """The loss of a batch, at timesteps that are spread evenly over it.

        Args:
            images: (B, 3, H, W) in [0, 1].
            points: (B, N, 3) to encode, or
            latents: (B, L, D) of the ArAE.
        """
        if latents is None:
            if points is None:
                raise ValueError("training needs points or latents")
            latents = self.encode_points(points)
        latents = self.normalize(latents.float())
        count, device = len(latents), latents.device
        spread = (torch.arange(count, device=device) + torch.rand(count, device=device)) / count
        timesteps = (spread * TRAIN_STEPS).long().clamp(max=TRAIN_STEPS - 1)
        noise = torch.randn_like(latents)
        condition = self.condition(images)
        if self.training:
            kept = torch.rand(count, 1, 1, device=device) >= self.config.cond_dropout_ratio
            condition = condition * kept
        noisy = self.schedule.add_noise(latents, noise, timesteps)
        predicted, unit = self.predict(noisy, timesteps, condition)
        is_velocity = self.config.noise_scheduler_predtype == "v_prediction"
        target = self.schedule.get_velocity(latents, noise, timesteps) if is_velocity else noise
        errors = ((predicted - target) / unit).square().mean((1, 2))  # (B,)
        weights = loss_weights(self.snr(timesteps), self.config.snr_gamma, self.config.noise_scheduler_predtype)
        return DiffusionOutput((errors * weights).mean(), errors.detach(), timesteps)

    def predict(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity or noise (B, L, D) in float32, and the unit (B, 1, 1) in which the DiT says it."""
        dtype = self.dit.proj_in.weight.dtype
        if not self.config.preconditioned:
            said = self.dit(noisy.to(dtype), timesteps, condition).float()
            return said, said.new_ones(len(said), 1, 1)
        kept = self.schedule.alphas_cumprod.to(noisy.device)[timesteps].view(-1, 1, 1)
        variance = kept * self.config.latent_std**2 + 1 - kept  # of the noisy latent
        skip = (kept * (1 - kept)).sqrt() * (1 - self.config.latent_std**2) / variance
        unit = self.config.latent_std / variance.sqrt()
        said = self.dit((noisy / variance.sqrt()).to(dtype), timesteps, condition).float()
        return skip * noisy + unit * said, unit

    def snr(self, timesteps: Tensor) -> Tensor:
        """Signal-to-noise ratio of each timestep."""
        kept = self.schedule.alphas_cumprod.to(timesteps.device)[timesteps]
        return kept / (1 - kept)

    # ------------------------------------------------------------------ sampling

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        seeds: Sequence[int],
        config: DiffusionSampling,
        initial: Tensor | None = None,
        clip_sample: bool = False,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Latents (B, L, D) of the ArAE by DDIM with classifier-free guidance (arXiv 2010.02502, 2207.12598).

        Args:
            condition: (B, S, C) from `condition`.
            seeds: B seeds of the first noise; all else follows from it.
            config: steps and guidance.
            initial: (B, L, D) latents of the ArAE to start from; int(steps * strength) steps are skipped.
            clip_sample: keep the foreseen latent within [-1, 1].
            on_step: called with the number of steps done.
        """
        schedule = sampling_schedule(self.config, config.num_inference_steps, clip_sample)
        device = condition.device
        steps = schedule.timesteps
        x = initial_noise(seeds, self.latent_shape).to(device)
        if initial is not None:
            steps = steps[int(len(steps) * config.strength) :]
            x = schedule.add_noise(self.normalize(initial.to(device).float()), x, steps[:1])
        guided = config.guidance_scale != 1
        both = torch.cat([condition, torch.zeros_like(condition)]) if guided else condition
        for k, step in enumerate(steps):
            rows = torch.cat([x, x]) if guided else x
            said, _ = self.predict(rows, step.to(device).expand(len(rows)), both)
            if guided:
                with_image, without = said.chunk(2)
                said = without + config.guidance_scale * (with_image - without)
            x = schedule.step(said, step, x).prev_sample
            if on_step is not None:
                on_step(k + 1)
        return self.denormalize(x)
