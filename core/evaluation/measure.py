"""A reference and the meshes made of it to figures, beside the baselines."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.data.augment import decimate
from core.data.mesh import Mesh, clean, load
from core.evaluation.baselines import find_input, make_baselines
from core.evaluation.distances import WORST, Figures, chamfer, compare
from core.evaluation.nearest import NearestMeshes, Neighbour
from core.evaluation.pairs import Sample
from core.evaluation.surface import Frame, Surface, align_box, box, content_seed, same
from core.evaluation.topology import topology


class NoSurfaceError(ValueError):
    """A file that is in order, but holds points only."""


@dataclass
class Reference:
    """A reference mesh at its place and scale, and its frame, in which everything is measured."""

    name: str
    path: Path
    mesh: Mesh
    frame: Frame


@dataclass
class Measured:
    """A sample's figures, distances and topology, and its mesh in the reference's frame.

    mesh: None, and `figures` the worst, where there is none (with `count_failures`)
    unreadable: a file that is there and no mesh
    apart: how far its bounding box lies from the reference's, as a share of the diagonal (centre, or longest side)
    decimated: figures of the reference decimated to as many faces
    baselines: figures of what other ways make of the same input, by their names
    """

    sample: Sample
    mesh: Mesh | None
    figures: Figures
    failure: str = ""
    unreadable: bool = False
    apart: float = 0.0
    decimated: Figures | None = None
    baselines: dict[str, Figures] = field(default_factory=dict)

    @property
    def finished(self) -> bool | None:
        """Whether the tokens ended by themselves and gave a mesh; None: ended, but how nobody says."""
        return self.sample.finished if self.mesh is not None else False


@dataclass
class Case:
    """All about one reference.

    mesh: in its frame    again: figures of the reference itself from other points: what sampling alone makes of them
    nearest: the nearest training mesh, None where that is not asked for
    diversity: for each face count asked for, the mean Chamfer distance between the repetitions, where there are several
    """

    reference: Reference
    mesh: Mesh
    again: Figures
    nearest: Neighbour | None
    samples: list[Measured] = field(default_factory=list)
    diversity: list[float] = field(default_factory=list)


def read_reference(path: Path, name: str) -> Reference:
    """A reference as inference reads its inputs: cleaned.

    Raises ValueError for what is no mesh; NoSurfaceError for a point cloud.
    """
    mesh = load(path)
    if mesh.is_points:
        raise NoSurfaceError(f"{path}: has points but no faces, which is nothing to compare with")
    try:
        mesh = clean(mesh)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Reference(name, path, mesh, Frame.of(mesh))


def measure(
    reference: Reference,
    samples: Sequence[Sample],
    points: int,
    align: str,
    nearest: NearestMeshes | None,
    inputs: str | None = None,
) -> Case:
    """Every figure about one reference.

    Args:
        reference: what should have been made.
        samples: what was made.
        points: sampled on each surface.
        align: "box" fits each mesh into the reference's bounding box first.
        nearest: the training meshes, or None.
        inputs: where the inputs lie ("": as the records say), for the baselines; None: without those.

    Raises ValueError for a reference without area, and for an input that is not there.
    """
    mesh = reference.frame.apply(reference.mesh)
    surface = Surface(mesh, points, content_seed(mesh))
    again = describe(mesh, Surface(mesh, points, content_seed(mesh, "again")), mesh, surface)
    case = Case(reference, mesh, again, None if nearest is None else _nearest(nearest, mesh, surface))
    surfaces: dict[int, list[Surface]] = {}
    for sample in samples:
        measured, made = _measure_sample(reference, mesh, surface, sample, align)
        if inputs is not None and measured.mesh is not None:
            measured.baselines = _baselines(reference, mesh, surface, measured, inputs)
        case.samples.append(measured)
        if made is not None:
            surfaces.setdefault(sample.num_faces, []).append(made)
    case.diversity = [_diversity(made) for made in surfaces.values() if len(made) > 1]
    return case


def count_failures(cases: Sequence[Case]) -> None:
    """Give each sample without a mesh a face-count error: that of the worst sample with one, and 1 more.

    An error has no upper bound, so that no fixed figure, such as 1, would be the worst.
    """
    samples = [measured for case in cases for measured in case.samples]
    errors = [measured.figures["face_count_error"] or 0.0 for measured in samples if measured.mesh is not None]
    for measured in samples:
        if measured.mesh is None:
            measured.figures["face_count_error"] = max(errors, default=0.0) + 1


def describe(mesh: Mesh, made: Surface, true: Mesh, surface: Surface) -> Figures:
    """Every figure of a mesh with its samples, beside the reference `true` with its own."""
    error = abs(len(mesh.faces) - len(true.faces)) / len(true.faces)
    return {**compare(made, surface), **topology(mesh), "face_count_error": error}


def _nearest(meshes: NearestMeshes, true: Mesh, surface: Surface) -> Neighbour:
    found = meshes.find(true, surface)
    return found._replace(figures=describe(found.mesh, found.surface, true, surface))


def _measure_sample(
    reference: Reference, true: Mesh, surface: Surface, sample: Sample, align: str
) -> tuple[Measured, Surface | None]:
    worst = dict(WORST)  # its face-count error is worse than any result's: see `count_failures`
    if sample.path is None:
        return Measured(sample, None, worst, sample.failure or "no mesh"), None
    try:
        mesh, apart = _read_generated(sample.path, reference, align)
        made = Surface(mesh, surface.count, content_seed(true if same(mesh, true) else mesh))
    except (ValueError, MemoryError) as error:
        return Measured(sample, None, worst, str(error) or type(error).__name__, unreadable=True), None
    figures = describe(mesh, made, true, surface)
    return Measured(sample, mesh, figures, apart=apart, decimated=_decimated(true, len(mesh.faces), surface)), made


def _read_generated(path: Path, reference: Reference, align: str) -> tuple[Mesh, float]:
    """A generated mesh in its reference's frame, as it is in the file, and how far apart their boxes are."""
    mesh = load(path)
    if mesh.is_points:
        raise ValueError(f"{path}: has points but no faces")
    apart = _apart(mesh, reference)
    if align == "box":
        try:
            mesh = align_box(mesh, reference.mesh)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return reference.frame.apply(mesh), apart


