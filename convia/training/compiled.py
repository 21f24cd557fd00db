"""What ``compile`` sets up: the optimizer, the losses, the metrics, and what a first step is checked for."""

import inspect
from typing import Any, ClassVar

import torch
from torch import Tensor

from convia import distributed, optimizers, tree
from convia.errors import explain
from convia.layer import Layer
from convia.training import advice, blame, cuda_graphs, plans
from convia.training.objective import Objective

_ENGINES = (None, "auto", "native", "torch")


class Compiled(Layer):
    """The half of a trainable layer that knows what to minimize and what to report."""

    _namespace: ClassVar[str | None] = None

    _loss_takes_training: ClassVar[bool] = True

    def _start_training_books(self) -> None:
        self.optimizer: Any
        self.objective: Any
        self.history: Any
        self.stop_training: bool
        self._compile_args: dict[str, Any] | None
        self._learned: list[Any] | None
        self._regularized: list[Any] | None
        self._first_step: bool
        self._resume_epoch: int
        self._resume_step: int
        self._steps_done: int
        self._stops_at_nan: bool
        self._nan_comes_from: str
        self._reading: blame.Reading
        self._recorders: dict[bool, cuda_graphs.Recorder]
        self._shares: Any
        quiet = object.__setattr__
        for name, value in (
            ("optimizer", None),
            ("objective", None),
            ("history", None),
            ("stop_training", False),
            ("_compile_args", None),
            ("_learned", None),
            ("_regularized", None),
            ("_first_step", True),
            ("steps_per_execution", 1),
            ("run_eagerly", False),
            ("jit_compile", False),
            ("_resume_epoch", 0),
            ("_resume_step", 0),
            ("_engine_choice", None),
            ("_steps_done", 0),
            ("_stops_at_nan", False),
            ("_nan_comes_from", ""),
            ("_reading", blame.Reading()),
            ("_recorders", {}),
            ("_shares", None),
        ):
            quiet(self, name, value)

    # -- compile ------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | str = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        engine: str | None = None,
        cache_features: Any = None,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: a name or an Optimizer.
            loss: a name, function or Loss; with several outputs a list or dict of them.
            loss_weights: factors of the outputs' losses.
            metrics, weighted_metrics: lists; with several outputs lists or dicts of lists.
            run_eagerly: call each layer in Python, without the engine and without recordings.
            jit_compile: "auto" or True records the network as a CUDA graph on a GPU, where nothing but numbers changes
                from batch to batch; False never does. It changes nothing on CPUs.
            steps_per_execution: steps between calls of the callbacks' batch methods.
            auto_scale_loss: scale the loss when the policy is mixed_float16.
            engine: what computes on a CPU, whatever ``config.set_engine`` and CONVIA_ENGINE say: "auto", "native" (an
                error where the engine does not know the model) or "torch". It is no part of the saved model.
            cache_features: False computes what a frozen first part makes of each sample anew in every epoch; a
                :class:`~convia.training.features.FeatureCache` says how it is kept; None leaves the attribute as it is.

        Raises:
            ValueError: an unknown name of an optimizer, a loss, a metric or an engine; a model that the engine does not
                know, which was asked for.
        """
        if engine not in _ENGINES:
            raise ValueError(
                explain("compile, argument 'engine'", repr(engine), "'auto', 'native', 'torch', or None for config's")
            )
        chosen = optimizers.get(optimizer)
        mixed = self.dtype_policy.name == "mixed_float16"
        if auto_scale_loss and mixed and not isinstance(chosen, optimizers.LossScaleOptimizer):
            chosen = optimizers.LossScaleOptimizer(chosen)
        self._compile_args = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        object.__setattr__(self, "optimizer", chosen)
        object.__setattr__(self, "objective", Objective(loss, loss_weights, metrics, weighted_metrics))
        object.__setattr__(self, "stop_training", False)
        object.__setattr__(self, "_trainable_at_compile", advice.flags(self))
        object.__setattr__(self, "_engine_choice", engine)
        if cache_features is not None:
            self.cache_features = cache_features
        self.run_eagerly, self.jit_compile = run_eagerly, bool(jit_compile)
        self.steps_per_execution = 1 if steps_per_execution == "auto" else int(steps_per_execution)
        self._forget_compiled_functions()
        if engine == "native" and getattr(self, "graph", None) is not None:
            plans.check(self)

    @property
    def compiled(self) -> bool:
        """Whether ``compile`` has been called."""
        return self.objective is not None

    @property
    def loss(self) -> Any:
        """The loss as it was given to ``compile``."""
        return self._compile_args["loss"] if self._compile_args else None

    def _forget_compiled_functions(self) -> None:
        """The layers or what learns may have changed: look again at the next step."""
        object.__setattr__(self, "_learned", None)
        object.__setattr__(self, "_regularized", None)
        object.__setattr__(self, "_first_step", True)
        object.__setattr__(self, "_recorders", {})

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of ``compile`` as plain values."""
        from_args = dict(self._compile_args or {})
        if self.optimizer is not None:
            from_args["optimizer"] = self.optimizer
        return _plain(from_args)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what ``get_compile_config`` returned."""
        self.compile(**config)

    def _require_compiled(self, method: str) -> None:
        distributed.join()
        if not self.compiled:
            raise ValueError(
                explain(
                    f"{method} of {self.name!r}",
                    "a model that is not compiled",
                    "a compiled one",
                    "Call model.compile(optimizer, loss) first.",
                )
            )

    # -- metrics ------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The loss's mean, the metrics of ``compile`` and those of the layers; a model within has its own."""
        compiled = self.objective.metrics if self.objective is not None else []
        inside = [layer for layer in self._flatten_layers(include_self=False) if not isinstance(layer, Compiled)]
        return [*compiled, *self._metrics, *(metric for layer in inside for metric in layer._metrics)]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the results of ``evaluate``, in its order."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Start all metrics anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the metrics' values by name."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            results.update(result if isinstance(result, dict) else {metric.name: result})
        return results

    # -- what is minimized --------------------------------------------------------------------------------------

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Return what training minimizes: the losses of ``compile`` and the penalties of layers and weights."""
        if not self.objective.built:
            self.objective.build(y, y_pred, self._output_names())
        total: Tensor | None = self.objective.loss(y, y_pred, sample_weight)
        for penalty in self._penalties():
            penalty = penalty.mean() if penalty.ndim else penalty  # noqa: PLW2901
            total = penalty if total is None else total + penalty
        if total is None:
            raise ValueError(
                explain(
                    f"fit of {self.name!r}",
                    "a model without any loss",
                    "a loss to minimize",
                    "Pass loss= to compile(), or call add_loss() in a layer.",
                )
            )
        return total

    def _compute_loss(self, x: Any, y: Any, outputs: Any, weight: Any, training: bool) -> Tensor:
        """Call ``compute_loss``, which a subclass may have replaced by one without ``training``."""
        named: dict[str, Any] = {"x": x, "y": y, "y_pred": outputs, "sample_weight": weight}
        if self._loss_takes_training:
            named["training"] = training
        return self.compute_loss(**named)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._loss_takes_training = "training" in inspect.signature(cls.compute_loss).parameters

    def _update_metrics(self, x: Any, y: Any, outputs: Any, weight: Any) -> None:
        """Feed the metrics, through ``compute_metrics`` where a subclass has replaced it."""
        if type(self).compute_metrics is Compiled.compute_metrics:
            self.objective.update(y, outputs, weight)
        else:
            self.compute_metrics(x, y, outputs, weight)

    def _penalties(self) -> list[Tensor]:
        """The penalties of the last call and of the weights' regularizers; the weights are looked through once."""
        added = [distributed.mean(loss) for layer in self._loss_layers for loss in layer._losses]
        return added + [self._penalty(variable) for variable in self._penalized_weights()]

    def _penalty(self, variable: Any) -> Any:
        of_parts = None if self._shares is None else self._shares.penalty(variable)
        return variable.regularizer(variable) if of_parts is None else of_parts

    def _penalized_weights(self) -> list[Any]:
        regularized = self._regularized
        if regularized is None:
            regularized = [v for v in self.trainable_weights if v.regularizer is not None]
            object.__setattr__(self, "_regularized", regularized)
        return regularized

    def _output_names(self) -> list[str] | None:
        return self.output_names if getattr(self, "graph", None) is not None else None

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Feed the metrics of ``compile`` with a batch and return all values."""
        with torch.no_grad():
            self.objective.update(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _learned_variables(self) -> list[Any]:
        """The variables that learn, noted once; changing ``trainable`` later needs a new ``compile``."""
        learned = self._learned
        if learned is None:
            learned = list(self.trainable_variables)
            if learned and self._shares is not None:
                learned = self._shares.learned(self.optimizer, learned)
            elif learned and not self.optimizer.built:
                self.optimizer.build(learned)
            object.__setattr__(self, "_learned", learned)
        return learned

    def _check_first_step(self, loss: Tensor, x: Any, outputs: Any) -> None:
        object.__setattr__(self, "_first_step", False)
        if loss.ndim:
            raise ValueError(
                explain(
                    f"fit of {self.name!r}",
                    f"a loss of shape {tuple(loss.shape)}",
                    "one number",
                    "Use a reduction such as 'sum_over_batch_size', or take the mean in your loss.",
                )
            )
        if bool(torch.isfinite(loss)):
            return
        cause = blame.cause(self, x, self._reading)
        bad_input = cause.startswith("x ")
        remedy = (
            "Clean the data: numpy.nan_to_num, or drop those samples."
            if bad_input
            else "Scale the inputs (images: divide by 255) and check the initial weights and the loss function."
        )
        raise ValueError(
            explain(
                f"fit of {self.name!r}", f"a loss of {loss.item()} in the first step ({cause})", "a finite loss", remedy
            )
        )


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    return {key: tree.map_structure(optimizers.serialize, value) for key, value in arguments.items()}
