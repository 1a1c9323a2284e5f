"""The generation engine above the networks: many sequences at once through one decoder, whatever a step of it writes.

for request, generated in Engine(decoder, tokenizer, sampling, slots=16).run(requests):     # as they end
    ...

`engine.py` schedules requests over slots; a stepper (`token_stepper.py`, `face_stepper.py`) runs the slots of one kind
of decoder; `cache.py` keeps their keys and values.
"""

from core.generation.engine import Engine, Stepper
from core.generation.generate import generate
from core.generation.request import FinishReason, Generated, Request
from core.generation.sampling import SamplingConfig

__all__ = ["Engine", "FinishReason", "Generated", "Request", "SamplingConfig", "Stepper", "generate"]
