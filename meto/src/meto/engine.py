"""The tokenizer: meshes to tokens and back, natively."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meto import _core

if TYPE_CHECKING:
    from meto.grammar import Grammar


class Engine(_core.Engine):
    """Turns meshes into tokens and back."""

    @property
    def grammar(self) -> Grammar:
        """The finite-state grammar of this engine's tokens."""
        from meto.grammar import grammar

        return grammar(self.backend, self.discrete_bins)

    def __reduce__(self) -> tuple[type[Engine], tuple[int, bool, str]]:
        return type(self), (self.discrete_bins, self.verbose, self.backend)
