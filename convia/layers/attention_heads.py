"""Attention of several heads, between projections. Masks are True where something counts."""

# mypy thinks that redeclared arguments keep their place
# mypy: disable-error-code="misc"

import math
import string
from contextlib import nullcontext
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from convia import config, random
from convia.args import Convert, Fraction, PositiveInt, whole
from convia.errors import explain
from convia.layer import Layer
from convia.layers.activation import Softmax
from convia.layers.arguments import Constraint, Initializer, Regularizer
from convia.layers.attention import steps_behind
from convia.layers.core import EinsumDense
from convia.layers.random import Dropout

__all__ = ["GroupQueryAttention", "MultiHeadAttention"]

_PROJECTION_ARGUMENTS = (
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
)


def _size(value: Any, owner: Any, name: str) -> int | None:
    return None if value is None else whole(value, owner, name)


def _sizes(value: Any, owner: Any, name: str) -> tuple[int, ...] | None:
    items = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(whole(item, owner, name) for item in items) if value else None


def _axes(value: Any, owner: Any, name: str) -> tuple[int, ...] | None:
    items = value if isinstance(value, (list, tuple)) else (value,)
    if value is not None and not all(isinstance(axis, int) for axis in items):
        received = f"{type(owner).__name__}, argument {name!r}"
        raise ValueError(explain(received, repr(value), "an axis, several of them, or None"))
    return None if value is None else tuple(items)


Size = Annotated[Any, Convert(_size)]


