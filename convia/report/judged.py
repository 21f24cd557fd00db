"""What a network said of images beside what they are: mistakes, precision, recall, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convia.errors import explain
from convia.report.confusion import count_confusions
from convia.report.style import array, classes_of, names_for

_BINS = 10


class Bin(NamedTuple):
    """Images of like certainty: how many, how certain on average, the share of them that is right."""

    images: int
    certainty: float
    right: float


@dataclass(frozen=True)
class Judged:
    """Labels (N,) beside probabilities (N, classes).

    Raises:
        ValueError: no images, or other numbers of labels than of probabilities.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[Any]
    class_names: Sequence[str]

    @classmethod
    def of(cls, labels: Any, probabilities: Any, class_names: Sequence[Any] | None = None) -> "Judged":
        """Take what networks return; one output (N, 1) is the probability of the second of two classes."""
        true, values = classes_of(labels), array(probabilities).astype(np.float64)
        if values.ndim == 1 or values.shape[-1] == 1:
            values = np.stack([1 - values.reshape(-1), values.reshape(-1)], 1)
        if not len(true) or len(true) != len(values):
            received = f"{len(true)} labels and {len(values)} rows of probabilities"
            raise ValueError(explain("report", received, "as many of the one as of the other, at least one"))
        return cls(true, values, names_for(values.shape[1], class_names))

    @cached_property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The class with the largest probability, (N,)."""
        classes: npt.NDArray[np.int64] = self.probabilities.argmax(1)
        return classes

    @cached_property
    def certainty(self) -> npt.NDArray[Any]:
        """The largest probability, (N,)."""
        shares: npt.NDArray[Any] = self.probabilities.max(1)
        return shares

    @cached_property
    def is_right(self) -> npt.NDArray[np.bool_]:
        """Which images were classified rightly, (N,)."""
        right: npt.NDArray[np.bool_] = self.predicted == self.labels
        return right

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """The confusion matrix: true class by predicted class."""
        return count_confusions(self.labels, self.predicted, self.probabilities.shape[1])

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float(self.is_right.mean())

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Return between what the true accuracy lies: Wilson's score interval (1927), 95 % by default."""
        share, count = self.accuracy, len(self.labels)
        centre = (share + z * z / (2 * count)) / (1 + z * z / count)
        half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
        return max(0.0, centre - half), min(1.0, centre + half)

    def rates(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Return precision, recall and F1 of each class, (classes,); NaN where nothing was to count."""
        hits, said, are = np.diag(self.counts), self.counts.sum(0), self.counts.sum(1)
        with np.errstate(invalid="ignore"):
            return hits / said, hits / are, 2 * hits / (said + are)

    def worst(self, most: int) -> npt.NDArray[np.int64]:
        """Return the positions of mistakes, the most certain first."""
        wrong = np.flatnonzero(~self.is_right)
        return wrong[np.argsort(-self.certainty[wrong], kind="stable")][:most]

    def least_certain(self, most: int) -> npt.NDArray[np.int64]:
        """Return the positions of mistakes, those first whose two likeliest classes were closest."""
        wrong = np.flatnonzero(~self.is_right)
        best = np.sort(self.probabilities[wrong], axis=1)
        return wrong[np.argsort(best[:, -1] - best[:, -2], kind="stable")][:most]

    def pairs(self, most: int) -> list[tuple[int, int, int]]:
        """Return the most frequent mistakes as (true class, predicted class, number)."""
        mistakes = self.counts - np.diag(np.diag(self.counts))
        order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
        places = [divmod(int(place), len(mistakes)) for place in order]
        return [(i, j, int(mistakes[i, j])) for i, j in places if mistakes[i, j]]

    def bins(self, number: int = _BINS) -> list[Bin]:
        """Return images by their certainty, in equally wide ranges; empty ones are left out."""
        which = np.minimum((self.certainty * number).astype(int), number - 1)
        chosen = [which == place for place in np.unique(which)]
        return [Bin(int(of.sum()), float(self.certainty[of].mean()), float(self.is_right[of].mean())) for of in chosen]

    def calibration_error(self) -> float:
        """Return the expected calibration error (Naeini and others, 2015): certainty minus accuracy, weighted."""
        return sum(part.images * abs(part.certainty - part.right) for part in self.bins()) / len(self.labels)
