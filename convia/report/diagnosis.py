"""What a training's numbers say in plain language: a table of rules, each a question and what to fill in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convia.texts import Say

_RISES = 0.3  # share of epochs in which the training loss rises
_A_RISE = 1.02  # a smaller factor is noise
_WORSE = 1.15  # validation loss in the end, as a multiple of the best
_GAP = 0.1  # accuracy on training images minus that on validation images
_GUESSING = 1.5  # times the accuracy of guessing
_POOR = 0.7  # accuracy
_STILL = 0.02  # share of the validation loss that is gained per epoch
_UNBALANCED = 10.0
_LEAK = 0.005  # share of images
_FEW = 100  # test images


@dataclass(frozen=True)
class Course:
    """How a training went.

    Attributes:
        history: name of a metric → values, one per epoch.
        images: of training, per class.
        class_names: of them.
        tested: number of test images, and ``duplicates`` of training images among those for validation and test.
        held_out: number of images for validation and test.
        accuracy: on the test images.
        border: how many epochs there were before fine-tuning; 0 where there was none.
    """

    history: Mapping[str, Sequence[float]]
    images: Sequence[int] = ()
    class_names: Sequence[str] = ()
    tested: int = 0
    held_out: int = 0
    duplicates: int = 0
    accuracy: float = field(default=float("nan"))
    border: int = 0

    def of(self, *names: str) -> npt.NDArray[Any]:
        """Return the values of the first of some metrics that is there, else none."""
        return next((np.asarray(self.history[name], float) for name in names if name in self.history), np.empty(0))

    @property
    def loss(self) -> npt.NDArray[Any]:
        """Of the training images."""
        return self.of("loss")

    @property
    def judged(self) -> npt.NDArray[Any]:
        """The loss that decides which epoch is the best."""
        return self.of("val_loss", "loss")

    @property
    def best(self) -> int:
        """The best epoch, from 0."""
        values = np.nan_to_num(self.judged, nan=np.inf)
        return int(values.argmin()) if len(values) else 0

    @property
    def train_accuracy(self) -> npt.NDArray[Any]:
        """Of the training images."""
        return self.of("accuracy", "acc")

    @property
    def val_accuracy(self) -> npt.NDArray[Any]:
        """Of the validation images."""
        return self.of("val_accuracy", "val_acc")

    @property
    def rises(self) -> int:
        """In how many epochs the training loss rose."""
        return int((self.loss[1:] > self.loss[:-1] * _A_RISE).sum())

    @property
    def slower(self) -> str:
        """A tenth of the learning rate that training began with."""
        rates = self.of("learning_rate", "lr")
        return f"{(rates[0] if len(rates) else 1e-3) / 10:.3g}"


def _diverged(course: Course) -> dict[str, Any] | None:
    return None if np.isfinite([*course.loss, *course.judged]).all() else {"rate": course.slower}


def _rate_too_high(course: Course) -> dict[str, Any] | None:
    steps = len(course.loss) - 1
    found = steps >= 3 and (course.rises >= max(2, _RISES * steps) or course.loss[-1] > course.loss[0] * _A_RISE)
    return {"rises": course.rises, "steps": steps, "rate": course.slower} if found else None


def _not_learning(course: Course) -> dict[str, Any] | None:
    values = course.train_accuracy
    classes = len(course.images) or 2
    found = len(values) > 1 and values.max() < min(_GUESSING / classes, 0.9)
    return {"accuracy": f"{values.max():.1%}"} if found else None


def _overfitting(course: Course) -> dict[str, Any] | None:
    values, best = course.of("val_loss"), course.best
    if not len(values):
        return None
    if values[-1] > values[best] * _WORSE and values[-1] > 0.02 and course.loss[-1] < course.loss[best]:
        return {"gap": ("gap_loss", {"after": f"{values[-1]:.3g}", "best": f"{values[best]:.3g}"}), "best": best + 1}
    train, validation = course.train_accuracy, course.val_accuracy
    if len(train) and len(validation) and train[best] - validation[best] > _GAP:
        shares = {"train": f"{train[best]:.1%}", "validation": f"{validation[best]:.1%}"}
        return {"gap": ("gap_accuracy", shares), "best": best + 1}
    return None


def _is_still_learning(course: Course) -> bool:
    values = course.judged
    if len(values) < 2 or course.best < len(values) - 1:
        return False
    recent = values[-min(len(values), 4) :]
    return bool((recent[0] - recent[-1]) / (len(recent) - 1) > _STILL * abs(recent[0]))


def _not_converged(course: Course) -> dict[str, Any] | None:
    epochs, option = len(course.loss), "--fine-tune" if course.border else "--epochs"
    more = {"option": option, "more": max(2 * (epochs - course.border), 10)}
    return {"epochs": epochs, **more} if _is_still_learning(course) else None


def _underfitting(course: Course) -> dict[str, Any] | None:
    values = course.train_accuracy
    found = len(values) > 3 and values.max() < _POOR and not _is_still_learning(course)
    return {"accuracy": f"{values.max():.1%}"} if found and not _not_learning(course) else None


def _leak(course: Course) -> dict[str, Any] | None:
    return {"count": course.duplicates} if course.duplicates > _LEAK * max(course.held_out, 1) else None


def _imbalance(course: Course) -> dict[str, Any] | None:
    counts = np.asarray(course.images)
    if len(counts) < 2 or counts.max() < _UNBALANCED * max(counts.min(), 1):
        return None
    large, small = int(counts.argmax()), int(counts.argmin())
    names = course.class_names
    return {"most": counts[large], "large": names[large], "least": counts[small], "small": names[small]}


def _few_test(course: Course) -> dict[str, Any] | None:
    if not 0 < course.tested < _FEW:
        return None
    share = np.clip(course.accuracy, 0.5 / course.tested, 1 - 0.5 / course.tested)
    return {"count": course.tested, "spread": f"{1.96 * np.sqrt(share * (1 - share) / course.tested):.0%}"}


RULES: dict[str, tuple[bool, Callable[[Course], dict[str, Any] | None]]] = {
    # name of the texts → whether it spoils training, and the question: None, or what to fill in
    "diverged": (True, _diverged),
    "leak": (True, _leak),
    "not_learning": (True, _not_learning),
    "rate_too_high": (True, _rate_too_high),
    "overfitting": (True, _overfitting),
    "underfitting": (True, _underfitting),
    "not_converged": (False, _not_converged),
    "imbalance": (False, _imbalance),
    "few_test": (False, _few_test),
}


class Finding(NamedTuple):
    """The name of a rule, whether it spoils training, what is the matter, and what to do about it."""

    rule: str
    is_problem: bool
    text: str
    remedy: str


def diagnose(course: Course, say: Say) -> list[Finding]:
    """Return what the rules find, in a language; "healthy" where they find nothing."""
    found = [(rule, spoils, values) for rule, (spoils, ask) in RULES.items() if (values := ask(course)) is not None]
    if any(rule == "diverged" for rule, *_ in found):  # what follows from it is no news
        found = [row for row in found if row[0] in ("diverged", "leak", "imbalance", "few_test")]
    rows = found or [("healthy", False, {})]
    return [
        Finding(rule, spoils, say(rule, **_told(values, say)), say(f"{rule}_do", **_told(values, say)))
        for rule, spoils, values in rows
    ]


def _told(values: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Put phrases, given as (key, values), into words."""
    return {name: say(v[0], **v[1]) if isinstance(v, tuple) else v for name, v in values.items()}
