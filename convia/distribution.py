"""The names of ``keras.distribution`` for data parallelism: several processes that share a training.

Processes are started by torchrun, and :mod:`convia.distributed` shares the work; nothing has to be said for that, so
these names only let programs that say it run.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from convia import distributed
from convia.errors import explain

__all__ = ["DataParallel", "distribution", "get_device_count", "initialize", "list_devices", "set_distribution"]

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


class DataParallel:
    """Copies of a model that share the batches of a training: one per process.

    Args:
        device_mesh, devices: accepted; torchrun says how many processes there are.
        auto_shard_dataset: accepted; every process reads all data and computes its rows of each batch.

    Raises:
        ValueError: more devices than processes.
    """

    batch_dim_name = "batch"

    def __init__(
        self, device_mesh: Any = None, devices: Sequence[str] | None = None, auto_shard_dataset: bool = True
    ) -> None:
        self.device_mesh, self.auto_shard_dataset = device_mesh, auto_shard_dataset
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

    @property
    def num_processes(self) -> int:
        """How many share the work."""
        return distributed.size()

    @property
    def num_model_replicas(self) -> int:
        """How many copies of the model there are."""
        return distributed.size()

    @contextmanager
    def scope(self) -> Iterator["DataParallel"]:
        """Make this the current distribution for a block."""
        before = _current
        set_distribution(self)
        try:
            yield self
        finally:
            set_distribution(before)


def set_distribution(value: Any) -> None:
    """Set the current distribution, None for none; the work is shared by all processes in any case."""
    global _current
    _current = value


def distribution() -> Any:
    """Return the current distribution."""
    return _current
