"""A sequence to generate, and the sequence that was generated."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor

FinishReason = Literal["eos", "faces", "tokens", "stopped", "invalid"]
"""eos: the model ended it; faces: closed at the face budget; tokens: cut by the token budget; stopped: from outside;
invalid: the model's numbers became NaN or infinite, so that nothing could be chosen."""


@dataclass(frozen=True, eq=False)
class Request:
    """One mesh to generate.

    Raises:
        ValueError: a budget or a temperature that makes no sense, or normals that are not the points'.
    """

    condition: Tensor
    """(S, C) condition tokens, in the decoder's type and on its device."""
    seed: int
    """Seeds all draws: the same condition and seed give the same mesh whatever else is generated beside it."""
    max_new_tokens: int
    """Budget of ids after BOS, EOS included."""
    prefix: np.ndarray | None = None
    """(T,) ids with which the mesh begins; they count towards the budgets."""
    max_faces: int = 0
    """Hard face budget, at which the mesh is closed; 0 is none."""
    points: np.ndarray | None = None
    """(N, 3) points of the mesh's surface, in the model's frame, for decoders that read them."""
    num_faces: int = -1
    """Wished face count, for decoders that see how many faces are left; <= 0 is unknown."""
    key: Any = None
    """The caller's own."""
    normals: np.ndarray | None = None
    """(N, 3) unit normals of the points, of either sign; None: they are estimated."""
    temperature: float | None = None
    """Temperature of coordinates (and of all ids of the token decoder); None: the engine's."""
    structure_temperature: float | None = None
    """Temperature of what the face decoder chooses beside coordinates; None: the engine's."""

    def __post_init__(self) -> None:
        if self.max_faces < 0:
            raise ValueError(f"a budget of {self.max_faces} faces: at least 1 is needed, or 0 for none")
        if self.max_new_tokens < 1:
            raise ValueError(f"a budget of {self.max_new_tokens} tokens: at least 1 is needed")
        for value in (self.temperature, self.structure_temperature):
            if value is not None and not value > 0:
                raise ValueError(f"a temperature of {value}: a positive number is needed")
        if self.normals is not None and (self.points is None or self.normals.shape != self.points.shape):
            raise ValueError(f"normals of shape {self.normals.shape}: one for each of the points is needed")

    @property
    def is_finite(self) -> bool:
        """Whether condition, points and normals are finite numbers (waits for the device)."""
        arrays = (array for array in (self.points, self.normals) if array is not None)
        return all(bool(np.isfinite(array).all()) for array in arrays) and bool(self.condition.isfinite().all())


class Generated(NamedTuple):
    """One generated sequence.

    Attributes:
        ids: (T,) mesh ids, without BOS and EOS; whole faces only, whatever ended it.
        finish_reason: why it ended.
    """

    ids: np.ndarray
    finish_reason: FinishReason

    @property
    def finished(self) -> bool:
        """Whether the model ended it."""
        return self.finish_reason == "eos"
