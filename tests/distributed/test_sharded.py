"""Weights that two processes share out through torch's FSDP: all numbers are those of one process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent)}
LAUNCH = {1: [], 2: ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folders of one and of two processes, and what the latter have printed."""
    folders = {}
    for count, launch in LAUNCH.items():
        folders[count] = tmp_path_factory.mktemp(f"sharded{count}")
        command = [sys.executable, *launch, str(HERE / "sharded_training.py"), str(folders[count])]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return folders, done.stdout


@pytest.mark.parametrize("how", ["all", "some"])
@pytest.mark.parametrize("rank", [0, 1])
def test_weights_history_and_files_are_those_of_one_process(trained, how, rank):
    one, own = (np.load(trained[0][count] / f"{count}-{place}-{how}.npz") for count, place in ((1, 0), (2, rank)))
    assert set(one.files) == set(own.files)
    assert len(one.files) > 30
    for name in one.files:
        np.testing.assert_allclose(own[name], one[name], atol=1e-5, rtol=1e-5, err_msg=name)


def test_each_process_holds_about_half(trained):
    rows = [dict(np.load(trained[0][2] / f"2-{rank}-all-held.npz")) for rank in (0, 1)]
    alone = dict(np.load(trained[0][1] / "1-0-all-held.npz"))
    moving = 2 * 4  # statistics of the normalization are whole in all
    assert sum(row["parts"] for row in rows) == alone["all"] - moving
    assert sum(row["noted"] for row in rows) == alone["noted"]
    assert max(row["parts"] for row in rows) < 0.7 * alone["all"]
    assert {int(row["left"]) for row in rows} == {2}  # the statistics
    assert int(alone["left"]) == 10


def test_what_needs_whole_weights_is_refused(trained):
    assert "refused" in trained[1]
