"""The generation loop: requests in, sequences out, many at once, each with its own condition, seed, budget and end.

A sequence that has ended gives its slot to the next request (continuous batching), and no sequence depends on its
neighbours. What a step is, is the decoder's business: see `Stepper`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch

from core.model.engine.grammar import whole_faces
from core.model.engine.requests import Ending, Generated, Request
from core.model.sampling import SamplingConfig
from core.tokens import Tokenizer

# All ids so far are told at most once in so many seconds, for each telling copies them from the device.
SECONDS_PER_TELLING = 0.1


class Stepper(Protocol):
    """A decoder at work on several sequences, one a slot; it keeps their caches and all their state.

    A slot is free, or taken between `admit` and `release`. What is written in one slot depends on its request alone.
    """

    slots: int

    def check(self, request: Request) -> None:
        """Raises ValueError for a request that `admit` could not take; changes nothing."""

    def admit(self, slot: int, request: Request) -> None:
        """Take a checked request into a free slot: compute on its condition and prefix."""

    def advance(self) -> dict[int, Ending]:
        """Run the taken slots on, by one step or by as many as it likes before it looks at what was written.

        Returns:
            The slots that have ended, and how: "eos", "faces", "tokens" or "invalid". They stay taken, and are run no
            further.
        """

    def ids(self, slot: int) -> np.ndarray:
        """(T,) ids written so far in a taken slot, the prefix included, without BOS and EOS."""

    def release(self, slot: int) -> None:
        """Free a slot."""


class Decoder(Protocol):
    """What the engine needs of a decoder module."""

    def stepper(
        self,
        tokenizer: Tokenizer,
        sampling: SamplingConfig,
        slots: int,
        take_weights: bool,
        cache_dtype: torch.dtype | None = None,
    ) -> Stepper:
        """A stepper that writes this tokenizer's ids."""


class Engine:
    """A decoder ready to generate.

    Args:
        decoder: in evaluation mode, on its device and in its type.
        tokenizer: the one that it was trained with.
        sampling: how ids are chosen.
        slots: sequences generated side by side.
        take_weights: the decoder may be left without its own weights once they are laid out for generation, so that no
            second copy of them stays in memory. It can then do nothing but generate.
        cache_dtype: type of the cached keys and values, if it is to be another than the decoder's: float16 under a
            float32 decoder halves their memory and what is read at each step, and rounds them to eleven bits.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        sampling: SamplingConfig,
        slots: int = 1,
        take_weights: bool = False,
        cache_dtype: torch.dtype | None = None,
    ):
        if slots < 1:
            raise ValueError(f"{slots} sequences side by side: at least 1 is needed")
        self.tokenizer = tokenizer
        self.stepper = decoder.stepper(tokenizer, sampling, slots, take_weights, cache_dtype)

    def check(self, request: Request) -> None:
        """Refuse what cannot be generated.

        Raises:
            ValueError: naming the budget or the prefix that is wrong.
        """
        self.stepper.check(request)

    @torch.inference_mode()
    def run(
        self,
        requests: Iterable[Request],
        on_ids: Callable[[Request, np.ndarray], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[tuple[Request, Generated]]:
        """Generate; results come as they end, which need not be the order of the requests.

        A request whose condition or points are no numbers, and one whose logits become so, ends as "invalid"; it costs
        no other.

        Args:
            requests: taken one by one, whenever a slot is free.
            on_ids: called now and then, and at its end, for each request with all of its ids (T,) so far.
            should_stop: asked every few steps; once it says yes, every running request ends as "stopped" with the whole
                faces that it has, and no further one is taken.

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
        self,
        waiting: Iterator[Request],
        running: dict[int, Request],
        on_ids: Callable[[Request, np.ndarray], None],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[Request, Generated]]:
        told = time.monotonic()
        while not (stopping := should_stop()):
            for request in (invalid := self._admit(waiting, running)):
                yield request, Generated(np.zeros(0, np.int64), "invalid")
            if not running and not invalid:
                return
            ended = self.stepper.advance()
            if time.monotonic() - told >= SECONDS_PER_TELLING:
                for slot in running.keys() - ended.keys():
                    on_ids(running[slot], self.stepper.ids(slot))
                told = time.monotonic()
            for slot, ending in ended.items():
                yield self._finish(slot, running, ending, on_ids)
        assert stopping
        for slot in list(running):
            yield self._finish(slot, running, "stopped", on_ids)

    def _admit(self, waiting: Iterator[Request], running: dict[int, Request]) -> list[Request]:
        """Fill the free slots; returns the requests of which nothing can be made."""
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
        self,
        slot: int,
        running: dict[int, Request],
        ending: Ending,
        on_ids: Callable[[Request, np.ndarray], None],
    ) -> tuple[Request, Generated]:
        ids = self.stepper.ids(slot)
        self.stepper.release(slot)
        request = running.pop(slot)
        if ending in ("tokens", "stopped", "invalid"):
            ids = whole_faces(ids, self.tokenizer.grammar)
        on_ids(request, ids)
        return request, Generated(ids, ending)
