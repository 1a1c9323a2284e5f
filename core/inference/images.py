"""Images in, meshes out: pictures to latents by diffusion, and those to meshes by the ArAE."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.data import mesh as meshes
from core.data.image import IMAGE_SUFFIXES, object_of, read_image, recenter
from core.data.render import contact_sheet, render, save_image
from core.inference.files import Run, read_input, unique_names
from core.inference.generator import InferConfig, MeshGenerator, Result
from core.model.diffusion import DiffusionSampling, LatentDiffusion

SHEET_INPUTS = 16  # rows of the sheet at most
SHEET_RESULTS = 6  # results of one picture on it at most
CELL = 320  # pixels


class ImageInput(NamedTuple):
    """A picture as the model is shown it: (512, 512, 3) uint8, the object centred on white."""

    name: str
    image: np.ndarray


class ImageRequest(NamedTuple):
    """One mesh to make of a picture: the face count to aim at and the number of the repetition."""

    source: ImageInput
    num_faces: int
    repeat: int

    @property
    def stem(self) -> str:
        """Name of the result's files, without suffix."""
        return f"{self.source.name}_{self.repeat}_{self.num_faces}f"


class LatentSampler:
    """A DiT ready to sample: moved to its device, in evaluation mode.

    Args:
        model: the diffusion model.
        config: steps and guidance.
        device: where it runs; the DiT in half precision (bf16) on CUDA, in float32 on the CPU.
        clip_sample: keep the latents that are foreseen within [-1, 1].
        initial: (L, D) latent to start from.
    """

    def __init__(
        self,
        model: LatentDiffusion,
        config: DiffusionSampling,
        device: torch.device,
        clip_sample: bool = False,
        initial: Tensor | None = None,
    ):
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
    points = read_input(Path(path), "", point_num, seed).points
    return model.point_encoder(torch.from_numpy(points).unsqueeze(0))[0]


class ImageRun(Run):
    """Generates for every picture of a path, a batch at a time; a bad file costs only itself.

    Args:
        sampler: the DiT.
        generator: the ArAE.
        config: what to read and make.
        folder: where results go.
        seed: of the first repetition.
        tell: takes each line for the user.

    Attributes:
        written: (request, result, path of the mesh) in the order of writing.
        failures: what came to nothing.
    """

    suffixes = IMAGE_SUFFIXES

    def __init__(
        self,
        sampler: LatentSampler,
        generator: MeshGenerator,
        config: InferConfig,
        folder: Path,
        seed: int,
        tell: Callable[[str], None] = print,
    ):
        super().__init__(generator, config, folder, seed, tell)
        self.sampler = sampler

    def requests(self) -> Iterator[ImageRequest]:  # type: ignore[override]
        """Requests of every readable picture, which is written, cut out and centred, as NAME.jpg."""
        for path, name in zip(self.paths, unique_names(self.paths), strict=True):
            try:
                image = recenter(object_of(read_image(path)))
            except ValueError as error:
                self._fail(path.name, str(error) if str(path) in str(error) else f"{path}: {error}")
                continue
            save_image(self.folder / f"{name}.jpg", image)
            for repeat in range(self.config.test_repeat):
                for num_faces in self.config.test_num_face:
                    yield ImageRequest(ImageInput(name, image), num_faces, repeat)

    def run_batch(  # type: ignore[override]
        self, batch: list[ImageRequest], on_faces: Callable[[int], None] | None = None
    ) -> int:
        """Sample latents, generate and write one batch; returns its faces.

        Meshes of one picture and repetition that differ in their face count alone share a latent.
        """
        keys = [(request.source.name, request.repeat) for request in batch]
        firsts = {key: batch[k] for k, key in reversed(list(enumerate(keys)))}
        wanted = list(firsts.values())
        latents = self.sampler.sample(
            [w.source.image for w in wanted],
            [self.seed + w.repeat for w in wanted],
            lambda step: self.show(f"latents: step {step} of {self.sampler.config.num_inference_steps}"),
        )
        self.show("generating")
        rows = [list(firsts).index(key) for key in keys]
        results = self.generator.generate(
            None,
            [request.num_faces for request in batch],
            [self.seed + request.repeat for request in batch],
            self.config,
            self.prefix,
            on_faces,
            latents=latents[rows],
        )
        for request, result in zip(batch, results, strict=True):
            self._finish(request, result)  # type: ignore[arg-type]
        return sum(len(result.mesh.faces) for result in results)

    def _write(self, request: ImageRequest, result: Result) -> Path:  # type: ignore[override]
        path = self.folder / f"{request.stem}.obj"
        np.save(self.folder / f"{request.stem}_tokens.npy", result.ids)
        meshes.save(path, result.mesh)
        return path


def write_image_sheet(run: ImageRun, path: Path) -> None:
    """One row a picture: the picture as the model was shown it, and the generated meshes with their edges."""
    rows: dict[str, list[tuple[ImageRequest, Result]]] = {}
    for request, result, _ in run.written:
        rows.setdefault(request.source.name, []).append((request, result))  # type: ignore[arg-type]
    shown = [_row(made[:SHEET_RESULTS]) for made in list(rows.values())[:SHEET_INPUTS]]
    save_image(path, contact_sheet([images for images, _ in shown], [labels for _, labels in shown]))
    run.tell(f"{path}: pictures and results of {len(shown)} of {len(rows)} inputs")


def _row(made: list[tuple[ImageRequest, Result]]) -> tuple[list[np.ndarray | None], list[str]]:
    from PIL import Image

    source = made[0][0].source
    small = np.asarray(Image.fromarray(source.image).resize((CELL, CELL)))
    images = [small, *(render(result.mesh, CELL) for _, result in made)]
    ends = ["" if result.finished else ", cut" for _, result in made]
    labels = [f"{len(result.mesh.faces)} faces{end}" for (_, result), end in zip(made, ends, strict=True)]
    return list(images), [source.name, *labels]
