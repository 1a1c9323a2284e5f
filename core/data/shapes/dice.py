"""The choices a family of shapes makes, and the register of families."""

from collections.abc import Callable
from typing import Any

import numpy as np

from core.data.shapes.surface import Surface

Modeller = Callable[["Dice"], list[Surface]]
MODELLERS: dict[str, Modeller] = {}
SIDES = ((4, 5, 6, 6, 6), (6, 7, 8, 8, 8), (8, 10, 10, 12, 12), (12, 14, 16, 16, 18))  # by level of detail


VARIANTS: dict[str, list[tuple[float, Modeller]]] = {}


def family(modeller: Modeller) -> Modeller:
    """Register a function that models one object as a list of parts: surfaces that each have one material."""
    MODELLERS[modeller.__name__] = modeller
    return modeller


def variant(name: str, share: float) -> Callable[[Modeller], Modeller]:
    """Register another way to model the family `name`, taken with probability `share`."""

    def register(modeller: Modeller) -> Modeller:
        VARIANTS.setdefault(name, []).append((share, modeller))
        return modeller

    return register


def model(name: str, dice: "Dice") -> list[Surface]:
    """The parts of one object of a family."""
    for share, modeller in VARIANTS.get(name, ()):
        if dice.chance(share):
            return modeller(dice)
    return MODELLERS[name](dice)


class Dice:
    """Short names for the draws that families make from a numpy generator.

    A shape has one level of detail (0 coarse to 3 fine), drawn once, that sets the sides of its round parts, and one
    habit about faces that nobody sees (`hidden`: whether they were deleted), as one artist's model would have.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.detail = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3)[int(12 * rng.random())]
        self.hidden = rng.random() < 0.65

    def real(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def reals(self, low: float, high: float, count: int) -> np.ndarray:
        return low + (high - low) * self.rng.random(count)

    def count(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int((high - low + 1) * self.rng.random())

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, *options: Any) -> Any:
        return options[int(len(options) * self.rng.random())]

    def sides(self, more: int = 0) -> int:
        """The sides of a round part at this shape's level of detail, `more` for a large one (negative: thin)."""
        return max(3, SIDES[self.detail][int(5 * self.rng.random())] + more)

    def steps(self, low: int, high: int) -> int:
        """A number of segments from low (coarse) to high (fine; at the finest level a third more)."""
        return low + round((high - low) * (self.detail + self.rng.random()) / 3)
