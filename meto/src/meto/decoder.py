"""Decoding while the tokens are still being written: one stream, or many in lock-step.

decoder = Decoder(discrete_bins=512)
for token in stream:
    for triangle in decoder.feed(token):     # (3, 3): the corners of a face that is now finished
        draw(triangle)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meto._core import LiveBatch
from meto.grammar import Violation


class Decoder:
    """One stream of tokens, fed as they come. A refused token leaves the decoder as it was."""

    def __init__(self, discrete_bins: int = 512, backend: str = "LR_ABSCO") -> None:
        """Raises ValueError for an unknown backend, or bins outside [2, 65536]."""
        self._streams = LiveBatch(1, discrete_bins, backend)
        self._num_given = 0

    def feed(self, tokens: Any) -> np.ndarray:
        """Take a token or several, (T,). Returns the corners of the faces not returned before, (n, 3, 3) float32.

        Raises ValueError with the position of a token that the grammar or the grid refuses; those before it have been
        taken, and the faces they finished come with the next call.
        """
        violation = self._streams.feed_one(0, np.atleast_1d(np.asarray(tokens)))
        if violation is not None:
            raise ValueError(f"token {violation.position}: {violation.reason}")
        triangles = self._streams.triangles(0, self._num_given)
        self._num_given += len(triangles)
        return triangles.reshape(-1, 3, 3)

    def finish(self) -> None:
        """Raises ValueError if the stream may not end here."""
        reason = self._streams.why_not_end(0)
        if reason is not None:
            raise ValueError(f"token {self.position}: {reason}")

    def mesh(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The mesh so far: vertices (V, 3) float32, faces (F, 3) int32, face_type (F,) int32, as `Engine.decode`."""
        return self._streams.mesh(0)

    @property
    def num_faces(self) -> int:
        """Faces finished so far."""
        return int(self._streams.counts()[0, 0])

    @property
    def position(self) -> int:
        """Tokens taken so far."""
        return int(self._streams.counts()[0, 1])


class BatchDecoder:
    """B streams in lock-step, as a sampler writes them. A stream that gets a wrong token stops; the others go on."""

    def __init__(self, batch_size: int, discrete_bins: int = 512, backend: str = "LR_ABSCO") -> None:
        """Raises ValueError for an unknown backend, bins outside [2, 65536] or a batch size below 1."""
        self._streams = LiveBatch(batch_size, discrete_bins, backend)
        self.batch_size = batch_size

    def feed(self, tokens: Any) -> None:
        """Take one token a stream, (B,), or several, (B, T). A token of -1 feeds nothing: the stream has ended.

        Raises ValueError for another shape; what is wrong with a stream is in `violations`.
        """
        self._streams.feed(tokens)

    def mesh(self, stream: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A stream's mesh so far: vertices (V, 3) float32, faces (F, 3) int32, face_type (F,) int32."""
        return self._streams.mesh(stream)

    def reset(self, stream: int) -> None:
        """Begin a stream anew."""
        self._streams.reset(stream)

    @property
    def num_faces(self) -> np.ndarray:
        """(B,) int32: faces finished so far."""
        return self._streams.counts()[:, 0]

    @property
    def positions(self) -> np.ndarray:
        """(B,) int32: tokens taken so far."""
        return self._streams.counts()[:, 1]

    @property
    def violations(self) -> list[Violation | None]:
        """For each stream the token that stopped it, if one did."""
        return self._streams.violations()

    @property
    def gates(self) -> np.ndarray:
        """(B, 3, 3) int32: the face the next op moves on from, (tip, start, end) on the grid; -1 for none yet."""
        return self._streams.gates().reshape(-1, 3, 3)

    @property
    def value_ranges(self) -> np.ndarray:
        """(B, 2) int32: the coordinate tokens [first, last) that stay on the grid; 0, 0 where an op is expected."""
        return self._streams.value_ranges()
