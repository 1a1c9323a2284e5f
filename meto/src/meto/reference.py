"""The tokenizer in plain Python: the specification that the native code is tested against. Written to be read, slow.

`encode` walks over the half edges of a mesh and writes an op and a vertex for every face it comes to; `decode` plays
the ops back. Every face is visited exactly once whatever the input: open, non-manifold, with handles and holes, badly
oriented or degenerate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from meto._arrays import as_faces, as_tokens, as_vertices
from meto.grammar import Backend, Grammar, Violation, grammar
from meto.mesh import check_mesh, check_unit_range

Vector = tuple[int, int, int]

OUT_OF_RANGE_TOKEN = -1


def encode(
    vertices: Any, faces: Any, backend: Backend = "LR_ABSCO", bins: int = 512, mark_out_of_range: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of the mesh with vertices (V, 3) in [-1, 1] and faces (F, 3).

    Returns tokens (T,), face_order (F,) (the input index of the k-th face visited) and face_type (F,) (the op that
    leaves it), all int32. Raises ValueError for vertices that are not finite or outside [-1, 1], for an index out of
    range, and for a relative value of LR that has no token; with `mark_out_of_range` that one is written as -1.
    """
    language = Language(backend, bins)
    vertices, faces = check_mesh(as_vertices(vertices), as_faces(faces))
    visits = Traversal(build_half_edges(quantise(vertices, bins), faces.tolist()), language).run()
    tokens = [token for k, visit in enumerate(visits) for token in _group(language, visits, k, mark_out_of_range)]
    if visits and backend == "CLERS":
        tokens += [language.op["E"], language.op["EOM"]]
    face_order = [visit.edge.face.index for visit in visits]
    face_type = [language.op[visit.op] for visit in visits]
    return np.array(tokens, np.int32), np.array(face_order, np.int32), np.array(face_type, np.int32)


class Language:
    """A backend's vocabulary: `op[name]` is the token of an op, `zero` that of the coordinate value 0."""

    def __init__(self, backend: Backend, bins: int) -> None:
        self.grammar: Grammar = grammar(backend, bins)
        self.bins = bins
        self.clers = backend == "CLERS"
        self.absolute = backend == "LR_ABSCO"
        self.op = {name: token for token, name in enumerate(self.grammar.class_names[:-1])}
        self.last_op = "E" if self.clers else "BOM"  # face_type of a sub-mesh's last face
        self.limit = {"LR_ABSCO": bins, "LR": bins, "CLERS": 2 * bins}[backend]  # relative values: [-limit, limit)
        self.zero = len(self.op) + (0 if self.absolute else self.limit)


# ---- quantising -----------------------------------------------------------------------------------------------------


def quantise(vertices: np.ndarray, bins: int) -> list[Vector]:
    """Cells of [-1, 1] cut into `bins`, in float32 arithmetic: min(int((x + 1) * bins / 2), bins - 1)."""
    x = vertices.astype(np.float32)
    check_unit_range(x)
    cells = ((x + np.float32(1)) * np.float32(bins) / np.float32(2)).astype(np.int64)
    return [tuple(cell) for cell in np.clip(cells, 0, bins - 1).tolist()]


def dequantise(cells: list[Vector], bins: int) -> np.ndarray:
    """The centres of cells, (V, 3) float32."""
    q = np.array(cells, dtype=np.float32).reshape(-1, 3)
    return (q + np.float32(0.5)) / np.float32(bins) * np.float32(2) - np.float32(1)


# ---- half edges -----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Vertex:
    at: Vector
    visited: bool = False


@dataclass(eq=False)
class HalfEdge:
    """One side of a face: it runs from `s` to `e`, opposite the corner `v`."""

    v: Vertex
    s: Vertex
    e: Vertex
    face: "Face"
    next: "HalfEdge" = None  # type: ignore[assignment]  # set as soon as the face is whole
    prev: "HalfEdge" = None  # type: ignore[assignment]
    twin: "HalfEdge | None" = None


