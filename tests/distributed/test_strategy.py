"""Loops of a program's own under ``tf.distribute`` strategies: two processes do what one does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
PROGRAM = str(HERE / "strategy_training.py")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent)}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategy")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for words in ([PROGRAM, str(folder), "12"], [*launch, PROGRAM, str(folder)]):
        done = subprocess.run(
            [sys.executable, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return [np.load(folder / f"strategy-{name}.npz") for name in ("1-0", "2-0", "2-1")]


@pytest.mark.parametrize(
    "name",
    [
        "losses",
        "labels",
        "accuracy",
        "mean",
        "rows",
        "average",
        "fitted",
        "fitted by function",
        *map("weight{}".format, range(4)),
    ],
)
def test_losses_metrics_and_weights_are_those_of_one_process(found, name):
    for own in found[1:]:
        np.testing.assert_allclose(own[name], found[0][name], rtol=1e-5, atol=1e-5)


def test_statistics_are_the_same_in_all_processes(found):
    one, first, second = found
    for place in range(4):
        np.testing.assert_array_equal(first[f"statistic{place}"], second[f"statistic{place}"])
    np.testing.assert_allclose(
        first["statistic2"], one["statistic2"], atol=1e-5
    )  # means; variances are of half as many


def test_replicas_are_processes(found):
    assert [int(own["replicas"]) for own in found] == [1, 2, 2]
    assert [int(own["scope"]) for own in found] == [1, 2, 2]


def test_batches_of_replicas_are_taken_in_turns(found):
    _, first, second = found
    assert sorted([*first["turns"], *second["turns"]]) == list(range(34))
    assert len({int(first["steps"]), int(second["steps"])}) == 1
