"""What training does to a mesh before it is seen: mirror, stretch, decimate, rotate, scale; and noise on its points.

All randomness comes from the generator that is handed in, so a sample is a function of that generator's seed alone.
"""

import heapq
import math
from dataclasses import dataclass

import numpy as np

from core.data.finish import drop_degenerate, drop_duplicates, drop_unused_vertices
from core.data.mesh import Mesh, normalize
from core.data.orient import flip_faces

EVAL_BOUND = 0.95
TRAIN_BOUNDS = (0.75, 0.95)
JITTER = 0.01
DECIMATE_MIN_FACES = 200  # smaller meshes are already as simple as they should be
DECIMATE_FLOOR = 100
COUNT_SHARE = 0.3  # of samples whose face count is chosen
FEWER_SHARE = 0.7  # of those, by decimation; the others get more faces
FEWEST_FACES = 12
COUNT_FACTOR = 6  # between the chosen count and the mesh's own, at most
DAMAGE_SHARES = (0.01, 0.15)  # of a damaged mesh's vertices
DAMAGE_SCALES = (0.01, 0.2)  # standard deviation of what they are moved by, in the frame of [-1, 1]
DAMAGE_AXIS = 0.6  # share of the axes along which a vertex is moved


@dataclass(frozen=True)
class AugmentConfig:
    use_decimate_aug: bool = True
    """Half of the time, decimate a mesh of 200 or more faces to a random count, at least a quarter of them and 100."""
    use_scale_aug: bool = True
    """Scale each mesh to a random 0.75 to 0.95 of the cube [-1, 1]; off: always 0.95."""
    use_rotate_aug: bool = True
    """Rotate each mesh about the y axis by a random multiple of rotate_step."""
    rotate_step: int = 30
    """Step of use_rotate_aug in degrees; a divisor of 360. At 90 walls stay along the axes."""
    use_jitter_aug: bool = True
    """Half of the time, move each point of the cloud by N(0, 0.01)."""
    use_mirror_aug: bool = False
    """Half of the time, mirror the mesh left to right."""
    use_stretch_aug: bool = False
    """Stretch each axis by its own random factor, at most stretch_limit either way."""
    stretch_limit: float = 1.35
    """Largest factor of use_stretch_aug; its inverse is the smallest."""
    use_count_aug: bool = False
    """Give three of ten meshes another face count, fewer by decimation or more by splitting long edges. The points stay
    those of the mesh before, and the model is always told the count, so that it learns to follow a wish."""
    use_damage_aug: bool = False
    """Half of the time, move vertices of the mesh and tear it open, as a model's own mistakes would; the points stay.
    The face decoder learns to continue after them, not to write them. No effect on the token decoder."""

    def __post_init__(self) -> None:
        if not 0 < self.rotate_step <= 360 or 360 % self.rotate_step:
            raise ValueError(f"--rotate_step {self.rotate_step}: must be a divisor of 360")
        if not 1 <= self.stretch_limit <= 4:
            raise ValueError(f"--stretch_limit {self.stretch_limit}: must be from 1 to 4")


