"""Devices and settings: ``tf.config``, ``tf.test``, and the resolvers of ``tf.distribute``."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from convia import config
from convia.errors import explain


class PhysicalDevice(NamedTuple):
    """A device of this machine."""

    name: str
    device_type: str


class LogicalDevice(NamedTuple):
    """A device as programs name it."""

    name: str
    device_type: str


def _count(device_type: str) -> int:
    if device_type == "GPU":
        return torch.cuda.device_count() or int(torch.backends.mps.is_available())
    return int(device_type == "CPU")


def _devices(kind: type, prefix: str, device_type: str | None) -> list[Any]:
    types = ("CPU", "GPU") if device_type is None else (device_type.upper(),)
    return [kind(f"/{prefix}:{t}:{number}", t) for t in types for number in range(_count(t))]


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """Return the devices of a type ("CPU", "GPU"), or all."""
    return _devices(PhysicalDevice, "physical_device", device_type)


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """Return the devices of a type ("CPU", "GPU"), or all."""
    return _devices(LogicalDevice, "device", device_type)


def _accepted(*args: Any, **kwargs: Any) -> None:
    """Accept a setting that means nothing here."""


def _set_visible(devices: Any, device_type: str | None = None) -> None:
    """Keep to the CPU where a program hides all GPUs."""
    if not devices and (device_type or "GPU") == "GPU":
        config.set_device("cpu")


def _details(device: Any) -> dict[str, Any]:
    return {} if device.device_type != "GPU" else {"device_name": torch.cuda.get_device_name()}


def _memory(device: Any) -> dict[str, int]:
    if not torch.cuda.is_available():
        return {"current": 0, "peak": 0}
    return {"current": torch.cuda.memory_allocated(), "peak": torch.cuda.max_memory_allocated()}


def _deterministic() -> None:
    """Let torch use only algorithms that give the same numbers every time."""
    torch.use_deterministic_algorithms(True, warn_only=True)


_OPTIONS = SimpleNamespace(set_jit=_accepted, set_experimental_options=_accepted, get_jit=lambda: "")
_THREADING = SimpleNamespace(
    get_inter_op_parallelism_threads=lambda: 0,
    get_intra_op_parallelism_threads=torch.get_num_threads,
    set_inter_op_parallelism_threads=_accepted,
    set_intra_op_parallelism_threads=lambda count: torch.set_num_threads(count) if count else None,
)
EXPERIMENTAL_CONFIG: dict[str, Any] = {
    "VirtualDeviceConfiguration": dict,
    "enable_mlir_bridge": _accepted,
    "enable_op_determinism": _deterministic,
    "enable_tensor_float_32_execution": lambda enabled: torch.set_float32_matmul_precision(
        "high" if enabled else "highest"
    ),
    "get_device_details": _details,
    "get_memory_growth": lambda device: True,
    "get_memory_info": _memory,
    "list_logical_devices": list_logical_devices,
    "list_physical_devices": list_physical_devices,
    "set_memory_growth": _accepted,
    "set_virtual_device_configuration": _accepted,
    "set_visible_devices": _set_visible,
}
CONFIG: dict[str, Any] = {
    "LogicalDevice": LogicalDevice,
    "LogicalDeviceConfiguration": dict,
    "PhysicalDevice": PhysicalDevice,
    "experimental_connect_to_cluster": _accepted,
    "experimental_run_functions_eagerly": _accepted,
    "functions_run_eagerly": lambda: True,
    "get_soft_device_placement": lambda: True,
    "get_visible_devices": list_physical_devices,
    "list_logical_devices": list_logical_devices,
    "list_physical_devices": list_physical_devices,
    "optimizer": _OPTIONS,
    "run_functions_eagerly": _accepted,
    "set_logical_device_configuration": _accepted,
    "set_soft_device_placement": _accepted,
    "set_visible_devices": _set_visible,
    "threading": _THREADING,
}


def gpu_device_name() -> str:
    """Return the name of the GPU, "" without one."""
    return "/device:GPU:0" if _count("GPU") else ""


TEST: dict[str, Any] = {
    "gpu_device_name": gpu_device_name,
    "is_built_with_cuda": lambda: torch.version.cuda is not None,
    "is_built_with_gpu_support": lambda: torch.version.cuda is not None,
    "is_built_with_rocm": lambda: torch.version.hip is not None,
    "is_gpu_available": lambda cuda_only=False, min_cuda_compute_capability=None: _count("GPU") > 0,
}


def list_local_devices(session_config: Any = None) -> list[Any]:
    """Return the devices as ``tensorflow.python.client.device_lib`` describes them."""
    return [
        SimpleNamespace(name=d.name, device_type=d.device_type, memory_limit=0, physical_device_desc="")
        for d in list_logical_devices()
    ]


class Resolver:
    """Looks for TPUs and clusters; there are none.

    Raises:
        ValueError: when made, as TensorFlow raises where there is no TPU.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(explain("TPUClusterResolver", "no TPU", "a TPU", "Programs usually go on without it."))

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Any:
        """Raise ValueError: there is no TPU."""
        return cls()


class ConfigResolver:
    """The cluster of ``$TF_CONFIG``: this machine alone."""

    task_type, task_id = None, None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept any arguments."""

    def cluster_spec(self) -> Any:
        """Return an empty cluster."""
        return SimpleNamespace(as_dict=dict, jobs=[])


RESOLVERS = {"TFConfigClusterResolver": ConfigResolver, "TPUClusterResolver": Resolver}


__all__ = [
    "CONFIG", "EXPERIMENTAL_CONFIG", "RESOLVERS", "TEST", "list_local_devices",
]  # fmt: skip
