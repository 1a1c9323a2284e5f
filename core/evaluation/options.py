"""What a user can ask of evaluate.py."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class EvaluateConfig:
    generated: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GENERATED")]
    """A folder written by infer.py, a folder of any system's meshes named like the references, or a file. Or a preset:
    infer.py then runs first, with the weights of --resume and all unknown options (--test_repeat 3 ...)."""
    reference: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="REFERENCE")]
    """The folder of original meshes, or a file. After a preset also a prepared set (its test split), or shapes:N for N
    procedural shapes from a seed that training does not use."""
    json: str = ""
    """Write all figures to this file."""
    report: str = ""
    """Write a page (.html) with the table and rows of pictures of the worst and best meshes."""
    report_rows: int = 24
    """Number of worst meshes on that page, and of best."""
    picture: str = ""
    """Write a picture (.png) of inputs and outputs, the first by name."""
    first: int = 24
    """Number of inputs in that picture."""
    max_faces: int = 0
    """Leave out references with more faces; 0: keep all."""
    limit: int = 0
    """Keep only this many references, the first by name; 0: keep all."""
    align: Literal["none", "box"] = "none"
    """box: move and scale each generated mesh to the centre and longest side of its reference's bounding box, for
    systems that normalise."""
    train: tuple[str, ...] = ()
    """The meshes trained on, for the nearest of them: folders, prepared sets, shapes:N, a packed .npz, or none to leave
    this baseline out. Not given: what the config.json of the weights says, if all of that is here."""
    train_most: int = 0
    """Search so many of the training meshes only, drawn at random; 0: all."""
    rotate_step: int = 30
    """Step in degrees of the rotations about the y axis in which the nearest training mesh is searched, also mirrored;
    90 or a divisor of it."""
    baselines: bool = False
    """Measure two more ways from the same input to as many faces: quadric decimation of it, and Instant Meshes."""
    inputs: str = ""
    """For --baselines: the folder (or file) of the inputs, by the references' names, where they are neither what the
    records say nor the references themselves: the dense or noisy meshes."""
    points: int = 10000
    """Points sampled on each surface, and on its sharp edges."""
    set_metrics: bool = False
    """Also compare the two folders as sets (coverage, MMD, 1-NNA), for unconditional generation."""
    set_points: int = 2048
    """Points per mesh for --set_metrics, which compares every mesh with every other."""
    seed: int = 0
    """Of the bootstrap's draws, and of shapes:N (those of --train: of the training's seed, where that is known)."""
    resume: str = ""
    """The weights: those that a preset is run with, else those that made GENERATED (not given: as runs.jsonl says)."""
    workspace: str = "workspace_evaluate"
    """After a preset: folder for the generated meshes."""

    def __post_init__(self) -> None:
        for name, least in (("points", 100), ("set_points", 100), ("first", 1), ("report_rows", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be {least} or more")
        for name in ("max_faces", "limit", "seed", "train_most"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must be 0 or more")
        if self.rotate_step < 1 or 90 % self.rotate_step:
            raise ValueError(f"--rotate_step {self.rotate_step}: must be 90 or a divisor of it")
