"""keras.distribution's names."""

import math
from types import SimpleNamespace

import pytest
import torch

import convia
from convia import config, distributed, distribution


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


def mesh():
    return distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])


def test_meshes_and_layouts_hold_together():
    assert (mesh().shape, mesh().axis_names, mesh().devices.shape) == ((1, 1), ["batch", "model"], (1, 1))
    assert distribution.TensorLayout((None, "model"), mesh()).axes == (None, "model")
    with pytest.raises(ValueError, match=r"1 devices for shape \(2, 4\).*torchrun --nproc-per-node 8"):
        distribution.DeviceMesh((2, 4), ("batch", "model"))
    with pytest.raises(ValueError, match="1 names for shape"):
        distribution.DeviceMesh((1, 1), ("batch",))
    with pytest.raises(ValueError, match=r"'modle'.*'batch', 'model'"):
        distribution.TensorLayout(("modle",), mesh())


def test_maps_find_layouts_by_path_or_pattern():
    layouts = distribution.LayoutMap(mesh())
    layouts["dense/kernel"] = (None, "model")
    layouts[".*conv.*/kernel"] = (None, None, None, "model")
    assert layouts["dense/kernel"].axes == (None, "model")
    assert layouts["a/conv2d/kernel"].axes[-1] == "model"
    assert layouts["dense/bias"] is None
    assert (len(layouts), list(layouts)) == (2, ["dense/kernel", ".*conv.*/kernel"])
    with pytest.raises(ValueError, match="a second layout"):
        layouts["dense/kernel"] = ("model", None)
    layouts[".*/kernel"] = ("model", None)
    with pytest.raises(ValueError, match="one key per path"):
        layouts["a/conv2d/kernel"]
    del layouts[".*/kernel"]
    assert len(layouts) == 2


def test_a_map_says_which_weights_are_shared_out():
    layouts = distribution.LayoutMap(mesh())
    layouts["dense.*/kernel"] = (None, "model")
    parallel = distribution.ModelParallel(layout_map=layouts)
    kernel, bias = (
        SimpleNamespace(path=f"dense_1/{name}", shape=(2,) * rank) for name, rank in (("kernel", 2), ("bias", 1))
    )
    assert (parallel.shares_out(kernel), parallel.shares_out(bias)) == (True, False)
    assert parallel.get_variable_layout(kernel).axes == (None, "model")
    assert parallel.get_tensor_layout("conv/output") is None
    assert parallel.get_data_layout((None, 8, 8, 3)).axes == ("batch", None, None, None)
    assert (parallel.batch_dim_name, parallel.data_shard_id) == ("batch", 0)
    assert distribution.FullyShardedDataParallel().shares_out(bias)
    with pytest.raises(ValueError, match="FullyShardedDataParallel"):
        distribution.ModelParallel()
    data = [1]
    assert parallel.distribute_dataset(data) is distribution.distribute_tensor(data, None) is data


def test_one_process_shares_nothing_out():
    model = convia.Sequential([convia.layers.Input((2,)), convia.layers.Dense(1)])
    model.compile("sgd", "mse")
    with distribution.FullyShardedDataParallel().scope():
        model.fit(torch.ones(4, 2), torch.ones(4), verbose=0)
        assert model.engine.startswith("native") or "shared" not in model.engine
    assert math.isfinite(model.get_weights()[0].sum())


def test_weights_that_gpus_share_out_are_made_in_the_main_memory(monkeypatch):
    """A device that is not the processor stands in for a GPU."""
    chosen = []
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(config, "device", lambda: torch.device("meta"))
    monkeypatch.setattr(config, "set_device", chosen.append)
    with distribution.place_of_weights():
        assert chosen == []
    with distribution.FullyShardedDataParallel().scope(), distribution.place_of_weights():
        assert chosen == ["cpu"]
    assert chosen == ["cpu", torch.device("meta")]
