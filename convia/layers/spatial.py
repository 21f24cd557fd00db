"""What layers over batches of d-dimensional images share: the order of axes, and what they say about a wrong input."""

from typing import Any, ClassVar

from convia import layout
from convia.errors import explain
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers.one_tensor import _OneTensor
from convia.symbolic import KerasTensor

_AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_CHANNEL_REMEDIES = {
    (3, 1): "The images are gray: load them with color_mode='rgb', or repeat their channel 3 times.",
    (1, 3): "The images have colors: load them with color_mode='grayscale', or average their channels.",
    (3, 4): "The images have an alpha channel: leave it out.",
}


class _Spatial(_OneTensor, Layer):
    """Base of layers whose input is (batch, spatial…, channels), or (batch, channels, spatial…) for channels_first.

    Inputs are permuted to torch's order, a view. Also for channels_first, where it changes nothing: it raises for an
    input of another rank, which torch would take for a single image.
    """

    rank: ClassVar[int]
    _too_small_remedy: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Fix the order of axes."""
        unchanged = tuple(range(self.rank + 2))
        self._to_torch = layout.to_channels_first(self.rank, self.data_format) or unchanged
        self._from_torch = layout.from_channels_first(self.rank, self.data_format) or unchanged
        self._channel_axis = layout.channel_axis(self.data_format)
        self._smallest: tuple[int, ...] = (0,) * self.rank  # input sizes that give an output of size 1
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Any) -> None:
        """Check the shape of the inputs."""
        self._check_inputs((KerasTensor(input_shape, name="inputs"),))

    def _fix_channels(self, input_shape: Any) -> int:
        """Return the number of channels, which from now on is required.

        Raises:
            ValueError: it is unknown.
        """
        channels: int | None = input_shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                explain(
                    f"{type(self).__name__} layer {self.name!r}",
                    f"an input of shape {tuple(input_shape)}",
                    f"a known number of channels on axis {self._channel_axis}",
                )
            )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self._channel_axis: channels})
        return channels

    def _check_inputs(self, args: tuple[Any, ...]) -> None:
        super()._check_inputs(args)
        for given in args[:1]:
            shape = tuple(given.shape)
            sizes = zip(layout.spatial_axes(self.rank, self.data_format), self._smallest, strict=True)
            if any(shape[axis] is not None and shape[axis] < least for axis, least in sizes):
                wanted = " and ".join(
                    f"{name} ≥ {least}" for name, least in zip(_AXES[self.rank], self._smallest, strict=True)
                )
                raise ValueError(
                    explain(
                        f"{type(self).__name__} layer {self.name!r}",
                        f"an input of shape {shape}",
                        f"{wanted}, or nothing is left",
                        self._too_small_remedy,
                    )
                )

    def _input_remedy(self, shape: tuple[int | None, ...]) -> str:
        names = list(_AXES[self.rank])
        names.insert(len(names) if self._channel_axis == -1 else 0, "channels")
        if len(shape) != self.rank + 2:
            missing = " Add a missing batch axis with x[None], a missing channel axis with x[..., None]."
            return f"Its axes are (batch, {', '.join(names)})." + (missing if len(shape) == self.rank + 1 else "")
        wanted = self.input_spec.axes.get(self._channel_axis)
        if wanted is not None and shape[1 if self._channel_axis == -1 else -1] == wanted:
            other = "channels_first" if self._channel_axis == -1 else "channels_last"
            return (
                f"The channels seem to be elsewhere: make the layer with data_format={other!r}, or permute the images."
            )
        return _CHANNEL_REMEDIES.get((wanted, shape[self._channel_axis]), "")  # type: ignore[arg-type]
