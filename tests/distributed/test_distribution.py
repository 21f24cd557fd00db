"""keras.distribution's names."""

import pytest

from convia import distribution


def test_programs_that_say_it_run():
    parallel = distribution.DataParallel(devices=["cpu:0"])
    with parallel.scope():
        assert distribution.distribution() is parallel
    assert distribution.distribution() is None
    distribution.set_distribution(parallel)
    assert distribution.distribution() is parallel
    distribution.set_distribution(None)
    assert (parallel.num_processes, parallel.num_model_replicas) == (1, 1)


def test_devices():
    assert distribution.list_devices("cpu") == ["cpu:0"]
    assert distribution.get_device_count("cpu") == 1
    with pytest.raises(ValueError, match=r"'tpu'.*'cpu', 'gpu' or None"):
        distribution.list_devices("tpu")


def test_devices_without_processes_say_how_to_start():
    with pytest.raises(ValueError, match="torchrun --nproc-per-node 2"):
        distribution.DataParallel(devices=["cpu:0", "cpu:1"])


def test_initialize_alone():
    distribution.initialize()
    assert distribution.DataParallel().num_processes == 1