@dataclass(eq=False)
class Face:
    index: int
    half_edges: list[HalfEdge]
    visited: bool = False
    component: int = -1

    @property
    def centre(self) -> Vector:
        """Three times the centre, y first, then z, then x: the order in which faces are sorted."""
        x, y, z = (sum(h.v.at[axis] for h in self.half_edges) for axis in range(3))
        return y, z, x

    def flip(self) -> None:
        for h in self.half_edges:
            h.s, h.e = h.e, h.s
            h.next, h.prev = h.prev, h.next

    def is_open_across(self, h: HalfEdge) -> bool:
        """Is there an unvisited face on the other side of the half edge?"""
        return h.twin is not None and not h.twin.face.visited


def build_half_edges(cells: list[Vector], faces: list[list[int]]) -> list[Face]:
    """Faces with their half edges, twins matched, border vertices marked as visited."""
    vertices = [Vertex(cell) for cell in cells]
    mesh = []
    waiting: dict[tuple[int, int], HalfEdge | None] = {}  # by undirected edge; None once it has been matched
    for index, corners in enumerate(faces):
        face = Face(index, [])
        for j in range(3):
            v, s, e = (vertices[corners[(j + k) % 3]] for k in range(3))
            face.half_edges.append(HalfEdge(v, s, e, face))
        for j, h in enumerate(face.half_edges):
            h.next, h.prev = face.half_edges[(j + 1) % 3], face.half_edges[(j + 2) % 3]
            start, end = corners[(j + 1) % 3], corners[(j + 2) % 3]
            _match(waiting, (min(start, end), max(start, end)), h)
        mesh.append(face)
    for face in mesh:
        for h in face.half_edges:
            if h.twin is None:
                h.s.visited = h.e.visited = True
    return mesh


def _match(waiting: dict[tuple[int, int], HalfEdge | None], edge: tuple[int, int], h: HalfEdge) -> None:
    """The first half edge of an edge waits for one of another face; whoever comes after those two has no twin."""
    other = waiting.setdefault(edge, h)
    if other is not None and other.face is not h.face:
        other.twin, h.twin = h, other
        waiting[edge] = None


# ---- order ----------------------------------------------------------------------------------------------------------


def in_order(mesh: list[Face]) -> list[Face]:
    """By connected component, within it by centre, then by input index. Components come in their first faces' order."""
    by_centre = sorted(mesh, key=lambda face: (face.centre, face.index))
    count = 0
    for face in by_centre:
        if face.component < 0:
            _mark_component(face, count)
            count += 1
    return sorted(by_centre, key=lambda face: face.component)


def _mark_component(face: Face, number: int) -> None:
    face.component = number
    reached = [face]
    for face in reached:
        for h in face.half_edges:
            if h.twin is not None and h.twin.face.component < 0:
                h.twin.face.component = number
                reached.append(h.twin.face)


def start_half_edge(face: Face) -> HalfEdge:
    """The last half edge without a twin, else the one with the shortest way from its corner to the twin's corner."""
    border = [h for h in face.half_edges if h.twin is None]
    if border:
        return border[-1]
    return min(face.half_edges, key=_length_across)  # the first of several


def _length_across(h: HalfEdge) -> np.float32:
    assert h.twin is not None
    x, y, z = (np.float32(a - b) for a, b in zip(h.v.at, h.twin.v.at, strict=True))
    return np.sqrt(x * x + y * y + z * z)


# ---- traversal ------------------------------------------------------------------------------------------------------


@dataclass
class Visit:
    """A visited face: by which half edge it was entered, whether as a sub-mesh's first, and by which op it was left."""

    edge: HalfEdge
    starts_submesh: bool
    op: str = ""


class Branch(NamedTuple):
    """A side to visit later, and the split that it belongs to (None for a sub-mesh's start)."""

    edge: HalfEdge
    split: Visit | None