def augment(mesh: Mesh, config: AugmentConfig, rng: np.random.Generator, max_faces: int | None = None) -> Mesh:
    """A random variant of a triangle mesh, normalised, as the reference varies its own; orientation is kept.

    A mesh of more than `max_faces` faces is always decimated, to that many at most (give or take the decimator's few).
    """
    if config.use_mirror_aug and rng.random() < 0.5:
        mesh = mirror(mesh)
    if config.use_stretch_aug:
        limit = np.log(config.stretch_limit)
        mesh = Mesh(mesh.vertices * np.exp(rng.uniform(-limit, limit, 3)), mesh.faces)
    if max_faces is not None and len(mesh.faces) > max_faces:
        mesh = decimate(mesh, int(rng.integers(min(decimate_floor(mesh), max_faces), max_faces + 1)))
    elif config.use_decimate_aug and len(mesh.faces) >= DECIMATE_MIN_FACES and rng.random() < 0.5:
        mesh = decimate(mesh, int(rng.integers(decimate_floor(mesh), len(mesh.faces))))
    if config.use_rotate_aug:
        mesh = rotate(mesh, config.rotate_step * int(rng.integers(360 // config.rotate_step)))
    bound = float(rng.uniform(*TRAIN_BOUNDS)) if config.use_scale_aug else EVAL_BOUND
    return normalize(mesh, bound)[0]


def choose_count(mesh: Mesh, rng: np.random.Generator, max_faces: int) -> Mesh | None:
    """The mesh with a random face count other than its own, or None where it keeps its own."""
    if rng.random() >= COUNT_SHARE:
        return None
    own, fewer = len(mesh.faces), rng.random() < FEWER_SHARE
    low, high = (max(FEWEST_FACES, own // COUNT_FACTOR), own) if fewer else (own, min(COUNT_FACTOR * own, max_faces))
    if not low < high:
        return None
    count = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    return decimate(mesh, count) if fewer else split_edges(mesh, count)


def split_edges(mesh: Mesh, target: int) -> Mesh:
    """At least `target` faces of the same surface: the longest edges are split in the middle, one after the other."""
    vertices = [tuple(vertex) for vertex in mesh.vertices.tolist()]
    faces = [tuple(face) for face in mesh.faces.tolist()]
    beside: dict[tuple[int, int], set[int]] = {}  # the faces at each edge
    waiting: list[tuple[float, tuple[int, int]]] = []

    def edges(face: tuple[int, ...]) -> list[tuple[int, int]]:
        a, b, c = face
        return [(a, b) if a < b else (b, a), (b, c) if b < c else (c, b), (a, c) if a < c else (c, a)]

    def add(number: int) -> None:
        for edge in edges(faces[number]):
            if edge not in beside:
                beside[edge] = set()
                heapq.heappush(waiting, (-math.dist(vertices[edge[0]], vertices[edge[1]]), edge))
            beside[edge].add(number)

    for number in range(len(faces)):
        add(number)
    while len(faces) < target and waiting:
        _, edge = heapq.heappop(waiting)
        a, b = edge
        middle = len(vertices)
        vertices.append(tuple((x + y) / 2 for x, y in zip(vertices[a], vertices[b], strict=True)))
        for number in sorted(beside[edge]):
            face = faces[number]
            for other in edges(face):
                beside[other].discard(number)
            faces[number] = tuple(middle if v == b else v for v in face)
            faces.append(tuple(middle if v == a else v for v in face))
            add(number)
            add(len(faces) - 1)
    return Mesh(np.array(vertices, np.float32), np.array(faces, mesh.faces.dtype))


def changes_meshes(config: AugmentConfig) -> bool:
    """Whether `augment` makes anything else of a mesh of few enough faces than the mesh at 0.95."""
    flags = ("use_decimate_aug", "use_scale_aug", "use_rotate_aug", "use_mirror_aug", "use_stretch_aug")
    return any(getattr(config, flag) for flag in flags)


def jitter(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the time the (N, 3) points as they are, else each moved by N(0, 0.01): scans are never exact."""
    if rng.random() < 0.5:
        return points
    return points + rng.standard_normal(points.shape, np.float32) * np.float32(JITTER)


def damage(mesh: Mesh, rng: np.random.Generator) -> tuple[Mesh, np.ndarray]:
    """A mesh as a model may have it wrong, and which of its vertices (V,) are: training sees its own mistakes coming.

    Some vertices are moved; at others one face is torn off, its corner moved by itself. Scales vary from mesh to mesh.
    """
    count = len(mesh.vertices)
    chosen = np.flatnonzero(rng.random(count) < rng.uniform(*DAMAGE_SHARES))
    scale = np.exp(rng.uniform(*np.log(DAMAGE_SCALES)))
    moves = rng.normal(0, scale, (len(chosen), 3)) * (rng.random((len(chosen), 3)) < DAMAGE_AXIS)
    moved = np.clip(mesh.vertices[chosen] + moves, -EVAL_BOUND, EVAL_BOUND).astype(np.float32)
    torn = rng.random(len(chosen)) < 0.5
    vertices = np.concatenate([mesh.vertices, moved[torn]])
    vertices[chosen[~torn]] = moved[~torn]
    faces = mesh.faces.copy()
    corners = rng.permutation(faces.size)  # of a vertex's corners, the last assignment stands: one at random
    corner_of = np.full(count, -1)
    corner_of[faces.reshape(-1)[corners]] = corners
    own = corner_of[chosen[torn]]
    faces.reshape(-1)[own[own >= 0]] = count + np.flatnonzero(own >= 0)
    wrong = np.zeros(len(vertices), bool)
    wrong[chosen[~torn]], wrong[count:] = True, True
    return Mesh(vertices, faces), wrong


def rotate(mesh: Mesh, degrees: float) -> Mesh:
    """About the y axis, counter-clockwise seen from above."""
    if degrees % 360 == 0:
        return mesh
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)  # for row vectors
    return Mesh(mesh.vertices.astype(np.float32) @ matrix, mesh.faces)


def mirror(mesh: Mesh) -> Mesh:
    """x to -x, the faces turned over so that they face outward still; rotations make any other upright mirror of it."""
    return Mesh(mesh.vertices * np.array([-1, 1, 1], np.float32), flip_faces(mesh.faces))


def decimate_floor(mesh: Mesh) -> int:
    """The fewest faces that augmentation decimates this mesh to."""
    return max(DECIMATE_FLOOR, len(mesh.faces) // 4)


def decimate(mesh: Mesh, target: int) -> Mesh:
    """About `target` faces by quadric edge collapse; the mesh itself where nothing sound comes out.

    Not for several threads at once: the library keeps its mesh in a global.
    """
    import fast_simplification

    vertices, faces = fast_simplification.simplify(  # it refuses arrays that cannot be written, as mapped ones
        np.array(mesh.vertices, np.float64, order="C"), np.array(mesh.faces, np.int32, order="C"), target_count=target
    )
    simpler = tidy(Mesh(vertices.astype(np.float32), faces.astype(np.int32)))
    sound = len(simpler.faces) > 0 and bool(np.isfinite(simpler.vertices).all())
    return simpler if sound else mesh


def tidy(mesh: Mesh) -> Mesh:
    """Without the degenerate and duplicate faces that collapsing edges or quantising leaves."""
    return drop_unused_vertices(drop_duplicates(drop_degenerate(mesh)))
