"""``--devices N``: the same command in N processes, started by torch's elastic launcher, that share the training."""

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import torch
import typer
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from convia import config
from convia.errors import explain


def launch(words: Sequence[str], count: int) -> int:
    """Run ``convia WORDS`` in so many processes, and return the exit code; only the first of them is heard.

    On GPUs each process takes one; on CPUs they share the cores, unless OMP_NUM_THREADS says otherwise.

    Raises:
        ValueError: more processes than GPUs, where the fastest device is a GPU.
    """
    require_devices(count)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what matters is said here
    with tempfile.TemporaryDirectory() as logs:
        silent = dict.fromkeys(range(1, count), Std.ALL)
        how = LaunchConfig(
            1, 1, count, logs_specs=DefaultLogsSpecs(logs, redirects=silent), rdzv_backend="c10d",
            rdzv_endpoint="localhost:0", run_id=uuid.uuid4().hex, max_restarts=0, monitor_interval=0.1,
        )  # fmt: skip
        try:
            elastic_launch(how, sys.executable)("-m", "convia", *words)
        except ChildFailedError as error:
            return _told(error, Path(logs))
        except SignalException as error:
            return 128 + error.sigval
    return 0


def require_devices(count: int) -> None:
    """See that there is a GPU for each process, where GPUs are used at all.

    Raises:
        ValueError: there are fewer.
    """
    gpus = torch.cuda.device_count()
    if config.device().type == "cuda" and count > gpus:
        remedy = "Pass --device cpu to train on the processor."
        raise ValueError(explain("--devices", count, f"at most {gpus}, the number of GPUs", remedy))


def _told(error: ChildFailedError, logs: Path) -> int:
    """Say what the first process could not say itself; return the exit code."""
    rank, failure = error.get_first_failure()
    if rank and not _has_spoken(error.failures.get(0)):
        said = next((path.read_text(errors="replace") for path in logs.rglob(f"{rank}/stderr.log")), "")
        died = signal.Signals(-failure.exitcode).name if failure.exitcode < 0 else f"exit code {failure.exitcode}"
        typer.echo(said or f"Process {rank} of the training has ended ({died}).", err=True)
    return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode


def _has_spoken(failure: ProcessFailure | None) -> bool:
    return failure is not None and failure.exitcode > 0
