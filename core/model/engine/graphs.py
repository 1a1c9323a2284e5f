"""A step's kernels recorded once and replayed as a whole (CUDA graphs): on a GPU a step is mostly launching them."""

import logging
from collections.abc import Callable, Hashable

import torch

log = logging.getLogger(__name__)


class StepGraphs:
    """Runs a function that works in place on tensors that stay where they are.

    For each key it is called as it is at first, which warms it up; then it is recorded, and from then on replayed.

    Args:
        function: takes the key.
        enabled: off, it is always called as it is.
    """

    def __init__(self, function: Callable[..., None], enabled: bool):
        self.function, self.enabled = function, enabled
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}  # None: called once

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
        """The tensors have moved."""
        self.graphs.clear()
