"""What a user can ask of evaluate.py."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class EvaluateConfig:
    generated: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GENERATED")]
    """A folder as infer.py writes it, a folder of any system's meshes named as the references are, or a file; or a
    preset, whose weights (--resume) infer.py runs first, with all further options (--test_repeat 3 ...)."""
    reference: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="REFERENCE")]
    """The folder of meshes that were put in, or a file. After a preset also a prepared set (its test meshes), or
    shapes:N for N procedural shapes that no training has seen."""
    json: str = ""
    """Write all figures to this file."""
    report: str = ""
    """Write a page (.html) with the table and a row of pictures for each mesh, worst and best first."""
    report_rows: int = 24
    """Worst meshes on that page, and best."""
    picture: str = ""
    """Write a grid of inputs and outputs to this file (.png), the first by name."""
    first: int = 24
    """Inputs on that grid."""
    max_faces: int = 0
    """Leave out references of more faces; 0: none."""
    limit: int = 0
    """Leave out all but the first references by name; 0: none."""
    align: Literal["none", "box"] = "none"
    """box: move and scale each generated mesh to the centre and longest side of its reference's bounding box, for
    systems that normalise."""
    train: tuple[str, ...] = ()
    """The meshes trained on, for the nearest of them: folders, prepared sets, shapes:N, a packed .npz, or none to leave
    this baseline out. Not given: ../shared/data beside the repository if it is there, else shapes:2000."""
    rotate_step: int = 30
    """Degrees by which the training meshes are turned about the y axis (and mirrored) in the search of the nearest; a
    divisor of 90, or 90."""
    baselines: bool = False
    """Measure two more ways from the same input to as many faces: quadric decimation of it, and Instant Meshes."""
    inputs: str = ""
    """For --baselines: the folder (or file) of what was put in, by the references' names, where that is not what the
    records say, nor the references themselves: the dense or noisy meshes."""
    points: int = 10000
    """Points sampled on each surface, and on its sharp edges."""
    set_metrics: bool = False
    """Compare the two sets as sets as well (coverage, MMD, 1-NNA): for unconditional generation."""
    set_points: int = 2048
    """Points of each mesh for that: every mesh is compared with every other."""
    seed: int = 0
    """Of the bootstrap's draws, and of shapes:N."""
    resume: str = ""
    """After a preset: the weights."""
    workspace: str = "workspace_evaluate"
    """After a preset: folder for the meshes that are generated."""

    def __post_init__(self) -> None:
        for name, least in (("points", 100), ("set_points", 100), ("first", 1), ("report_rows", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be {least} or more")
        for name in ("max_faces", "limit", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must be 0 or more")
        if self.rotate_step < 1 or 90 % self.rotate_step:
            raise ValueError(f"--rotate_step {self.rotate_step}: must be 90 or a divisor of it")