class Traversal:
    """The walk over all faces. Without recursion: what is left for later lies on a stack."""

    def __init__(self, mesh: list[Face], language: Language) -> None:
        self.mesh = mesh
        self.language = language
        self.visits: list[Visit] = []
        self.later: list[Branch] = []

    def run(self) -> list[Visit]:
        """The faces as they are visited."""
        for face in in_order(self.mesh):
            if not face.visited:
                self.later.append(Branch(start_half_edge(face), None))
                while self.later:
                    self._take(self.later.pop())
        return self.visits

    def _take(self, branch: Branch) -> None:
        if branch.edge.face.visited:
            # A hole or a handle has led here already. In CLERS nothing comes back to the split, which makes it an L.
            if self.language.clers and branch.split is not None:
                branch.split.op = "L"
        else:
            # In LR and LR_ABSCO the other side of a split is a sub-mesh of its own.
            self._walk(branch.edge, starts_submesh=branch.split is None or not self.language.clers)

    def _walk(self, edge: HalfEdge, starts_submesh: bool) -> None:
        """Visit faces one after the other until both sides are closed."""
        if starts_submesh:
            edge.s.visited = edge.e.visited = True
        following: HalfEdge | None = edge
        while following is not None:
            visit = Visit(following, starts_submesh)
            self.visits.append(visit)
            if not starts_submesh:
                self._orient(following)
            following = self._leave(visit)
            starts_submesh = False

    def _orient(self, c: HalfEdge) -> None:
        """Two faces that agree run along their common edge in opposite directions."""
        assert c.twin is not None
        if not (c.s is c.twin.e and c.e is c.twin.s):
            c.face.flip()

    def _leave(self, visit: Visit) -> HalfEdge | None:
        """Mark the face as visited, choose its op, and return the half edge to go on at."""
        c = visit.edge
        c.face.visited = True
        tip_visited, c.v.visited = c.v.visited, True
        left, right = not c.face.is_open_across(c.prev), not c.face.is_open_across(c.next)
        if not tip_visited:
            visit.op = "C" if self.language.clers else "L"
        elif left and right:
            visit.op = self.language.last_op
            return None
        elif left:
            visit.op = "L"
        elif right:
            visit.op = "R"
        else:
            return self._split(visit)
        return c.prev.twin if visit.op == "R" else c.next.twin

    def _split(self, visit: Visit) -> HalfEdge:
        """Both sides are open: choose the one to visit first and leave the other for later."""
        next_side, prev_side = visit.edge.next.twin, visit.edge.prev.twin
        assert next_side is not None
        assert prev_side is not None
        if self.language.absolute and not loop_length(next_side, "next") < loop_length(prev_side, "prev"):
            visit.op = "R"
            self.later.append(Branch(next_side, visit))
            return prev_side
        visit.op = "S" if self.language.clers else "L"
        self.later.append(Branch(prev_side, visit))
        return next_side


def loop_length(start: HalfEdge, direction: Literal["next", "prev"]) -> int:
    """The number of half edges on the boundary loop of unvisited surface that `start` lies on."""
    count, h = 0, start
    while True:
        h = getattr(h, direction)
        while h.face.is_open_across(h):
            h = getattr(h.twin, direction)
        count += 1
        if h is start:
            return count


# ---- writing --------------------------------------------------------------------------------------------------------


def _group(language: Language, visits: list[Visit], k: int, mark_out_of_range: bool) -> Iterator[int]:
    """The tokens of the k-th face: the op that leads to it and the coordinates of its new vertices."""
    c = visits[k].edge
    positions: tuple[Vector, ...] = (c.v.at, c.s.at, c.e.at)
    if visits[k].starts_submesh:
        if language.clers and k > 0:
            yield from (language.op["E"], language.op["EOM"])
        yield language.op["BOM"]
        if not language.absolute:
            positions = (c.v.at, _minus(c.s.at, c.v.at), _minus(c.e.at, c.s.at))
    else:
        assert c.twin is not None
        yield language.op[visits[k - 1].op]
        positions = (c.v.at,) if language.absolute else (_minus(c.v.at, _predict(c.twin.v.at, c.s.at, c.e.at)),)
    for value in (value for position in positions for value in position):
        if language.absolute or -language.limit <= value < language.limit:
            yield value + language.zero
        elif mark_out_of_range:
            yield OUT_OF_RANGE_TOKEN
        else:
            low, high = -language.limit, language.limit
            raise ValueError(f"face {c.face.index} has the relative value {value}, outside [{low}, {high})")


