"""Finishing (post-processing) of generated meshes: each step a function of its own, with a flag and a count."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from core.data.mesh import Mesh, cross, lengths, unique_rows
from core.data.orient import orient

VERTEX_STEPS = ("merge_vertices", "drop_unused_vertices")  # what these remove is vertices


@dataclass(frozen=True)
class FinishConfig:
    merge_vertices: bool = True
    """Make vertices at the same position one: decoding writes every vertex anew."""
    drop_degenerate: bool = True
    """Drop faces without area."""
    drop_duplicates: bool = True
    """Drop faces that repeat the three vertices of another one."""
    min_component_faces: int = 0
    """Drop connected pieces of fewer faces (the largest piece stays); 0: none."""
    drop_unused_vertices: bool = True
    """Drop vertices that no face uses."""
    orient: bool = True
    """Turn faces to agree with their neighbours, and each piece outward."""
    report_holes: bool = False
    """Count the rims of each result (0: it is closed)."""

    def __post_init__(self):
        if self.min_component_faces < 0:
            raise ValueError(f"--min_component_faces {self.min_component_faces}: a number of faces, or 0 for none")

    def steps(self) -> dict[str, Callable[[Mesh], Mesh]]:
        """The steps to take, by name and in order."""
        drop_small = partial(drop_small_components, min_faces=self.min_component_faces)
        steps: tuple[tuple[bool, str, Callable[[Mesh], Mesh]], ...] = (
            (self.merge_vertices, "merge_vertices", merge_vertices),
            (self.drop_degenerate, "drop_degenerate", drop_degenerate),
            (self.drop_duplicates, "drop_duplicates", drop_duplicates),
            (self.min_component_faces > 1, "drop_small_components", drop_small),
            (self.drop_unused_vertices, "drop_unused_vertices", drop_unused_vertices),
            (self.orient, "orient", orient),
        )
        return {name: step for wanted, name, step in steps if wanted}


class Finished(NamedTuple):
    """A finished mesh, and what was done to it.

    Attributes:
        removed: for each step taken what it removed: vertices where its name says so, else faces; for `orient` the
            faces that it turned over.
        holes: rims left open, see `count_holes`; None where they were not counted.
    """

    mesh: Mesh
    removed: dict[str, int]
    holes: int | None


def finish(mesh: Mesh, config: FinishConfig = FinishConfig()) -> Mesh:
    """A generated mesh, finished by the steps that the config names."""
    return finish_counting(mesh, config).mesh


def finish_counting(mesh: Mesh, config: FinishConfig) -> Finished:
    """As `finish`, and how much each step removed."""
    removed = {}
    for name, step in config.steps().items():
        before, mesh = mesh, step(mesh)
        if name == "orient":
            removed[name] = int((before.faces != mesh.faces).any(axis=1).sum())
        elif name in VERTEX_STEPS:
            removed[name] = len(before.vertices) - len(mesh.vertices)
        else:
            removed[name] = len(before.faces) - len(mesh.faces)
    return Finished(mesh, removed, count_holes(mesh) if config.report_holes else None)


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
