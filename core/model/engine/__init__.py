"""The generation engine: many sequences at once through one decoder, whatever a step of that decoder is."""

from core.model.engine.loop import Decoder, Engine, Stepper
from core.model.engine.requests import Ending, Generated, Request

__all__ = ["Decoder", "Ending", "Engine", "Generated", "Request", "Stepper"]
