"""What a sequence is asked for, and what became of it."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor

# eos: by itself; faces: closed at the face budget; tokens: cut by the token budget; stopped: from outside; invalid: the
# model's numbers are none (NaN, infinite), so that nothing could be chosen.
Ending = Literal["eos", "faces", "tokens", "stopped", "invalid"]


@dataclass(frozen=True, eq=False)
class Request:
    """One mesh to generate.

    Raises:
        ValueError: a budget that makes no sense.
    """

    condition: Tensor
    """(S, C) condition tokens, in the decoder's type and on its device."""
    seed: int
    """Of everything drawn: the same condition and seed give the same mesh whatever else is generated beside it."""
    max_new_tokens: int
    """Budget of ids after BOS, EOS included."""
    prefix: np.ndarray | None = None
    """(T,) ids with which it begins; they count towards the budgets."""
    max_faces: int = 0
    """Hard face budget, at which the mesh is closed; 0 is none."""
    points: np.ndarray | None = None
    """(N, 3) points that the mesh is made from, in the model's frame, for decoders that look at them."""
    num_faces: int = -1
    """Wished face count, for decoders that see how many faces are left; <= 0 is unknown."""
    key: Any = None
    """The caller's own."""

    def __post_init__(self):
        if self.max_faces < 0:
            raise ValueError(f"a budget of {self.max_faces} faces: at least 1 is needed, or 0 for none")
        if self.max_new_tokens < 1:
            raise ValueError(f"a budget of {self.max_new_tokens} tokens: at least 1 is needed")

    @property
    def is_finite(self) -> bool:
        """Whether condition and points are numbers from which something can be made (waits for the device)."""
        points = self.points is None or bool(np.isfinite(self.points).all())
        return points and bool(self.condition.isfinite().all())


class Generated(NamedTuple):
    """One generated sequence.

    Attributes:
        ids: (T,) mesh ids, without BOS and EOS; whole faces only, whatever ended it.
        ending: why it ended.
    """

    ids: np.ndarray
    ending: Ending

    @property
    def finished(self) -> bool:
        """Whether it ended by itself."""
        return self.ending == "eos"
