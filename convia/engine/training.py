"""What training adds to a plan: losses and accuracies of the outputs, and the rule of the optimizer."""

from typing import Any

from convia import config, losses, metrics, optimizers
from convia.engine.plan import ACTS, KINDS, LOSSES, RULES, Plan, Unsupported

_LOSSES = {
    losses.sparse_categorical_crossentropy: "softmax_crossentropy",
    losses.categorical_crossentropy: "softmax_crossentropy",
    losses.binary_crossentropy: "sigmoid_crossentropy",
    losses.mean_squared_error: "mean_squared",
    losses.mean_absolute_error: "mean_absolute",
    losses.mean_absolute_percentage_error: "mean_percentage",
    losses.mean_squared_logarithmic_error: "mean_logarithmic",
    losses.huber: "huber",
    losses.log_cosh: "log_cosh",
    losses.poisson: "poisson",
}
_ACCURACIES = {
    metrics.SparseCategoricalAccuracy: (1, True),
    metrics.CategoricalAccuracy: (1, False),
    metrics.BinaryAccuracy: (2, False),
}
_CONFIRMED = {"axis": -1, "ignore_class": None}  # arguments of losses that must have these values


def add_losses(plan: Plan, objective: Any) -> None:
    """Add the losses and accuracies of a built objective.

    Raises:
        Unsupported: a loss or metric that the engine does not know, or in a way that it does not.
    """
    rows = zip(plan.outputs, objective._losses, objective._weights, objective._metrics, strict=True)
    for number, (output, loss, factor, reported) in enumerate(rows):
        if loss is None:
            continue
        entry = _described(loss)
        entry |= {"number": number, "output": output, "target": output, "factor": factor}
        entry["accuracy"], entry["threshold"], entry["inside"] = _accuracy(reported, entry["sparse"])
        _fuse(plan, entry)
        plan.losses.append(entry)
    targets = [entry["target"] for entry in plan.losses]
    if len(set(targets)) < len(targets):
        raise Unsupported("a tensor that is several outputs is not supported by the engine")
    inside = sum(len(entry["inside"]) for entry in plan.losses)
    plan.watched = inside < sum(len(group) for group in (*objective._metrics, *objective._weighted))


def _described(loss: Any) -> dict[str, Any]:
    function, arguments = getattr(loss, "fn", None), dict(getattr(loss, "_arguments", {}))
    kind = _LOSSES.get(function)  # type: ignore[arg-type]
    own = type(loss).call is losses.LossFunctionWrapper.call
    means = getattr(loss, "reduction", None) in ("sum_over_batch_size", "mean")
    if kind is None or not own or not means or any(arguments.pop(k, v) != v for k, v in _CONFIRMED.items()):
        raise Unsupported(f"loss {loss.name!r} ({type(loss).__name__}) is not supported by the engine")
    return {
        "kind": LOSSES.index(kind),
        "sparse": function is losses.sparse_categorical_crossentropy,
        "logits": bool(arguments.get("from_logits", False)),
        "smoothing": float(arguments.get("label_smoothing", 0.0)),
        "delta": float(arguments.get("delta", 1.0)),
        "epsilon": config.epsilon(),
    }


def _accuracy(wanted: list[Any], sparse: bool) -> tuple[int, float, list[Any]]:
    """Return the kind of accuracy that the engine counts, its threshold and its metrics; (0, ½, []) for none.

    All other metrics are shown the predictions.
    """
    kinds: dict[tuple[int, float], list[Any]] = {}
    for metric in wanted:
        kind, of_numbers = _ACCURACIES.get(type(metric), (0, None))
        if of_numbers is sparse:
            kinds.setdefault((kind, float(getattr(metric, "threshold", 0.5))), []).append(metric)
    return next(((*kind, metrics) for kind, metrics in kinds.items()), (0, 0.5, []))


_ENDINGS = {"softmax_crossentropy": "softmax", "sigmoid_crossentropy": "sigmoid"}


def _fuse(plan: Plan, entry: dict[str, Any]) -> None:
    """Differentiate a cross-entropy of probabilities together with the softmax or sigmoid that makes them."""
    ending = _ENDINGS.get(LOSSES[entry["kind"]])
    if ending is None or entry["logits"]:
        return
    makers = [step for step in plan.steps if step["out"] == entry["output"]]
    users = [step for step in plan.steps if entry["output"] in step["ins"]]
    last: dict[str, Any] = makers[-1] if makers else {"kind": -1}
    name = KINDS[last["kind"]] if last["kind"] >= 0 else ""
    name = ACTS[last["act"]] if name == "unary" else name
    if name != ending or users or any(other["output"] == entry["output"] for other in plan.losses):
        return
    last["skip_backward"] = entry["fused"] = True
    entry["target"] = last["ins"][0]


