"""Low-rank adapters (Hu et al. 2021, arXiv:2106.09685): a frozen weight W plus α/r · A·B, of which A and B learn."""

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from convia.args import Convert, whole
from convia.errors import explain
from convia.layer import Layer

Rank = Annotated[Any, Convert(lambda value, owner, name: value and whole(value, owner, name))]  # None for no adapter
_OPTIONAL = ("lora_rank", "lora_alpha", "gptq_unpacked_column_size")


class _Adaptable(Layer):
    """Base of layers whose main weight can be adapted; a subclass declares ``lora_rank`` and ``lora_alpha``.

    An adapted layer has the weight W under a name with an underscore, and ``kernel`` is computed on each call. A plain
    layer has its weight as it is and knows nothing of this.
    """

    _adapted: ClassVar[str] = "kernel"
    lora_enabled = False

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freeze the weight W (…, n) and add weights A (…, rank) and B (rank, n) that learn in its place.

        Args:
            rank: the less, the fewer numbers learn.
            lora_alpha: A·B is multiplied by lora_alpha / rank; ``rank`` when None.
            a_initializer, b_initializer: first values; by default the output does not change at first.

        Raises:
            ValueError: the layer is not built, has adapters already, or has a constraint on the weight.
        """
        problem = (
            ("a constraint on the weight", f"no {self._adapted}_constraint")
            if getattr(self, f"{self._adapted}_constraint") is not None
            else ("a layer that is not built", "a built one")
            if not self.built
            else ("a layer with adapters", "one without; they are added once")
            if self.lora_enabled
            else None
        )
        if problem:
            raise ValueError(explain(f"enable_lora of {type(self).__name__} layer {self.name!r}", *problem))
        self._adapt(whole(rank, self, "rank"), lora_alpha, a_initializer, b_initializer)

    def _adapt(self, rank: Any, alpha: Any, a_initializer: Any = "he_uniform", b_initializer: Any = "zeros") -> None:
        """Add the adapters; nothing for rank None."""
        if not rank:
            return
        name = self._adapted
        weight = self._parameters.pop(name)
        weight.trainable = False  # type: ignore[union-attr]
        self._parameters[f"_{name}"] = weight
        shapes = {"a": (*weight.shape[:-1], rank), "b": (rank, weight.shape[-1])}  # type: ignore[union-attr]
        for part, initializer in (("a", a_initializer), ("b", b_initializer)):
            adapter = self.add_weight(
                name=f"lora_{name}_{part}",
                shape=shapes[part],
                initializer=initializer,
                dtype="float32",
                regularizer=getattr(self, f"{name}_regularizer"),
            )
            setattr(self, adapter.name, adapter)
        self.lora_enabled, self.lora_rank, self.lora_alpha = True, rank, rank if alpha is None else alpha
        object.__setattr__(self, "_computed", {name: self._merged})

    def _merged(self) -> Tensor:
        name = self._adapted
        a, b = getattr(self, f"lora_{name}_a"), getattr(self, f"lora_{name}_b")
        merged: Tensor = getattr(self, f"_{name}") + (self.lora_alpha / self.lora_rank) * (a @ b)
        return merged

    def _stored_variables(self) -> list[Any]:
        return [v for v in super()._stored_variables() if not v.name.startswith(f"lora_{self._adapted}_")]

    def save_own_variables(self, store: Any) -> None:
        """Write the weights by number, W with its adapters added."""
        super().save_own_variables(store)
        if self.lora_enabled:
            store["0"] = self._merged().detach().cpu().numpy()

    def _loaded(self) -> None:
        if self.lora_enabled:
            b = getattr(self, f"lora_{self._adapted}_b")
            b.assign(torch.zeros_like(b))  # so that A·B = 0; were A zero too, as in Keras, neither would ever learn

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, those of adapters only where there are any."""
        given = super().get_config()
        return {key: value for key, value in given.items() if value is not None or key not in _OPTIONAL}
