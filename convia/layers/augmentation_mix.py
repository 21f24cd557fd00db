"""Random changes that combine: images with one another, boxes with noise, many changes into a policy."""

from typing import Annotated, Any

import torch
from torch import Tensor

from convia import pixels, random
from convia.args import Convert, PositiveInt
from convia.errors import explain
from convia.layers.augmentation import (
    Augmentation,
    Interpolation,
    Probability,
    ValueRange,
    factor_range,
    per_image,
)
from convia.layers.augmentation_color import (
    AutoContrast,
    Equalization,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from convia.layers.augmentation_geometry import RandomRotation, RandomShear, RandomTranslation
from convia.layers.images import DataFormat, ImageLayer

__all__ = ["AugMix", "CutMix", "MixUp", "RandAugment", "RandomErasing"]


def _box(layer: Augmentation, images: Tensor, width: Tensor, height: Tensor) -> tuple[Tensor, ...]:
    """Draw where boxes lie whose sides are fractions of the images': left, right, top, bottom, shape (N,) each."""
    bounds = []
    for fraction, size in ((width, images.shape[-1]), (height, images.shape[-2])):
        length = fraction * size
        start = layer.uniform(images, images.shape[0]) * (size - length)
        bounds += [start, start + length]
    return tuple(bounds)


def _fill_value(value: Any, owner: Any, name: str) -> Any:
    numbers = list(value) if isinstance(value, (tuple, list)) else [0 if value is None else value]
    if not all(isinstance(number, (int, float)) for number in numbers) or len(numbers) not in (1, 3):
        raise ValueError(explain(f"RandomErasing, argument {name!r}", repr(value), "a number, three of them, or None"))
    return value


class RandomErasing(Augmentation):
    """Fills a box, with a probability (Zhong et al. 2020).

    Args:
        factor: the probability, or a range from which to draw it.
        scale: range of the squared sides of the box as fractions of the image's.
        fill_value: a number, one per channel, or None for normal noise.
        value_range: of the pixels.
    """

    factor: Probability = 1.0
    scale: Annotated[Any, Convert(factor_range(0, 1))] = (0.02, 0.33)
    fill_value: Annotated[Any, Convert(_fill_value)] = None
    value_range: ValueRange = (0, 255)
    seed: random.Seed = None
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> tuple[Tensor, Tensor]:
        """Draw where to erase, (N, 1, H, W), and with what."""
        sides = self.uniform(images, images.shape[0], 2, low=self.scale[0], high=self.scale[1]).sqrt()
        inside = pixels.box_mask(images, *_box(self, images, sides[:, 0], sides[:, 1]))
        where = inside & self.chosen(images, self.factor).view(-1, 1, 1, 1)
        if self.fill_value is None:
            shape, source = self._restored(images).shape, random.generator(self.generator, images.device)
            noise = torch.empty(shape, device=images.device).normal_(generator=source)
            fill = self._channels_first(noise) * self.value_range[1]
        else:
            fill = torch.tensor(self.fill_value, dtype=torch.float32, device=images.device).view(-1, 1, 1)
        return where, fill.clamp(*self.value_range).to(images.dtype)

    def transform(self, images: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Erase."""
        where, fill = drawn
        return torch.where(where, fill, images)

    def transform_masks(self, masks: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Erase masks alike, to 0."""
        return torch.where(drawn[0], 0, masks)


def _mixed_labels(labels: Tensor, order: Tensor, weight: Tensor) -> Tensor:
    own = weight.view(-1, *(1,) * (labels.ndim - 1))
    return own * labels + (1 - own) * labels[order]


class CutMix(Augmentation):
    """Fills a box of every image from another one, and mixes labels by area (Yun et al. 2019).

    Args:
        factor: range of the parameter α of the beta distribution from which the areas are drawn.
    """

    factor: Probability = 1.0
    seed: random.Seed = None
    data_format: DataFormat = None

    def draw(self, images: Tensor, training: bool = True) -> tuple[Tensor, Tensor, Tensor] | None:
        """Draw partners, boxes (N, 1, H, W) and the own image's share of the area; nothing for a single image."""
        count = images.shape[0]
        if count == 1:
            return None
        alpha = self.uniform(images, low=self.factor[0], high=self.factor[1]) + 1e-6
        side = (1 - random.beta((count,), alpha, alpha, seed=self.generator).to(images.device)).sqrt()
        left, right, top, bottom = _box(self, images, side, side)
        share = 1 - (right - left) * (bottom - top) / (images.shape[-1] * images.shape[-2])
        order = random.shuffle(torch.arange(count), seed=self.generator).to(images.device)
        return order, pixels.box_mask(images, left, right, top, bottom), share

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Paste the boxes."""
        return images if drawn is None else torch.where(drawn[1], images[drawn[0]], images)

    def transform_masks(self, masks: Tensor, drawn: Any) -> Tensor:
        """Paste masks alike."""
        return self.transform(masks, drawn)

    def transform_labels(self, labels: Tensor, drawn: Any) -> Tensor:
        """Mix the labels, which should be probabilities (one-hot)."""
        return labels if drawn is None else _mixed_labels(labels, drawn[0], drawn[2])


class MixUp(Augmentation):
    """Mixes every image and its label with another one (Zhang et al. 2018).

    Args:
        alpha: parameter of the beta distribution from which the weights are drawn; smaller ones mix less.
    """

    alpha: float = 0.2
    data_format: DataFormat = None
    seed: random.Seed = None

    def draw(self, images: Tensor, training: bool = True) -> tuple[Tensor, Tensor]:
        """Draw partners and weights."""
        count = images.shape[0]
        order = random.shuffle(torch.arange(count), seed=self.generator).to(images.device)
        return order, random.beta((count,), self.alpha, self.alpha, seed=self.generator).to(images.device)

    def transform(self, images: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Mix the images."""
        order, weight = drawn
        own = per_image(weight, images)
        return own * images + (1 - own) * images[order]

    def transform_masks(self, masks: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Mix the masks."""
        return _mixed_labels(masks, *drawn)

    def transform_labels(self, labels: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Mix the labels, which should be probabilities (one-hot)."""
        return _mixed_labels(labels, *drawn)


class _Policy(Augmentation):
    """Base of policies: chooses among changes of one strength."""

    def _changes(self) -> tuple[list[ImageLayer], list[ImageLayer], list[ImageLayer]]:
        """Make the changes of geometry, of tones and of colors; all draw from the policy's seed."""
        factor: Any = self.factor
        how = {"interpolation": self.interpolation, "seed": self.generator}
        colors = {"value_range": self.value_range}
        seeded = {**colors, "seed": self.generator}
        geometry = [RandomShear(factor, factor, **how), RandomTranslation(factor, factor, **how)]
        tones = [
            RandomPosterization(factor=max(1, int(8 * factor[1])), **seeded),
            Solarization(factor, factor, **seeded),
            AutoContrast(**colors),
            Equalization(**colors),
        ]
        kinds = (RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness)
        return [*geometry, RandomRotation(factor, **how)], tones, [kind(factor, **seeded) for kind in kinds]

    def _picks(self, count: int, choices: int) -> list[int]:
        source = random.generator(self.generator, torch.device("cpu"))
        return torch.randint(choices, (count,), generator=source, device="cpu").tolist()


class RandAugment(_Policy):
    """Applies ``num_ops`` changes, chosen for the batch from eleven (Cubuk et al. 2020).

    Args:
        value_range: of the pixels.
        num_ops: how many changes.
        factor: their strength: a range within [0, 1], one number f for (0, f).
        interpolation: "nearest" or "bilinear".
    """

    value_range: ValueRange = (0, 255)
    num_ops: PositiveInt = 2
    factor: Probability = 0.5
    interpolation: Interpolation = "bilinear"
    seed: random.Seed = None
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        super().__post_init__()
        geometry, tones, colors = self._changes()
        self._choices = [*geometry, *colors, *tones]

    def draw(self, images: Tensor, training: bool = True) -> list[tuple[ImageLayer, Any]]:
        """Draw the changes, and the parameters of all that might be chosen, as Keras does."""
        chosen = self._picks(self.num_ops, len(self._choices))
        drawn = [(change, change.draw(images)) for change in self._choices]
        return [drawn[index] for index in chosen]

    def transform(self, images: Tensor, drawn: list[tuple[ImageLayer, Any]]) -> Tensor:
        """Apply the changes."""
        for change, parameters in drawn:
            images = change.transform(images, parameters)
        return images

    def transform_masks(self, masks: Tensor, drawn: list[tuple[ImageLayer, Any]]) -> Tensor:
        """Apply the changes to masks."""
        for change, parameters in drawn:
            masks = change.transform_masks(masks, parameters)
        return masks


class AugMix(_Policy):
    """Mixes images with a weighted mean of chains of changes (Hendrycks et al. 2020).

    Args:
        value_range: of the pixels.
        num_chains: how many chains.
        chain_depth: how many changes, or none in their place, make a chain.
        factor: their strength: a range within [0, 1], one number f for (0, f).
        alpha: parameter of the Dirichlet and beta distributions of the weights.
        all_ops: whether brightness, color, contrast and sharpness are among the changes.
        interpolation: "nearest" or "bilinear".
    """

    value_range: ValueRange = (0, 255)
    num_chains: PositiveInt = 3
    chain_depth: PositiveInt = 3
    factor: Probability = 0.3
    alpha: float = 1.0
    all_ops: bool = True
    interpolation: Interpolation = "bilinear"
    seed: random.Seed = None
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        super().__post_init__()
        geometry, tones, colors = self._changes()
        self._choices = [*geometry, *tones, *(colors if self.all_ops else [])]

    def draw(
        self, images: Tensor, training: bool = True
    ) -> tuple[list[float], float, list[list[tuple[ImageLayer, Any]]]]:
        """Draw the chains' weights, the original's weight and the chains with their parameters."""
        picks = self._picks(self.num_chains * self.chain_depth, len(self._choices) + 1)
        parts = random.gamma((self.num_chains,), self.alpha, seed=self.generator)
        own = random.beta((), self.alpha, self.alpha, seed=self.generator)
        chains: list[list[tuple[ImageLayer, Any]]] = [[] for _ in range(self.num_chains)]
        for number, pick in enumerate(picks):
            if pick < len(self._choices):  # else nothing in its place
                change = self._choices[pick]
                chains[number // self.chain_depth].append((change, change.draw(images)))
        return (parts / parts.sum()).tolist(), float(own), chains

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Run the chains and mix."""
        return self._mixed(images, drawn, "transform").clamp(*self.value_range)

    def transform_masks(self, masks: Tensor, drawn: Any) -> Tensor:
        """Run the chains on masks and mix."""
        return self._mixed(masks, drawn, "transform_masks")

    def _mixed(self, images: Tensor, drawn: Any, method: str) -> Tensor:
        weights, own, chains = drawn
        result: Tensor = images * own
        for weight, chain in zip(weights, chains, strict=True):
            changed = images
            for change, parameters in chain:
                changed = getattr(change, method)(changed, parameters)
            result = result + changed * (weight * (1 - own))
        return result
