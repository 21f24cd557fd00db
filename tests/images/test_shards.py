"""Tar archives as data sets."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import shard_files
import torch

import convia as keras
from convia.images import archives, image_dataset_from_shards

HERE = Path(__file__).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent)}


def numbers(dataset):
    return [int(image[0, 0, 0]) for batch in dataset for image in batch[0]]


@pytest.mark.parametrize("label", [".cls", ".json", ".txt"])
def test_samples_in_batches(tmp_path, label):
    names = None if label == ".cls" else ["a", "b", "c"]
    data = image_dataset_from_shards(
        shard_files.write(tmp_path, label=label), class_names=names, image_size=6, batch_size=8, shuffle=False
    )
    batches = list(data)
    assert [len(x) for x, _ in batches] == [8, 8, 8, 8, 3]
    assert len(data) == 5  # known now
    assert sorted(numbers(data)) == list(range(35))
    for x, y in batches:
        assert y.dtype == torch.int32 and x.dtype == torch.float32 and x.shape[1:] == (6, 6, 3)
        np.testing.assert_array_equal(y, x[:, 0, 0, 0] % 3)


def test_order_is_mixed_anew_in_each_pass_and_comes_again_with_the_seed(tmp_path):
    pattern = shard_files.write(tmp_path)
    orders = []
    for _ in range(2):
        keras.utils.set_random_seed(4)
        data = image_dataset_from_shards(pattern, image_size=6, batch_size=8)
        orders.append([numbers(data), numbers(data)])
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1] != sorted(orders[0][1])
    assert sorted(orders[0][0]) == sorted(orders[0][1]) == list(range(35))


def test_kinds_of_labels(tmp_path):
    pattern = shard_files.write(tmp_path, 1, 3)
    ((x, y),) = image_dataset_from_shards(pattern, "categorical", ["a", "b", "c"], image_size=6, shuffle=False)
    np.testing.assert_array_equal(y, np.eye(3))
    ((x, y),) = image_dataset_from_shards(pattern, "binary", image_size=6, shuffle=False)
    assert y.shape == (3, 1) and y.dtype == torch.float32
    (x,) = image_dataset_from_shards(pattern, None, image_size=6)
    assert x.shape == (3, 6, 6, 3)


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("a/{08..11}.tar", ["a/08.tar", "a/09.tar", "a/10.tar", "a/11.tar"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        (["x.tar", "memory://y{0..1}.tar"], ["x.tar", "memory://y0.tar", "memory://y1.tar"]),
    ],
)
def test_patterns(pattern, names):
    assert archives.expand(pattern) == names


def test_patterns_of_files_on_disk(tmp_path):
    shard_files.write(tmp_path, 2)
    assert archives.expand(str(tmp_path / "*.tar")) == [str(tmp_path / "000.tar"), str(tmp_path / "001.tar")]
    with pytest.raises(FileNotFoundError, match=r"shards: received .*none.*expected the names of tar archives"):
        archives.expand(str(tmp_path / "none*.tar"))


def test_addresses(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    shard_files.write(tmp_path, 2)
    for number in range(2):
        with fsspec.open(f"memory://shards/{number}.tar", "wb") as file:
            file.write((tmp_path / f"{number:03}.tar").read_bytes())
    data = image_dataset_from_shards("memory://shards/{0..1}.tar", image_size=6)
    assert sorted(numbers(data)) == list(range(14))


def test_addresses_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ImportError, match=r"pip install \"convia\[remote\]\""):
        next(archives.samples("memory://a.tar"))


def test_what_cannot_be_read_is_counted_named_and_left_out(tmp_path):
    good = [("1.png", shard_files.png(1)), ("1.cls", b"0")]
    bad = [("2.png", b"no image"), ("2.cls", b"1"), ("3.png", shard_files.png(3)), ("3.cls", b"?"), ("4.cls", b"1"),
           ("5.png", shard_files.png(5)), ("6.png", shard_files.png(6)), ("6.json", b"{}")]  # fmt: skip
    whole = shard_files.archive([(f"{n}{name[1:]}", part) for n in range(60) for name, part in good])
    (tmp_path / "0.tar").write_bytes(shard_files.archive(good + bad))
    (tmp_path / "1.tar").write_bytes(whole[: len(whole) // 2 - 300])
    data = image_dataset_from_shards([str(tmp_path / f"{n}.tar") for n in range(3)], image_size=6, shuffle=False)
    with pytest.warns(UserWarning, match=r"ShardDataset: received 7 that cannot be read"):
        found = numbers(data)
    assert set(found) == {1} and 20 < len(found) < 60
    told = {Path(name).relative_to(tmp_path).as_posix(): reason for name, reason in data.unreadable.items()}
    assert sorted(told) == ["0.tar/2", "0.tar/3", "0.tar/4", "0.tar/5", "0.tar/6", "1.tar", "2.tar"]
    assert (
        "no image" in told["0.tar/4"] and "no label" in told["0.tar/5"] and "no label in its .json" in told["0.tar/6"]
    )


def test_raising_instead(tmp_path):
    (tmp_path / "0.tar").write_bytes(shard_files.archive([("2.png", b"no image"), ("2.cls", b"1")]))
    name = str(tmp_path / "0.tar")
    with pytest.raises(OSError, match=r"0.tar/2 .*expected an image with its class"):
        list(image_dataset_from_shards(name, on_error="raise"))
    with pytest.warns(UserWarning), pytest.raises(OSError, match="1 archives without a sample that can be read"):
        list(image_dataset_from_shards(name))


def test_links_and_files_elsewhere_are_passed_over_and_nothing_is_extracted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO(shard_files.archive([("../../evil.png", shard_files.png(9)), ("../../evil.cls", b"0")]))
    with tarfile.open(fileobj=file, mode="a") as tar:
        link = tarfile.TarInfo("l.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (tmp_path / "0.tar").write_bytes(file.getvalue())
    assert numbers(image_dataset_from_shards("0.tar", image_size=6)) == [9]
    assert [path.name for path in tmp_path.iterdir()] == ["0.tar"]


@pytest.mark.parametrize(
    "choice, said",
    [
        ({"label_mode": "int32"}, "argument 'label_mode': received 'int32'"),
        ({"label_mode": "categorical"}, "no class_names"),
        ({"batch_size": 0}, "whole number ≥ 1"),
        ({"interpolation": "wild"}, "wild"),
    ],
)
def test_choices_that_make_no_sense(choice, said):
    with pytest.raises(ValueError, match=said):
        image_dataset_from_shards("a.tar", **choice)


def run(folder, *words, processes=1):
    launch = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    )
    command = [
        sys.executable,
        *launch,
        str(HERE.parent / "distributed" / "shard_training.py"),
        str(folder),
        *map(str, words),
    ]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


def test_killed_within_an_epoch_and_shared_by_processes_gives_the_same(tmp_path):
    found = {}
    for case in ("one", "killed", "two"):
        shard_files.write(tmp_path / case / "shards")
        if case == "killed":
            assert run(tmp_path / case, 7).returncode == -signal.SIGKILL
        done = run(tmp_path / case, processes=1 + (case == "two"))
        assert done.returncode == 0, done.stderr[-3000:]
        found[case] = np.load(tmp_path / case / "found-0.npz")
    assert int(found["killed"]["steps"]) in (8, 9)  # of 15
    found["other"] = np.load(tmp_path / "two" / "found-1.npz")
    for case, own in found.items():
        for name in ("weight0", "weight1", "evaluated"):
            np.testing.assert_allclose(own[name], found["one"][name], atol=1e-5, err_msg=f"{case} {name}")
