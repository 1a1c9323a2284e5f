"""A mesh that is being repaired: changes are tried, and kept only if they make nothing worse."""

import numpy as np

from core.geometry.finish.support import PointSupport
from core.geometry.intersect import crossing, has_area, overlapping_boxes
from core.geometry.vectors import cross, lengths, unique_rows

LEAST_TURN = 0.2  # cosine between a face's normal before and after its corners moved: less is a flip
SLIVER = 1e-3  # height over the longest side below which a new face counts as none


class WorkingMesh:
    """Vertices, faces, and which pairs of faces cross.

    Lengths are shares of a diagonal, so that "near" means the same for every mesh.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        points: (N, 3) that the surface should follow, or None.
        tolerance: by how much the surface may miss the points, in the unit of the vertices.
        most_faces: that it may come to have, unless it has more; 0: no bound.

    Attributes:
        ids: (F,) a number for each face that stays its own however often its corners move.
        crossings: the ids of each pair of faces that cut through one another, the lower first.
    """

    def __init__(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        points: np.ndarray | None = None,
        tolerance: float = 0.0,
        most_faces: int = 0,
    ):
        vertices = np.asarray(vertices, np.float64)
        used = vertices[np.unique(faces)] if len(faces) else np.zeros((1, 3))
        extent = used if points is None or len(points) == 0 else np.concatenate([used, points])
        self._low, high = extent.min(axis=0), extent.max(axis=0)
        self._unit = max(float(np.linalg.norm(high - self._low)), 1e-300)
        self.vertices = (vertices - self._low) / self._unit
        self.faces = np.asarray(faces, np.int64).copy()
        self.ids = np.arange(len(faces))
        self._next_id, self.most_faces = len(faces), most_faces
        self._defects: tuple[np.ndarray, tuple[int, int]] | None = None
        inside = None if points is None else (np.asarray(points, np.float64) - self._low) / self._unit
        self.support = PointSupport.of(inside, tolerance / self._unit)
        self.crossings = self._crossings_of(self.vertices, self.faces, self.ids, np.arange(len(faces)))

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """(V, 3) float32 vertices, in the unit that they came in, and (F, 3) int32 faces."""
        return (self.vertices * self._unit + self._low).astype(np.float32), self.faces.astype(np.int32)

    def unit_length(self, length: float) -> float:
        """A length of the vertices' own unit as a share of the diagonal."""
        return length / self._unit

    # ---- edges

    def open_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """(E, 2) ends of the edges of one face, in the direction in which that face has them, and (E,) the face."""
        return open_edges(self.faces)

    def defects(self) -> tuple[int, int]:
        """How many edges have one face, and how many faces too many the others have."""
        if self._defects is None or self._defects[0] is not self.faces:  # faces are replaced, never written to
            self._defects = self.faces, edge_defects(self.faces)
        return self._defects[1]

    # ---- changes

    def try_change(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        ids: np.ndarray,
        added: np.ndarray | None = None,
        may_cross: bool = False,
    ) -> bool:
        """Take on other vertices and faces, if that is no worse; returns whether they were taken on.

        Refused is what adds a crossing, a face too many to an edge, a face without area or one that is there already,
        or what turns a face over.

        Args:
            vertices: (V, 3), more than before or as many.
            faces: (F, 3) that were there before, maybe with other corners.
            ids: (F,) theirs.
            added: (N, 3) new faces.
            may_cross: crossings may be added.
        """
        added = np.zeros((0, 3), np.int64) if added is None else np.asarray(added, np.int64).reshape(-1, 3)
        fresh = np.arange(self._next_id, self._next_id + len(added))
        all_faces, all_ids = np.concatenate([faces, added]), np.concatenate([ids, fresh])
        if self.most_faces and len(all_faces) > max(self.most_faces, len(self.faces)):
            return False
        if edge_defects(all_faces)[1] > self.defects()[1] or has_duplicates(all_faces, self.faces):
            return False
        rows = np.concatenate(
            [self._moved(vertices, faces, ids), np.arange(len(faces), len(all_faces), dtype=np.int64)]
        )
        corners = vertices[all_faces[rows]]
        if is_sliver(corners).any() or self._flips(corners[: len(rows) - len(added)], ids, rows):
            return False
        found = self._crossings_of(vertices, all_faces, all_ids, rows)
        if not may_cross and not found <= self.crossings:
            return False
        changed, kept = set(all_ids[rows].tolist()), set(all_ids.tolist())
        self.crossings = found | {
            (a, b) for a, b in self.crossings if a in kept and b in kept and a not in changed and b not in changed
        }
        self.vertices, self.faces, self.ids = vertices, all_faces, all_ids
        self._next_id += len(added)
        return True

    def state(self) -> tuple:
        """All that changes, for `restore`; nothing of it is ever written to."""
        return self.vertices, self.faces, self.ids, self.crossings

    def restore(self, state: tuple) -> None:
        self.vertices, self.faces, self.ids, self.crossings = state

    def crossing_faces(self) -> np.ndarray:
        """(F,) whether a face cuts through another."""
        return np.isin(self.ids, np.array(sorted({face for pair in self.crossings for face in pair}), np.int64))

    def _moved(self, vertices: np.ndarray, faces: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Rows of the faces whose corners are not where they were."""
        before = np.searchsorted(self.ids, ids)
        return np.flatnonzero((vertices[faces] != self.vertices[self.faces[before]]).any(axis=(1, 2)))

    def _flips(self, corners: np.ndarray, ids: np.ndarray, rows: np.ndarray) -> bool:
        if len(corners) == 0:
            return False
        before = self.vertices[self.faces[np.searchsorted(self.ids, ids[rows[: len(corners)]])]]
        old, new = normals(before), normals(corners)
        proper = ~is_sliver(before)
        return bool((np.einsum("fi,fi->f", old, new)[proper] < LEAST_TURN).any())

    def _crossings_of(
        self, vertices: np.ndarray, faces: np.ndarray, ids: np.ndarray, rows: np.ndarray
    ) -> set[tuple[int, int]]:
        """Pairs of crossing faces of which at least one is among the rows."""
        pairs = crossing_pairs(vertices[faces], rows)
        return {(min(a, b), max(a, b)) for a, b in ids[pairs].tolist()}


def crossing_pairs(corners: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(K, 2) rows of triangles (F, 3, 3) that cut through one another, the first of them among `rows`."""
    if len(rows) == 0:
        return np.zeros((0, 2), np.int64)
    low, high = boxes(corners)
    if len(rows) == len(corners):
        proper = has_area(corners)
        a, b = overlapping_boxes(low, high).T
        a, b = a[proper[a] & proper[b]], b[proper[a] & proper[b]]
        hit = crossing(corners[a], corners[b])
        return np.stack([a[hit], b[hit]], axis=1)
    chosen = np.zeros(len(corners), bool)
    chosen[rows] = True
    found = []
    for start in range(0, len(rows), 256):  # for the memory
        some = rows[start : start + 256]
        a, b = np.nonzero(boxes_meet(low[some], high[some], low, high))
        a = some[a]
        once = (a != b) & (~chosen[b] | (a < b))
        a, b = a[once], b[once]
        proper = has_area(corners[a]) & has_area(corners[b])
        a, b = a[proper], b[proper]
        hit = crossing(corners[a], corners[b])
        found.append(np.stack([a[hit], b[hit]], axis=1))
    return np.concatenate(found)


def boxes(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) and (F, 3) the two ends of the bounding boxes of triangles (F, 3, 3)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]  # numpy is slow along short axes
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def boxes_meet(low: np.ndarray, high: np.ndarray, others_low: np.ndarray, others_high: np.ndarray) -> np.ndarray:
    """(N, M) whether boxes (N, 3) and (M, 3) overlap or touch."""
    meet = np.ones((len(low), len(others_low)), bool)
    for axis in range(3):
        meet &= low[:, None, axis] <= others_high[:, axis]
        meet &= others_low[:, axis] <= high[:, None, axis]
    return meet


