"""Generation of one batch in one call, through the engine that serves many requests."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from core.generation.engine import Engine
from core.generation.request import Generated, Request
from core.generation.sampling import SamplingConfig
from core.model.decoder import MeshDecoder
from core.model.face_decoder import FaceDecoder
from core.tokens import Tokenizer


def generate(
    decoder: MeshDecoder | FaceDecoder,
    condition: Tensor,
    tokenizer: Tokenizer,
    max_new_tokens: int,
    config: SamplingConfig,
    seeds: Sequence[int],
    prefix: np.ndarray | None = None,
    on_ids: Callable[[int, np.ndarray], None] | None = None,
    max_faces: int = 0,
    points: np.ndarray | None = None,
    num_faces: Sequence[int] | None = None,
) -> list[Generated]:
    """Generate one sequence for each row of the condition, all side by side.

    Args:
        decoder: in evaluation mode.
        condition: (B, S, C) condition tokens, in the decoder's dtype.
        tokenizer: an id that its grammar does not allow cannot be drawn.
        max_new_tokens: budget after BOS, EOS included.
        config: greedy or sampling, and its settings.
        seeds: one for each sequence: the same seed and condition give the same sequence in any batch.
        prefix: (T,) ids with which each sequence begins; they count towards the budgets.
        on_ids: called now and then with the number of a row and all of its ids (T,) so far.
        max_faces: hard budget of faces; 0 is none.
        points: (B, N, 3) points of the meshes' surfaces, for decoders that read them.
        num_faces: wished face counts, for decoders that see how many faces are left; None: unknown.

    Raises:
        ValueError: not one seed a sequence, a budget that the decoder's positions do not hold, or a prefix that
            breaks the grammar or leaves nothing of the budget.
    """
    if len(seeds) != len(condition):
        raise ValueError(f"{len(seeds)} seeds for {len(condition)} sequences: one for each is needed")
    counts = [-1] * len(seeds) if num_faces is None else num_faces
    requests = [
        Request(row, seed, max_new_tokens, prefix, max_faces, None if points is None else points[i], count, key=i)
        for i, (row, seed, count) in enumerate(zip(condition, seeds, counts, strict=True))
    ]
    if not requests:
        return []
    stream = None if on_ids is None else lambda request, ids: on_ids(request.key, ids)
    engine = Engine(decoder, tokenizer, config, len(requests))
    results = {request.key: generated for request, generated in engine.run(requests, stream)}
    return [results[i] for i in range(len(requests))]
