"""The naive tokenizer: nine coordinates a face, no connectivity. The baseline that meto's traversals are measured by.

Vertices are sorted by (z, y, x), each face starts at its lowest vertex, faces are sorted, and each vertex is written as
its quantised z, y, x. Same interface as `meto.Engine`.
"""

from typing import Any

import numpy as np

from meto.grammar import VALUES_PER_FACE, Grammar, check_bins, naive_grammar, token_array
from meto.mesh import check_mesh, face_order_by_vertices, rotate_to_lowest, vertex_ranks

_RANGE_SLACK = 1e-3


class NaiveEngine:
    """Mesh <-> nine tokens a face, on a grid of `discrete_bins` cells an axis over [-1, 1]."""

    def __init__(self, discrete_bins: int = 512) -> None:
        self.discrete_bins = check_bins(discrete_bins)
        self.grammar: Grammar = naive_grammar(self.discrete_bins)

    @property
    def num_base_tokens(self) -> int:
        return self.discrete_bins

    @property
    def num_special_tokens(self) -> int:
        return 0

    @property
    def num_tokens(self) -> int:
        return self.discrete_bins

    def encode(self, vertices: Any, faces: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens of a mesh with vertices (V, 3) in [-1, 1] and faces (F, 3).

        Returns tokens (9 F,) int32, face_order (F,) int32 (the input index of the k-th face written) and face_type (F,)
        int32, all zeros. Raises ValueError for vertices that are not finite or outside [-1, 1] by more than rounding,
        indices out of range, and a mesh without faces.
        """
        vertices, faces = check_mesh(vertices, faces)
        check_unit_range(vertices)
        if len(faces) == 0:
            raise ValueError("the mesh has no faces")
        bins = np.float32(self.discrete_bins)
        x = (vertices.astype(np.float32) + np.float32(1)) * np.float32(0.5) * bins
        cells = np.clip(x, 0, bins - 1).astype(np.int32)  # (V, 3)

        ranks = vertex_ranks(vertices, axes=(2, 1, 0))
        ranked = ranks[faces]
        order = face_order_by_vertices(rotate_to_lowest(ranked, ranked))
        corners = rotate_to_lowest(faces, ranked)[order]
        tokens = cells[corners][:, :, ::-1].reshape(-1)
        return tokens.astype(np.int32), order.astype(np.int32), np.zeros(len(faces), dtype=np.int32)

    def decode(self, tokens: Any, strict: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The mesh of `tokens` (T,): vertices (3 F, 3) float32, faces (F, 3) int32, face_type (F,) int32 of zeros.

        Raises ValueError with the position of the first token that is wrong; with `strict` off the whole faces before
        it are returned instead.
        """
        tokens = token_array(tokens)
        violation = self.grammar.validate(tokens)
        if violation is not None and strict:
            raise ValueError(f"tokens are not a mesh: at position {violation.position}, {violation.reason}")
        num_faces = (len(tokens) if violation is None else violation.position) // VALUES_PER_FACE
        cells = tokens[: num_faces * VALUES_PER_FACE].reshape(-1, 3)[:, ::-1]
        vertices = (cells.astype(np.float32) + np.float32(0.5)) / np.float32(self.discrete_bins) * 2 - 1
        faces = np.arange(3 * num_faces, dtype=np.int32).reshape(-1, 3)
        return np.ascontiguousarray(vertices, dtype=np.float32), faces, np.zeros(num_faces, dtype=np.int32)


def check_unit_range(vertices: np.ndarray) -> None:
    """ValueError naming the first vertex that is outside [-1, 1] by more than rounding."""
    outside = np.abs(vertices).max(axis=1, initial=0) > 1 + _RANGE_SLACK
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(f"vertex {index} is {vertices[index].tolist()}, outside [-1, 1]: normalise the mesh first")
