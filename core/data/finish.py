"""Finishing (post-processing) of generated meshes: each step a function of its own, with a flag and a count."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from core.data.mesh import Mesh, cross, lengths, unique_rows
from core.data.orient import orient
from core.geometry.finish import RepairConfig, WorkingMesh, close_surface, is_closed_manifold, repair
from core.geometry.finish.repair import TOLERANCE

VERTEX_STEPS = ("merge_vertices", "weld", "snap", "drop_unused_vertices")  # what these count is vertices

Step = Callable[[Mesh], Mesh]


@dataclass(frozen=True)
class FinishConfig:
    merge_vertices: bool = True
    """Make vertices at the same position one: decoding writes every vertex anew."""
    drop_degenerate: bool = True
    """Drop faces without area."""
    drop_duplicates: bool = True
    """Drop faces that repeat the three vertices of another one."""
    repair: RepairConfig = field(default_factory=RepairConfig)
    min_component_faces: int = 0
    """Drop connected pieces of fewer faces (the largest piece stays); 0: none."""
    drop_unused_vertices: bool = True
    """Drop vertices that no face uses."""
    orient: bool = True
    """Turn faces to agree with their neighbours, and each piece outward."""
    close: bool = False
    """Make a closed manifold whatever it takes: pieces that stay open get thickness; manifold3d checks the result."""
    report_holes: bool = False
    """Count the rims of each result (0: it is closed)."""

    def __post_init__(self):
        if self.min_component_faces < 0:
            raise ValueError(f"--min_component_faces {self.min_component_faces}: a number of faces, or 0 for none")
        if self.close and find_spec("manifold3d") is None:
            raise ValueError("--close needs the package manifold3d (pip install manifold3d)")

    def steps_before(self) -> dict[str, Step]:
        """The steps before the repair, by name and in order."""
        return _wanted(
            (self.merge_vertices, "merge_vertices", merge_vertices),
            (self.drop_degenerate, "drop_degenerate", drop_degenerate),
            (self.drop_duplicates, "drop_duplicates", drop_duplicates),
        )

    def steps_after(self) -> dict[str, Step]:
        """The steps after it."""
        drop_small = partial(drop_small_components, min_faces=self.min_component_faces)
        return _wanted(
            (self.min_component_faces > 1, "drop_small_components", drop_small),
            (self.drop_unused_vertices, "drop_unused_vertices", drop_unused_vertices),
            (self.orient, "orient", orient),
        )


def _wanted(*steps: tuple[bool, str, Step]) -> dict[str, Step]:
    return {name: step for wanted, name, step in steps if wanted}


class Finished(NamedTuple):
    """A finished mesh, and what was done to it.

    Attributes:
        removed: for each step taken what it removed: vertices where its name says so, else faces. For `weld` vertices
            that went into others, for `fill` faces added, for `snap` vertices moved, for `orient` faces turned over.
        holes: rims left open, see `count_holes`; None where they were not counted.
        closed: whether manifold3d takes it for a closed manifold; None where that was not asked for.
    """

    mesh: Mesh
    removed: dict[str, int]
    holes: int | None
    closed: bool | None = None


def finish(mesh: Mesh, config: FinishConfig = FinishConfig()) -> Mesh:
    """A generated mesh, finished by the steps that the config names."""
    return finish_counting(mesh, config).mesh


def finish_counting(
    mesh: Mesh, config: FinishConfig, points: np.ndarray | None = None, grid_step: float = 0.0, most_faces: int = 0
) -> Finished:
    """As `finish`, and how much each step did.

    Args:
        mesh: in the model's frame.
        config: which steps.
        points: (N, 3) that it was made from, in the same frame; the repair asks them where surface should be.
        grid_step: of the grid that its vertices were quantised to; 0: they were not.
        most_faces: that the repair may bring it to; 0: no bound. `close` knows none.
    """
    removed: dict[str, int] = {}
    mesh = _take(mesh, config.steps_before(), removed)
    if len(mesh.faces):
        working = WorkingMesh(*mesh, points, TOLERANCE, most_faces)
        removed |= repair(working, config.repair, grid_step)
        mesh = Mesh(*working.result())
    mesh = _take(mesh, config.steps_after(), removed)
    closed = None
    if config.close:
        mesh, closed = _close(mesh, config, points)
    return Finished(mesh, removed, count_holes(mesh) if config.report_holes or closed is False else None, closed)


def _take(mesh: Mesh, steps: dict[str, Step], removed: dict[str, int]) -> Mesh:
    for name, step in steps.items():
        before, mesh = mesh, step(mesh)
        if name == "orient":
            removed[name] = int((before.faces != mesh.faces).any(axis=1).sum())
        elif name in VERTEX_STEPS:
            removed[name] = len(before.vertices) - len(mesh.vertices)
        else:
            removed[name] = len(before.faces) - len(mesh.faces)
    return mesh


def _close(mesh: Mesh, config: FinishConfig, points: np.ndarray | None) -> tuple[Mesh, bool]:
    """The mesh closed, unless it is, and whether that holds."""
    if len(mesh.faces) == 0:
        return mesh, False
    if not is_closed_manifold(*mesh):
        mesh = Mesh(*close_surface(WorkingMesh(*mesh, points, TOLERANCE), config.repair.fill_support))
    return mesh, is_closed_manifold(*mesh)


def merge_vertices(mesh: Mesh) -> Mesh:
    """One vertex for each position: decoded meshes write every vertex anew, at positions that coincide exactly."""
    if len(mesh.vertices) == 0:
        return mesh
    first, label = unique_rows(mesh.vertices + 0.0)  # + 0.0: minus zero is zero
    return Mesh(mesh.vertices[first], label[mesh.faces].astype(np.int32))


def drop_degenerate(mesh: Mesh) -> Mesh:
    """Without the faces of no area: a repeated vertex, or three in a line."""
    a, b, c = (mesh.vertices[mesh.faces[:, j]].astype(np.float64) for j in range(3))
    u, v = b - a, c - a
    longest = np.maximum(np.maximum(lengths(u), lengths(v)), lengths(v - u))
    proper = lengths(cross(u, v)) > 1e-6 * longest**2  # height over base, so of any scale
    return mesh if proper.all() else Mesh(mesh.vertices, mesh.faces[proper])


def drop_duplicates(mesh: Mesh) -> Mesh:
    """Each set of three vertices once, whichever way round it is written; the first of them stays."""
    first, _ = unique_rows(np.sort(mesh.faces, axis=1))
    return mesh if len(first) == len(mesh.faces) else Mesh(mesh.vertices, mesh.faces[np.sort(first)])


def drop_unused_vertices(mesh: Mesh) -> Mesh:
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    if used.all():
        return mesh
    return Mesh(mesh.vertices[used], (np.cumsum(used, dtype=np.int32) - 1)[mesh.faces])


def drop_small_components(mesh: Mesh, min_faces: int) -> Mesh:
    """Without the components (joined by shared vertices) of fewer than `min_faces` faces; the largest one stays."""
    if len(mesh.faces) == 0:
        return mesh
    component = vertex_components(mesh)[mesh.faces[:, 0]]  # (F,)
    sizes = np.bincount(component)
    keep = sizes >= min(min_faces, sizes.max())
    return mesh if keep.all() else Mesh(mesh.vertices, mesh.faces[keep[component]])


def vertex_components(mesh: Mesh) -> np.ndarray:
    """(V,) the number of each vertex's component, faces joining their vertices."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts, ends = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
    count = len(mesh.vertices)
    graph = coo_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def count_holes(mesh: Mesh) -> int:
    """Rims of the surface: connected pieces of its border, which is the edges that one face alone has.

    A closed mesh has none, an open sheet one. Vertices must be merged.
    """
    edges = np.stack([mesh.faces, np.roll(mesh.faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    first, label = unique_rows(np.sort(edges, axis=1))
    border = edges[first[np.bincount(label, minlength=len(first)) == 1]]  # (E, 2)
    if len(border) == 0:
        return 0
    # An edge as a face of no area, so that faces and edges hang together in the same way.
    lines = Mesh(mesh.vertices, np.concatenate([border, border[:, :1]], axis=1))
    return len(np.unique(vertex_components(lines)[border[:, 0]]))
