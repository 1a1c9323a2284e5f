"""A step's kernels, recorded once and replayed as a CUDA graph: launching them one by one takes most of a step."""

import logging
from collections.abc import Callable, Hashable

import torch

log = logging.getLogger(__name__)


class StepGraphs:
    """Runs a function that works in place on tensors whose addresses do not change.

    For each key the first call runs the function, which warms it up; the second records it, and later ones replay it.

    Args:
        function: takes the key.
        enabled: False: always run the function.
    """

    def __init__(self, function: Callable[..., None], enabled: bool):
        self.function, self.enabled = function, enabled
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}  # None: has run once

    def __call__(self, *key: Hashable) -> None:
        graph = self.graphs.get(key)
        if not self.enabled or key not in self.graphs:
            self.graphs[key] = None
            self.function(*key)
        elif graph is None:
            self._record(key)
        else:
            graph.replay()

    def _record(self, key: tuple[Hashable, ...]) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.function(*key)
        except RuntimeError as error:
            log.warning("steps are not recorded as CUDA graphs: %s", error)
            self.enabled = False
            self.function(*key)
            return
        self.graphs[key] = graph
        graph.replay()

    def forget(self) -> None:
        """Drop all recordings: tensors have moved."""
        self.graphs.clear()
