"""The tokenizer: meshes to tokens and back. The work is done natively, without the GIL."""

from __future__ import annotations

from typing import Any

from meto import _core
from meto._arrays import as_faces, as_offsets, as_tokens, as_vertices
from meto.batch import MeshBatch, TokenBatch, as_flat
from meto.grammar import Grammar, grammar


class Engine(_core.Engine):
    """Turns triangle meshes into token sequences and back (EdgeRunner, arXiv 2409.18114, section 3.1).

    Engine(discrete_bins=512, verbose=False, backend="LR_ABSCO")

    discrete_bins: cells of the grid along each axis of [-1, 1], 2 to 65536.
    verbose: print a line a mesh encoded.
    backend: "LR_ABSCO" (the paper's: absolute coordinates), "LR" (relative) or "CLERS" (closest to EdgeBreaker).

    Raises ValueError for anything else. Engines are immutable, picklable and may be shared by threads.

    encode(vertices, faces, mark_out_of_range=False) -> tokens (T,), face_order (F,), face_type (F,), all int32
        vertices (V, 3) in [-1, 1], faces (F, 3) counter-clockwise, of any real and integer dtype and memory order.
        face_order[k] is the index of the k-th face visited, face_type[k] the op that leaves it. Raises ValueError
        for a coordinate that is not finite or out of range, an index out of range (each named), other shapes, and in
        backend LR for a relative value that has no token, naming its face; with `mark_out_of_range` that value is
        written as -1.
    decode(tokens, strict=True) -> vertices (V, 3) float32, faces (F, 3) int32, face_type (F,) int32
        Every face brings its own new vertices: three for a sub-mesh's first, one for each further. Raises ValueError
        with the position of the first token that is wrong; with `strict` off the faces before it are returned.
    salvage(tokens) -> vertices, faces, face_type, Violation(position, reason) | None
        The mesh up to the first error, and what was wrong.

    num_base_tokens, num_special_tokens, num_tokens: coordinates, ops, and both together.
    """

    @property
    def grammar(self) -> Grammar:
        """The tokens' grammar as a finite-state table."""
        return grammar(self.backend, self.discrete_bins)

    def encode_batch(
        self,
        vertices: Any,
        faces: Any,
        vertex_offsets: Any = None,
        face_offsets: Any = None,
        *,
        mark_out_of_range: bool = False,
        threads: int = 0,
    ) -> TokenBatch:
        """Encode n meshes on several threads (0: one a core); mesh by mesh the same as `encode`.

        vertices, faces: sequences of n arrays (V_i, 3) and (F_i, 3); or flat arrays with offsets (n + 1,) each, mesh i
        being vertices[vertex_offsets[i]:vertex_offsets[i + 1]], its faces counting from its own first vertex.
        Raises ValueError naming the mesh and what is wrong with it, and for offsets that do not fit.
        """
        if (vertex_offsets is None) != (face_offsets is None):
            raise ValueError("vertex_offsets and face_offsets come together: flat arrays have both, sequences neither")
        vertices, vertex_offsets = as_flat(vertices, vertex_offsets, as_vertices, 3)
        faces, face_offsets = as_flat(faces, face_offsets, as_faces, 3)
        face_offsets = as_offsets(face_offsets)
        flat = self._encode_flat(
            vertices, vertex_offsets, faces, face_offsets, mark_out_of_range, _thread_count(threads)
        )
        return TokenBatch(*flat, face_offsets)

    def decode_batch(
        self, tokens: Any, token_offsets: Any = None, *, strict: bool = True, threads: int = 0
    ) -> MeshBatch:
        """Decode n token streams on several threads (0: one a core); stream by stream the same as `decode`.

        tokens: a sequence of n arrays (T_i,), or a flat array with token_offsets (n + 1,). Raises ValueError naming
        the first wrong stream and position; with `strict` off each stream is salvaged and `violations` tells why.
        """
        tokens, token_offsets = as_flat(tokens, token_offsets, as_tokens, None)
        vertices, vertex_offsets, faces, face_offsets, face_type, violations = self._decode_flat(
            tokens, token_offsets, strict, _thread_count(threads)
        )
        return MeshBatch(vertices, vertex_offsets, faces, face_offsets, face_type, violations)

    def __reduce__(self) -> tuple[type[Engine], tuple[int, bool, str]]:
        return type(self), (self.discrete_bins, self.verbose, self.backend)

    def __repr__(self) -> str:
        return f"Engine(discrete_bins={self.discrete_bins}, verbose={self.verbose}, backend={self.backend!r})"


def _thread_count(threads: int) -> int:
    if threads < 0:
        raise ValueError(f"threads is {threads}; 0 (one a core) or more is expected")
    return threads
