"""Benchmarks of what is not here: the program runs all the same, on the processor and over little."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = runpy.run_path(str(BENCHMARKS / "gpu.py"))
    yield found
    for name in ("networks", "torch_networks"):
        sys.modules.pop(name, None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured(gpu, capsys):
    assert gpu["main"]([]) == 0
    assert "No GPU here" in capsys.readouterr().out


def test_all_contenders_run(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda model: model)  # which takes a minute
    words = ["--device", "cpu", "--rounds", "1", "--steps", "1", "--batch", "2", "--side", "32"]
    assert gpu["main"]([*words, "course", "EfficientNetB0"]) == 0
    shown = capsys.readouterr().out
    for network, contenders in {
        "course": ("convia", "keras", "torch", "torch.compile"),
        "EfficientNetB0": ("convia", "keras"),
    }.items():
        for contender in contenders:
            for use in ("train", "predict"):
                assert f"{network:15s} {contender:14s} {use:8s}" in shown
