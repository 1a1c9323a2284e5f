"""Files in, files out: the inputs of a file or folder, what is asked of each, and how results are written."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data import mesh as meshes
from core.data.mesh import Mesh, Placement
from core.inference.generator import InferConfig, MeshGenerator, Result


class Input(NamedTuple):
    """A mesh or point cloud as given, its surface samples (N, 3) in the model's frame, and the way back."""

    name: str
    mesh: Mesh
    points: np.ndarray
    placement: Placement


class Request(NamedTuple):
    """One mesh to make of an input: the face count to aim at and the number of the repetition."""

    source: Input
    num_faces: int
    repeat: int

    @property
    def stem(self) -> str:
        """Name of the result's files, without suffix."""
        return f"{self.source.name}_{self.repeat}_{self.num_faces}f"


class Failure(NamedTuple):
    """A file or result that came to nothing, and why."""

    name: str
    reason: str


def read_input(path: Path, name: str, point_num: int, seed: int) -> Input:
    """Load, clean and normalise a mesh or point cloud, and sample its surface.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    mesh = meshes.load(path)
    try:
        mesh = meshes.clean(mesh)
        normalized, placement = meshes.normalize(mesh)
        points = meshes.sample_surface(normalized, point_num, np.random.default_rng(seed))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Input(name, mesh, points, placement)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for the results of each path: its stem; with the suffix, then all folders, where those coincide."""
    names = [path.stem for path in paths]
    for full in (lambda path: path.name, lambda path: "_".join(path.parts)):
        names = [full(p).replace(".", "_") if names.count(n) > 1 else n for n, p in zip(names, paths, strict=True)]
    return names


def make_requests(source: Input, config: InferConfig) -> Iterator[Request]:
    """Every mesh that the options ask of an input."""
    for repeat in range(config.test_repeat):
        for num_faces in config.test_num_face:
            yield Request(source, num_faces, repeat)


def read_prefix(path: str) -> np.ndarray | None:
    """Ids (T,) of a `_tokens.npy` file; None for an empty path.

    Raises:
        ValueError: the file holds no such ids.
    """
    if not path:
        return None
    try:
        ids = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"--test_resume_tokens {path}: cannot be read ({error})") from error
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"--test_resume_tokens {path}: (T,) integers are needed, this is {ids.shape} of {ids.dtype}")
    return ids


def write_result(folder: Path, request: Request, result: Result) -> Path:
    """Write the mesh at its input's place and scale (.ply) and its ids (_tokens.npy); returns the mesh's path."""
    path = folder / f"{request.stem}.ply"
    vertices = request.source.placement.invert(result.mesh.vertices)
    np.save(folder / f"{request.stem}_tokens.npy", result.ids)
    meshes.save(path, Mesh(vertices, result.mesh.faces))
    return path


class Run:
    """Generates for every input of a path, a batch at a time; a bad file costs only itself.

    Args:
        generator: the model.
        config: what to read and make.
        folder: where results go.
        seed: of the points and the first repetition.
        tell: takes each line for the user.

    Attributes:
        written: (request, result, path of the mesh) in the order of writing.
        failures: what came to nothing.
    """

    suffixes: tuple[str, ...] = meshes.MESH_SUFFIXES + meshes.POINT_SUFFIXES

    def __init__(
        self,
        generator: MeshGenerator,
        config: InferConfig,
        folder: Path,
        seed: int,
        tell: Callable[[str], None] = print,
    ):
        self.generator, self.config, self.folder, self.seed, self.tell = generator, config, folder, seed, tell
        self.prefix = read_prefix(config.test_resume_tokens)
        self.paths = meshes.list_inputs(config.test_path, self.suffixes)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.written: list[tuple[Request, Result, Path]] = []
        self.failures: list[Failure] = []
        self.show: Callable[[str], None] = lambda text: None  # what is being done, for a progress bar

    def requests(self) -> Iterator[Request]:
        """Requests of every readable input, whose points are written as NAME_pc.obj."""
        for path, name in zip(self.paths, unique_names(self.paths), strict=True):
            try:
                source = read_input(path, name, self.generator.model.config.point_encoder.point_num, self.seed)
            except ValueError as error:
                self._fail(path.name, str(error))
                continue
            cloud = Mesh(source.placement.invert(source.points), np.zeros((0, 3), np.int32))
            meshes.save(self.folder / f"{name}_pc.obj", cloud)
            yield from make_requests(source, self.config)

    def batches(self) -> Iterator[list[Request]]:
        """Requests by `test_batch_size`."""
        requests = self.requests()
        while batch := list(islice(requests, self.config.test_batch_size)):
            yield batch

    def run_batch(self, batch: list[Request], on_faces: Callable[[int], None] | None = None) -> int:
        """Generate and write one batch; returns its faces."""
        results = self.generator.generate(
            np.stack([request.source.points for request in batch]),
            [request.num_faces for request in batch],
            [self.seed + request.repeat for request in batch],
            self.config,
            self.prefix,
            on_faces,
        )
        for request, result in zip(batch, results, strict=True):
            self._finish(request, result)
        return sum(len(result.mesh.faces) for result in results)

    def _finish(self, request: Request, result: Result) -> None:
        if len(result.mesh.faces) == 0:
            self._fail(request.stem, "no face was generated")
            return
        path = self._write(request, result)
        self.written.append((request, result, path))
        ending = "" if result.finished else ", cut by the token budget before its end"
        self.tell(f"{path}: {len(result.mesh.faces)} faces from {len(result.ids)} tokens{ending}")

    def _write(self, request: Request, result: Result) -> Path:
        return write_result(self.folder, request, result)

    def _fail(self, name: str, reason: str) -> None:
        self.failures.append(Failure(name, reason))
        self.tell(f"skipped {reason if name in reason else f'{name}: {reason}'}")
