"""The state of an optimizer in files of all eras.

Keras 3 writes iteration, learning rate, then the slots variable by variable: m₁ v₁ m₂ v₂ … tf.keras from 2.11 leaves
out the learning rate. All before that (and ``optimizers.legacy``) wrote one slot after the other: m₁ m₂ … v₁ v₂ …
Files of tf.keras name the slots; those of Keras 1 and 2 do not.
"""

import warnings
from typing import Any

import numpy as np

from convia.optimizers import Nadam, Optimizer

_NAMES = {  # in a file → in slot_groups
    "accum_grad": "accumulated_grad",
    "accum_var": "accumulated_delta_var",
    "m": "momentum",
    "mg": "average_gradient",
    "rms": "velocity",
    "u": "norm",
    "v": "velocity",
    "vhat": "velocity_hat",
}
Columns = dict[str, list[np.ndarray]]


def read(who: str, optimizer: Optimizer, names: list[str], arrays: list[np.ndarray]) -> None:
    """Set an optimizer's state; one that does not fit is left out with a warning, as in Keras.

    Args:
        names: as in the file, empty where it has none.
    """
    inner = getattr(optimizer, "inner_optimizer", None)  # files of tf.keras hold the state of that one
    if inner is not None and not _fits(optimizer.variables, arrays):
        return read(who, inner, names, arrays)
    scalars = [array for array in arrays if not array.ndim]
    is_new = len(scalars) == len(arrays) and not any(scalars[:1])  # saved before the first step
    if _fits(optimizer.variables, arrays):
        _assign(optimizer.variables, arrays)
    elif is_new:
        return None
    elif not _by_name(optimizer, names, arrays) and not _by_place(optimizer, names, arrays):
        received = f"{len(arrays)} variables for {len(optimizer.variables)}"
        warnings.warn(f"{who}: the optimizer starts anew, its saved state does not fit ({received}).", stacklevel=4)
    else:
        optimizer.iterations = int(scalars[0]) if scalars else 0
        if isinstance(optimizer, Nadam):
            steps = np.arange(1, int(scalars[0] if scalars else 0) + 1)
            optimizer._u_product.assign(float(np.prod(optimizer.beta_1 * (1 - 0.5 * 0.96**steps))))
    return None


def _fits(variables: list[Any], arrays: list[np.ndarray]) -> bool:
    return [tuple(variable.shape) for variable in variables] == [array.shape for array in arrays]


def _assign(variables: list[Any], arrays: list[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _own_columns(optimizer: Optimizer) -> dict[str, list[Any]]:
    """Slot → its variables, in the order of the model's variables."""
    names = [name for group in optimizer.slot_groups() for name in group]
    averages = {"average": optimizer._averages} if optimizer.use_ema else {}
    return averages | dict(zip(names, map(list, zip(*optimizer._slots, strict=True)), strict=False))


def _by_name(optimizer: Optimizer, names: list[str], arrays: list[np.ndarray]) -> bool:
    """``Adam/m/dense/kernel:0`` of tf.keras, ``m/dense/kernel:0`` within another, ``Adam/dense/kernel/m:0`` of old."""
    own, saved = _own_columns(optimizer), Columns()
    for name, array in zip(names, arrays, strict=False):
        parts = name.partition(":")[0].split("/")
        slot = next((found for part in (parts[-1], *parts[1::-1]) if (found := _slot(part, own))), None)
        if slot:
            saved.setdefault(slot, []).append(array)
    if not names or saved.keys() != own.keys() or not all(_fits(own[slot], saved[slot]) for slot in own):
        return bool(names) and not own  # an optimizer without slots
    for slot, variables in own.items():
        _assign(variables, saved[slot])
    return True


def _slot(part: Any, own: dict[str, Any]) -> str | None:
    if not isinstance(part, str):
        return None
    slot = _NAMES.get(part, part)
    return slot if slot in own else "norm" if slot == "velocity" and "norm" in own else None


def _by_place(optimizer: Optimizer, names: list[str], arrays: list[np.ndarray]) -> bool:
    """As Keras 3 without the learning rate; else one slot after the other, without names."""
    rest = [array for array in arrays if array.ndim]
    own = [variable for variable in optimizer._added if len(variable.shape)]
    if not names and len(rest) < len(own):  # Adafactor had no place holders
        fitting = iter(rest)
        head = next(fitting, None)
        pairs = []
        for variable in own:
            if head is not None and tuple(variable.shape) == head.shape:
                pairs.append((variable, head))
                head = next(fitting, None)
        own = [variable for variable, _ in pairs]
    columns = [variable for column in _own_columns(optimizer).values() for variable in column]
    for variables in (own, columns) if not names else (columns, own):
        if variables and _fits(variables, rest[: len(variables)]):
            _assign(variables, rest[: len(variables)])
            return True
    return not columns


__all__ = ["read"]