def _apart(mesh: Mesh, reference: Reference) -> float:
    (low, high), (true_low, true_high) = box(mesh), box(reference.mesh)
    centers = float(np.linalg.norm((low + high - true_low - true_high) / 2))
    sides = abs(float((high - low).max()) - float((true_high - true_low).max()))
    return max(centers, sides) / reference.frame.diagonal


def _decimated(mesh: Mesh, faces: int, surface: Surface) -> Figures:
    """Figures of a mesh decimated by quadric edge collapse to `faces` faces; of more than it has, the mesh itself."""
    simpler = decimate(mesh, faces) if faces < len(mesh.faces) else mesh
    return describe(simpler, _again(simpler, surface), mesh, surface)


def _baselines(
    reference: Reference, true: Mesh, surface: Surface, measured: Measured, inputs: str
) -> dict[str, Figures]:
    """Figures of what the baselines make of a sample's input with as many faces as the sample has."""
    assert measured.mesh is not None
    path = find_input(inputs, measured.sample.input, reference.name, reference.path)
    found = {}
    for name, made in make_baselines(path, len(measured.mesh.faces)).items():
        if made is not None:
            framed = reference.frame.apply(made)
            try:
                found[name] = describe(framed, _again(framed, surface), true, surface)
            except ValueError:  # no area
                continue
    return found


def _again(mesh: Mesh, like: Surface) -> Surface:
    """Points of a mesh that may be the reference itself: others than the reference's own."""
    return Surface(mesh, like.count, content_seed(mesh, "again"))


def _diversity(surfaces: Sequence[Surface]) -> float:
    return float(np.mean([chamfer(a, b) for a, b in itertools.combinations(surfaces, 2)]))
