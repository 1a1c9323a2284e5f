"""Points, normals and sharp edges of a mesh in its reference's frame, where lengths are shares of the diagonal."""

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from core.data.mesh import Mesh, cross, lengths, sample_faces
from core.evaluation.edges import sharp_edges

if TYPE_CHECKING:
    from scipy.spatial import cKDTree


class Frame(NamedTuple):
    """Centre (3,) of a reference's bounding box, and the length of the box's diagonal."""

    center: np.ndarray
    diagonal: float

    @classmethod
    def of(cls, mesh: Mesh) -> "Frame":
        low, high = box(mesh)
        return cls((low + high) / 2, float(np.linalg.norm(high - low)))

    def apply(self, mesh: Mesh) -> Mesh:
        """The mesh with the centre at the origin and the diagonal as its unit; float32."""
        return Mesh(((mesh.vertices - self.center) / self.diagonal).astype(np.float32), mesh.faces)


def box(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Corners (3,), (3,) of the bounding box of what the faces use, float64."""
    used = mesh.vertices[np.unique(mesh.faces)].astype(np.float64)
    return used.min(axis=0), used.max(axis=0)


def align_box(mesh: Mesh, other: Mesh) -> Mesh:
    """The mesh moved and scaled, alike on all axes, to the centre and the longest side of another's bounding box."""
    (low, high), (other_low, other_high) = box(mesh), box(other)
    longest = float((high - low).max())
    if not longest > 0:
        raise ValueError(f"its longest side is {longest}; it cannot be aligned")
    scale = float((other_high - other_low).max()) / longest
    return Mesh((mesh.vertices - (low + high) / 2) * scale + (other_low + other_high) / 2, mesh.faces)


class Surface:
    """Samples of a mesh, `count` of each kind.

    points: (N, 3) uniform over the surface    normals: (N, 3) unit, of the faces that the points lie on
    edge_points: (N, 3) uniform over the sharp edges, or (0, 3) where none are sharp

    Raises ValueError for a surface without area.
    """

    def __init__(self, mesh: Mesh, count: int, seed: int):
        self.count = count
        rng = np.random.default_rng(seed)
        self.points, face = sample_faces(mesh, count, rng)
        corners = mesh.vertices[mesh.faces].astype(np.float64)
        normals = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self.normals = (normals / np.maximum(lengths(normals), 1e-300)[:, None])[face].astype(np.float32)
        self.edge_points = _sample_edges(mesh, count, rng)

    @cached_property
    def tree(self) -> "cKDTree":
        from scipy.spatial import cKDTree

        return cKDTree(self.points)

    @cached_property
    def edge_tree(self) -> "cKDTree":
        from scipy.spatial import cKDTree

        return cKDTree(self.edge_points)


def _sample_edges(mesh: Mesh, count: int, rng: np.random.Generator) -> np.ndarray:
    ends = mesh.vertices[sharp_edges(mesh)]  # (E, 2, 3)
    along = ends[:, 1] - ends[:, 0]
    cumulative = np.cumsum(lengths(along), dtype=np.float64)
    if len(ends) == 0 or not cumulative[-1] > 0:
        return np.zeros((0, 3), np.float32)
    edge = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    edge = np.minimum(edge, len(ends) - 1)
    return ends[edge, 0] + rng.random((count, 1), np.float32) * along[edge]


def content_seed(mesh: Mesh, salt: str = "") -> int:
    """A seed that depends on the mesh's arrays alone, so that a mesh has the same points on every run."""
    digest = hashlib.blake2b(salt.encode(), digest_size=8)
    digest.update(np.ascontiguousarray(mesh.vertices, np.float32).tobytes())
    digest.update(np.ascontiguousarray(mesh.faces, np.int32).tobytes())
    return int.from_bytes(digest.digest(), "little")


def same(mesh: Mesh, other: Mesh, tolerance: float = 1e-6) -> bool:
    """Whether two meshes of one frame are the same but for rounding: such ones share their points too."""
    alike = mesh.vertices.shape == other.vertices.shape and np.array_equal(mesh.faces, other.faces)
    return alike and bool(np.abs(mesh.vertices - other.vertices).max() <= tolerance)