def sides_of(faces: np.ndarray) -> np.ndarray:
    """(3F, 2) half edges; 3 f + j runs from corner j of face f to the next."""
    return np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)


def _keys(sides: np.ndarray) -> np.ndarray:
    low, high = np.minimum(*sides.T), np.maximum(*sides.T)
    return low * (int(high.max(initial=0)) + 1) + high


def open_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `WorkingMesh.open_edges`."""
    sides = sides_of(faces)
    _, label, count = np.unique(_keys(sides), return_inverse=True, return_counts=True)
    single = np.flatnonzero(count[label] == 1)
    return sides[single], single // 3


def edge_defects(faces: np.ndarray) -> tuple[int, int]:
    """As `WorkingMesh.defects`."""
    count = np.unique(_keys(sides_of(faces)), return_counts=True)[1]
    return int((count == 1).sum()), int((count - 2).clip(min=0).sum())


def has_duplicates(faces: np.ndarray, before: np.ndarray) -> bool:
    """Whether the faces repeat more sets of vertices than those before did."""

    def repeated(rows: np.ndarray) -> int:
        return len(rows) - len(unique_rows(np.sort(rows, axis=1))[0]) if len(rows) else 0

    return repeated(faces) > repeated(before)


def normals(corners: np.ndarray) -> np.ndarray:
    """(F, 3) unit normals of triangles (F, 3, 3); 0 where they have no area."""
    normal = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal / np.maximum(lengths(normal), 1e-300)[:, None]


def is_sliver(corners: np.ndarray) -> np.ndarray:
    """(F,) whether triangles (F, 3, 3) are so flat that they are none."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    longest = np.maximum(np.maximum(lengths(u), lengths(v)), lengths(v - u))
    return lengths(cross(u, v)) <= SLIVER * longest**2


def crosses_any(corners: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) whether triangles (N, 3, 3) cut through any of others (F, 3, 3)."""
    hit = np.zeros(len(corners), bool)
    others = others[has_area(others)]
    low, high = boxes(others)
    for start in range(0, len(corners), 256):  # for the memory
        some = corners[start : start + 256]
        a, b = np.nonzero(boxes_meet(*boxes(some), low, high))
        hit[start + a[crossing(some[a], others[b])]] = True
    return hit
