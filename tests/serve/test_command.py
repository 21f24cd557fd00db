"""``convia serve`` as a process: an address that is taken, a port that is chosen, Ctrl-C."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

import convia as k
from convia.cli import app

pytest.importorskip("fastapi", reason="the service needs FastAPI")
pytest.importorskip("uvicorn", reason="the service needs Uvicorn")


@pytest.fixture
def model_file(tmp_path):
    k.Sequential([k.Input((4, 4, 1)), k.layers.Flatten(), k.layers.Dense(2)]).save(tmp_path / "model.keras")
    return str(tmp_path / "model.keras")


def test_an_address_that_is_taken(model_file):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", model_file, "--port", str(port)])
    assert result.exit_code == 1
    assert f"convia serve: received 127.0.0.1, port {port} (" in result.stderr
    assert "expected an address to listen at. Pass another --port." in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
def test_a_free_port_is_found_and_ctrl_c_ends(model_file):
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from convia.cli import main; main()"
    )
    words = [sys.executable, "-c", start, "serve", model_file, "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().split()[0]
    with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:
        assert json.load(answer) == {"status": "ok"}
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "Stopped.\n")
