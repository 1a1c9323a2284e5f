"""Meshes from images of the right object against meshes from another object's image, on held-out objects.

    python benchmarks/dit.py [DiT-tiny] [--resume pretrained/ArAE-tiny --resume2 pretrained/DiT-tiny] [--limit 64]
    python ../shared/data/export.py /tmp/test_pack --split test_pack
    python benchmarks/dit.py --data /tmp/test_pack

Without --data: procedural shapes of a seed that training does not use. Only meshes within the ArAE preset's face count
are measured. One mesh is made of each object's picture (azimuth 35, elevation 22 degrees), and its Chamfer distance to
the object (mean of both directions' nearest distances; the object's longest side is 1.9) compared with that of the mesh
that another object's picture gave. `ratio` is the first's mean over the second's; `wins` the share of objects to which
the first is nearer; `points` the distance of the mesh that the ArAE makes of the object's own points: what the best
latent would give.

Two baselines need no model. `sibling`: another object of the same kind, itself (of a procedural shape: a shape of the
same family; in a folder: the mesh whose file name comes next), which is what recognising the kind alone would give.
`box`: the object's own bounding box, which is what knowing its size alone would give. `wins_over_...` is the share of
objects to which the mesh of their picture is nearer than that. The last line is one JSON object.
"""

import argparse
import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import finish, seconds
from benchmarks.meshes import UNSEEN_SEED
from core import cli
from core.config import PRESETS, Config
from core.data.mesh import Mesh, clean, list_inputs, load, normalize, sample_surface
from core.data.metrics import chamfer
from core.data.render import contact_sheet, render, save_image
from core.data.shapes import make_shape
from core.data.views import TEST_VIEW
from core.inference.generator import MeshGenerator
from core.inference.images import LatentSampler
from core.model.arae import ArAE
from core.model.diffusion import LatentDiffusion
from core.tokens import Tokenizer
from core.training.dit_task import clips_samples, load_diffusion
from core.training.weights import load_weights

BATCH = 16
SHEET_ROWS = 12
TIMED_STEPS = 100


@dataclass
class Models:
    sampler: LatentSampler
    generator: MeshGenerator
    config: Config


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    presets = [name for name in PRESETS if name.startswith("DiT")]
    parser.add_argument("preset", nargs="?", default="DiT-tiny", choices=presets)
    parser.add_argument("--resume", default="pretrained/ArAE-tiny", help="the ArAE's weights")
    parser.add_argument("--resume2", default="pretrained/DiT-tiny", help="the DiT's weights")
    parser.add_argument("--data", help="folder of meshes that were not trained on (default: procedural shapes)")
    parser.add_argument("--limit", type=int, default=64, help="objects to measure on (default: 64)")
    parser.add_argument("--guidance_scale", type=float, help="instead of the preset's")
    parser.add_argument("--sheet", type=Path, help="picture to write: image, mesh made of it, object, from its points")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    cli.use_threads(0)
    models = load_models(options)
    objects, siblings = read_objects(options.data, options.limit, ARAE_FACES[options.preset])
    images = [render(mesh, 512, TEST_VIEW, edges=False) for mesh in objects]
    figures = {"name": "dit", "preset": options.preset, "data": options.data or "shapes", "objects": len(objects)}
    made = from_images(models, images)
    exact = from_points(models, objects)
    figures |= compare(made, exact, objects)
    figures |= compare_baselines(made, objects, {"sibling": siblings, "box": [bounding_box(mesh) for mesh in objects]})
    figures |= time_sampling(models.sampler, images[0])
    if options.sheet:
        columns = zip(images, made, objects, exact, strict=True)
        save_image(options.sheet, draw(list(columns)[:SHEET_ROWS]))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return finish(figures)


ARAE_FACES = {name: PRESETS[name.replace("DiT", "ArAE")][1].data.max_face_length for name in PRESETS if "DiT" in name}


def load_models(options: argparse.Namespace) -> Models:
    config = PRESETS[options.preset][1]
    sampling = config.latent_sampling
    if options.guidance_scale is not None:
        sampling = replace(sampling, guidance_scale=options.guidance_scale)
    tokenizer = Tokenizer(config.tokenizer)
    arae = ArAE(config.model, tokenizer.vocab_size)
    load_weights(arae, options.resume, strict=True)
    diffusion = LatentDiffusion(config.diffusion, config.model.point_encoder)
    clip = clips_samples(sampling, load_diffusion(diffusion, options.resume2))
    device = torch.device("cpu")
    return Models(LatentSampler(diffusion, sampling, device, clip), MeshGenerator(arae, tokenizer, device), config)


def read_objects(folder: str | None, limit: int, most_faces: int) -> tuple[list[Mesh], list[Mesh]]:
    """Objects with at most `most_faces` faces, and another object of the same kind for each.

    Args:
        folder: an even choice of its meshes, each with the one whose name comes next; None takes procedural shapes,
            each with another of its family.
        limit: most objects.

    Raises:
        ValueError: the folder holds fewer than two such meshes.
    """
    if folder is None:
        return make_objects(limit, most_faces)
    kept: list[Mesh] = []
    for path in list_inputs(folder):
        mesh = load(path)
        if not mesh.is_points and 0 < len((mesh := clean(mesh)).faces) <= most_faces:
            kept.append(normalize(mesh)[0])
    if len(kept) < 2:
        raise ValueError(f"{folder}: {len(kept)} meshes of at most {most_faces} faces; at least 2 are needed")
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(limit, len(kept))).astype(int))
    return [kept[k] for k in chosen], [kept[k + 1 if k + 1 < len(kept) else k - 1] for k in chosen]


