"""The naive tokenizer: nine coordinates a face, no connectivity. The baseline that meto's traversals are measured by.

Vertices are sorted by (z, y, x), each face starts at its lowest vertex, faces are sorted, and each vertex is written as
its quantised z, y, x. Same interface as `meto.Engine`.
"""

from typing import Any

import numpy as np

from meto._arrays import as_faces, as_tokens, as_vertices
from meto.grammar import VALUES_PER_FACE, Grammar, Violation, check_bins, naive_grammar
from meto.mesh import check_mesh, check_unit_range, face_order_by_vertices, rotate_to_lowest, vertex_ranks


class NaiveEngine:
    """Mesh <-> nine tokens a face, on a grid of `discrete_bins` cells an axis over [-1, 1]."""

    def __init__(self, discrete_bins: int = 512) -> None:
        self.discrete_bins = check_bins(discrete_bins)
        self.backend = "naive"
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
        and for indices out of range.
        """
        vertices, faces = check_mesh(as_vertices(vertices), as_faces(faces))
        check_unit_range(vertices)
        bins = np.float32(self.discrete_bins)
        x = (vertices + np.float32(1)) * np.float32(0.5) * bins
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
        *mesh, violation = self.salvage(tokens)
        if violation is not None and strict:
            raise ValueError(f"token {violation.position}: {violation.reason}")
        return mesh[0], mesh[1], mesh[2]

    def salvage(self, tokens: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, Violation | None]:
        """What `decode` gives, of the whole faces before the first error, and that error (None where there is none)."""
        tokens = as_tokens(tokens)
        violation = self.grammar.validate(tokens) if len(tokens) else None  # no tokens are no faces
        num_faces = (len(tokens) if violation is None else violation.position) // VALUES_PER_FACE
        cells = tokens[: num_faces * VALUES_PER_FACE].reshape(-1, 3)[:, ::-1]
        vertices = (cells.astype(np.float32) + np.float32(0.5)) / np.float32(self.discrete_bins) * 2 - 1
        faces = np.arange(3 * num_faces, dtype=np.int32).reshape(-1, 3)
        face_type = np.zeros(num_faces, dtype=np.int32)
        return np.ascontiguousarray(vertices, dtype=np.float32), faces, face_type, violation
