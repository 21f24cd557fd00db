"""The arguments that all optimizers share, their checks, and their order."""

import inspect
import warnings
from dataclasses import KW_ONLY
from typing import Any

from convia.args import Configured, is_class_variable, parameters
from convia.errors import explain, nearest
from convia.naming import auto_name


class Options(Configured):
    """Arguments of every optimizer.

    Args:
        learning_rate: a number, a schedule, or a function without arguments that returns a number.
        weight_decay: before each update, weights are multiplied by 1 − learning_rate · weight_decay.
        clipnorm: each gradient is scaled down to this L2 norm.
        clipvalue: each element of the gradients is cut off at ± this value.
        global_clipnorm: all gradients together are scaled down to this L2 norm.
        use_ema: keep exponential moving averages of the weights; ``finalize_variable_values`` puts them in place.
        ema_momentum: the share of the old average that a step keeps.
        ema_overwrite_frequency: put the averages in place every so many updates.
        loss_scale_factor: the loss is multiplied by this and the gradients divided by it, for half precision.
        gradient_accumulation_steps: update once per so many calls, with the mean of their gradients.
        name: prefix of the names of the optimizer's variables.

    Raises:
        ValueError: two kinds of clipping, or a number outside its range.
    """

    learning_rate: Any
    _: KW_ONLY  # for type checkers: at run time a class's own arguments go between, see below
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    loss_scale_factor: float | None = None
    gradient_accumulation_steps: int | None = None
    name: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        hints = inspect.get_annotations(cls).items()
        own = [name for name, hint in hints if name[0] != "_" and not is_class_variable(hint)]
        if own:
            # Keras's signatures have a class's own arguments first, and behind the shared ones those that the class
            # declares after "name"; the values of new names are replaced by the base
            own = own[: own.index("name")] if "name" in own else own
            place = cls._fields["learning_rate"]
            cls._fields = dict.fromkeys(["learning_rate", *own], place) | cls._fields
        super().__init_subclass__(**kwargs)

    def __post_init__(self) -> None:
        if self.name is None:
            self.name = auto_name(type(self).__name__)
        clips = {key: getattr(self, key) for key in ("clipnorm", "clipvalue", "global_clipnorm")}
        clips = {key: value for key, value in clips.items() if value is not None}
        if len(clips) > 1:
            raise ValueError(explain(type(self).__name__, f"{clips}", "only one of them"))
        every, steps = self.ema_overwrite_frequency, self.gradient_accumulation_steps
        self._check("gradient_accumulation_steps", not steps or steps >= 2, "a whole number ≥ 2, or None")
        if self.use_ema:
            self._check("ema_momentum", 0 <= self.ema_momentum <= 1, "a number from 0 to 1")
            whole = not every or (isinstance(every, int) and every >= 1)
            self._check("ema_overwrite_frequency", whole, "a whole number ≥ 1, or None")

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            who = f"{type(self).__name__}, argument {name!r}"
            raise ValueError(explain(who, repr(getattr(self, name)), expected))

    def _accept(self, extra: dict[str, Any]) -> None:
        if extra.pop("decay", None) is not None:
            who = f"{type(self).__name__}, argument 'decay'"
            text = explain(who, "a number", "none", "It is ignored; use a schedule such as InverseTimeDecay.")
            warnings.warn(text, stacklevel=4)
        for name, value in extra.items():
            known = parameters(type(self))
            text = f"the unknown argument {name}={value!r}"
            raise ValueError(explain(type(self).__name__, text, f"one of {', '.join(known)}", nearest(name, known)))
