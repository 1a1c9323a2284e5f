"""The nearest training mesh: what a model would get that only remembers.

Both meshes are centred with the longest side of their boxes 1. A training mesh is tried at every turn about the y axis
that training gives it, and mirrored. Distance fields on a coarse grid, on which right angles and mirrors are only
permutations, choose candidates: meshes by their best pose, and some poses of each. (Of poses alone a few symmetrical
meshes would fill all places.) The best of them by Chamfer distances of fewer points are measured like any other mesh.
"""

from typing import NamedTuple

import numpy as np

from core.data.augment import rotate
from core.data.mesh import Mesh, normalize, sample_surface
from core.data.metrics import chamfer_distance
from core.data.orient import flip_faces
from core.data.sources import MeshSource
from core.evaluation.distances import Figures, chamfer
from core.evaluation.surface import Surface, content_seed

GRID = 8  # cells along each axis
FIELD_POINTS = 512
# Meshes, poses of each, and points by which they are compared: of those chosen by their fields, then of the best.
ROUNDS = ((200, 6, 512), (24, 4, 2048))
EXACT_MESHES, EXACT_POSES = 8, 3

# The eight poses that keep the axes: quarter turns about y, then x to -x or not. For row vectors.
QUARTER = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)
MIRROR = np.diag([-1, 1, 1]).astype(np.float32)
POSES = [np.linalg.matrix_power(QUARTER, k) @ m for k in range(4) for m in (np.eye(3, dtype=np.float32), MIRROR)]


class Neighbour(NamedTuple):
    """A training mesh in the frame of what was asked for, its name, its samples, and its figures."""

    mesh: Mesh
    name: str
    surface: Surface
    figures: Figures


class NearestMeshes:
    """The training meshes, ready to be searched.

    Args:
        source: of the meshes.
        rotate_step: degrees, 90 or a divisor of it.
        numbers: of the meshes to search; None: all. Each takes 2 KB a turn.
    """

    def __init__(self, source: MeshSource, rotate_step: int = 90, numbers: np.ndarray | None = None):
        from rich.progress import track

        self.source = source
        self.turns = np.arange(0, 90, rotate_step).tolist()
        self.chosen = np.arange(len(source)) if numbers is None else numbers
        steps = track(self.chosen.tolist(), description="reading training meshes", transient=True)
        self.fields = np.stack([distance_field(self._turned(k, turn)) for k in steps for turn in self.turns])
        self.squares = np.einsum("nd,nd->n", self.fields, self.fields)

    def __len__(self) -> int:
        return len(self.chosen)

    def find(self, mesh: Mesh, surface: Surface) -> Neighbour:
        """The nearest to a mesh by the Chamfer distance.

        Args:
            mesh: what to find the nearest to, in any frame.
            surface: its samples; candidates get as many.
        """
        unit, placement = normalize(mesh, 0.5)
        target = distance_field(unit)
        # The distance of a posed mesh's field from the target's is that of its own field from the target's, posed back.
        targets = np.stack([target[PERMUTATIONS[k]] for k in range(len(POSES))])
        gaps = self.squares[None] - 2 * targets @ self.fields.T  # (8, n), less the target's own square
        values, candidates = gaps, np.arange(gaps.size)
        for meshes, poses, points in ROUNDS:
            candidates = self._best(values, candidates, meshes, poses)
            cloud = sample_surface(unit, points, np.random.default_rng(content_seed(unit)))
            values = self._distances(cloud, candidates)
        found = []
        for flat in self._best(values, candidates, EXACT_MESHES, EXACT_POSES):
            index, posed = self._posed(int(flat))
            placed = Mesh(placement.invert(posed.vertices).astype(np.float32), posed.faces)
            made = Surface(placed, surface.count, content_seed(placed))
            found.append(Neighbour(placed, self.source.name(index), made, {"chamfer": chamfer(made, surface)}))
        return min(found, key=lambda neighbour: neighbour.figures["chamfer"] or 0.0)

    def _best(self, values: np.ndarray, flat: np.ndarray, meshes: int, poses: int) -> np.ndarray:
        """Of places in the (8, n) table with a value each: the lowest `poses` of each of the `meshes` lowest meshes."""
        flat = flat[np.argsort(values, axis=None, kind="stable")]
        owner = flat % len(self.fields) // len(self.turns)
        _, first = np.unique(owner, return_index=True)
        among = np.isin(owner, owner[np.sort(first)[:meshes]])
        flat, owner = flat[among], owner[among]
        order = np.argsort(owner, kind="stable")
        _, begins, counts = np.unique(owner[order], return_index=True, return_counts=True)
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order)) - np.repeat(begins, counts)  # of each pose among its mesh's
        return flat[rank < poses]

    def _distances(self, cloud: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """(K,) Chamfer distances of candidates, by as many points, from a cloud."""
        from scipy.spatial import cKDTree

        tree = cKDTree(cloud)
        distances = []
        for flat in candidates.tolist():
            points = sample_surface(self._posed(flat)[1], len(cloud), np.random.default_rng(flat))
            distances.append(chamfer_distance(tree.query(points)[0], cKDTree(points).query(cloud)[0]))
        return np.array(distances)

    def _posed(self, flat: int) -> tuple[int, Mesh]:
        """A training mesh by its place in the (8, n) table of poses and fields: its number, and the mesh as it lies."""
        pose, row = divmod(flat, len(self.fields))
        index, turn = int(self.chosen[row // len(self.turns)]), self.turns[row % len(self.turns)]
        mesh = self._turned(index, turn)
        mirrored = np.linalg.det(POSES[pose]) < 0
        return index, Mesh(mesh.vertices @ POSES[pose], flip_faces(mesh.faces) if mirrored else mesh.faces)

    def _turned(self, index: int, turn: int) -> Mesh:
        return normalize(rotate(self.source[index], turn), 0.5)[0]


def grid_points() -> np.ndarray:
    """(GRID**3, 3) float32: centres of the cells of the cube from -0.5 to 0.5."""
    middle = ((np.arange(GRID) + 0.5) / GRID - 0.5).astype(np.float32)
    return np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).reshape(-1, 3)


def permutation(pose: np.ndarray) -> np.ndarray:
    """(GRID**3,) which cell each cell's centre comes to lie in when posed."""
    cells = np.floor((grid_points() @ pose + 0.5) * GRID).astype(int)
    return (cells[:, 0] * GRID + cells[:, 1]) * GRID + cells[:, 2]


GRID_POINTS = grid_points()
PERMUTATIONS = [permutation(pose) for pose in POSES]


def distance_field(mesh: Mesh) -> np.ndarray:
    """(GRID**3,) float32: distance of each cell's centre from the surface of a mesh within the cube."""
    from scipy.spatial import cKDTree

    points = sample_surface(mesh, FIELD_POINTS, np.random.default_rng(0))
    return cKDTree(points).query(GRID_POINTS)[0].astype(np.float32)
