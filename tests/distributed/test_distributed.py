"""Several processes on one machine do what one does: programs started by torchrun, with Gloo."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shared_rules
import shared_training
import torch

from convia import distributed, layers

HERE = Path(__file__).parent
KINDS = ["plain", "synchronized", "penalized", "plain-weights", "plain-dataset", "plain-generator"]
KINDS += [f"plain-{source}" for source in ("flow", "folder", "pipeline", "endless")]
RUNS = {2: [*KINDS, "rules"], 4: KINDS[:2]}  # processes: what they do


def run(program, count, *arguments):
    """Run a program in so many processes; return what they print."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent)}
    command = [sys.executable, *launch, str(HERE / program), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    printed = {}
    for count in (1, 2, 4):
        (folder / str(count)).mkdir()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shared_training.main(folder / "1", KINDS)
    torch.set_num_threads(threads)
    for count, kinds in RUNS.items():
        printed[count] = run("shared_training.py", count, folder / str(count), *kinds)
    return folder, printed


@pytest.mark.parametrize(
    "engine, kind, count, rank",
    [
        (engine, kind, count, rank)
        for engine in shared_training.ENGINES
        for count, kinds in RUNS.items()
        for rank in range(count)
        for kind in kinds
        if kind != "rules"
    ],
)
def test_weights_history_and_results_equal_those_of_one_process(trained, engine, kind, count, rank):
    one = np.load(trained[0] / "1" / "1-0.npz")
    some = np.load(trained[0] / str(count) / f"{count}-{rank}.npz")
    names = [name for name in one.files if name.startswith(f"{engine}/{kind}/")]
    assert len(names) > 8
    for name in names:
        np.testing.assert_allclose(some[name], one[name], atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("count", [2, 4])
def test_files_and_prints_are_those_of_one_process(trained, count):
    folder, printed = trained
    assert printed[count].count("Epoch 1/5") == 2 * len(set(KINDS) & set(RUNS[count]))
    assert len((folder / str(count) / "plain.csv").read_text().splitlines()) == 6
    assert (folder / str(count) / "plain.keras").exists()


@pytest.mark.parametrize("rule", [rule.__name__ for rule in shared_rules.RULES])
def test_rules(trained, rule):
    assert f"kept: {rule}\n" in trained[1][2]


@pytest.mark.parametrize("count, ranks", [(10, 3), (3, 3), (7, 2), (2, 4)])
def test_shares_neither_overlap_nor_lose(monkeypatch, count, ranks):
    rows = []
    for rank in range(ranks):
        for name, value in {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "x", "MASTER_PORT": 1}.items():
            monkeypatch.setenv(name, str(value))
        rows += range(count)[distributed.share(count)]
    assert rows == list(range(count))


def test_alone_without_a_launcher(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")  # some batch systems set it for one process
    for name in ("RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert (distributed.size(), distributed.rank(), distributed.join()) == (1, 0, False)


def test_synchronized_statistics_of_one_process_are_its_own():
    x = torch.randn(8, 3)
    found = [layers.BatchNormalization(synchronized=how)(x, training=True) for how in (True, False)]
    torch.testing.assert_close(*found)
