"""Processes and hosts that die: torchrun starts the others again, and training goes on from its backup."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import elastic_training
import numpy as np
import pytest

HERE = Path(__file__).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent)}
ENVIRONMENT |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}  # else Gloo finds addresses of the processes that died
PROGRAM = str(HERE / "elastic_training.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights of one process that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([sys.executable, PROGRAM, str(folder)], env=ENVIRONMENT, check=True, timeout=120)
    return np.load(folder / "weights.npz")


def check(folder, undisturbed):
    """See that epochs were gone on with, and that the weights are those of a training without a death."""
    found = np.load(folder / "weights.npz")
    assert list(found["epochs"]) == list(range(elastic_training.FALLS, elastic_training.EPOCHS))
    for name in undisturbed.files:
        if name != "epochs":
            np.testing.assert_allclose(found[name], undisturbed[name], atol=1e-5, err_msg=name)
    assert not (folder / "backup").exists()


def test_a_killed_worker_is_started_again_and_training_goes_on(undisturbed, tmp_path):
    launch = [*TORCHRUN, "--standalone", "--nproc-per-node", "2", "--max-restarts", "1", PROGRAM, str(tmp_path)]
    done = subprocess.run(
        launch, env=ENVIRONMENT | {"FALLS": "1"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    check(tmp_path, undisturbed)


# -- hosts ----------------------------------------------------------------------------------------------------------

HOSTS = {"cv-a": "10.213.7.1", "cv-b": "10.213.7.2"}


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0


@pytest.fixture
def hosts():
    """Two network namespaces with a cable between them."""
    with contextlib.ExitStack() as stack:
        for name in HOSTS:
            if not Path("/run").exists() or not hasattr(os, "geteuid") or os.geteuid() or not _made(name):
                pytest.skip("network namespaces need root and iproute2")
            stack.callback(ip, "netns", "del", name)
        made = ip("link", "add", "cv0", "netns", "cv-a", "type", "veth", "peer", "name", "cv0", "netns", "cv-b")
        for name, address in HOSTS.items():
            made &= ip("-n", name, "addr", "add", f"{address}/24", "dev", "cv0")
            made &= ip("-n", name, "link", "set", "cv0", "up") and ip("-n", name, "link", "set", "lo", "up")
        if not made:
            pytest.skip("no virtual cables here")
        yield


def _made(name):
    with contextlib.suppress(FileNotFoundError):
        return ip("netns", "add", name)
    return False


def start(name, folder):
    """Start torchrun on a host."""
    first = HOSTS["cv-a"]
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first}:29413", "--rdzv-id", "training"]
    hosts = f"is_host={int(HOSTS[name] == first)}"  # torch would ask for the host's name, which a namespace lacks
    waits = [
        "--rdzv-conf",
        f"{hosts},last_call_timeout=2,timeout=60",
        "--max-restarts",
        "2",
        "--monitor-interval",
        "0.2",
    ]
    sizes = ["--nnodes", "1:2", "--nproc-per-node", "1", "--local-addr", HOSTS[name]]
    command = ["ip", "netns", "exec", name, *TORCHRUN, *sizes, *rendezvous, *waits, PROGRAM, str(folder)]
    environment = ENVIRONMENT | {"GLOO_SOCKET_IFNAME": "cv0", "STRUCK": "1"}
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log)


def kill_all(*names):
    """Kill every process of some hosts."""
    for name in names:
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout.split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_two_hosts_train_together_and_one_survives_the_other(hosts, undisturbed, tmp_path):
    first = start("cv-a", tmp_path)
    second = start("cv-b", tmp_path)
    try:
        struck = tmp_path / f"epoch{elastic_training.FALLS}-2"
        for _ in range(400):
            if struck.exists() or first.poll() is not None:
                break
            time.sleep(0.1)
        assert struck.exists(), (tmp_path / "cv-a.log").read_text()[-3000:]
        kill_all("cv-b")
        first.wait(timeout=60)
    finally:
        kill_all(*HOSTS)
        for process in (first, second):
            process.wait()
    assert first.returncode == 0, (tmp_path / "cv-a.log").read_text()[-3000:]
    assert (tmp_path / f"epoch{elastic_training.FALLS}-1").exists()
    check(tmp_path, undisturbed)