def add_optimizer(plan: Plan, optimizer: Any, learned: list[Any]) -> None:
    """Add the optimizer's rule, and its slots to the parameters; the optimizer must be built.

    Raises:
        Unsupported: an optimizer, or an option of it, that the engine does not know.
    """
    name, details = rule(optimizer)
    plan.optimizer = {"rule": RULES.index(name), **details, **_shared(optimizer)}
    known = {id(parameter.tensor): parameter for parameter in plan.parameters}
    for variable in learned:
        parameter = known.get(id(variable))
        if parameter is None:
            raise Unsupported(f"a weight outside the graph ({variable.path}) is not supported by the engine")
        parameter.slots = _slots(optimizer, variable)
        parameter.average, parameter.sum = (
            kept[optimizer._get_variable_index(variable)] if used else None
            for used, kept in (
                (optimizer.use_ema, getattr(optimizer, "_averages", ())),
                (optimizer.gradient_accumulation_steps, getattr(optimizer, "_sums", ())),
            )
        )
        kept = [each for each in (*parameter.slots, parameter.average, parameter.sum) if each is not None]
        if any(each.stride() != variable.stride() and each.numel() > 1 for each in kept):
            who = f"optimizer {type(optimizer).__name__}"
            raise Unsupported(f"state of {who} in another order of memory is not supported by the engine")
        decay = optimizer._decay_of(variable)
        parameter.decay = float(decay) if decay is not None and optimizer._use_weight_decay(variable) else 0.0


def rule(optimizer: Any) -> tuple[str, dict[str, Any]]:
    """Return the engine's name for an optimizer's rule, and the numbers in it.

    Raises:
        Unsupported: an optimizer that the engine does not know.
    """
    known = _RULES.get(type(optimizer))
    if known is None:
        raise Unsupported(f"optimizer {type(optimizer).__name__} is not supported by the engine")
    return known(optimizer)


def _shared(optimizer: Any) -> dict[str, Any]:
    """Return the options of every optimizer; a factor of the loss, which float32 does not need, is left out."""
    clips = {"clip_value": "clipvalue", "clip_norm": "clipnorm", "clip_global": "global_clipnorm"}
    return {
        **{key: float(getattr(optimizer, option) or 0.0) for key, option in clips.items()},
        "every": int(optimizer.gradient_accumulation_steps or 1),
        "average_momentum": float(optimizer.ema_momentum),
        "overwrite": int(optimizer.ema_overwrite_frequency or 0),
    }


def _slots(optimizer: Any, variable: Any) -> tuple[Any, ...]:
    """Return an optimizer's state in the engine's order; RMSprop's is v, the sum of steps and the mean gradient."""
    slots: tuple[Any, ...] = optimizer.slots(variable)
    if isinstance(optimizer, optimizers.RMSprop) and optimizer.centered and not optimizer.momentum:
        return slots[0], None, slots[1]
    return slots


def _sgd(optimizer: Any) -> tuple[str, dict[str, Any]]:
    return "sgd", {"a": optimizer.momentum, "variant": bool(optimizer.nesterov)}


def _adam(optimizer: Any) -> tuple[str, dict[str, Any]]:
    betas = {"a": optimizer.beta_1, "b": optimizer.beta_2}
    return "adam", {**betas, "epsilon": optimizer.epsilon, "variant": bool(optimizer.amsgrad)}


def _rmsprop(optimizer: Any) -> tuple[str, dict[str, Any]]:
    return "rmsprop", {"a": optimizer.rho, "b": optimizer.momentum, "epsilon": optimizer.epsilon}


def _adagrad(optimizer: Any) -> tuple[str, dict[str, Any]]:
    return "adagrad", {"epsilon": optimizer.epsilon}


_RULES = {
    optimizers.SGD: _sgd,
    optimizers.Adam: _adam,
    optimizers.AdamW: _adam,
    optimizers.RMSprop: _rmsprop,
    optimizers.Adagrad: _adagrad,
}
