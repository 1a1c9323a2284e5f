"""Images in, meshes out: pictures to latents by diffusion, and those to meshes by the ArAE."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.data.image import IMAGE_SUFFIXES, read_object
from core.data.render import save_image
from core.inference.generator import Job, MeshGenerator
from core.inference.inputs import Input, InputFile, Task, content_number, read_input
from core.inference.names import place_in
from core.inference.options import InferConfig
from core.inference.records import file_digest, flat_options, weights_digest
from core.inference.run import ALONE, Run
from core.inference.share import Share
from core.inference.stop import Stop
from core.model.diffusion import DiffusionSampling, LatentDiffusion


class LatentSampler:
    """A DiT ready to sample: moved to its device, in evaluation mode.

    Args:
        model: the diffusion model.
        config: steps and guidance.
        device: where it runs; the DiT in half precision (bf16) on CUDA, in float32 on the CPU.
        clip_sample: keep the latents that are foreseen within [-1, 1].
        initial: (L, D) latent to start from.

    Attributes:
        weights_digest: which weights these are.
    """

    def __init__(
        self,
        model: LatentDiffusion,
        config: DiffusionSampling,
        device: torch.device,
        clip_sample: bool = False,
        initial: Tensor | None = None,
    ):
        self.weights_digest = weights_digest(model)
        self.model, self.config, self.device = model.to(device).eval(), config, device
        if device.type == "cuda":
            for part in (model.dit, model.proj_cond, model.norm_cond):
                part.to(torch.bfloat16)
        self.clip_sample, self.initial = clip_sample, initial

    @torch.inference_mode()
    def sample(
        self, images: Sequence[np.ndarray], seeds: Sequence[int], on_step: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (B, L, D), float32, of B pictures (H, W, 3) uint8, all of one size.

        A latent follows from its picture and seed, whatever is sampled beside it (but for rounding).
        """
        # The same picture several times in a batch goes through the tower once.
        places = {id(image): k for k, image in enumerate(images)}
        firsts = sorted(places.values())
        pixels = torch.from_numpy(np.stack([images[k] for k in firsts])).permute(0, 3, 1, 2).to(self.device)
        rows = [firsts.index(places[id(image)]) for image in images]
        condition = self.model.condition(pixels.float() / 255)[rows]
        initial = None if self.initial is None else self.initial.expand(len(images), -1, -1)
        return self.model.sample(condition, seeds, self.config, initial, self.clip_sample, on_step)


@torch.inference_mode()
def latent_of_mesh(model: LatentDiffusion, path: str, seed: int) -> Tensor:
    """The latent (L, D) of a mesh file's surface, to start sampling from.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    point_num: int = model.point_encoder.config.point_num  # type: ignore[union-attr, assignment]
    points = read_input(InputFile(Path(path), ""), point_num, seed).points
    return model.point_encoder(torch.from_numpy(points).unsqueeze(0))[0]


class ImageRun(Run):
    """Generates for every picture of a path that is this process's to do.

    Args:
        sampler: the DiT.
        generator: the ArAE.
        config, folder, seed, share, stop, tell: as for `Run`; the seed is that of the first repetition.
    """

    suffixes = IMAGE_SUFFIXES
    mesh_suffix = ".obj"

    def __init__(
        self,
        sampler: LatentSampler,
        generator: MeshGenerator,
        config: InferConfig,
        folder: Path,
        seed: int,
        share: Share = ALONE,
        stop: Stop | None = None,
        tell: Callable[[str], None] = print,
    ):
        if config.keep == "best":
            raise ValueError("--keep best: a picture has no points to which the distance of a mesh could be measured")
        self.sampler = sampler
        super().__init__(generator, config, folder, seed, share, stop, tell)
        self._places = {each.path.resolve() for each in self.all_files}

    def options(self) -> dict[str, Any]:
        sampler = self.sampler
        found = super().options() | flat_options(sampler.model.config, sampler.config)
        found |= {"dit_weights_digest": sampler.weights_digest, "clip_sample": sampler.clip_sample}
        if init_mesh := found.pop("init_mesh"):
            found["init_mesh_digest"] = file_digest(Path(init_mesh))
        return found

    def read(self, file: InputFile) -> Input:
        """A picture, which is written, cut out and centred, as NAME.jpg.

        Raises:
            ValueError: naming the file and what is wrong with it.
        """
        image = read_object(file.path)
        shown = place_in(self.folder, f"{file.name}.jpg")
        if shown.resolve() in self._places:
            raise ValueError(
                f"{shown}: an input lies where the picture shown to the model goes; take another --workspace"
            )
        save_image(shown, image)
        return Input(file, content_number(image), image=image)

    def jobs(self) -> Iterator[Job]:
        """A job for each task, with its latent; the latents are sampled several at a time.

        Meshes of one picture and repetition that differ in their face count alone share a latent.
        """
        shared = groupby(self.tasks(), key=lambda task: (task.source.file.name, task.repeat))
        groups = (list(tasks) for _, tasks in shared)
        while batch := list(islice(groups, self.config.test_batch_size)):
            if (latents := self._sample([tasks[0] for tasks in batch])) is None:
                return
            for tasks, latent in zip(batch, latents, strict=True):
                jobs = (Job(None, latent, task.num_faces, self.seed_of(task), key=task) for task in tasks)
                yield from (ready for job in jobs if (ready := self.with_prefix(job)) is not None)

    def _sample(self, firsts: list[Task]) -> Tensor | None:
        """Latents (B, L, D) for the pictures of B tasks; None where the run was stopped meanwhile."""

        def on_step(step: int) -> None:
            self.show(f"latents: step {step} of {self.sampler.config.num_inference_steps}")
            if self.stop():
                raise _StoppedError

        try:
            images = [task.source.image for task in firsts]
            return self.sampler.sample(images, [self.seed_of(task) for task in firsts], on_step)  # type: ignore[arg-type]
        except _StoppedError:
            return None
        finally:
            self.show("generating")


class _StoppedError(Exception):
    """Leaves the sampling of latents between two steps."""
