"""Settings of the whole library: float type, epsilon, axis order of images, device, threads, dtype policy."""

import os
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch

from convia.args import Configured
from convia.errors import explain, nearest

_FLOATS = ("bfloat16", "float16", "float32", "float64")
_ORDERS = ("channels_first", "channels_last")
_ENGINES = ("auto", "native", "torch")


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() and int(text) else None


class _Settings(TypedDict):
    floatx: str
    epsilon: float
    image_data_format: str
    device: torch.device | None
    engine: str
    dtype_policy: "DTypePolicy | None"
    interactive_logging: bool
    traceback_filtering: bool
    flash_attention: bool | None
    unsafe_deserialization: bool
    max_epochs: int | None
    max_steps_per_epoch: int | None


_settings: _Settings = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "device": None,
    "engine": "auto",
    "dtype_policy": None,
    "interactive_logging": True,
    "traceback_filtering": True,
    "flash_attention": None,
    "unsafe_deserialization": False,
    "max_epochs": _number("KERAS_MAX_EPOCHS"),
    "max_steps_per_epoch": _number("KERAS_MAX_STEPS_PER_EPOCH"),
}


def _choose(setting: Literal["floatx", "image_data_format", "engine"], value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(
            explain(f"set_{setting}", repr(value), f"one of {list(allowed)}", nearest(str(value), allowed))
        )
    _settings[setting] = value


def floatx() -> str:
    """Return the default float type of weights and inputs, ``"float32"`` unless changed."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Set the default float type: bfloat16, float16, float32 or float64."""
    _choose("floatx", value, _FLOATS)


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite, 1e-7 unless changed."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Return the default axis order of images, ``"channels_last"`` unless changed."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Set the default axis order of images: channels_last (N, H, W, C) or channels_first (N, C, H, W)."""
    _choose("image_data_format", data_format, _ORDERS)


def standardize_data_format(data_format: str | None) -> str:
    """Return the given axis order in lower case, or the default for None.

    Raises:
        ValueError: neither channels_last nor channels_first.
    """
    if data_format is None:
        return image_data_format()
    folded = str(data_format).lower()
    if folded not in _ORDERS:
        raise ValueError(explain("data_format", repr(data_format), f"one of {list(_ORDERS)}"))
    return folded


def backend() -> str:
    """Return ``"torch"``: convia computes with PyTorch and its own engine."""
    return "torch"


def device() -> torch.device:
    """Return where new weights are made and data is sent: the chosen device, else CUDA, Apple GPU or CPU."""
    chosen = _settings["device"]
    if chosen is None:
        chosen = _settings["device"] = _best_device()
    return chosen


def set_device(name: str | torch.device | None) -> None:
    """Choose the device of models made from now on: "cpu", "cuda", "cuda:1", "mps", "gpu", or None for the best.

    Raises:
        ValueError: the device does not exist here.
    """
    if name is None:
        _settings["device"] = None
        return
    text = str(name).lower().replace("gpu", "cuda")
    if text == "cuda" and torch.cuda.is_available():
        text = str(_best_device())
    try:
        chosen = torch.device(text)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            explain("set_device", repr(name), "a device of this machine", f"PyTorch says: {reason}")
        ) from None
    _settings["device"] = chosen


def set_deterministic(flag: bool = True) -> None:
    """Let torch use only algorithms that give the same bits in every run, on GPUs too; some are slower.

    What has no such algorithm raises RuntimeError. With ``set_random_seed`` a program then repeats itself on the same
    machine, with the same versions and number of threads; the native engine and torch on CPUs do so in any case.
    """
    if flag:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.use_deterministic_algorithms(flag)
    torch.backends.cudnn.benchmark = False


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        own = os.environ.get("LOCAL_RANK")  # of the processes that torchrun starts, each takes a GPU
        return torch.device("cuda") if own is None else torch.device("cuda", int(own) % torch.cuda.device_count())
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def torch_dtype(name: str | torch.dtype) -> torch.dtype:
    """Translate a type's name ("float32") to torch's; "bool", "string" types of NumPy included where torch has them."""
    if isinstance(name, torch.dtype):
        return name
    dtype = getattr(torch, str(getattr(name, "name", name)), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(explain("dtype", repr(name), "a numeric type such as 'float32', 'int64' or 'bool'"))
    return dtype


def dtype_name(dtype: Any) -> str:
    """Return the plain name ("float32") of a torch or NumPy type."""
    text = str(getattr(dtype, "name", dtype))
    return text.removeprefix("torch.")


class DTypePolicy(Configured):
    """In which type a layer computes and in which it keeps its weights.

    ``"float32"``, ``"float16"``, … use one type for both; ``"mixed_float16"`` and ``"mixed_bfloat16"`` compute in
    half precision and keep float32 weights.

    The native engine computes both mixed policies in float32: on processors without matrix units for half precision
    that is faster, and more precise. ``compile(engine="torch")``, or ``set_engine("torch")``, rounds as it is asked.
    """

    _namespace = "keras.dtype_policies"
    name: str | None = None

    def __post_init__(self) -> None:
        self.name = self.name or dtype_policy().name
        half = str(self.name).removeprefix("mixed_")
        try:
            torch_dtype(half)
        except ValueError:
            raise ValueError(
                explain(
                    "DTypePolicy", repr(self.name), "a type such as 'float32', or 'mixed_float16', 'mixed_bfloat16'"
                )
            ) from None
        self.compute_dtype = half
        self.variable_dtype = "float32" if half != self.name else half
        self.quantization_mode = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


def policy(identifier: Any = None) -> DTypePolicy:
    """Return a dtype policy for a name, a torch type, a config or a policy; None gives the global one."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return DTypePolicy(identifier["config"]["name"])
    return DTypePolicy(dtype_name(identifier))


_policy = policy


def dtype_policy() -> DTypePolicy:
    """Return the policy that layers made from now on take, float32 unless changed."""
    return _settings["dtype_policy"] or DTypePolicy(floatx())


def set_dtype_policy(policy: Any) -> None:
    """Set the policy that layers made from now on take, such as "mixed_bfloat16"; None for the float type's own."""
    _settings["dtype_policy"] = None if policy is None else _policy(policy)


def set_threads(count: int) -> None:
    """Set how many CPU threads one operation may use."""
    torch.set_num_threads(count)


def engine() -> str:
    """Return what computes on CPUs: "auto", "native" or "torch"; see ``set_engine``."""
    return _settings["engine"]


def set_engine(value: str) -> None:
    """Choose what computes on CPUs: "auto" (the native engine where it can), "native" (or an error), "torch".

    ``CONVIA_ENGINE=off`` in the environment turns "auto" into "torch".
    """
    _choose("engine", value, _ENGINES)


def home() -> Path:
    """Return the folder of downloads and settings: ``$KERAS_HOME``, else ``~/.keras``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def is_interactive_logging_enabled() -> bool:
    """Return whether progress is printed to standard output."""
    return _settings["interactive_logging"]


def enable_interactive_logging() -> None:
    """Print progress to standard output."""
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Send progress to the log instead of standard output."""
    _settings["interactive_logging"] = False


def is_traceback_filtering_enabled() -> bool:
    """Return whether frames of the library are hidden in tracebacks."""
    return _settings["traceback_filtering"]


def enable_traceback_filtering() -> None:
    """Hide frames of the library in tracebacks."""
    _settings["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Show all frames in tracebacks."""
    _settings["traceback_filtering"] = False


def is_flash_attention_enabled() -> bool | None:
    """Return whether attention insists on torch's flash kernel; None where torch chooses."""
    return _settings["flash_attention"]


def enable_flash_attention() -> None:
    """Let layers of attention made from now on insist on torch's flash kernel."""
    _settings["flash_attention"] = True


def disable_flash_attention() -> None:
    """Let torch choose the kernel of layers of attention made from now on."""
    _settings["flash_attention"] = False


def is_unsafe_deserialization_enabled() -> bool:
    """Return whether ``enable_unsafe_deserialization`` was called; code in files is never run either way."""
    return _settings["unsafe_deserialization"]


def enable_unsafe_deserialization() -> None:
    """Accept Keras's switch. Code and pickles in files are never run; pass what is missing as ``custom_objects``."""
    _settings["unsafe_deserialization"] = True


def max_epochs() -> int | None:
    """Return the most epochs that any ``fit`` runs, ``$KERAS_MAX_EPOCHS`` at first; None for no limit."""
    return _settings["max_epochs"]


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of every ``fit``, for quick trials of long programs; None lifts the limit."""
    _limit("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """Return the most steps of an epoch or evaluation, ``$KERAS_MAX_STEPS_PER_EPOCH`` at first; None for no limit."""
    return _settings["max_steps_per_epoch"]


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of every epoch of ``fit``, ``evaluate`` and ``predict``; None lifts the limit."""
    _limit("max_steps_per_epoch", max_steps_per_epoch)


def _limit(setting: Literal["max_epochs", "max_steps_per_epoch"], value: int | None) -> None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(explain(f"set_{setting}", repr(value), "a whole number ≥ 1, or None"))
    _settings[setting] = value


def set_backend(backend: str) -> None:
    """Accept ``"torch"``, the only one there is.

    Raises:
        ValueError: another backend.
    """
    if backend != "torch":
        raise ValueError(explain("set_backend", repr(backend), "'torch'", "convia computes with PyTorch."))
