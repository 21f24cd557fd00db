"""SwapEMAWeights: evaluation with the moving averages of the weights."""

import torch

from convia.callbacks.base import Callback, Logs
from convia.errors import explain


class SwapEMAWeights(Callback):
    """Evaluates with the moving averages of the weights, which an optimizer with ``use_ema=True`` keeps.

    Before evaluation and prediction the weights and their averages change places, and back afterwards.

    Args:
        swap_on_epoch: swap at the end of an epoch too, and back at the beginning of the next, so that callbacks after
            this one, such as ModelCheckpoint, see the averages.

    Raises:
        ValueError: at the first swap, if the optimizer keeps no averages.
    """

    kept = ("_swapped",)

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Train with the weights themselves."""
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Show the averages to the callbacks that follow."""
        if not self.swap_on_epoch or self._swapped:
            return
        self._swap(True)
        if epoch == self.params["epochs"] - 1 or self.model.stop_training:
            # the end of training puts the averages in place of the weights: leave the right ones
            for variable, average in self._pairs():
                average.copy_(variable)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Put the averages in place."""
        self._swap(True)

    def on_test_end(self, logs: Logs = None) -> None:
        """Put the weights back."""
        self._swap(False)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Put the averages in place."""
        self._swap(True)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Put the weights back."""
        self._swap(False)

    def _swap(self, swapped: bool) -> None:
        if self._swapped is swapped:
            return
        for variable, average in self._pairs():
            weights = variable.clone()
            variable.copy_(average)
            average.copy_(weights)
        self._swapped = swapped

    def _pairs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        outer = self.model.optimizer
        inner = getattr(outer, "inner_optimizer", outer)
        averaging = [item for item in getattr(inner, "optimizers", [inner]) if getattr(item, "use_ema", False)]
        if not averaging:
            received = f"the optimizer {type(inner).__name__} without moving averages"
            raise ValueError(explain("SwapEMAWeights", received, "one made with use_ema=True"))
        if any(getattr(item, "_averages", None) is None for item in averaging):
            remedy = "Train first, or call optimizer.build(model.trainable_variables)."
            raise ValueError(explain("SwapEMAWeights", "an optimizer that was not used yet", "moving averages", remedy))
        return [
            (variable.detach(), average.detach())
            for item in averaging
            for variable, average in zip(item._trainable_variables, item._averages, strict=True)
        ]