def make_objects(count: int, most_faces: int) -> tuple[list[Mesh], list[Mesh]]:
    """Procedural shapes with at most `most_faces` faces, and a sibling of each one's family from another seed."""
    kept: list[Mesh] = []
    siblings: list[Mesh] = []
    index = 0
    while len(kept) < count:
        mesh, family = make_shape(UNSEEN_SEED, index)
        if len(mesh.faces) <= most_faces:
            kept.append(normalize(mesh)[0])
            siblings.append(normalize(make_shape(UNSEEN_SEED + 1, index, [family])[0])[0])
        index += 1
    return kept, siblings


def bounding_box(mesh: Mesh) -> Mesh:
    """The axis-aligned box of a mesh, 12 faces."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    corners = np.array(list(itertools.product((0, 1), repeat=3)))  # corner k is at (k >> 2 & 1, k >> 1 & 1, k & 1)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return Mesh(low + corners * (high - low), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def from_images(models: Models, images: list[np.ndarray]) -> list[Mesh]:
    """A mesh for each picture, image k with seed k."""
    made: list[Mesh] = []
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        latents = models.sampler.sample(part, range(first, first + len(part)))
        made += generate(models, first, len(part), latents=latents)
        print(f"images: {len(made)} of {len(images)}", file=sys.stderr)
    return made


def from_points(models: Models, objects: list[Mesh]) -> list[Mesh]:
    """A mesh for each object's surface points: the ArAE alone."""
    count = models.config.model.point_encoder.point_num
    clouds = np.stack([sample_surface(mesh, count, np.random.default_rng(k)) for k, mesh in enumerate(objects)])
    made: list[Mesh] = []
    for first in range(0, len(clouds), BATCH):
        part = clouds[first : first + BATCH]
        made += generate(models, first, len(part), points=part)
    return made


def generate(models: Models, first: int, count: int, points=None, latents=None) -> list[Mesh]:
    config = models.config.test
    seeds = range(first, first + count)
    results = models.generator.generate(points, [config.test_num_face[0]] * count, seeds, config, latents=latents)
    return [result.mesh for result in results]


def compare(made: list[Mesh], exact: list[Mesh], objects: list[Mesh]) -> dict[str, float]:
    """Distances to the object of the mesh from its own picture, from another's, and from its points."""
    others = made[len(made) // 2 :] + made[: len(made) // 2]
    right, wrong, points = (distances(meshes, objects) for meshes in (made, others, exact))
    return {
        "wins": float((right < wrong).mean()),
        "right_mean": float(right.mean()),
        "shuffled_mean": float(wrong.mean()),
        "right_median": float(np.median(right)),
        "shuffled_median": float(np.median(wrong)),
        "points_mean": float(points.mean()),
        "ratio": float(right.mean() / wrong.mean()),
    }


def compare_baselines(made: list[Mesh], objects: list[Mesh], baselines: dict[str, list[Mesh]]) -> dict[str, float]:
    """For each baseline, by name: how often a picture's mesh is nearer to the object, and the baseline's distance."""
    right = distances(made, objects)
    figures = {}
    for name, meshes in baselines.items():
        baseline = distances(meshes, objects)
        figures |= {
            f"wins_over_{name}": float((right < baseline).mean()),
            f"{name}_mean": float(baseline.mean()),
            f"{name}_median": float(np.median(baseline)),
        }
    return figures


def distances(meshes: list[Mesh], objects: list[Mesh]) -> np.ndarray:
    """(N,) Chamfer distance of each mesh to its object; 1 where there is no mesh."""
    return np.array([chamfer(m, true) if len(m.faces) else 1.0 for m, true in zip(meshes, objects, strict=True)])


def time_sampling(sampler: LatentSampler, image: np.ndarray) -> dict[str, float]:
    """Seconds of 100 guided DDIM steps for one image."""
    timed = LatentSampler(sampler.model, replace(sampler.config, num_inference_steps=TIMED_STEPS), sampler.device)
    timed.sample([image], [0])
    return {"seconds_100_steps": seconds(lambda: timed.sample([image], [0])), "threads": torch.get_num_threads()}


def draw(rows: list[tuple[np.ndarray, Mesh, Mesh, Mesh]]) -> np.ndarray:
    from PIL import Image

    size = 256
    pictures = []
    for image, made, true, exact in rows:
        small = np.asarray(Image.fromarray(image).resize((size, size)))
        shown = [render(m, size, TEST_VIEW, fit=true.vertices) if len(m.faces) else None for m in (made, true, exact)]
        pictures.append([small, *shown])
    return contact_sheet(pictures, header=["image", "made of it", "the object", "ArAE, of its points"])


if __name__ == "__main__":
    sys.exit(cli.run(main))
