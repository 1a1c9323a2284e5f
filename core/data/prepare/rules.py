"""Which meshes are kept, and why the others are not."""

from dataclasses import dataclass

import numpy as np

from core.data.finish import drop_unused_vertices
from core.data.mesh import Mesh, normalize
from core.data.prepare.options import Rules
from core.data.prepare.reading import Colored
from core.data.snap import snap
from core.tokens import Tokenizer

REASONS = {
    "unreadable": "cannot be read",
    "too large": "file larger than --max_file_mb",
    "time": "took longer than --timeout",
    "memory": "took more than --memory",
    "crash": "brought the reader down",
    "no surface": "no faces, or none left after cleaning",
    "few faces": "fewer faces than --min_faces",
    "many faces": "more faces than --max_faces",
    "components": "more components than --max_components",
    "flat": "thinner than --min_thickness",
    "lost faces": "loses more than --max_lost_faces on the grid",
    "tokens": "more tokens than --max_tokens, or a value out of the backend's range",
    "duplicate": "the same bytes as another file",
    "near-duplicate": "another mesh turned, mirrored or re-exported",
}
"""What the reasons of rejected.jsonl mean."""


class Rejected(Exception):  # noqa: N818  (it is an outcome, and no error)
    """Why an input is not in the set.

    reason: a key of REASONS    detail: a line for people
    """

    def __init__(self, reason: str, detail: str):
        assert reason in REASONS
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Measures:
    """What is known of a kept mesh, besides itself."""

    components: int
    grid_faces: int
    """Faces left on the tokenizer's grid."""
    tokens: int


def pieces(colored: Colored, rules: Rules) -> list[Colored]:
    """The mesh; or its components, normalised each, where it is too large and rules say so."""
    mesh = colored.mesh
    if rules.on_excess == "drop":
        return [colored]
    count, label = components(mesh)
    if len(mesh.faces) <= rules.max_faces and (not rules.max_components or count <= rules.max_components):
        return [colored]
    owner = label[mesh.faces[:, 0]]
    parts = []
    for k in range(count):
        mine = owner == k
        if mine.any():
            part = drop_unused_vertices(Mesh(mesh.vertices, mesh.faces[mine]))
            parts.append(Colored(normalize(part)[0], None if colored.colors is None else colored.colors[mine]))
    return parts


def judge(mesh: Mesh, rules: Rules, tokenizer: Tokenizer) -> Measures:
    """Measures of a mesh that may stay, normalised. Raises Rejected for one that may not."""
    count = len(mesh.faces)
    if count < rules.min_faces:
        raise Rejected("few faces", f"{count} faces, --min_faces is {rules.min_faces}")
    if count > rules.max_faces:
        raise Rejected("many faces", f"{count} faces, --max_faces is {rules.max_faces}")
    parts = components(mesh)[0]
    if rules.max_components and parts > rules.max_components:
        raise Rejected("components", f"{parts} components, --max_components is {rules.max_components}")
    sides = np.ptp(mesh.vertices, axis=0)
    if (thickness := float(sides.min() / sides.max())) < rules.min_thickness:
        raise Rejected("flat", f"{thickness:.2g} as thick as long, --min_thickness is {rules.min_thickness:g}")
    snapped = snap(normalize(mesh)[0], rules.discrete_bins)  # as the reader does, down to the last bit
    lost = 1 - len(snapped.faces) / count
    if lost > rules.max_lost_faces or not len(snapped.faces):
        raise Rejected("lost faces", f"{lost:.0%} of {count} faces collapse at {rules.discrete_bins} bins")
    try:
        tokens = len(tokenizer.encode(*snapped))
    except ValueError as error:  # a relative value out of the backend's range
        raise Rejected("tokens", str(error)) from error
    if tokens > rules.max_tokens:
        raise Rejected("tokens", f"{tokens} tokens, --max_tokens is {rules.max_tokens}")
    return Measures(parts, len(snapped.faces), tokens)


def components(mesh: Mesh) -> tuple[int, np.ndarray]:
    """How many parts hang together through vertices, and (V,) the number of each vertex's part."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b, c = mesh.faces.T
    rows, columns = np.concatenate([a, b]), np.concatenate([b, c])
    size = len(mesh.vertices)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    count, label = connected_components(graph, directed=False)
    return int(count), label