def _minus(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _predict(across: Vector, start: Vector, end: Vector) -> Vector:
    """The parallelogram's fourth corner: opposite `across`, over the edge from `start` to `end`."""
    return start[0] + end[0] - across[0], start[1] + end[1] - across[1], start[2] + end[2] - across[2]


# ---- decoding -------------------------------------------------------------------------------------------------------


def decode(tokens: Any, backend: Backend = "LR_ABSCO", bins: int = 512) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mesh of `tokens` (T,): vertices (V, 3) float32, faces (F, 3) int32, face_type (F,) int32.

    Each vertex is written anew, three for a sub-mesh's first face and one for every further one. Raises ValueError with
    the position of the first token that is against the grammar or leads off the grid.
    """
    *mesh, violation = decode_prefix(tokens, backend, bins)
    if violation is not None:
        raise ValueError(f"token {violation.position}: {violation.reason}")
    return mesh[0], mesh[1], mesh[2]


def decode_prefix(
    tokens: Any, backend: Backend = "LR_ABSCO", bins: int = 512
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Violation | None]:
    """What `decode` gives, of the whole faces before the first error, and that error (None where there is none)."""
    language = Language(backend, bins)
    tokens = as_tokens(tokens)
    violation = language.grammar.validate(tokens) if len(tokens) else None  # no tokens are no faces
    decoder = Decoder(language, tokens[: violation.position if violation else None].tolist())
    try:
        while decoder.read_group():
            pass
    except OffGridError as error:
        violation = Violation(error.position, str(error))
    faces = np.array(decoder.faces, np.int32).reshape(-1, 3)
    return dequantise(decoder.vertices, bins), faces, np.array(decoder.face_type, np.int32), violation


class OffGridError(ValueError):
    """A relative value leads off the grid."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class Decoder:
    """Keeps the latest face as (v0, v1, v2) = (tip, start, end), as indices of vertices. Trusts the grammar."""

    def __init__(self, language: Language, tokens: list[int]) -> None:
        self.language = language
        self.tokens = tokens
        self.position = 0
        self.vertices: list[Vector] = []
        self.faces: list[tuple[int, int, int]] = []
        self.face_type: list[int] = []
        self.face = (0, 0, 0)
        self.splits: list[tuple[int, int, int]] = []

    def read_group(self) -> bool:
        """Read an op and the vertices that follow it; False if no whole group is left."""
        op = self._op(self.position)
        ends_submesh = op == "EOM" or (op == "E" and not self.splits)
        size = 1 if ends_submesh else 10 if op == "BOM" else 4
        if op == "" or self.position + size > len(self.tokens):
            return False
        if not ends_submesh:
            self._read_face(op)
        self.position += size
        if not ends_submesh:
            leaving = self._op(self.position)  # the op that leaves a face is the one after it
            self.face_type.append(self.language.op[self.language.last_op if leaving == "" else leaving])
        return True

    def _op(self, position: int) -> str:
        return self.language.grammar.class_names[self.tokens[position]] if position < len(self.tokens) else ""

    def _read_face(self, op: str) -> None:
        new = len(self.vertices)
        if op == "BOM":
            tip = self._cell(1, (0, 0, 0))
            start = self._cell(4, tip)
            self.vertices += [tip, start, self._cell(7, start)]
            self.face = (new, new + 1, new + 2)
        else:
            # R and an E that goes back to a split cross the edge (v1, v0), every other op crosses (v0, v2).
            v0, v1, v2 = self.splits[-1] if op == "E" else self.face
            s, e, across = (v1, v0, v2) if op in ("R", "E") else (v0, v2, v1)
            at = self.vertices
            at.append(self._cell(1, _predict(at[across], at[s], at[e])))
            if op == "S":
                self.splits.append(self.face)
            if op == "E":
                self.splits.pop()
            self.face = (new, s, e)
        self.faces.append(self.face)

    def _cell(self, offset: int, prediction: Vector) -> Vector:
        """The vertex that is written `offset` tokens after the op; relative backends add it to `prediction`."""
        cell = []
        for axis in range(3):
            position = self.position + offset + axis
            value = self.tokens[position] - self.language.zero
            value += 0 if self.language.absolute else prediction[axis]
            if not 0 <= value < self.language.bins:
                raise OffGridError(
                    position, f"{'xyz'[axis]} becomes {value}, outside the grid [0, {self.language.bins})"
                )
            cell.append(value)
        return cell[0], cell[1], cell[2]
