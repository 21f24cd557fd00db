"""Normalization: of a batch, of layers, of groups of channels, of vectors, of a kernel."""

from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, distributed, layout
from convia.args import Convert, Fraction, PositiveInt, converter, field
from convia.errors import explain
from convia.initializers import TruncatedNormal
from convia.input_spec import InputSpec
from convia.layers.arguments import Axes, Constraint, Initializer, Regularizer
from convia.layers.core import Wrapper
from convia.layers.floating import _Floating
from convia.layers.same_shape import _SameShape

__all__ = [
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "SpectralNormalization",
    "UnitNormalization",
]


class _Normalization(_Floating):
    """Base of layers with a learned scale γ and center β.

    In mixed policies the weights keep their type; torch computes in float32 inside.
    """

    _keeps_weights = True

    def __post_init__(self) -> None:
        """Keep weights and statistics out of half precision."""
        if self.compute_dtype != self.variable_dtype:
            object.__setattr__(self, "autocast", False)

    def _positive(self, axis: int, input_shape: Any) -> int:
        """Return an axis counted from the start.

        Raises:
            ValueError: there is no such axis, or its size is unknown.
        """
        rank = len(input_shape)
        if not -rank <= axis < rank or input_shape[axis] is None:
            raise ValueError(
                explain(
                    f"{type(self).__name__} layer {self.name!r}",
                    f"an input of shape {tuple(input_shape)}",
                    f"a known size on axis {axis}",
                )
            )
        return axis % rank

    def _add_scale_and_center(self, shape: tuple[int, ...], scale: bool, center: bool) -> None:
        """Create ``gamma`` and ``beta``, None where there is none."""
        for name, wanted in (("gamma", scale), ("beta", center)):
            weight = None
            if wanted:
                weight = self.add_weight(
                    name=name,
                    shape=shape,
                    initializer=getattr(self, f"{name}_initializer"),
                    regularizer=getattr(self, f"{name}_regularizer"),
                    constraint=getattr(self, f"{name}_constraint"),
                    autocast=False,
                )
            setattr(self, name, weight)

    def _channels_second(self, axis: int, input_shape: Any) -> None:
        """Fix the permutation to (N, C, …) for channels on any axis; require their number from now on."""
        rank, axis = len(input_shape), self._positive(axis, input_shape)
        others = [other for other in range(rank) if other != axis]
        self._to_torch = (*others[:1], axis, *others[1:])
        self._from_torch = layout.invert(self._to_torch)
        self.input_spec = InputSpec(ndim=rank, axes={axis: input_shape[axis]})


