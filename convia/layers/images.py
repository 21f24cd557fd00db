"""The base of layers that work on images: single ones or batches, alone or in a dict with labels and masks."""

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from convia import config, layout
from convia.args import Convert, field
from convia.errors import explain
from convia.layer import Layer

__all__ = ["ImageLayer", "with_size"]

DataFormat = Annotated[Any, Convert(lambda value, owner, name: config.standardize_data_format(value))]


class ImageLayer(Layer):
    """Base of image layers. A subclass draws parameters in ``draw`` and moves pixels in ``transform``.

    Both see batches (N, C, H, W). The layer is called on one image or a batch, or on a dict with "images" and perhaps
    "labels" and "segmentation_masks", which are changed alike. It works when training only, unless ``always``; called
    directly, outside of a model, it trains.

    A subclass declares ``data_format`` where Keras has it in the order of arguments: "channels_last" (N, H, W, C),
    "channels_first" (N, C, H, W), None for the global setting.

    Args:
        bounding_box_format: kept for configs; bounding boxes in the data are refused.
    """

    always: ClassVar[bool] = False
    bounding_box_format: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "training", True)

    @property
    def _order(self) -> str:
        return str(self.data_format)

    def draw(self, images: Tensor, training: bool = True) -> Any:
        """Draw the random parameters for a batch."""

    def transform(self, images: Tensor, drawn: Any) -> Tensor:
        """Apply the parameters to a batch."""
        raise NotImplementedError

    def transform_labels(self, labels: Tensor, drawn: Any) -> Tensor:
        """Apply the parameters to labels, which most changes leave as they are."""
        return labels

    def transform_masks(self, masks: Tensor, drawn: Any) -> Tensor:
        """Apply the parameters to segmentation masks (N, 1, H, W): geometry moves them, colors do not."""
        return masks

    def call(self, data: Any, training: bool = True) -> Any:
        """Change images, and with them labels and masks; inference passes them on in the compute type.

        Raises:
            ValueError: images that are neither (H, W, C) nor (N, H, W, C); bounding boxes.
        """
        parts = data if isinstance(data, dict) else {"images": data}
        if "bounding_boxes" in parts:
            raise ValueError(
                explain(
                    self._who,
                    "the key 'bounding_boxes'",
                    "'images', 'labels' and 'segmentation_masks'",
                    "Boxes are not moved with the images; leave them out.",
                )
            )
        single = self._is_single(parts["images"])
        batch = {
            key: torch.as_tensor(value)[None] if single else torch.as_tensor(value) for key, value in parts.items()
        }
        if training or self.always:
            batch = self._transformed(batch, training)
        else:
            batch["images"] = self._typed(batch["images"])
        result = {key: value[0] for key, value in batch.items()} if single else batch
        return result if isinstance(data, dict) else result["images"]

    def _transformed(self, batch: dict[str, Any], training: bool) -> dict[str, Any]:
        images = self._channels_first(self._typed(batch["images"]))
        drawn = self.draw(images, training)
        done = {**batch, "images": self._restored(self.transform(images, drawn))}
        if "labels" in batch:
            done["labels"] = self.transform_labels(batch["labels"], drawn)
        if "segmentation_masks" in batch:
            masks = self._channels_first(batch["segmentation_masks"])
            done["segmentation_masks"] = self._restored(self.transform_masks(masks, drawn))
        return done

    def _typed(self, images: Tensor) -> Tensor:
        return images.to(self._input_dtype)

    def _is_single(self, images: Any) -> bool:
        if len(images.shape) not in (3, 4):
            sizes = "(H, W, C) or (N, H, W, C)" if self._order == "channels_last" else "(C, H, W) or (N, C, H, W)"
            raise ValueError(explain(self._who, f"images of shape {tuple(images.shape)}", f"shape {sizes}"))
        return len(images.shape) == 3

    def _channels_first(self, images: Tensor) -> Tensor:
        order = layout.to_channels_first(2, self._order)
        return images.permute(order) if order else images

    def _restored(self, images: Tensor) -> Tensor:
        order = layout.from_channels_first(2, self._order)
        return images.permute(order) if order else images

    @property
    def _who(self) -> str:
        return f"{type(self).__name__} layer {self.name!r}"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        given = super().get_config()
        if self.bounding_box_format is None:
            given.pop("bounding_box_format", None)
        return given


def with_size(shape: Any, height: int, width: int, data_format: str) -> Any:
    """Return a shape of images with height and width replaced."""
    if isinstance(shape, dict):
        return {**shape, "images": with_size(shape["images"], height, width, data_format)}
    sizes = list(shape)
    axes = [axis - (len(sizes) == 3) for axis in layout.spatial_axes(2, data_format)]
    sizes[axes[0]], sizes[axes[1]] = height, width
    return tuple(sizes)
