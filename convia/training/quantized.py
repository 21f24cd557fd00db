"""Models whose predictions are computed in 8 bits by the engine, from ranges that samples have shown."""

from itertools import islice
from typing import Any

from convia import engine
from convia.engine import Unsupported, quantization
from convia.errors import explain
from convia.training import plans
from convia.training.data import adapt

_MOST_BATCHES = 64  # that are looked at
_BACK = "Call quantize('float32') to go back to floats."


def quantize(model: Any, mode: str | None, data: Any, batch_size: int) -> None:
    """Let ``predict`` and ``evaluate`` compute in 8 bits ("int8"), or in floats again ("float32").

    Raises:
        ValueError: another mode, no samples, samples that lead to numbers which are not finite, or a model that the
            engine cannot run in 8 bits.
    """
    who = f"quantize of {model.name!r}"
    if mode not in ("int8", "float32"):
        remedy = "Layers are not quantized one by one; other modes of Keras are not there."
        raise ValueError(explain(who, f"the mode {mode!r}", "'int8', or 'float32' to go back", remedy))
    plans.set_ranges(model, None)
    if mode == "float32":
        return
    if data is None:
        remedy = "A hundred of the images that it will see show the ranges of its numbers."
        raise ValueError(explain(who, "no calibration_data", "samples as predict takes them", remedy))
    try:
        plans.set_ranges(model, _measured(model, data, batch_size))
    except Unsupported as error:
        remedy = "The engine has to be able to run all of the model: see docs/engine.md, and model.engine."
        raise ValueError(explain(who, str(error), "a model that is computed in int8", remedy)) from None
    except FloatingPointError as error:
        received = f"calibration_data for which layer {str(error)!r} makes numbers that are not finite"
        raise ValueError(explain(who, received, "finite numbers", "Look at the samples, and at the weights.")) from None


def _measured(model: Any, data: Any, batch_size: int) -> quantization.Ranges:
    native, isa, threads = engine.native(), engine.instruction_set(), engine.threads()
    plans.require(model)
    plan = engine.lower(model.graph, [])
    plans.require_wide(plan)
    batches = [plans.inputs(model, x) for x, *_ in islice(adapt(data, batch_size=batch_size).epoch(), _MOST_BATCHES)]
    batches = [batch for batch in batches if len(batch[0])]
    if not batches:
        raise Unsupported("no samples")
    return quantization.measured(plan, native, isa, threads, batches)


def refuse_training(model: Any, method: str) -> None:
    """Raise an error where the ranges of a model belong to the weights that it has."""
    if plans.ranges(model) is not None:
        who, remedy = f"{method} of {model.name!r}", f"{_BACK} Quantize it after training."
        raise ValueError(explain(who, "a model quantized to int8", "a model of floats", remedy))
