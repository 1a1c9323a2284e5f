"""The scheduler: requests in, sequences out, many at once, each with its own condition, seed, budget and end.

A sequence that has ended gives its slot to the next request (continuous batching), and no sequence depends on its
neighbours.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch

from core.generation.face_stepper import FaceStepper
from core.generation.grammar import whole_faces
from core.generation.request import FinishReason, Generated, Request
from core.generation.sampling import SamplingConfig
from core.generation.token_stepper import TokenStepper
from core.model.decoder import MeshDecoder
from core.model.face_decoder import FaceDecoder
from core.tokens import Tokenizer

# Least seconds between two calls of `on_ids` for a sequence: each copies its ids from the device.
STREAM_INTERVAL_S = 0.1

OnIds = Callable[[Request, np.ndarray], None]


class Stepper(Protocol):
    """A decoder that runs several sequences, one a slot; it owns their caches and all their state.

    A slot is free, or taken from `admit` or `fork` to `release`. What is written in it depends on its request alone.
    """

    slots: int

    def check(self, request: Request) -> None:
        """Raises ValueError for a request that `admit` could not take; changes nothing."""

    def admit(self, slot: int, request: Request) -> None:
        """Begin a checked request in a free slot: compute on its condition and prefix."""

    def fork(self, source: int, target: int, seed: int | None = None) -> None:
        """Copy a running slot to a free one.

        Args:
            seed: of the copy's draws from here on; None: the same as its parent's, so that both write the same.
        """

    def release(self, slot: int) -> None:
        """Free a slot."""

    def step(self) -> dict[int, FinishReason]:
        """Run the taken slots, by one step or by as many as the stepper likes before it looks at what was written.

        Returns:
            The slots that have ended, and why. They stay taken, and are run no further.
        """

    def ids(self, slot: int) -> np.ndarray:
        """The ids (T,) of a taken slot so far, its prefix included, without BOS and EOS."""


def make_stepper(
    decoder: MeshDecoder | FaceDecoder,
    tokenizer: Tokenizer,
    sampling: SamplingConfig,
    slots: int,
    take_weights: bool = False,
    cache_dtype: torch.dtype | None = None,
) -> Stepper:
    """The stepper of a decoder; see `Engine`."""
    if isinstance(decoder, FaceDecoder):
        return FaceStepper(decoder, tokenizer, sampling, slots, take_weights, cache_dtype)
    return TokenStepper(decoder, tokenizer, sampling, slots, take_weights, cache_dtype)


class Engine:
    """A decoder ready to generate.

    Args:
        decoder: in evaluation mode, on its device and in its type.
        tokenizer: the one that it was trained with.
        sampling: how ids are chosen.
        slots: sequences generated side by side.
        take_weights: lay the decoder's weights out for generation in place, so that no second copy of them stays in
            memory. The decoder can then do nothing but generate.
        cache_dtype: type of the cached keys and values, if another than the decoder's: float16 under a float32 decoder
            halves their memory and what is read at each step, and rounds them to eleven bits.

    Raises:
        ValueError: fewer than one slot.
    """

    def __init__(
        self,
        decoder: MeshDecoder | FaceDecoder,
        tokenizer: Tokenizer,
        sampling: SamplingConfig,
        slots: int = 1,
        take_weights: bool = False,
        cache_dtype: torch.dtype | None = None,
    ):
        if slots < 1:
            raise ValueError(f"{slots} sequences side by side: at least 1 is needed")
        self.tokenizer = tokenizer
        self.stepper = make_stepper(decoder, tokenizer, sampling, slots, take_weights, cache_dtype)

    def check(self, request: Request) -> None:
        """Raises ValueError for a request that cannot be generated, naming the budget or the prefix that is wrong."""
        self.stepper.check(request)

    @torch.inference_mode()
    def run(
        self,
        requests: Iterable[Request],
        on_ids: OnIds | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[tuple[Request, Generated]]:
        """Generate; results come as they end, which need not be the order of the requests.

        A request whose condition or points are not finite, or whose logits become so, ends as "invalid" and disturbs no
        other.

        Args:
            requests: taken one by one, whenever a slot is free.
            on_ids: called now and then, and at its end, for each request with all of its ids (T,) so far.
            should_stop: asked every few steps; once it returns true, every running request ends as "stopped" with its
                whole faces, and no further one is taken.

        Raises:
            ValueError: a request that `check` refuses; what was running is lost.
        """
        waiting, running = iter(requests), dict[int, Request]()
        try:
            yield from self._run(
                waiting, running, on_ids or (lambda request, ids: None), should_stop or (lambda: False)
            )
        finally:
            for slot in running:
                self.stepper.release(slot)

    def _run(
        self, waiting: Iterator[Request], running: dict[int, Request], on_ids: OnIds, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Request, Generated]]:
        streamed = time.monotonic()
        while not should_stop():
            # Schedule.
            invalid = self._admit(waiting, running)
            for request in invalid:
                yield request, Generated(np.zeros(0, np.int64), "invalid")
            if not running and not invalid:
                return
            # Run.
            ended = self.stepper.step()
            # Stream and finish.
            if time.monotonic() - streamed >= STREAM_INTERVAL_S:
                for slot in running.keys() - ended.keys():
                    on_ids(running[slot], self.stepper.ids(slot))
                streamed = time.monotonic()
            for slot, reason in ended.items():
                yield self._finish(slot, running, reason, on_ids)
        for slot in list(running):
            yield self._finish(slot, running, "stopped", on_ids)

    def _admit(self, waiting: Iterator[Request], running: dict[int, Request]) -> list[Request]:
        """Fill the free slots; returns the requests from which nothing can be generated."""
        invalid = []
        for slot in range(self.stepper.slots):
            if slot not in running and (request := next(waiting, None)) is not None:
                self.stepper.check(request)
                if not request.is_finite:
                    invalid.append(request)
                    continue
                self.stepper.admit(slot, request)
                running[slot] = request
        return invalid

    def _finish(
        self, slot: int, running: dict[int, Request], reason: FinishReason, on_ids: OnIds
    ) -> tuple[Request, Generated]:
        ids = self.stepper.ids(slot)
        self.stepper.release(slot)
        request = running.pop(slot)
        if reason in ("tokens", "stopped", "invalid"):
            ids = whole_faces(ids, self.tokenizer.grammar)
        on_ids(request, ids)
        return request, Generated(ids, reason)
