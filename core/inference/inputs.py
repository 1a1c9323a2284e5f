"""Inputs of a run: files under names of their own, read into what a mesh is made from."""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data import mesh as meshes
from core.data.mesh import Placement
from core.inference.names import unique_names

# Names of files that runs write, beside which inputs may lie.
RESULT_NAME = re.compile(r"_pc\.obj$|_\d+_-?\d+f(_partial)?(_tokens\.npy|\.ply|\.obj)$|^sheet\.png$")
AS_IT_IS = Placement(np.zeros(3), 1.0)


class InputFile(NamedTuple):
    """A file to make meshes of, what its results are called by, and a digest of its bytes once they have been read."""

    path: Path
    name: str
    digest: str = ""


class Input(NamedTuple):
    """An input as read.

    Attributes:
        file: where it came from.
        content: a number that follows from its content alone, see `content_number`.
        placement: from the frame in which its results are written to the model's.
        points: (N, 3) float32 in the model's frame; None for a picture.
        image: (512, 512, 3) uint8 as the model is shown it, the object centred on white; None for points.
    """

    file: InputFile
    content: int
    placement: Placement = AS_IT_IS
    points: np.ndarray | None = None
    image: np.ndarray | None = None


class Task(NamedTuple):
    """One mesh to make of an input: the face count to aim at and the number of the repetition."""

    source: Input
    num_faces: int
    repeat: int

    @property
    def stem(self) -> str:
        """Name of the result's files, without suffix."""
        return stem_of(self.source.file.name, self.repeat, self.num_faces)


def stem_of(name: str, repeat: int, num_faces: int) -> str:
    return f"{name}_{repeat}_{num_faces}f"


def read_input(file: InputFile, point_num: int, seed: int, drop_strays: bool = False) -> Input:
    """Load, clean and normalise a mesh or point cloud, and sample its surface.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    mesh = meshes.load(file.path, drop_strays)
    try:
        normalized, placement = meshes.normalize(meshes.clean(mesh))
        points = meshes.sample_surface(normalized, point_num, np.random.default_rng(seed))
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error
    except MemoryError as error:
        raise ValueError(f"{file.path}: takes more memory than there is ({error})") from error
    return Input(file, content_number(points), placement, points)


def content_number(values: np.ndarray) -> int:
    """A number in [0, 2^32) that follows from the values alone."""
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


def mixed_seed(seed: int, content: int) -> int:
    """The seed of one mesh, from the run's seed (of its repetition) and the input's content.

    So two inputs never draw the same numbers, and an input's meshes are the same in any folder, order or batch.
    """
    return int(np.random.SeedSequence([seed, content]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def without_results(folder: Path, paths: Sequence[Path]) -> list[Path]:
    """The inputs without what a run has written to the folder of results, should that lie among them.

    Raises:
        ValueError: nothing is left.
    """
    place = folder.resolve()
    kept = [path for path in paths if path.resolve().parent != place or not RESULT_NAME.search(path.name)]
    if not kept:
        raise ValueError(f"--workspace {folder}: all that lies there are results, of which none is an input")
    return kept


def name_files(paths: Sequence[Path], place: str | Path) -> list[InputFile]:
    """The inputs found at a place, under names of their own."""
    return [InputFile(path, name) for path, name in zip(paths, unique_names(paths, place), strict=True)]
