"""Neural networks: activations, normalization, attention, labels, crossentropies; with convolution and CTC."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import activations, config
from convia.errors import explain
from convia.ops.ctc import *  # noqa: F403
from convia.ops.door import axes_of, floating, public, publish, result_dtype, tensor
from convia.ops.spatial import *  # noqa: F403


def _activation(function: Callable[..., Any], **defaults: Any) -> Any:
    """Keras's operations have some other defaults, and fewer arguments, than its activations."""
    signature = inspect.signature(function)
    chosen = [p.replace(default=defaults.get(name, p.default)) for name, p in signature.parameters.items()]
    kept = chosen[:1] if function is activations.relu else chosen
    names = [p.name for p in kept]

    def _row(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names, args, strict=False)) | kwargs
        return function(tensor(given.pop(names[0])), **(defaults | given))

    _row.__doc__ = function.__doc__
    _row.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return public(0)(_row)


celu = _activation(activations.celu)
elu = _activation(activations.elu)
gelu = _activation(activations.gelu, approximate=True)
glu = _activation(activations.glu)
hard_shrink = _activation(activations.hard_shrink)
hard_sigmoid = _activation(activations.hard_sigmoid)
hard_silu = _activation(activations.hard_silu)
hard_swish = hard_silu
hard_tanh = _activation(activations.hard_tanh)
leaky_relu = _activation(activations.leaky_relu)
log_sigmoid = _activation(activations.log_sigmoid)
log_softmax = _activation(activations.log_softmax)
relu = _activation(activations.relu)
relu6 = _activation(activations.relu6)
selu = _activation(activations.selu)
sigmoid = _activation(activations.sigmoid)
silu = _activation(activations.silu)
soft_shrink = _activation(activations.soft_shrink)
softmax = _activation(activations.softmax)
softplus = _activation(activations.softplus)
softsign = _activation(activations.softsign)
sparse_plus = _activation(activations.sparse_plus)
sparse_sigmoid = _activation(activations.sparse_sigmoid)
sparsemax = _activation(activations.sparsemax)
squareplus = _activation(activations.squareplus)
swish = silu
tanh_shrink = _activation(activations.tanh_shrink)
threshold = _activation(activations.threshold)


@public(1)
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at the class on a new axis, 0 elsewhere; zeros alone for a class below 0."""
    _no_sparse("one_hot", sparse)
    dim = axis % (x.ndim + 1)
    classes = torch.arange(num_classes, device=x.device).reshape([-1 if d == dim else 1 for d in range(x.ndim + 1)])
    return (x.long().unsqueeze(dim) == classes).to(config.torch_dtype(dtype or config.floatx()))


@public(1)
def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False, **kwargs: Any
) -> Any:
    """1 at each class among those of a sample, (N, labels) → (N, classes).

    Raises:
        ValueError: without the number of classes.
    """
    num_classes = kwargs.pop("num_tokens", num_classes)
    if num_classes is None:
        raise ValueError(explain("multi_hot", "no num_classes", "the number of classes"))
    _no_sparse("multi_hot", sparse)
    return one_hot(inputs, num_classes, axis, dtype).amax(1 if inputs.ndim > 1 else 0)


def _no_sparse(who: str, sparse: bool) -> None:
    if sparse:
        raise ValueError(explain(who, "sparse=True", "sparse=False", "Sparse tensors are not supported."))


def _check_alike(who: str, target: Tensor, output: Tensor, least: int = 0) -> None:
    if target.shape != output.shape or target.ndim < least:
        received = f"target of shape {tuple(target.shape)}, output of shape {tuple(output.shape)}"
        raise ValueError(explain(who, received, f"one shape of at least {least} dimensions"))


def _clipped(probabilities: Tensor) -> Tensor:
    return torch.clip(probabilities, config.epsilon(), 1 - config.epsilon())


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return F.log_softmax(output, axis)
    return torch.log(_clipped(output / output.sum(axis, keepdim=True)))


@public(2)
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """−Σ target·ln p over the classes, p being the output, scaled to sum 1, or the softmax of logits."""
    _check_alike("categorical_crossentropy", target, output, least=1)
    return -(target * _log_probabilities(output, from_logits, axis)).sum(axis)


@public(2)
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """−ln p of the class given by its number."""
    dim = axis % max(output.ndim, 1)
    if target.ndim == output.ndim and target.ndim and target.shape[dim] == 1:
        target = target.squeeze(dim)
    if not output.ndim or target.shape != (*output.shape[:dim], *output.shape[dim + 1 :]):
        received = f"target of shape {tuple(target.shape)}, output of shape {tuple(output.shape)}"
        raise ValueError(explain("sparse_categorical_crossentropy", received, "the output's shape without its classes"))
    scores = _log_probabilities(output, from_logits, dim)
    return -scores.gather(dim, target.long().unsqueeze(dim)).squeeze(dim)


@public(2)
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """−(target·ln p + (1 − target)·ln(1 − p)), p being the output or the sigmoid of logits."""
    _check_alike("binary_crossentropy", target, output)
    target = target.to(output.dtype)
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return F.binary_cross_entropy(_clipped(output), target, reduction="none")


@public(1)
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """Mean and variance along axes; of float16 computed in float32, and limited to what float16 holds."""
    wide = x.float() if x.dtype == torch.float16 else x
    axes = axes_of(axes, x.ndim)
    mean = wide.mean(axes, True)
    variance = wide.square().mean(axes, True) - mean.square()
    found = (mean, variance) if keepdims else (mean.squeeze(axes), variance.squeeze(axes))
    if x.dtype != torch.float16:
        return found
    limits = torch.finfo(torch.float16)
    return tuple(value.clip(limits.min, limits.max).half() for value in found)


@public(3)
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 0.001
) -> Any:
    """(x − mean)/√(variance + ε)·scale + offset, all of them vectors along the axis (Ioffe & Szegedy 2015)."""
    shape = [1] * x.ndim
    shape[axis] = -1
    factor = torch.rsqrt(variance.reshape(shape) + epsilon)
    factor = factor if scale is None else factor * tensor(scale).reshape(shape)
    centered = (x - mean.reshape(shape)) * factor
    return centered if offset is None else centered + tensor(offset).reshape(shape)


@public(1)
def normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """x divided by its norm (Σ|x|^order)^(1/order), which counts as at least ε.

    Raises:
        ValueError: the order is not a whole number ≥ 1.
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(explain("normalize, argument 'order'", repr(order), "a whole number ≥ 1"))
    x = torch.atleast_1d(floating(x))
    axis = tuple(axis) if isinstance(axis, list) else axis
    norm = torch.linalg.vector_norm(x, order, axis, keepdim=True)
    return x / norm.clamp(min=config.epsilon() if epsilon is None else epsilon)


