"""Asking for known vulnerabilities: what is told, and what the exit code is, with and without a network."""

import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
AUDIT = runpy.run_path(str(ROOT / "tools" / "audit.py"))

ANSWERS = {  # of pip-audit: code, output, errors → exit code, what is told
    "clean": (0, "", "No known vulnerabilities found\n", 0, "No known vulnerabilities"),
    "found": (1, "pillow 1.0 PYSEC-1\n", "Found 1 known vulnerability in 1 package\n", 1, "PYSEC-1"),
    "offline": (
        1,
        "",
        "Traceback\nConnectionError: Max retries exceeded\n",
        2,
        "nothing was compared. (ConnectionError",
    ),
    "ignorant": (0, "a could not be audited: 1\nb could not be audited: 2\n", "No known\n", 2, "compared. (no answer)"),
    "partly": (0, "a could not be audited: 1\n", "No known vulnerabilities found\n", 0, "No known vulnerabilities"),
    "silent": (1, "", "", 2, "nothing was compared. (no answer)"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers(kind, monkeypatch, capsys, tmp_path):
    code, output, errors, expected, told = ANSWERS[kind]
    commands = []

    def run(command, **named):
        commands.append(command)
        return SimpleNamespace(returncode=code, stdout=output, stderr=errors)

    (tmp_path / "constraints.txt").write_text("a==1\nb==2\n")
    monkeypatch.setitem(AUDIT["audit"].__globals__, "installed", lambda: True)
    monkeypatch.setattr(subprocess, "run", run)
    assert AUDIT["audit"](tmp_path / "constraints.txt") == expected
    assert told in capsys.readouterr().out
    assert str(tmp_path / "constraints.txt") in commands[0]


def test_without_pip_audit_and_without_a_network(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    assert AUDIT["audit"](ROOT / "constraints.txt") == AUDIT["NOT_ASKED"]
    assert "nothing was compared" in capsys.readouterr().out


def test_every_version_is_pinned():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) > 10 and all("==" in line for line in lines)
