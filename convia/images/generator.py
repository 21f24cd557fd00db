"""ImageDataGenerator: images at random angles, shifts, sizes, brightnesses, batch by batch, as Keras draws them."""

import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from convia import config
from convia.args import Configured, Convert, converter
from convia.errors import explain
from convia.images import draws, effects, ranges, splines, warp
from convia.images.effects import Mixture
from convia.images.flows import MEMORY, DirectoryIterator
from convia.images.frame import DataFrameIterator
from convia.images.iterators import AHEAD, NumpyArrayIterator, check_channels
from convia.images.preview import preview
from convia.images.transforms import LINEAR

Array = npt.NDArray[Any]
_OBSOLETE = {
    "has_ext": "File names must be given with their extensions.",
    "sort": "Without shuffling, batches keep the frame's order.",
    "drop_duplicates": "Use the frame's own drop_duplicates.",
}


class ImageDataGenerator(Configured):
    """Makes batches of images, changed at random and normalized, from arrays, folders or tables of file names.

    For the same seed the draws are Keras's, one by one. Each batch seeds NumPy's global generator with
    seed + number of batches so far. An image takes, in this order: one warp (rotation, shift, shear, zoom), channel
    shift, flips, brightness, then preprocessing_function, rescale, and normalization.

    Args:
        featurewise_center: subtract the channels' mean, known after ``fit``.
        samplewise_center: subtract the image's mean.
        featurewise_std_normalization: divide by the channels' standard deviation, known after ``fit``.
        samplewise_std_normalization: divide by the image's standard deviation.
        zca_whitening: multiply by the whitening matrix, known after ``fit``.
        zca_epsilon: added to the singular values.
        rotation_range: degrees, to either side.
        width_shift_range, height_shift_range: a fraction below 1 of the side; a float of at least 1: pixels; a whole
            number n: a whole number of pixels below n; a list: one of its values, of either sign.
        brightness_range: (least, largest) factor.
        shear_range: degrees, to either side.
        zoom_range: (least, largest) factor, or r for (1 − r, 1 + r).
        channel_shift_range: largest number to add to all values.
        fill_mode: beyond the border: "nearest", "constant", "reflect" or "wrap".
        cval: the value for "constant".
        horizontal_flip, vertical_flip: flip every other image, by chance.
        rescale: factor, after ``preprocessing_function``.
        preprocessing_function: takes and returns one image.
        data_format: "channels_last" or "channels_first".
        validation_split: the share of images for ``subset="validation"``: the first ones, of each class.
        interpolation_order: of the warp's spline: 0 nearest, 1 bilinear, up to 5.
        dtype: of the batches.
        contrast_range: (least, largest) factor of the distance from each channel's mean, or r for (1 − r, 1 + r).
        blur_range: (least, largest) standard deviation of a Gaussian blur in pixels, or σ for (0, σ).
        sharpen_range: (least, largest) share of the difference from a blurred image to add, or a for (0, a).
        noise_range: largest standard deviation of noise, different in each pixel and channel.
        stretch_range: r: width and height are stretched against each other by up to 1 + r, the area stays.
        cutout: sides of a box that is filled with ``cval``, as a fraction of the image's sides.
        mixup_alpha: mix each image and its label with another of the batch; 0.2 is usual for photographs.
        cutmix_alpha: put a box of another image of the batch into each, and mix labels accordingly; 1 is usual.

    The last eight are not Keras's. They are drawn after Keras's, and come after brightness (stretch is part of the
    warp; mixup and cutmix come at the very end).

    Raises:
        ValueError: a range, share, order or mode that cannot be.
    """

    featurewise_center: bool = False
    samplewise_center: bool = False
    featurewise_std_normalization: bool = False
    samplewise_std_normalization: bool = False
    zca_whitening: bool = False
    zca_epsilon: float = 1e-6
    rotation_range: float = 0
    width_shift_range: Any = 0.0
    height_shift_range: Any = 0.0
    brightness_range: Annotated[Sequence[float] | None, Convert(ranges.pair)] = None
    shear_range: float = 0.0
    zoom_range: Annotated[Any, Convert(ranges.zoom)] = 0.0
    channel_shift_range: float = 0.0
    fill_mode: str = "nearest"
    cval: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    rescale: float | None = None
    preprocessing_function: Callable[[Any], Any] | None = None
    data_format: Annotated[str | None, converter(config.standardize_data_format)] = None
    validation_split: Annotated[float, Convert(ranges.share)] = 0.0
    interpolation_order: int = 1
    dtype: Annotated[str | None, converter(lambda dtype: dtype or config.floatx())] = None
    contrast_range: Annotated[Any, Convert(ranges.contrast)] = None
    blur_range: Annotated[Any, Convert(ranges.from_least(0.0))] = None
    sharpen_range: Annotated[Any, Convert(ranges.from_least(0.0))] = None
    noise_range: Annotated[float, Convert(ranges.positive)] = 0.0
    stretch_range: Annotated[float, Convert(ranges.positive)] = 0.0
    cutout: Annotated[float, Convert(ranges.share)] = 0.0
    mixup_alpha: Annotated[float, Convert(ranges.positive)] = 0.0
    cutmix_alpha: Annotated[float, Convert(ranges.positive)] = 0.0

    def __post_init__(self) -> None:
        """Set what depends on several arguments."""
        splines.check("ImageDataGenerator", self.interpolation_order, self.fill_mode)
        last = self.data_format == "channels_last"
        self.row_axis, self.col_axis, self.channel_axis = (1, 2, 3) if last else (2, 3, 1)  # of a batch
        self.mean: Array | None = None
        self.std: Array | None = None
        self.zca_whitening_matrix: Array | None = None
        scales = self.featurewise_std_normalization
        if self.zca_whitening:
            self._overrule("zca_whitening", "featurewise_center", True)
            self._overrule("zca_whitening", "featurewise_std_normalization", False)
        if scales:
            self._overrule("featurewise_std_normalization", "featurewise_center", True)
        if self.samplewise_std_normalization:
            self._overrule("samplewise_std_normalization", "samplewise_center", True)

    def _overrule(self, by: str, name: str, value: bool) -> None:
        if bool(getattr(self, name)) is not value:
            setattr(self, name, value)
            received = f"{by}=True with {name}={not value}"
            warnings.warn(explain("ImageDataGenerator", received, f"{name}={value}", "It is set so."), stacklevel=5)

    @property
    def augments(self) -> bool:
        """Whether anything is left to chance."""
        ranges = (self.rotation_range, self.shear_range, self.channel_shift_range)
        shifts = np.any(self.width_shift_range) or np.any(self.height_shift_range)
        others = self.horizontal_flip or self.vertical_flip or self.brightness_range is not None
        more = (self.contrast_range, self.blur_range, self.sharpen_range, self.noise_range, self.stretch_range)
        news = any(more) or self.cutout or self.mixes
        return bool(any(ranges) or shifts or others or [*self.zoom_range] != [1, 1] or news)

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed with one another."""
        return bool(self.mixup_alpha or self.cutmix_alpha)

    @property
    def draws_ahead(self) -> bool:
        """Whether a whole batch's parameters may be drawn before its images are changed, in threads.

        Not where a function of the user's may itself draw from NumPy's generator between the images.
        """
        own = type(self), ImageDataGenerator
        names = ("apply_transform", "standardize", "random_transform", "get_random_transform")
        module = getattr(self.preprocessing_function, "__module__", None) or ""
        harmless = self.preprocessing_function is None or module.startswith("convia.")
        return harmless and all(getattr(own[0], name) is getattr(own[1], name) for name in names)

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
        *,
        prefetch: int = AHEAD,
        device: Any = None,
    ) -> NumpyArrayIterator:
        """Make batches of images in memory, see :class:`NumpyArrayIterator`."""
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            ignore_class_split=ignore_class_split,
            subset=subset,
            dtype=self.dtype,
            prefetch=prefetch,
            device=device,
        )

    def flow_from_directory(
        self,
        directory: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        *,
        on_error: str = "skip",
        memory: int = MEMORY,
        cache: str | None = "auto",
        decoding: str = "exact",
        prefetch: int = AHEAD,
        device: Any = None,
    ) -> DirectoryIterator:
        """Make batches of a folder with a subfolder per class, see :class:`DirectoryIterator`."""
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
            on_error=on_error,
            memory=memory,
            cache=cache,
            decoding=decoding,
            prefetch=prefetch,
            device=device,
        )

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Make batches of a table of file names, see :class:`DataFrameIterator`.

        Args:
            kwargs: keep_aspect_ratio, on_error, memory, cache, decoding, prefetch and device; or has_ext, sort and
                drop_duplicates, which do nothing.
        """
        for name in _OBSOLETE.keys() & kwargs.keys():
            text = explain(f"flow_from_dataframe, argument {name!r}", kwargs.pop(name), "nothing", _OBSOLETE[name])
            warnings.warn(text, DeprecationWarning, stacklevel=2)
        if class_mode == "other":
            text = explain("flow_from_dataframe, argument 'class_mode'", "'other'", "'raw', its newer name")
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            class_mode = "raw"
        return DataFrameIterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            dtype=self.dtype,
            validate_filenames=validate_filenames,
            **kwargs,
        )

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """Draw the parameters of a transformation, see :meth:`apply_transform`."""
        if seed is not None:
            np.random.seed(seed)
        drawn = {name: column[0].item() for name, column in self.draw(img_shape, 1).items()}
        flips = {name: bool(drawn.pop(name)) for name in ("flip_horizontal", "flip_vertical")}
        absent = {"channel_shift_intensity": None, "brightness": None}
        return LINEAR | {name: drawn.pop(name) for name in LINEAR if name in drawn} | flips | absent | drawn

    def draw(self, img_shape: Sequence[int], count: int) -> dict[str, Array]:
        """Draw the parameters of ``count`` images one after the other; return a column (count,) for each."""
        return draws.draw(self, (img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]), count)

    def mixture(self, count: int) -> Mixture:
        """Draw how the images of a batch are mixed."""
        return Mixture(self.mixup_alpha, self.cutmix_alpha, count)

    def apply_transform(self, x: Any, transform_parameters: dict[str, Any]) -> Array:
        """Change one image.

        Args:
            x: of rank 3.
            transform_parameters: any of theta and shear (degrees), tx and ty (pixels), zx and zy (factors),
                flip_horizontal, flip_vertical, channel_shift_intensity, brightness (a factor), and those of
                :func:`convia.images.effects.apply`.
        """
        return self.apply_transforms([x], [transform_parameters])[0]

    def apply_transforms(self, images: Sequence[Any], parameters: Sequence[dict[str, Any]]) -> list[Array]:
        """Change images of the same shape, each by its own parameters, with one warp for all."""
        given, drawn = [np.asarray(image) for image in images], warp.columns_of(parameters)
        if not given:
            return []
        if all(image.dtype == np.float32 for image in given):
            out = np.empty((len(given), *given[0].shape), np.float32)
            self._change(given, drawn, out)
            done = [*out]
        else:
            fill = self.interpolation_order, self.fill_mode, self.cval
            done = warp.changed(given, drawn, fill, self.channel_axis == 3)
        return [self._with_effects(x, drawn, k) for k, x in enumerate(done)]

    def _change(self, images: Sequence[Array], drawn: dict[str, Array], out: Array, scale: float = 1.0) -> None:
        how: Any = {"order": self.interpolation_order, "fill_mode": self.fill_mode, "cval": self.cval}
        warp.change(images, drawn, out, **how, last=self.channel_axis == 3, scale=scale)

    def _with_effects(self, x: Array, drawn: dict[str, Array], k: int) -> Array:
        """Return an image with contrast, blur and the like, as far as they were drawn for it."""
        given = {
            name: drawn[name][k] for name in effects.PARAMETERS if name in drawn and drawn[name][k] == drawn[name][k]
        }
        if not given:
            return x
        last = self.channel_axis == 3
        changed = effects.apply(x if last else np.moveaxis(x, 0, 2), given, self.cutout, self.cval)
        return changed if last else np.moveaxis(changed, 2, 0)

    def change(self, images: Sequence[Array], drawn: dict[str, Array], out: Array) -> None:
        """Change images by parameters from :meth:`draw`, and normalize them.

        Args:
            images: of one shape; bytes, or of the type of ``out``; they stay as they are.
            out: (N, …), where the results go.
        """
        is_simple = not self.preprocessing_function and not any(name in drawn for name in effects.EFFECTS)
        self._change(images, drawn, out, self.rescale if is_simple and self.rescale else 1.0)
        if is_simple and not self._normalizes:
            return
        for k, x in enumerate(out):
            out[k] = self._normalized(x) if is_simple else self.standardize(self._with_effects(x, drawn, k))

    @property
    def _normalizes(self) -> bool:
        means = self.samplewise_center or self.featurewise_center
        return bool(
            means or self.samplewise_std_normalization or self.featurewise_std_normalization or self.zca_whitening
        )

    def random_transform(self, x: Any, seed: int | None = None) -> Array:
        """Draw a transformation and apply it to an image."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def standardize(self, x: Any) -> Any:
        """Preprocess, rescale and normalize an image or a batch, in place where that can be."""
        if self.preprocessing_function:
            x = self.preprocessing_function(x)
        if self.rescale:
            x *= self.rescale
        return self._normalized(x)

    def _normalized(self, x: Any) -> Any:
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + 1e-6
        if self.featurewise_center and self.is_known("featurewise_center", self.mean):
            x -= self.mean
        std: Any = self.std
        if self.featurewise_std_normalization and self.is_known("featurewise_std_normalization", std):
            x /= std + 1e-6
        if self.zca_whitening and self.is_known("zca_whitening", self.zca_whitening_matrix):
            matrix: Any = self.zca_whitening_matrix
            x = (x.reshape(-1, len(matrix)) @ matrix).reshape(x.shape)
        return x

    def is_known(self, name: str, statistic: Array | None) -> bool:
        """Whether ``fit`` has computed a statistic; where it has not, warn that an argument does nothing."""
        if statistic is None:
            received, expected = f"images before fit, with {name}=True", "fit(images) first"
            warnings.warn(explain("ImageDataGenerator", received, expected, f"{name} does nothing."), stacklevel=5)
        return statistic is not None

    def preview(self, image: Any, n: int = 16, seed: int | None = None) -> Any:
        """Return a picture of what is made of an image, see :func:`convia.images.preview.preview`."""
        return preview(self, image, n, seed)

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Compute mean, standard deviation and whitening matrix, as far as they are asked for.

        Args:
            x: images, of rank 4.
            augment: compute them from changed images, ``rounds`` times as many.
            seed: for NumPy's global generator.

        Raises:
            ValueError: not of rank 4.
        """
        x = np.array(x, dtype=self.dtype)
        if x.ndim != 4:
            raise ValueError(explain("ImageDataGenerator.fit", f"an array of shape {x.shape}", "images, of rank 4"))
        check_channels("ImageDataGenerator.fit", x.shape, self.channel_axis)
        if seed is not None:
            np.random.seed(seed)
        if self.rescale:
            x *= self.rescale
        if augment:
            x = np.stack([self.random_transform(image) for _ in range(rounds) for image in x]).astype(self.dtype)
        axes, shape = (0, self.row_axis, self.col_axis), [1, 1, 1]
        shape[self.channel_axis - 1] = x.shape[self.channel_axis]
        if self.featurewise_center:
            self.mean = np.mean(x, axis=axes).reshape(shape)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axis=axes).reshape(shape)
            x /= self.std + 1e-6
        if self.zca_whitening:  # Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A
            u, s, _ = np.linalg.svd(x.reshape(len(x), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(x)) / (s + self.zca_epsilon))) @ u.T
