"""Where a network looks, by gradients: Grad-CAM, Grad-CAM++, saliency maps and SmoothGrad."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from convia import activations, tree
from convia.errors import explain
from convia.explain.inside import Array, batch_of, find_layer, last_maps, layer_paths
from convia.layer import Layer, hooked

_SQUASHING = {"softmax", "sigmoid", "log_softmax", "hard_sigmoid"}
_WITHOUT_MAPS = ("Pool", "Dropout", "Flatten")


def grad_cam(model: Any, image: Any, class_index: int | None = None, layer: Any = None) -> Array:
    """Return where the evidence for a class lies, at the resolution of a layer.

    L = ReLU(Σₖ αₖ Aᵏ), αₖ = mean over i, j of ∂y/∂Aᵏᵢⱼ, where y is the class's score before the softmax and Aᵏ are the
    layer's feature maps (Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2).

    Args:
        model: any model of images that ends in a score per class; with a single output, classes are 0 and 1.
        image: (H, W, C), (H, W) or (1, H, W, C), as the model takes it.
        class_index: by default the predicted class.
        layer: name, path ("resnet50/conv5_block3_out") or layer; by default the last that makes feature maps.

    Returns:
        (h, w) with values from 0 to 1, 1 where the evidence is strongest; all 0 where nothing speaks for the class.

    Raises:
        ValueError: no such layer or class, a layer without feature maps, or not an image.
    """
    return _class_activation("grad_cam", model, image, class_index, layer, lambda maps, slope: slope.mean((0, 1)))


def grad_cam_plus_plus(model: Any, image: Any, class_index: int | None = None, layer: Any = None) -> Array:
    """Return where the evidence for a class lies; several objects of one class are found better than by Grad-CAM.

    L = ReLU(Σₖ wₖ Aᵏ), wₖ = Σᵢⱼ αᵏᵢⱼ ReLU(g), αᵏᵢⱼ = g² / (2 g² + Σ Aᵏ · g³), g = ∂y/∂Aᵏᵢⱼ (Chattopadhay et al. 2018,
    "Grad-CAM++", equations 5 to 7 and 19). Arguments, result and errors as of :func:`grad_cam`.
    """
    return _class_activation("grad_cam_plus_plus", model, image, class_index, layer, _plus_plus)


def _plus_plus(maps: Tensor, slope: Tensor) -> Tensor:
    below = 2 * slope**2 + maps.sum((0, 1)) * slope**3
    alpha = torch.where(below != 0, slope**2 / torch.where(below != 0, below, 1), 0)
    return (alpha * slope.relu()).sum((0, 1))


def _class_activation(
    who: str, model: Any, image: Any, class_index: int | None, layer: Any, weigh: Callable[[Tensor, Tensor], Tensor]
) -> Array:
    batch = batch_of(model, image, who)
    chosen = find_layer(model, layer, who) if layer is not None else last_layer_with_maps(model, batch, who)
    made: list[Tensor] = []

    def cut(_: Any, __: Any, output: Any) -> Any:
        """Start the gradient here: what is below may be frozen, and costs nothing."""
        if isinstance(output, Tensor) and output.ndim == 4:
            made.append(output.detach().requires_grad_())
            return made[-1]
        return None

    with hooked([chosen], cut):
        score = _score(who, model, batch, class_index)
    if not made:
        expected = "a layer whose output is feature maps (N, H, W, C), and that the model calls"
        raise ValueError(explain(f"{who}, argument 'layer'", repr(chosen.name), expected))
    (slope,) = torch.autograd.grad(score, made[-1], allow_unused=True)
    if slope is None:
        raise ValueError(explain(f"{who}, argument 'layer'", repr(chosen.name), "a layer that the score depends on"))
    maps, slope = (last_maps(chosen, value.detach().double()) for value in (made[-1], slope))
    heat = (maps @ weigh(maps, slope)).relu()
    return (heat / heat.max().clamp_min(1e-30)).float().cpu().numpy()


def last_layer_with_maps(model: Any, batch: Tensor, who: str) -> Layer:
    """Return the last layer called whose output is feature maps of more than one pixel, pooling left out.

    Raises:
        ValueError: there is none.
    """
    found: list[Layer] = []

    def note(layer: Layer, _: Any, output: Any) -> None:
        wanted = not any(word in type(layer).__name__ for word in _WITHOUT_MAPS) and not layer.sublayers()
        if wanted and isinstance(output, Tensor) and output.ndim == 4 and output[0].numel() > max(output.shape[1:]):
            found.append(layer)

    with torch.no_grad(), hooked([*layer_paths(model).values()], note):
        model(batch, training=False)
    if not found:
        raise ValueError(explain(who, f"{model.name!r}", "a model with a layer that makes feature maps"))
    return found[-1]


def saliency(model: Any, image: Any, class_index: int | None = None) -> Array:
    """Return how much each pixel sways the score of a class: max over channels of |∂y/∂x| (Simonyan et al. 2013).

    Args:
        model, image, class_index: see :func:`grad_cam`.

    Returns:
        (H, W) with values from 0 to 1.

    Raises:
        ValueError: no such class, or not an image.
    """
    batch = batch_of(model, image, "saliency")
    return _scaled(_slope("saliency", model, batch, class_index).abs())


def smooth_grad(
    model: Any, image: Any, class_index: int | None = None, samples: int = 16, noise: float = 0.15, seed: int = 0
) -> Array:
    """Return the saliency map of the mean gradient of noisy copies of the image (Smilkov et al. 2017, "SmoothGrad").

    Args:
        model, image, class_index: see :func:`grad_cam`.
        samples: number of copies.
        noise: standard deviation, as a share of the range of the image's values.
        seed: of the noise.

    Raises:
        ValueError: no such class, not an image, or samples below 1.
    """
    if samples < 1:
        raise ValueError(explain("smooth_grad, argument 'samples'", samples, "a whole number ≥ 1"))
    batch = batch_of(model, image, "smooth_grad")
    class_index = _predicted(model, batch) if class_index is None else class_index
    random = torch.Generator().manual_seed(seed)
    spread = noise * float(batch.max() - batch.min())
    slopes = [
        _slope("smooth_grad", model, batch + spread * torch.randn(batch.shape, generator=random).to(batch), class_index)
        for _ in range(samples)
    ]
    return _scaled(torch.stack(slopes).mean(0).abs())


def _slope(who: str, model: Any, batch: Tensor, class_index: int | None) -> Tensor:
    """Return ∂y/∂x as (H, W, C)."""
    leaf = batch.detach().requires_grad_()
    (slope,) = torch.autograd.grad(_score(who, model, leaf, class_index), leaf)
    return last_maps(model, slope)


def _scaled(strength: Tensor) -> Array:
    strongest = strength.amax(2)
    return (strongest / strongest.max().clamp_min(1e-30)).float().cpu().numpy()


def _predicted(model: Any, batch: Tensor) -> int:
    with torch.no_grad():
        row = first_output(model(batch, training=False))
    return int(row.argmax()) if len(row) > 1 else int(row[0] > 0.5)


def first_output(outputs: Any) -> Tensor:
    """Return the first output for the only image, as one row of scores."""
    flat: Tensor = tree.flatten(outputs)[0].float().reshape(-1)
    return flat


def _score(who: str, model: Any, batch: Tensor, class_index: int | None) -> Tensor:
    """Return the score of a class before the softmax, with its gradient.

    Raises:
        ValueError: no such class.
    """
    index = _predicted(model, batch) if class_index is None else class_index
    with torch.enable_grad(), _before_squashing(model):
        row = first_output(model(batch, training=False))
    classes = max(len(row), 2)
    if not 0 <= index < classes:
        raise ValueError(explain(f"{who}, argument 'class_index'", index, f"a number from 0 to {classes - 1}"))
    if len(row) == 1:
        return row[0] if index else -row[0]
    return row[index]


@contextmanager
def _before_squashing(model: Any) -> Iterator[None]:
    """Leave out the softmax or sigmoid at the end: beside a sure class it flattens all gradients."""
    last = _last_layer(model)
    own = getattr(last, "activation", None)
    if type(last).__name__ == "Softmax" or getattr(own, "__name__", "") in _SQUASHING:
        if type(last).__name__ in ("Softmax", "Activation"):
            with hooked([last], lambda layer, inputs, output: inputs[0]):
                yield
            return
        object.__setattr__(last, "activation", activations.linear)
        try:
            yield
        finally:
            object.__setattr__(last, "activation", own)
        return
    yield


def _last_layer(model: Any) -> Any:
    """Return the layer that makes the first output; within nested models, their last."""
    while True:
        graph = getattr(model, "graph", None)
        inner = model.sublayers() if isinstance(model, Layer) else []
        if graph is not None:
            model = graph.outputs[0].node.operation
        elif inner:
            model = inner[-1]
        else:
            return model
