"""Mesh <-> model ids: the only owner of PAD, BOS, EOS, the id offset and the vocabulary.

An id is PAD, BOS, EOS or a tokenizer token + 3; a sequence is [condition][BOS][mesh ids][EOS][PAD ...].
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

import meto
from meto import Grammar

PAD, BOS, EOS = 0, 1, 2
ID_OFFSET = 3


@dataclass(frozen=True)
class TokenizerConfig:
    discrete_bins: int = 512
    """Number of steps into which each axis of [-1, 1] is quantised."""
    use_meto: bool = True
    """Use the meto tokenizer; off: nine coordinates per face."""
    meto_backend: Literal["LR_ABSCO", "LR", "CLERS"] = "LR_ABSCO"
    """Traversal of the meto tokenizer."""

    def __post_init__(self):
        if not 2 <= self.discrete_bins <= 65536:
            raise ValueError(f"--discrete_bins {self.discrete_bins}: 2 to 65536 are possible")


class Tokenizer:
    """Writes meshes as ids and reads them back.

    Attributes:
        vocab_size: number of ids, PAD, BOS and EOS included.
        grammar: the tokenizer's grammar over ids: BOS never, EOS where a mesh may end, then PAD for ever.
    """

    def __init__(self, config: TokenizerConfig):
        self.config = config
        bins = config.discrete_bins
        self.engine = meto.Engine(bins, backend=config.meto_backend) if config.use_meto else meto.NaiveEngine(bins)
        self.vocab_size = self.engine.num_tokens + ID_OFFSET
        self.grammar = id_grammar(self.engine.grammar)

    def encode(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Mesh ids (T,) int64, without BOS and EOS.

        Args:
            vertices: (V, 3) in [-1, 1].
            faces: (F, 3) indices, counter-clockwise.

        Raises:
            ValueError: the mesh is invalid, or cannot be written in the backend's range of values.
        """
        tokens = self.engine.encode(vertices, faces)[0]
        return tokens.astype(np.int64) + ID_OFFSET

    def decode(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mesh of ids: what lies before EOS, up to the first id that breaks the grammar.

        Returns:
            vertices (V, 3) float32 in [-1, 1], faces (F, 3) int32; every face brings its own new vertices,
            so equal ones are still to be merged.
        """
        ids = np.asarray(ids)
        ends = np.flatnonzero((ids == EOS) | (ids == PAD))
        tokens = ids[: ends[0]] if len(ends) else ids
        vertices, faces, _ = self.engine.decode(tokens.astype(np.int64) - ID_OFFSET, strict=False)
        return vertices, faces


class LiveDecoder:
    """Reads one sequence of ids as they come, and says which faces they finish.

    Args:
        tokenizer: whose ids they are.
    """

    def __init__(self, tokenizer: Tokenizer):
        config = tokenizer.config
        live = meto.Decoder(config.discrete_bins, config.meto_backend) if config.use_meto else None
        self._engine, self._live = tokenizer.engine, live
        self._rest = np.zeros(0, np.int64)  # tokens of a naive face that is not complete
        self._broken = False
        self.num_faces = 0

    def feed(self, ids: np.ndarray) -> np.ndarray:
        """Corners (n, 3, 3) float32 of the faces that these ids (T,) finish; none after EOS or a wrong id."""
        ids = np.asarray(ids, np.int64).reshape(-1)
        ends = np.flatnonzero((ids == EOS) | (ids == PAD))
        tokens = (ids[: ends[0]] if len(ends) else ids) - ID_OFFSET
        triangles = np.zeros((0, 3, 3), np.float32)
        if not self._broken:
            triangles = self._feed_naive(tokens) if self._live is None else self._feed_live(self._live, tokens)
        self._broken |= len(ends) > 0
        self.num_faces += len(triangles)
        return triangles

    def _feed_live(self, live: meto.Decoder, tokens: np.ndarray) -> np.ndarray:
        try:
            return live.feed(tokens)
        except ValueError:  # a relative value that leads off the grid: what was before it counts
            self._broken = True
            return live.feed(tokens[:0])

    def _feed_naive(self, tokens: np.ndarray) -> np.ndarray:
        tokens = np.concatenate([self._rest, tokens])
        whole = len(tokens) - len(tokens) % 9
        self._rest = tokens[whole:]
        vertices, faces, _ = self._engine.decode(tokens[:whole], strict=False)
        return vertices[faces]


def id_grammar(grammar: Grammar) -> Grammar:
    """The grammar of ids from that of tokens: classes PAD, BOS and EOS come before its own, and a final state after."""
    num_states, special = grammar.num_states, ID_OFFSET
    final = num_states
    next_state = np.full((2, num_states + 1, special + grammar.num_classes), -1, grammar.next_state.dtype)
    next_state[:, :num_states, special:] = grammar.next_state
    next_state[:, :num_states, EOS][grammar.accepts] = final
    next_state[:, final, PAD] = final
    accepts = np.zeros((2, num_states + 1), bool)
    accepts[:, final] = True
    classes = [np.arange(special), grammar.token_class + special]
    return Grammar(
        class_names=("PAD", "BOS", "EOS", *grammar.class_names),
        token_class=np.concatenate(classes).astype(grammar.token_class.dtype),
        next_state=next_state,
        open_change=np.concatenate([np.zeros(special, np.int8), grammar.open_change]),
        accepts=accepts,
        start=grammar.start,
    )
