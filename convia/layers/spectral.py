"""Spectrograms: sound as an image of time and frequency."""

import math
import warnings
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, initializers, layout
from convia.args import PositiveInt, one_of
from convia.errors import explain
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers.arguments import DataFormat, Padding
from convia.layers.one_tensor import _OneTensor
from convia.ops.math import stft

__all__ = ["MelSpectrogram", "STFTSpectrogram"]


class STFTSpectrogram(_OneTensor, Layer):
    """Short-time Fourier transform of each channel by a convolution whose kernels, cosines and sines, can be learned.

    (N, T, C) → (N, T', C·F) with F = fft_length/2 + 1 frequencies.

    Args:
        mode: "log" or plain "magnitude", power spectral density ("psd"), "real", "imag", "angle", or "stft" for real
            and imaginary parts side by side.
        frame_length: number of samples of a frame.
        frame_step: samples from frame to frame; half a frame when None.
        fft_length: length of the transform; the next power of two when None.
        window: a name of SciPy's windows, the frame_length values themselves, or None.
        periodic: whether the window is one period of a periodic function.
        scaling: "density", "spectrum" or None, see :class:`convia.initializers.STFT`.
        padding: "valid" or "same".
        expand_dims: whether channels keep an axis of their own: (N, T', F, C).
        data_format: "channels_last", or "channels_first" for (N, C, T) → (N, C·F, T') or (N, C, T', F).

    Raises:
        ValueError: a step longer than a frame, a transform shorter than it.
    """

    mode: Annotated[str, one_of("log", "magnitude", "psd", "real", "imag", "angle", "stft", fold=False)] = "log"
    frame_length: PositiveInt = 256
    frame_step: int | None = None
    fft_length: int | None = None
    window: Any = "hann"
    periodic: bool = False
    scaling: Annotated[str | None, one_of("density", "spectrum", None, fold=False)] = "density"
    padding: Padding = "valid"
    expand_dims: bool = False
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        """Check lengths against one another."""
        if self.frame_step is not None and not 1 <= self.frame_step <= self.frame_length:
            self._complain("frame_step", f"a whole number from 1 to frame_length={self.frame_length}")
        if self.fft_length is not None and self.fft_length < self.frame_length:
            self._complain("fft_length", f"at least frame_length={self.frame_length}")
        self._step = self.frame_step or self.frame_length // 2
        self._length = self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))
        if self._length & (self._length - 1):
            warnings.warn(f"STFTSpectrogram: fft_length={self._length} is not a power of two: slow.", stacklevel=3)
        initializers.STFT("real", self.window)  # complains about an unknown window
        self.input_spec = InputSpec(ndim=3)

    def _complain(self, name: str, expected: str) -> None:
        raise ValueError(explain(f"STFTSpectrogram, argument {name!r}", repr(getattr(self, name)), expected))

    def build(self, input_shape: Any) -> None:
        """Create ``real_kernel`` and ``imag_kernel`` (frame_length, 1, F), those that the mode needs."""
        for side, unneeded in (("real", "imag"), ("imag", "real")):
            if self.mode != unneeded:
                kernel = self.add_weight(
                    name=f"{side}_kernel",
                    shape=(self.frame_length, 1, self._length // 2 + 1),
                    initializer=initializers.STFT(side, self.window, self.scaling, self.periodic),
                    order=layout.kernel_to_torch(1),
                )
                setattr(self, f"{side}_kernel", kernel)

    def call(self, inputs: Tensor) -> Tensor:
        """Compute the spectrogram.

        Raises:
            TypeError: inputs that are not float16, float32 or float64.
        """
        if inputs.dtype not in (torch.float16, torch.float32, torch.float64):
            received = f"type {config.dtype_name(inputs.dtype)}"
            raise TypeError(explain(f"STFTSpectrogram layer {self.name!r}", received, "float16, float32 or float64"))
        signals = inputs if self.data_format == "channels_first" else inputs.transpose(1, 2)
        if self.padding == "same":
            signals = F.pad(signals, layout.same_padding(signals.shape[-1], self.frame_length, self._step))
        real = self._convolve(signals, self.real_kernel) if self.mode != "imag" else None
        imag = self._convolve(signals, self.imag_kernel) if self.mode != "real" else None
        spectrum = self._arranged(self._combined(real, imag))
        return spectrum.clamp(min=config.epsilon()).log() if self.mode == "log" else spectrum

    def _convolve(self, signals: Tensor, kernel: Tensor) -> Tensor:
        channels, samples = signals.shape[1:]
        weight = kernel.permute(layout.kernel_to_torch(1)).to(signals.dtype)
        y: Tensor = F.conv1d(signals.reshape(-1, 1, samples), weight, stride=self._step).unflatten(0, (-1, channels))
        return y

    def _combined(self, real: Any, imag: Any) -> Tensor:
        """Turn the parts (N, C, F, T') into what the mode asks for."""
        if real is None or imag is None:
            given: Tensor = imag if real is None else real
            return given
        if self.mode == "angle":
            return torch.atan2(imag, real)
        if self.mode == "stft":
            return torch.cat([real, imag], 2)
        power = real.square() + imag.square()
        if self.mode == "psd":  # both halves of the spectrum; the first and the last frequency are there once
            density: Tensor = power + F.pad(power[:, :, 1:-1], (0, 0, 1, 1))
            return density
        magnitude: Tensor = power.clamp(min=config.epsilon()).sqrt()
        return magnitude

    def _arranged(self, spectrum: Tensor) -> Tensor:
        """Bring (N, C, F, T') into the order of the output's axes."""
        first = self.data_format == "channels_first"
        if self.expand_dims:
            return spectrum.transpose(2, 3) if first else spectrum.permute(0, 3, 2, 1)
        flat = spectrum.flatten(1, 2)
        return flat if first else flat.transpose(1, 2)


class MelSpectrogram(_OneTensor, Layer):
    """Power of a signal by time and by pitch: (…, T) → (…, num_mel_bins, T').

    Pitch is measured in mel = 2595·log₁₀(1 + f/700), which steps evenly as ears hear it (HTK's formula).

    Args:
        fft_length: length of the Fourier transform.
        sequence_stride: samples from frame to frame.
        sequence_length: samples in a frame; ``fft_length`` when None.
        window: "hann", "hamming", the sequence_length values themselves, or None.
        sampling_rate: samples per second.
        num_mel_bins: number of pitches.
        min_freq, max_freq: range of pitches in hertz; up to half the sampling rate when None.
        power_to_db: whether powers are given in decibels.
        top_db: how many decibels below the loudest element quieter ones are cut off.
        mag_exp: exponent of the magnitudes, 2 for power.
        min_power: least power that is told from silence.
        ref_power: the power of 0 decibels.

    Raises:
        ValueError: frames longer than the transform.
    """

    fft_length: PositiveInt = 2048
    sequence_stride: PositiveInt = 512
    sequence_length: int | None = None
    window: Any = "hann"
    sampling_rate: int = 16000
    num_mel_bins: PositiveInt = 128
    min_freq: float = 20.0
    max_freq: float | None = None
    power_to_db: bool = True
    top_db: float = 80.0
    mag_exp: float = 2.0
    min_power: float = 1e-10
    ref_power: float = 1.0

    def __post_init__(self) -> None:
        """Fill in lengths and frequencies that follow from the others."""
        self.sequence_length = self.sequence_length or self.fft_length
        self.max_freq = self.max_freq or int(self.sampling_rate / 2)
        if self.sequence_length > self.fft_length:
            received = f"sequence_length={self.sequence_length}, fft_length={self.fft_length}"
            raise ValueError(explain("MelSpectrogram", received, "frames no longer than the transform"))

    def call(self, inputs: Tensor) -> Tensor:
        """Compute the spectrogram."""
        inputs = inputs if inputs.dtype == torch.float64 else inputs.float()
        real, imag = stft(inputs, self.sequence_length, self.sequence_stride, self.fft_length, self.window)
        power = torch.sqrt(real.square() + imag.square()).pow(self.mag_exp)  # (…, T', F)
        bins = self.linear_to_mel_weight_matrix(
            self.num_mel_bins, power.shape[-1], self.sampling_rate, self.min_freq, self.max_freq, power.device
        )
        mel = (power @ bins.to(power.dtype)).transpose(-1, -2)
        return (self._decibels(mel) if self.power_to_db else mel).to(self._input_dtype)

    def _decibels(self, power: Tensor) -> Tensor:
        """10·log₁₀(power / reference), cut off ``top_db`` below the greatest."""
        reference = 10 * math.log10(max(abs(self.ref_power), self.min_power))
        decibels = 10 * power.clamp(min=self.min_power).log10() - reference
        return torch.maximum(decibels, decibels.max() - self.top_db)

    @staticmethod
    def linear_to_mel_weight_matrix(
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: Any = 3800.0,
        device: Any = None,
    ) -> Tensor:
        """Return (num_spectrogram_bins, num_mel_bins): triangles over pitch, each from peak to peak of its neighbours.

        The frequency 0 belongs to none of them.
        """
        pitch = _mel(torch.linspace(0.0, sampling_rate / 2, num_spectrogram_bins, device=device)[1:, None])
        low, high = (float(_mel(torch.tensor(float(edge)))) for edge in (lower_edge_hertz, upper_edge_hertz))
        edges = torch.linspace(low, high, num_mel_bins + 2, device=device)
        lower, peak, upper = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (pitch - lower) / (peak - lower), (upper - pitch) / (upper - peak)
        return F.pad(torch.minimum(rising, falling).clamp(min=0), (0, 0, 1, 0))


def _mel(hertz: Tensor) -> Tensor:
    return 1127.0 * torch.log(1.0 + hertz / 700.0)
