"""Embeddings: learned vectors for whole numbers, and back."""

# It thinks that redeclared arguments keep their place, see convia/args.py:
# mypy: disable-error-code="misc"

from typing import TYPE_CHECKING, Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config
from convia.args import Convert, PositiveInt, field
from convia.errors import explain
from convia.layer import Layer
from convia.layers.arguments import Constraint, Initializer, Regularizer, Unquantized
from convia.layers.lora import Rank, _Adaptable
from convia.layers.one_tensor import _OneTensor

__all__ = ["Embedding", "ReversibleEmbedding"]


def _first_values(value: Any, owner: Any, name: str) -> None:
    if value is not None:
        owner._hints["weights"] = value if isinstance(value, list) else [value]


class _Starting(_OneTensor, Layer):
    """A layer whose constructor takes ``weights``, the values to start from, under the name of a property."""

    @property
    def weights(self) -> list[Any]:
        """The weights."""
        return super().weights

    @weights.setter
    def weights(self, nothing: None) -> None:
        """The first values wait among the hints until there are weights, see _first_values."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, without the values to start from."""
        given = super().get_config()
        given.pop("weights", None)
        return given


class Embedding(_Starting, _Adaptable):
    """Look up a learned vector for each whole number: (batch, …) → (batch, …, output_dim).

    Args:
        input_dim: number of vectors; inputs are from 0 to input_dim − 1.
        output_dim: length of a vector.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: of the matrix of vectors.
        mask_zero: whether 0 stands for "nothing here": layers after this one skip such steps (see ``masks.py``).
        weights: the matrix to start from, or a list of it alone.
        lora_rank, lora_alpha: see :meth:`enable_lora`, which they call when the layer is built.
    """

    _adapted = "embeddings"
    input_dim: PositiveInt
    output_dim: PositiveInt
    embeddings_initializer: Initializer = "uniform"
    embeddings_regularizer: Regularizer = None
    embeddings_constraint: Constraint = None
    mask_zero: bool = False
    if not TYPE_CHECKING:  # a property of Layer, see _Starting
        weights: Annotated[Any, Convert(_first_values)] = None
    lora_rank: Rank = None
    lora_alpha: Any = None
    quantization_config: Unquantized = None
    activity_regularizer: Regularizer = field(default=None, kw_only=True)

    if TYPE_CHECKING:

        def __init__(
            self,
            input_dim: int,
            output_dim: int,
            embeddings_initializer: Any = "uniform",
            embeddings_regularizer: Any = None,
            embeddings_constraint: Any = None,
            mask_zero: bool = False,
            weights: Any = None,
            lora_rank: int | None = None,
            lora_alpha: Any = None,
            quantization_config: Any = None,
            *,
            activity_regularizer: Any = None,
            trainable: bool = True,
            dtype: Any = None,
            autocast: bool = True,
            name: str | None = None,
            input_length: int | None = None,
        ) -> None: ...

    def _accept(self, extra: dict[str, Any]) -> None:
        extra.pop("input_length", None)  # Keras 2 needed it, Keras 3 ignores it
        super()._accept(extra)

    def __post_init__(self) -> None:
        """Note whether there are masks."""
        object.__setattr__(self, "autocast", False)  # large indices given as floats would be rounded
        self.supports_masking = self._makes_masks = self.mask_zero

    @classmethod
    def _declares_regularizer(cls) -> bool:
        return True

    def build(self, input_shape: Any = None) -> None:
        """Create ``embeddings`` (input_dim, output_dim)."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self._adapt(self.lora_rank, self.lora_alpha)

    def call(self, inputs: Tensor) -> Tensor:
        """Look up the vectors."""
        indices = inputs if inputs.dtype in (torch.int32, torch.int64) else inputs.long()
        return F.embedding(indices, self.embeddings).to(self._input_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where the numbers are not 0, None without ``mask_zero``."""
        return torch.ne(inputs, 0) if self.mask_zero else None

    def _check_inputs(self, args: tuple[Any, ...]) -> None:
        super()._check_inputs(args)
        indices = args[0] if args else None
        if isinstance(indices, Tensor) and indices.numel() and not indices.is_meta:
            low, high = int(indices.min()), int(indices.max())
            if low < 0 or high >= self.input_dim:
                raise ValueError(
                    explain(
                        f"Embedding layer {self.name!r}",
                        f"numbers from {low} to {high}",
                        f"from 0 to {self.input_dim - 1}",
                        "input_dim is the greatest number plus 1.",
                    )
                )


class ReversibleEmbedding(Embedding):
    """An embedding that also goes back: with ``reverse=True`` from (…, output_dim) to scores (…, input_dim).

    Args:
        input_dim, output_dim, embeddings_…, mask_zero: as for :class:`Embedding`.
        tie_weights: whether the way back is x·Eᵀ with the matrix E of the embedding (Press and Wolf 2016,
            arXiv:1608.05859); a weight of its own, ``reverse_embeddings``, otherwise.
        reverse_dtype: the type of the way back.
        logit_soft_cap: scores s become c·tanh(s / c) with this c.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        embeddings = (embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        super().__init__(input_dim, output_dim, *embeddings, mask_zero, **kwargs)
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: Any = None) -> None:
        """Create ``embeddings`` (input_dim, output_dim), and ``reverse_embeddings`` if they are not tied."""
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        """Look up the vectors, or return the scores of the numbers for vectors."""
        if not reverse:
            return super().call(inputs)
        kernel = self.embeddings.t() if self.tie_weights else self.reverse_embeddings
        wanted = self.reverse_dtype
        dtype = config.torch_dtype(wanted) if wanted else torch.promote_types(inputs.dtype, kernel.dtype)
        scores = inputs.to(dtype) @ kernel.to(dtype)
        cap = self.logit_soft_cap
        return scores if cap is None else torch.tanh(scores / cap) * cap

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where the numbers are not 0; None without ``mask_zero``, and on the way back."""
        return None if "float" in config.dtype_name(inputs.dtype) else super().compute_mask(inputs, mask)

    def _check_inputs(self, args: tuple[Any, ...]) -> None:
        if "float" not in config.dtype_name(args[0].dtype):
            super()._check_inputs(args)
