"""How sure a figure is: 95 % intervals by bootstrap."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

DRAWS = 2000
LEVEL = 0.95
CELLS_AT_ONCE = 4_000_000

Kind = Literal["median", "mean"]


class Estimate(NamedTuple):
    """A median or mean, the ends of its 95 % interval, and the number of values."""

    value: float
    low: float
    high: float
    number: int


def estimate(
    values: Sequence[float], kind: Kind, groups: Sequence[int] | None = None, seed: int = 0
) -> Estimate | None:
    """The median or mean of values with its percentile interval; None of no values.

    Args:
        values: n numbers.
        kind: which.
        groups: n numbers of what the values were measured on; values of one group are drawn together, as several meshes
            of one input say less than as many inputs. None: each on its own.
        seed: of the draws.
    """
    numbers = np.asarray(values, np.float64)
    if len(numbers) == 0:
        return None
    table = _by_group(numbers, np.arange(len(numbers)) if groups is None else np.asarray(groups))
    rng = np.random.default_rng(seed)
    results: list[np.ndarray] = []
    at_once = max(1, CELLS_AT_ONCE // table.size)
    for start in range(0, DRAWS, at_once):
        picks = rng.integers(len(table), size=(min(at_once, DRAWS - start), len(table)))
        results.append(_statistic(table[picks].reshape(len(picks), -1), kind))
    low, high = np.quantile(np.concatenate(results), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(_statistic(numbers[None], kind)[0]), float(low), float(high), len(numbers))


def _by_group(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(G, most values of a group), filled up with NaN."""
    _, label, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    table = np.full((len(sizes), int(sizes.max())), np.nan)
    order = np.argsort(label, kind="stable")
    within = np.arange(len(values)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    table[label[order], within] = values[order]
    return table


def _statistic(rows: np.ndarray, kind: Kind) -> np.ndarray:
    """(D, n) -> (D,) over the numbers that are no NaN."""
    if np.isnan(rows).any():
        return np.nanmedian(rows, axis=1) if kind == "median" else np.nanmean(rows, axis=1)
    return np.median(rows, axis=1) if kind == "median" else rows.mean(axis=1)
