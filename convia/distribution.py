"""The names of ``keras.distribution``: several processes that share a training, and the weights that they share out.

Processes are started by torchrun, and :mod:`convia.distributed` shares the work; nothing has to be said for that, so
:class:`DataParallel` only lets programs that say it run. :class:`FullyShardedDataParallel` and :class:`ModelParallel`
also share out the weights, for models that do not fit into one device.
"""

import os
import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from convia import config, distributed
from convia.errors import explain

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "Distribution",
    "FullyShardedDataParallel",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]

_current: Any = None


def list_devices(device_type: str | None = None) -> list[str]:
    """Return the devices of all processes, as "cpu:0", "gpu:0" …; of a type, or of the best one there is.

    Raises:
        ValueError: another type than "cpu" and "gpu".
    """
    gpus = torch.cuda.device_count()
    kind = (device_type or ("gpu" if gpus else "cpu")).lower().replace("cuda", "gpu")
    if kind not in ("cpu", "gpu"):
        raise ValueError(explain("list_devices, argument 'device_type'", repr(device_type), "'cpu', 'gpu' or None"))
    processes = distributed.size()
    return [f"{kind}:{number}" for number in range(processes if kind == "cpu" else max(gpus, processes * bool(gpus)))]


def get_device_count(device_type: str | None = None) -> int:
    """Return how many devices there are of a type."""
    return len(list_devices(device_type))


def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Meet the other processes.

    Args:
        job_addresses: "host:port" of the first process, or several with commas between; what torchrun has set if None.
        num_processes, process_id: how many there are, and the number of this one.
    """
    if job_addresses:
        host, _, port = job_addresses.split(",")[0].partition(":")
        os.environ |= {"MASTER_ADDR": host, "MASTER_PORT": port or "29500"}
    given = {"WORLD_SIZE": num_processes, "RANK": process_id}
    os.environ |= {name: str(value) for name, value in given.items() if value is not None}
    distributed.join()


# -- layouts --------------------------------------------------------------------------------------------------------


class DeviceMesh:
    """Devices in a grid whose axes have names, such as (2, 4) of "batch" and "model".

    Args:
        shape: of the grid.
        axis_names: a name per axis.
        devices: all devices, see :func:`list_devices`, unless given.

    Raises:
        ValueError: names or devices that do not fit the shape.
    """

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None) -> None:
        names, found = [*axis_names], np.array(list_devices() if devices is None else devices)
        if not names or len(names) != len(shape):
            raise ValueError(explain("DeviceMesh", f"{len(names)} names for shape {shape}", "a name per axis"))
        if found.size != np.prod(shape):
            remedy = f"Start the program with: torchrun --nproc-per-node {np.prod(shape)} script.py"
            raise ValueError(explain("DeviceMesh", f"{found.size} devices for shape {shape}", "one per place", remedy))
        self.shape, self.axis_names, self.devices = tuple(shape), names, found.reshape(shape)


class TensorLayout:
    """Which axis of a mesh divides which axis of a tensor.

    Args:
        axes: a name of the mesh's axes, or None, per axis of the tensor.
        device_mesh: the mesh.

    Raises:
        ValueError: an axis that the mesh does not have.
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self.axes, self.device_mesh = tuple(axes), device_mesh
        known = self.axes if device_mesh is None else (None, *device_mesh.axis_names)
        strange = [axis for axis in self.axes if axis not in known]
        if strange:
            raise ValueError(explain("TensorLayout, argument 'axes'", repr(strange[0]), f"None or one of {known[1:]}"))


class LayoutMap(MutableMapping[str, Any]):
    """Layouts by the paths of weights, or by regular expressions that these match as a whole.

    Args:
        device_mesh: the mesh of layouts that are given as a tuple of axes.
    """

    def __init__(self, device_mesh: DeviceMesh) -> None:
        self.device_mesh = device_mesh
        self._layouts: dict[str, TensorLayout] = {}

    def __getitem__(self, key: str) -> Any:
        """Return the layout of a path, None where no key fits.

        Raises:
            ValueError: several keys fit.
        """
        if key in self._layouts:
            return self._layouts[key]
        fits = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(fits) > 1:
            raise ValueError(explain("LayoutMap", f"the path {key!r}, which fits {fits}", "one key per path"))
        return self._layouts[fits[0]] if fits else None

    def __setitem__(self, key: str, layout: Any) -> None:
        """Set the layout of a path or of those that match.

        Raises:
            ValueError: there is one.
        """
        if key in self._layouts:
            raise ValueError(explain("LayoutMap", f"a second layout for {key!r}", "one per key", "Delete the first."))
        self._layouts[key] = layout if isinstance(layout, TensorLayout) else TensorLayout(layout, self.device_mesh)

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)


def distribute_tensor(tensor: Any, layout: Any) -> Any:
    """Return the tensor: only weights are divided, and that while they are trained."""
    return tensor


# -- distributions --------------------------------------------------------------------------------------------------