class BatchNormalization(_SameShape, _Normalization):
    """Normalize each channel over the batch (Ioffe & Szegedy 2015): y = γ·(x − μ)/√(σ² + ε) + β.

    In training μ and σ² are those of the batch, and moving averages of them are kept: m ← momentum·m +
    (1 − momentum)·μ. In inference, and when the layer is frozen (``trainable = False``), the averages are used.

    Args:
        axis: of the channels.
        momentum: of the moving averages.
        epsilon: ε.
        center, scale: whether there are β and γ.
        beta_initializer, …, gamma_constraint: of the weights.
        renorm, renorm_clipping, renorm_momentum: batch renormalization (Ioffe 2017): the batch's statistics are
            corrected towards averages, with factors limited by the keys "rmin", "rmax", "dmax".
        synchronized: whether μ and σ² are those of the batches of all processes that share a training.

    Raises:
        ValueError: a momentum outside [0, 1], unknown or contradictory limits.
    """

    supports_masking = True
    axis: int = -1
    momentum: Fraction = 0.99
    epsilon: Annotated[float, converter(float)] = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    moving_mean_initializer: Initializer = "zeros"
    moving_variance_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None
    renorm: bool = False
    renorm_clipping: Any = None
    renorm_momentum: float = 0.99
    synchronized: bool = False

    def __post_init__(self) -> None:
        """Check what is not offered and the limits of renormalization."""
        super().__post_init__()
        if self.renorm:
            self.renorm_clipping = dict(self.renorm_clipping or {})
            limits = self.renorm_clipping
            if (
                set(limits) - {"rmin", "rmax", "dmax"}
                or limits.get("dmax", 0) < 0
                or (limits.get("rmin", 0) > limits.get("rmax", float("inf")))
            ):
                raise ValueError(
                    explain(
                        "BatchNormalization, argument 'renorm_clipping'",
                        repr(limits),
                        "keys of 'rmin' ≤ 'rmax' and 'dmax' ≥ 0",
                    )
                )

    def build(self, input_shape: Any) -> None:
        """Create ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``, each (channels,)."""
        self._channels_second(self.axis, input_shape)
        shape = (input_shape[self.axis],)
        self._add_scale_and_center(shape, self.scale, self.center)
        firsts = {"moving_mean": self.moving_mean_initializer, "moving_variance": self.moving_variance_initializer}
        if self.renorm:
            firsts |= {
                "moving_stddev": self._first_stddev,
                "renorm_mean": self.moving_mean_initializer,
                "renorm_stddev": self._first_stddev,
            }
        for name, first in firsts.items():
            setattr(
                self, name, self.add_weight(name=name, shape=shape, initializer=first, trainable=False, autocast=False)
            )

    def _first_stddev(self, shape: Any, dtype: Any = None) -> Tensor:
        return torch.as_tensor(self.moving_variance_initializer(shape, dtype=dtype)).sqrt()

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Normalize. In training, elements where the mask (the inputs' shape without channels) is 0 do not count."""
        x = inputs.permute(self._to_torch)
        if not (training and self._trainable):
            y = F.batch_norm(x, self.moving_mean, self.moving_variance, self.gamma, self.beta, False, 0.0, self.epsilon)
        elif mask is None and not self.renorm and not (self.synchronized and distributed.size() > 1):
            y, mean, inverse = torch.native_batch_norm(x, self.gamma, self.beta, None, None, True, 0.0, self.epsilon)
            # Keras averages the biased variance, torch by itself the unbiased one; it returns 1/√(σ² + ε).
            self._average("moving_mean", mean, self.momentum)
            self._average("moving_variance", (inverse.detach() ** -2 - self.epsilon).clamp_(min=0), self.momentum)
        else:
            y = self._normalize_unusually(x, mask)
        return y.permute(self._from_torch).to(self._input_dtype)

    def _average(self, name: str, value: Tensor, momentum: float) -> None:
        average = getattr(self, name)
        average.lerp_(value.detach().to(average.dtype), 1 - momentum)

    def _normalize_unusually(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Normalize a batch with a mask, with renormalization, or with the statistics of several processes."""
        shape = [1, -1, *[1] * (x.ndim - 2)]
        counted = x.movedim(1, -1) if mask is None else x.movedim(1, -1)[mask.bool()]
        values = counted.float().flatten(0, -2)
        if self.synchronized and distributed.size() > 1:
            mean, variance = distributed.moments(values)
        else:
            variance, mean = torch.var_mean(values, 0, correction=0)
        y = (x - mean.view(shape)) * (variance + self.epsilon).rsqrt().view(shape)
        if self.renorm:
            factor, shift = self._renormalize(mean.detach(), (variance.detach() + self.epsilon).sqrt())
            y = y * factor.view(shape) + shift.view(shape)
        else:
            self._average("moving_mean", mean, self.momentum)
            self._average("moving_variance", variance, self.momentum)
        if self.scale:
            y = y * self.gamma.view(shape)
        return (y + self.beta.view(shape) if self.center else y).to(x.dtype)

    def _renormalize(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factor r and the shift d of the normalized batch; update all averages."""
        limits = self.renorm_clipping
        usual = self.renorm_stddev.clamp(min=self.epsilon**0.5)
        factor = (deviation / usual).clamp(limits.get("rmin"), limits.get("rmax", float("inf")))
        shift = (mean - self.renorm_mean) / usual
        if limits.get("dmax") is not None:
            shift = shift.clamp(-limits["dmax"], limits["dmax"])
        self._average("renorm_mean", mean, self.renorm_momentum)
        self._average("renorm_stddev", deviation, self.renorm_momentum)
        self._average("moving_mean", mean, self.momentum)
        self._average("moving_stddev", deviation, self.momentum)
        self.moving_variance.copy_((self.moving_stddev**2 - self.epsilon).clamp(min=0))
        return factor, shift


class _AxesLast(_Normalization):
    """Base of layers that normalize over axes: they are moved last, which changes nothing when they are."""

    def _move_last(self, input_shape: Any) -> tuple[int, ...]:
        """Fix the permutation; return the sizes of the axes."""
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        chosen = sorted(self._positive(axis, input_shape) for axis in axes)
        order = (*(axis for axis in range(len(input_shape)) if axis not in chosen), *chosen)
        self._order, self._back = order, layout.invert(order)
        self._shape = tuple(input_shape[axis] for axis in chosen)
        return self._shape


class LayerNormalization(_AxesLast):
    """Normalize each element of the batch over one or several axes (Ba et al. 2016): y = γ·(x − μ)/√(σ² + ε) + β.

    Args:
        axis: one axis or a list of them; γ and β have their shape.
        epsilon: ε.
        center, scale: whether there are β and γ.
        beta_initializer, …, gamma_constraint: of the weights.
        rms_scaling: (keyword) divide by √(σ² + ε) without subtracting μ and without β; for old configs.
    """

    supports_masking = True
    axis: Axes = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None
    rms_scaling: bool = field(default=False, kw_only=True)

    def build(self, input_shape: Any) -> None:
        """Create ``gamma`` and ``beta``, of the shape of the axes."""
        shape = self._move_last(input_shape)
        self._add_scale_and_center(shape, self.scale or self.rms_scaling, self.center and not self.rms_scaling)

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize."""
        x = inputs.permute(self._order)
        if self.rms_scaling:
            axes = tuple(range(-len(self._shape), 0))
            y: Tensor = x * (x.var(axes, correction=0, keepdim=True) + self.epsilon).rsqrt() * self.gamma
        else:
            y = F.layer_norm(x, self._shape, self.gamma, self.beta, self.epsilon)
        return y.permute(self._back).to(self._input_dtype)


class RMSNormalization(_AxesLast):
    """Divide by the root mean square over axes (Zhang & Sennrich 2019): y = scale·x/√(mean(x²) + ε).

    Args:
        axis: one axis or a list of them; ``scale`` has their shape.
        epsilon: ε.
    """

    axis: Axes = -1
    epsilon: float = 1e-6

    def build(self, input_shape: Any) -> None:
        """Create ``scale``, of the shape of the axes."""
        self.scale = self.add_weight(name="scale", shape=self._move_last(input_shape), initializer="ones")

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize."""
        return F.rms_norm(inputs.permute(self._order), self._shape, self.scale, self.epsilon).permute(self._back)


def _groups(value: Any, owner: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (value < 1 and value != -1):
        raise ValueError(explain(f"GroupNormalization, argument {name!r}", repr(value), "a whole number ≥ 1, or −1"))
    return value


class GroupNormalization(_Normalization):
    """Normalize each element of the batch over groups of channels (Wu & He 2018).

    Args:
        groups: into how many groups the channels are divided; 1 normalizes over all, −1 each channel by itself
            (instance normalization).
        axis: of the channels.
        epsilon: added to the variance.
        center, scale: whether there are β and γ, one number per channel.
        beta_initializer, …, gamma_constraint: of the weights.

    Raises:
        ValueError: channels that are no multiple of groups.
    """

    supports_masking = True
    groups: Annotated[int, Convert(_groups)] = 32
    axis: int = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    def build(self, input_shape: Any) -> None:
        """Create ``gamma`` and ``beta``, each (channels,)."""
        self._channels_second(self.axis, input_shape)
        channels = input_shape[self.axis]
        self._groups = channels if self.groups == -1 else self.groups
        if channels % self._groups:
            raise ValueError(
                explain(
                    f"GroupNormalization layer {self.name!r}",
                    f"{channels} channels with groups={self.groups}",
                    "a number of channels that is a multiple of groups",
                )
            )
        self._add_scale_and_center((channels,), self.scale, self.center)

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize."""
        x = inputs.permute(self._to_torch)
        if not inputs.requires_grad:  # torch 2.13's gradient for γ alone crashes in channels_last memory
            x = x.contiguous()
        beta = self.beta if self.scale else None  # torch's gradient fails for β without γ
        y = F.group_norm(x, self._groups, self.gamma, beta, self.epsilon)
        if beta is not self.beta:
            y = y + self.beta.view(-1, *[1] * (y.ndim - 2))
        return y.permute(self._from_torch).to(self._input_dtype)


class UnitNormalization(_Floating):
    """Divide by the Euclidean length over an axis or several, so that it becomes 1."""

    supports_masking = True
    axis: Axes = -1

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize; vectors of zeros stay."""
        return F.normalize(inputs, 2.0, self.axis, 1e-12)


class SpectralNormalization(Wrapper):
    """Divide the kernel of a layer by its largest singular value in each step of training (Miyato et al. 2018).

    The value is found by power iteration with a vector u that is kept from step to step.

    Args:
        layer: with a weight ``kernel`` or ``embeddings``.
        power_iterations: iterations per step.
    """

    power_iterations: PositiveInt = 1

    def build(self, input_shape: Any = None) -> None:
        """Create ``vector_u`` (1, outputs); the kernel is counted among the layer's own weights, as in Keras."""
        super().build(input_shape)
        kernel = getattr(self.layer, "kernel", getattr(self.layer, "embeddings", None))
        if kernel is None:
            raise ValueError(explain("SpectralNormalization", repr(self.layer), "a layer with a kernel or embeddings"))
        self.kernel = kernel
        self.vector_u = self.add_weight(
            name="vector_u",
            shape=(1, kernel.shape[-1]),
            initializer=TruncatedNormal(stddev=0.02),
            trainable=False,
            dtype=config.dtype_name(kernel.dtype),
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Normalize the kernel in training, then call the layer."""
        if training:
            self._normalize_kernel()
        y: Tensor = self.layer(inputs)
        return y

    @torch.no_grad()
    def _normalize_kernel(self) -> None:
        matrix = self.kernel.reshape(-1, self.kernel.shape[-1])
        if not matrix.any():
            return
        u: Tensor = self.vector_u
        for _ in range(self.power_iterations):
            v = F.normalize(u @ matrix.t())
            u = F.normalize(v @ matrix)
        self.vector_u.assign(u)
        self.kernel.assign(self.kernel / (v @ matrix @ u.t()))
