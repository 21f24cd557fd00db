"""What can be chosen for a training; see ``convia train --help``."""

import inspect
import sys
from dataclasses import dataclass
from typing import get_args, get_type_hints

from convia import applications
from convia.applications import MODELS
from convia.cli.fitting import AUGMENT
from convia.errors import explain, nearest
from convia.images.directory import ON_ERROR
from convia.texts import LANGUAGES

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "float64")
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
PUBLISHED = {  # trained networks, which get a new head
    name.lower(): getattr(applications, name)
    for name in applications.__all__
    if "preprocess_input" in vars(sys.modules.get(getattr(getattr(applications, name), "__module__", ""), object))
    and "weights" in inspect.signature(getattr(applications, name)).parameters
}


@dataclass(frozen=True)
class Settings:
    """What can be chosen; see ``convia train --help``.

    Raises:
        ValueError: a value that makes no sense.
    """

    data: str
    model: str | None = None
    epochs: int = 30
    fine_tune: int = 10  # epochs, of a trained network
    batch_size: int = 32
    image_size: int | None = None
    learning_rate: float | str = 1e-3  # or "auto"
    patience: int = 7
    seed: int = 0
    validation_split: float = 0.15
    test_split: float = 0.15
    output: str | None = None
    device: str | None = None
    devices: int = 1  # processes that share the training
    on_error: str = "skip"
    follow_links: bool = False
    weights: str = "imagenet"
    augment: str = "none"
    class_weights: bool = False
    precision: str = "float32"
    check: bool = True
    resume: bool = False
    as_json: bool = False
    lang: str | None = None

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Settings).items():
            kinds = get_args(kind) or (kind,)
            expected = " or ".join(_KINDS[each] for each in kinds if each in _KINDS)
            _require(any(_is_a(getattr(self, name), each) for each in kinds), name, self, expected)
        names = [*MODELS, *PUBLISHED]
        if self.model is not None and self.model not in names:
            raise ValueError(explain("--model", repr(self.model), "a network's name", nearest(self.model, names)))
        _require(self.on_error in ON_ERROR, "on_error", self, f"one of {list(ON_ERROR)}")
        for name in ("epochs", "batch_size", "patience", "devices"):
            _require(getattr(self, name) >= 1, name, self, "a whole number ≥ 1")
        _require(self.fine_tune >= 0, "fine_tune", self, "a number of epochs, or 0 for none")
        _require(self.image_size is None or self.image_size >= 4, "image_size", self, "a number of pixels ≥ 4")
        rate = self.learning_rate
        _require(
            rate == "auto" or (not isinstance(rate, str) and rate > 0), "learning_rate", self, "a number > 0, or auto"
        )
        alone = self.devices == 1 or ":" not in (self.device or "")
        _require(alone, "device", self, "cpu, cuda or none where --devices are several", "Each takes one of its own.")
        _require(self.augment in AUGMENT, "augment", self, f"one of {list(AUGMENT)}")
        _require(self.precision in PRECISIONS, "precision", self, f"one of {list(PRECISIONS)}")
        _require(self.lang in (None, *LANGUAGES), "lang", self, f"one of {list(LANGUAGES)}")
        _require(0 <= self.seed < 2**32, "seed", self, "a whole number from 0 to 2³² − 1")
        for name in ("validation_split", "test_split"):
            _require(0 < getattr(self, name) < 1, name, self, "a share between 0 and 1")
        if self.validation_split + self.test_split >= 1:
            received = f"{self.validation_split} and {self.test_split}"
            raise ValueError(
                explain("--validation-split and --test-split", received, "shares that leave some to train")
            )

    @property
    def is_transfer(self) -> bool:
        """Whether a trained network gets a new head."""
        return self.model in PUBLISHED and self.weights != "none"


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _require(holds: bool, name: str, settings: Settings, expected: str, remedy: str = "") -> None:
    if not holds:
        raise ValueError(explain(f"--{name.replace('_', '-')}", repr(getattr(settings, name)), expected, remedy))
