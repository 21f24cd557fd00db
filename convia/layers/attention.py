"""Attention: means of values, weighted by how well a query fits each key. Masks are True where something counts."""

from typing import Annotated, Any

import torch
from torch import Tensor

from convia import random
from convia.args import Fraction, field, one_of
from convia.errors import explain
from convia.layer import Layer

__all__ = ["AdditiveAttention", "Attention"]


def steps_behind(queries: int, keys: int, device: torch.device) -> Tensor:
    """Return how many steps each query is behind each key, (1, T, S)."""
    return torch.arange(queries, device=device)[None, :, None] - torch.arange(keys, device=device)


class Attention(Layer):
    """Dot-product attention (Luong et al. 2015) on [query, value] or [query, value, key], without projections.

    (N, T, D), (N, S, V) and (N, S, D) → (N, T, V).

    Args:
        use_scale: whether scores are multiplied by a learned number.
        score_mode: "dot" for q·k, "concat" for w·Σ tanh(q + k) with a learned number w.
        dropout: fraction of the weights dropped while training.
        seed: of dropout.

    Raises:
        ValueError: inputs that are not a list of two or three, a mask that is no list.
    """

    supports_masking = True

    use_scale: bool = False
    score_mode: Annotated[str, one_of("dot", "concat", fold=False)] = "dot"
    dropout: Fraction = 0.0
    seed: random.Seed = None

    def __post_init__(self) -> None:
        """Start the sequence of masks of dropout."""
        if self.dropout > 0:
            self.seed_generator = random.SeedGenerator(self.seed)

    def build(self, input_shape: Any) -> None:
        """Create the numbers ``scale`` and ``concat_score_weight``, where they are wanted."""
        self._check_list(input_shape)
        self.scale: Any = None
        self.concat_score_weight: Any = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(name="concat_score_weight", shape=(), initializer="ones")

    def call(
        self,
        inputs: list[Tensor],
        mask: list[Tensor | None] | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend.

        Args:
            inputs: [query, value] or [query, value, key].
            mask: [of queries (N, T), of values (N, S)], each may be None. Outputs of masked queries are 0.
            training: whether weights are dropped.
            return_attention_scores: whether to return also the weights, (N, T, S).
            use_causal_mask: whether no query looks at a later key.
        """
        self._check_list(inputs, mask)
        query, value, key = (*inputs, inputs[1])[:3]
        query_mask, value_mask = mask[:2] if mask else (None, None)
        scores = self._calculate_scores(query, key)
        low = 65504.0 if scores.dtype == torch.float16 else 1e9
        if value_mask is not None:
            value_mask = value_mask.bool().unsqueeze(-2)
        if use_causal_mask:
            causal = steps_behind(scores.shape[-2], scores.shape[-1], scores.device) >= 0
            value_mask = causal if value_mask is None else value_mask & causal
        if value_mask is not None:
            scores = torch.where(value_mask, scores, scores - low)
        weights = torch.softmax(scores, -1)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        outputs = weights @ value
        if query_mask is not None:
            outputs = torch.where(query_mask.bool().unsqueeze(-1), outputs, 0)
        return (outputs, weights) if return_attention_scores else outputs

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return how well each query fits each key, (N, T, S)."""
        if self.score_mode == "dot":
            scores = query @ key.transpose(-2, -1)
            return scores if self.scale is None else scores * self.scale
        sums = query.unsqueeze(-2) + key.unsqueeze(-3)
        weighted: Tensor = (
            torch.tanh(sums if self.scale is None else self.scale * sums).sum(-1) * self.concat_score_weight
        )
        return weighted

    def _check_list(self, inputs: Any, mask: Any = None) -> None:
        for what, given, names in (("inputs", inputs, "query, value"), ("mask", mask, "query_mask, value_mask")):
            if not isinstance(given, list) or len(given) not in (2, 3):
                if what == "mask" and given is None:
                    continue
                kind = f"a list of {len(given)}" if isinstance(given, list) else "no list"
                who = f"{type(self).__name__} layer {self.name!r}, argument {what!r}"
                raise ValueError(explain(who, kind, f"a list [{names}], perhaps with a third for keys"))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the queries' mask."""
        self._check_list(inputs, mask)
        return mask[0] if mask else None


class AdditiveAttention(Attention):
    """Additive attention (Bahdanau et al. 2015): as :class:`Attention`, with the scores Σ s·tanh(q + k).

    Args:
        use_scale: whether s is learned, one number per feature, rather than 1.
        dropout: fraction of the weights dropped while training.
    """

    use_scale: bool = True
    dropout: Fraction = 0.0
    score_mode: Annotated[str, one_of("dot", "concat", fold=False)] = field(default="dot", kw_only=True)
    seed: random.Seed = field(default=None, kw_only=True)

    def build(self, input_shape: Any) -> None:
        """Create ``scale`` (features,), where it is wanted."""
        self._check_list(input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(input_shape[0][-1],))

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        sums = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))  # (N, T, S, D)
        return sums.sum(-1) if self.scale is None else sums @ self.scale

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the mode of scores is no choice here."""
        given = super().get_config()
        del given["score_mode"]
        return given