def _wide(x: Tensor) -> Tensor:
    return x.to(result_dtype(x.dtype, "float32"))


def _along(value: Any, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A parameter with the shape of some axes, such that it is broadcast over the others."""
    given: Tensor = tensor(value, x.dtype)
    if given.ndim == x.ndim or axes == (x.ndim - 1,):
        return given
    return given.reshape([size if axis in axes else 1 for axis, size in enumerate(x.shape)])


@public(1)
def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> Any:
    """x/√(mean of x² along axes + ε)·scale (Zhang & Sennrich 2019), computed in at least float32."""
    wide, axes = _wide(torch.atleast_1d(x)), tuple(sorted(axes_of(axis, max(x.ndim, 1))))
    power = wide.square().mean(axes, True) + (config.epsilon() if epsilon is None else epsilon)
    result = wide * torch.rsqrt(power)
    return (result if scale is None else result * _along(scale, wide, axes)).to(x.dtype)


@public(1)
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None, **kwargs: Any
) -> Any:
    """(x − mean)/√(variance + ε)·gamma + beta along axes of each sample (Ba et al. 2016), in at least float32."""
    wide, axes = _wide(x), tuple(sorted(axes_of(axis, x.ndim)))
    variance, mean = torch.var_mean(wide, axes, correction=0, keepdim=True)
    inverse = torch.rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    inverse = inverse if gamma is None else inverse * _along(gamma, wide, axes)
    if kwargs.get("rms_scaling"):  # Keras's earlier, mistaken root mean square
        return (wide * inverse).to(x.dtype)
    result = (wide - mean) * inverse
    return (result if beta is None else result + _along(beta, wide, axes)).to(x.dtype)


@public(5)
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """softmax(query·keyᵀ·scale + bias)·value over (N, steps, heads, size) (Vaswani et al. 2017).

    Args:
        mask: True where a query may look at a key, broadcast to (N, heads, queries, keys).
        scale: 1/√size by default.
        is_causal: whether no query looks at a later key.

    Raises:
        ValueError: not four dimensions; a bias and a mask; a soft cap, which only TPUs have.
    """
    shapes = [tuple(x.shape) for x in (query, key, value)]
    if any(len(shape) != 4 for shape in shapes):
        raise ValueError(explain("dot_product_attention", f"shapes {shapes}", "(N, steps, heads, size)"))
    if bias is not None and mask is not None:
        raise ValueError(explain("dot_product_attention", "a bias and a mask", "one of them"))
    if attn_logits_soft_cap is not None:
        raise ValueError(explain("dot_product_attention", "attn_logits_soft_cap", "None", "Only TPUs have it."))
    kind = result_dtype(query.dtype, key.dtype, value.dtype)
    q, k, v = (x.to(kind).transpose(1, 2) for x in (query, key, value))
    if mask is not None:
        mask = mask.bool()
        if is_causal:
            mask = mask & torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        mask = torch.where(mask, 0.0, 0.7 * torch.finfo(kind).min).to(kind)
    extra = mask if bias is None else bias.to(kind)
    if 1 < k.shape[1] < q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    causal = is_causal and mask is None
    return F.scaled_dot_product_attention(q, k, v, extra, is_causal=causal, scale=scale).transpose(1, 2)


@public(2)
def psnr(x1: Any, x2: Any, max_val: float) -> Any:
    """Peak signal-to-noise ratio in decibels, 20·log₁₀(max_val) − 10·log₁₀(mean of (x1 − x2)²).

    Raises:
        ValueError: different shapes.
    """
    if x1.shape != x2.shape:
        raise ValueError(explain("psnr", f"shapes {tuple(x1.shape)} and {tuple(x2.shape)}", "one shape"))
    error = floating((x1 - x2) ** 2).mean()
    return 20 * torch.log10(tensor(max_val, x1.dtype)) - 10 * torch.log10(error)


@public(2)
def polar(abs_: Any, angle: Any) -> Any:
    """Complex numbers of absolute values and angles in radians."""
    return torch.complex(abs_ * torch.cos(angle), abs_ * torch.sin(angle))


publish(globals())
