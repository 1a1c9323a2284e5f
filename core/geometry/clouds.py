"""Points of a cloud that are no part of the object: blocks of zeros, single points far off, points not seen."""

from typing import NamedTuple

import numpy as np

MOST_ZEROS = 2  # points at exactly 0 0 0 that may well be points of the object
FAR = 2.0  # times the size of the middle of the cloud that a point must be off to be an outlier
OUTLIERS_MOST = 0.01  # of all points, and one in any case: more of them are a part of the object
FEWEST = 20  # points of a cloud that has a middle
MIDDLE = (2, 98)  # percentiles of each coordinate between which the middle of the cloud lies


class Strays(NamedTuple):
    """Which points (N,) bool of a cloud are likely not meant, by kind."""

    zeros: np.ndarray
    outliers: np.ndarray

    @property
    def any(self) -> np.ndarray:
        return self.zeros | self.outliers

    def __str__(self) -> str:
        told = []
        if count := int(self.zeros.sum()):
            told.append(f"{count} points lie at exactly 0 0 0, as padding does")
        if count := int(self.outliers.sum()):
            told.append(f"{count} outlier{'s lie' if count > 1 else ' lies'} far from all other points")
        return " and ".join(told)


def find_strays(points: np.ndarray) -> Strays:
    """The points (N, 3) that make an object small or pull it aside: padding with zeros, and lone points far off.

    An outlier is farther from the middle of the cloud than twice its size, as is at most one in a hundred points.
    """
    zeros = (points == 0).all(axis=1)
    if zeros.sum() <= MOST_ZEROS or zeros.all():
        zeros = np.zeros(len(points), bool)
    outliers = np.zeros(len(points), bool)
    rest = points[~zeros]
    if len(rest) >= FEWEST:
        low, high = np.percentile(rest, MIDDLE, axis=0)
        size = float((high - low).max())
        far = (np.maximum(low - rest, rest - high) > FAR * size).any(axis=1)
        if size > 0 and far.sum() <= max(1, OUTLIERS_MOST * len(rest)):
            outliers[np.flatnonzero(~zeros)[far]] = True
    return Strays(zeros, outliers)