class Distribution:
    """How processes share a model; make it the current one with ``scope()`` or :func:`set_distribution`.

    Args:
        device_mesh: the devices.
        batch_dim_name: the axis of the mesh that batches are divided along.
        auto_shard_dataset: accepted; every process draws the same batches and computes its rows of each.
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, batch_dim_name: str = "batch", auto_shard_dataset: bool = True
    ) -> None:
        self.device_mesh, self.batch_dim_name = device_mesh, batch_dim_name
        self.auto_shard_dataset = auto_shard_dataset

    @property
    def num_processes(self) -> int:
        """How many share the work."""
        return distributed.size()

    @property
    def num_model_replicas(self) -> int:
        """How many compute rows of a batch: all."""
        return distributed.size()

    @property
    def data_shard_id(self) -> int:
        """Which rows of a batch are this process's, by number."""
        return distributed.rank()

    @contextmanager
    def scope(self) -> Iterator[Any]:
        """Make this the current distribution for a block."""
        before = _current
        set_distribution(self)
        try:
            yield self
        finally:
            set_distribution(before)

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """Return how data is divided: along its first axis."""
        return TensorLayout((self.batch_dim_name, *[None] * (len(data_shape) - 1)), self.device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """Return how a weight is divided."""
        return TensorLayout([None] * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> Any:
        """Return how the output of a layer is divided: as rows of the batch, whatever the layer."""
        return None

    def distribute_dataset(self, dataset: Any) -> Any:
        """Return the data set: ``fit`` divides its batches."""
        return dataset

    def shares_out(self, variable: Any) -> bool:
        """Return whether processes hold parts of a weight, and not each the whole."""
        return False


class DataParallel(Distribution):
    """Copies of a model that share the batches of a training: one per process.

    Args:
        device_mesh, devices: accepted; torchrun says how many processes there are.
        auto_shard_dataset: accepted.

    Raises:
        ValueError: more devices than processes.
    """

    def __init__(self, device_mesh: Any = None, devices: Any = None, auto_shard_dataset: bool = True) -> None:
        super().__init__(device_mesh, "batch", auto_shard_dataset)
        self.devices = list(devices) if devices is not None else list_devices()
        if len(self.devices) > max(distributed.size(), 1):
            count = len(self.devices)
            raise ValueError(
                explain(
                    "DataParallel, argument 'devices'",
                    f"{count} devices in {distributed.size()} process(es)",
                    "a process for each device",
                    f"Start the program with: torchrun --nproc-per-node {count} script.py",
                )
            )


class FullyShardedDataParallel(Distribution):
    """Processes that share the batches and share out the weights, through torch's FSDP: for models that do not fit.

    While ``fit`` runs each process holds a part of every weight, of its gradient, and of what the optimizer notes;
    the weights of a layer come together while it computes. Numbers are those of one process. Weights are whole in the
    main memory at the events of callbacks, and outside of ``fit``, ``evaluate`` and ``predict``.
    """

    def shares_out(self, variable: Any) -> bool:
        """All weights are shared out."""
        return True


class ModelParallel(Distribution):
    """Processes that share the batches, and share out the weights for which a map has a layout that divides them.

    Torch's FSDP cuts those along an axis of its own choice, among all processes: layouts say which weights, and
    nothing else depends on them. Numbers are those of one process.

    Args:
        layout_map: layouts by paths of weights.
        batch_dim_name: the axis of the mesh that batches are divided along; the first unless given.
        auto_shard_dataset: accepted.

    Raises:
        ValueError: no map.
    """

    def __init__(
        self, *, layout_map: Any = None, batch_dim_name: str | None = None, auto_shard_dataset: bool = True, **_: Any
    ) -> None:
        if not isinstance(layout_map, LayoutMap):
            remedy = "FullyShardedDataParallel() shares out all weights, without a map."
            received = type(layout_map).__name__
            raise ValueError(explain("ModelParallel, argument 'layout_map'", received, "a LayoutMap", remedy))
        mesh = layout_map.device_mesh
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self._layout_map = layout_map

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """Return the layout that the map has for a weight's path; one that divides nothing where it has none."""
        layout: TensorLayout | None = self._layout_map[variable.path]
        return super().get_variable_layout(variable) if layout is None else layout

    def get_tensor_layout(self, path: str) -> Any:
        """Return the layout that the map has for a path, or None."""
        return self._layout_map[path]

    def shares_out(self, variable: Any) -> bool:
        """Weights that a layout divides are shared out."""
        return any(axis is not None for axis in self.get_variable_layout(variable).axes)


def set_distribution(value: Any) -> None:
    """Set the current distribution, None for none; batches are shared by all processes in any case."""
    global _current
    _current = value


def distribution() -> Any:
    """Return the current distribution."""
    return _current


def shared_out() -> Callable[[Any], bool] | None:
    """Return what says of a weight whether processes share it out; None where they share out none."""
    kind = type(_current)
    return _current.shares_out if kind in (FullyShardedDataParallel, ModelParallel) else None


@contextmanager
def place_of_weights() -> Iterator[None]:
    """Make weights in the main memory, where they are to be shared out among GPUs."""
    before = config.device()
    if shared_out() is None or distributed.size() < 2 or before.type == "cpu":
        yield
        return
    config.set_device("cpu")
    try:
        yield
    finally:
        config.set_device(before)