class _Heads(Layer):
    """Several attentions at once: queries, keys and values are projected, the heads' results projected together."""

    supports_masking = True
    _prefix: ClassVar[str]  # of the attributes of projections, which Keras's files name
    _scores_of: ClassVar[str] = "bkuh,bquh->buqk"
    _values_of: ClassVar[str] = "buqk,bkuh->bquh"
    _attended = 1  # axes over which attention runs

    def __post_init__(self) -> None:
        """Refuse what flash attention cannot do."""
        self._flash = bool(self.flash_attention or config.is_flash_attention_enabled())
        if self.dropout:
            self._refuse_flash(f"dropout={self.dropout}")

    def _refuse_flash(self, other: str) -> None:
        if self._flash:
            who = f"{type(self).__name__} layer {self.name!r}"
            raise ValueError(explain(who, f"flash attention and {other}", "one of them"))

    def _dense(self, role: str) -> EinsumDense:
        dense: EinsumDense = getattr(self, f"{self._prefix}{role}_dense")
        return dense

    def _project(self, name: str, equation: str, sizes: tuple[int, ...], activation: Any = None) -> EinsumDense:
        """Make a projection whose last axes have the given sizes; the bias varies along these."""
        target = equation.split("->")[1]
        layer = EinsumDense(
            equation,
            (None,) * (len(target) - 1 - len(sizes)) + sizes,
            bias_axes=target[-len(sizes) :] if self.use_bias else None,
            activation=activation,
            name=name,
            dtype=self.dtype_policy,
            **{argument: getattr(self, argument) for argument in _PROJECTION_ARGUMENTS},
        )
        object.__setattr__(layer, "path", f"{self.path or self.name}/{name}")
        return layer

    def _normalize_with(self, softmax_axes: Any) -> None:
        self._softmax = Softmax(softmax_axes, dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend, (N, T, D) and (N, S, D) → (N, T, D); all masks given hold together.

        Args:
            query: what is looked for.
            value: what is averaged.
            key: what queries are compared with; the values when None.
            query_mask, value_mask, key_mask: of shapes (N, T), (N, S), (N, S).
            attention_mask: which query may look at which key, (N, T, S); heads may come in front of T.
            return_attention_scores: whether to return also the weights, (N, heads, T, S).
            training: whether weights are dropped.
            use_causal_mask: whether no query looks at a later key.
        """
        masks = query_mask, value_mask, key_mask, attention_mask
        causal = use_causal_mask and self.sliding_window is None and all(mask is None for mask in masks)
        mask = None if causal else self._compute_attention_mask(query, value, *masks, use_causal_mask)
        gate = self._gate_dense(query) if self.use_gate else None
        keys, values = self._heads_of("key", value if key is None else key), self._heads_of("value", value)
        projected = self._dense("query")(query), keys, values
        outputs, scores = self._compute_attention(*projected, mask, training, return_attention_scores, causal)
        outputs = self._dense("output")(outputs if gate is None else outputs * gate)
        return (outputs, scores) if return_attention_scores else outputs

    def _heads_of(self, role: str, inputs: Tensor) -> Tensor:
        return self._dense(role)(inputs)

    def _compute_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with projected tensors (N, …, heads, size): the heads' outputs, and scores where they are known.

        Torch's fused function is exact except for a query that may look at nothing: it gets the mean of all values
        there, and 0 where weights are dropped or returned, both as in Keras.
        """
        if return_attention_scores:
            self._refuse_flash("return_attention_scores=True")
        plain = not self.dropout or (attention_mask is None and not training)
        if plain and not return_attention_scores and query.ndim == 4:
            return self._fused(query, key, value, attention_mask, use_causal_mask), None
        if use_causal_mask:
            causal = self._compute_causal_mask(query, value)
            attention_mask = causal if attention_mask is None else attention_mask.bool() & causal
        scores = torch.einsum(self._scores_of, key, query / math.sqrt(query.shape[-1]))
        mask = None if attention_mask is None else self._with_heads(attention_mask, scores.ndim)
        weights = self._softmax(scores, mask=mask)
        dropped = self._dropout_layer(weights, training=bool(training)) if self.dropout else weights
        return torch.einsum(self._values_of, dropped, value), weights

    def _fused(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        bias = None
        if mask is not None:
            low = torch.finfo(query.dtype).min * 0.7
            bias = torch.zeros((), dtype=query.dtype, device=query.device).where(self._with_heads(mask, 4), low)
        q, k, v = (x.transpose(1, 2) for x in (query, key, value))
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION) if self._flash else nullcontext():
            return F.scaled_dot_product_attention(q, k, v, bias, is_causal=causal).transpose(1, 2)

    def _with_heads(self, mask: Tensor, rank: int) -> Tensor:
        """Give a mask (N, T, S) the axes it lacks, in front of those of queries and keys."""
        mask = mask.bool()
        for _ in range(rank - mask.ndim):
            mask = mask.unsqueeze(-2 * self._attended - 1)
        return mask

    def _compute_attention_mask(
        self,
        query: Tensor,
        value: Tensor,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor | None:
        """Return (N, T, S), True where all the masks are, None if there is none."""
        masks = [mask.bool().unsqueeze(-2) for mask in (value_mask, key_mask) if mask is not None]
        if query_mask is not None:
            masks.append(query_mask.bool().unsqueeze(-1))
        if use_causal_mask:
            masks.append(self._compute_causal_mask(query, value))
        if self.sliding_window is not None:
            masks.append(steps_behind(query.shape[1], value.shape[1], query.device).abs() < self.sliding_window)
        if attention_mask is not None:
            masks.append(attention_mask.bool())
        merged = masks[0] if masks else None
        for mask in masks[1:]:
            merged = merged & mask  # type: ignore[operator]
        return merged

    def _compute_causal_mask(self, query: Tensor, value: Tensor | None = None) -> Tensor:
        """Return (1, T, S), True where the key is not later than the query."""
        return steps_behind(query.shape[1], (query if value is None else value).shape[1], query.device) >= 0

    @classmethod
    def _declares_regularizer(cls) -> bool:
        return True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments but the kind of kernel, which depends on the machine."""
        given = super().get_config()
        del given["flash_attention"]
        return given


class MultiHeadAttention(_Heads):
    """Attention of several heads (Vaswani et al. 2017): (N, T, D) and (N, S, D) → (N, T, D).

    Args:
        num_heads: number of heads.
        key_dim: length of a head's queries and keys.
        value_dim: length of a head's values; ``key_dim`` when None.
        dropout: fraction of the weights dropped while training.
        use_bias: whether projections add a bias.
        output_shape: of the last axes of the output; that of a query when None.
        attention_axes: axes over which attention runs, all between the batch and the last one when None.
        sliding_window: a query looks only at keys fewer than so many steps away.
        flash_attention: whether to insist on torch's kernel of this name; None leaves it to torch and to
            ``config.enable_flash_attention()``.
        kernel_initializer and the others: of all projections, as for :class:`Dense`.
        use_gate: whether the heads' outputs are multiplied by a sigmoid of a projection of the query
            (Qiu et al. 2025, "Gated attention for large language models").
        seed: of dropout.

    Raises:
        ValueError: flash attention with dropout or returned scores; keys and values of unequal length.
    """

    _prefix = ""

    num_heads: PositiveInt
    key_dim: PositiveInt
    value_dim: Size = None
    dropout: Fraction = 0.0
    use_bias: bool = True
    output_shape: Annotated[Any, Convert(_sizes)] = None
    attention_axes: Annotated[Any, Convert(_axes)] = None
    sliding_window: Size = None
    flash_attention: bool | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = False
    seed: random.Seed = None

    def __post_init__(self) -> None:
        """Let values be as long as keys unless told otherwise."""
        super().__post_init__()
        self.value_dim = self.value_dim or self.key_dim

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:  # type: ignore[override]
        """Create the projections ``query``, ``key``, ``value``, ``attention_output``, and ``gate``."""
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            shapes = f"values {tuple(value_shape)} and keys {tuple(key_shape)}"
            raise ValueError(explain(f"MultiHeadAttention layer {self.name!r}", shapes, "one number of steps"))
        keys, values = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        query_equation, target = _projection(len(query_shape) - 1, 1, 2), (*query_shape[:-1], *values)
        self.query_dense = self._project("query", query_equation, keys)
        self.key_dense = self._project("key", _projection(len(key_shape) - 1, 1, 2), keys)
        if self.use_gate:
            self._gate_dense = self._project("gate", query_equation, values, "sigmoid")
            self._gate_dense.build(query_shape)
        self.value_dense = self._project("value", _projection(len(value_shape) - 1, 1, 2), values)
        for layer, shape in zip(
            (self.query_dense, self.key_dense, self.value_dense), (query_shape, key_shape, value_shape), strict=True
        ):
            layer.build(shape)
        self._attend_over(len(value_shape) + 1)
        sizes = self.output_shape or (query_shape[-1],)
        equation = _projection(len(query_shape) - 1, 2, len(sizes))
        self.output_dense = self._project("attention_output", equation, sizes)
        self.output_dense.build(target)
        for layer in self.sublayers():
            layer._finish_build()

    def _attend_over(self, rank: int) -> None:
        """Write the equations of attention for projected tensors of a rank."""
        axes = self.attention_axes
        axes = tuple(range(1, rank - 2)) if axes is None else tuple(a if a >= 0 else a + rank - 1 for a in axes)
        letters = string.ascii_lowercase
        target = letters[:rank]
        source = "".join(letters[rank + axes.index(axis)] if axis in axes else target[axis] for axis in range(rank))
        shared = "".join(target[axis] for axis in range(rank - 1) if axis not in axes)  # batch and heads
        scores = shared + "".join(word[axis] for word in (target, source) for axis in axes)
        self._scores_of, self._values_of = f"{source},{target}->{scores}", f"{scores},{source}->{target}"
        self.attention_axes, self._attended = axes, len(axes)
        self._normalize_with(tuple(range(len(scores) - len(axes), len(scores))))

    def _add_activity_losses(self, outputs: Any) -> None:
        """Do nothing: the projections' outputs are what is penalized, as in Keras."""


def _projection(free: int, summed: int, made: int) -> str:
    """Return "ab,bcd->acd" for one free axis, one summed and two made."""
    letters = string.ascii_lowercase
    kernel = letters[free : free + summed + made]
    return f"{letters[: free + summed]},{kernel}->{letters[:free]}{kernel[summed:]}"


class GroupQueryAttention(_Heads):
    """Attention of several heads where groups of them share keys and values (Ainslie et al. 2023).

    Args:
        head_dim: length of a head's queries, keys and values.
        num_query_heads: number of heads.
        num_key_value_heads: number of groups; a divisor of ``num_query_heads``.
        dropout and the others: as for :class:`MultiHeadAttention`.

    Raises:
        ValueError: heads that do not divide into the groups; flash attention with dropout or returned scores.
    """

    _prefix = "_"

    head_dim: PositiveInt
    num_query_heads: PositiveInt
    num_key_value_heads: PositiveInt
    dropout: Fraction = 0.0
    use_bias: bool = True
    sliding_window: Size = None
    flash_attention: bool | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = False
    seed: random.Seed = None

    def __post_init__(self) -> None:
        """Check that the groups are equally large."""
        super().__post_init__()
        self.num_repeats, rest = divmod(self.num_query_heads, self.num_key_value_heads)
        if rest:
            received = f"num_query_heads={self.num_query_heads}, num_key_value_heads={self.num_key_value_heads}"
            raise ValueError(explain("GroupQueryAttention", received, "a multiple and its divisor"))

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:  # type: ignore[override]
        """Create the projections ``query``, ``key``, ``value``, ``attention_output``, and ``gate``."""
        queries, groups = (self.num_query_heads, self.head_dim), (self.num_key_value_heads, self.head_dim)
        self._query_dense = self._project("query", "bqm,muh->bquh", queries)
        self._query_dense.build(query_shape)
        self._key_dense = self._project("key", "bkm,mvh->bkvh", groups)
        self._key_dense.build(value_shape if key_shape is None else key_shape)
        if self.use_gate:
            self._gate_dense = self._project("gate", "bqm,muh->bquh", queries, "sigmoid")
            self._gate_dense.build(query_shape)
        self._value_dense = self._project("value", "bkm,mvh->bkvh", groups)
        self._value_dense.build(value_shape)
        self._normalize_with(-1)
        self._output_dense = self._project("attention_output", "bquh,uhm->bqm", (query_shape[-1],))
        self._output_dense.build((None, None, *queries))
        for layer in self.sublayers():
            layer._finish_build()

    def _heads_of(self, role: str, inputs: Tensor) -> Tensor:
        return self._dense(role)(inputs).repeat_interleave(self.num_repeats, 2)
