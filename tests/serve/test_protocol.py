"""What comes before a body: headers without end, headers that never end, connections that break; a real socket."""

import asyncio
import contextlib
import json
import socket
import sys
import threading
import time

import pytest

from convia.serve import Limits, protocol

uvicorn = pytest.importorskip("uvicorn", reason="the service needs Uvicorn")
pytest.importorskip("httptools", reason="the limits are those of Uvicorn's quick parser")


async def app(scope, receive, send):
    """Answer with the length of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port():
    chosen = protocol.settings(Limits(seconds=0.6))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", **chosen))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(20)


def asked(connection, content):
    """Send, and return status and body of an answer with a length."""
    with contextlib.suppress(OSError):  # refused meanwhile
        connection.sendall(content)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return int(head.split()[1]), connection.recv(length)


def opened(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


def test_requests_that_are_right(port):
    with opened(port) as connection:
        for size in (0, 5, 300_000):
            assert asked(connection, HEAD + b"Content-Length: %d\r\n\r\n" % size + b"a" * size) == (200, b"%d" % size)
        long = b"X-A: " + b"a" * 20_000 + b"\r\n"
        assert asked(connection, HEAD + long + b"Content-Length: 1\r\n\r\nx") == (200, b"1")


@pytest.mark.parametrize(
    "content",
    [
        HEAD + b"X-A: " + b"a" * 400_000,
        b"GET /" + b"a" * 400_000,
        HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(40_000)),
        HEAD + b"X-A: " + b"a" * 70_000 + b"\r\nContent-Length: 5\r\n\r\nabcde",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["header", "path", "headers", "whole", "whole path"],
)  # fmt: skip
def test_too_much(port, content):
    with opened(port) as connection:
        status, body = asked(connection, content)
    assert status == 431
    assert json.loads(body)["error"] == "request: received more than 64 kB of headers; expected fewer."


@pytest.mark.parametrize("content", [b"", HEAD])
def test_too_slow(port, content):
    with opened(port) as connection:
        status, body = asked(connection, content)
    assert status == 408
    assert "no whole headers within 0.6 s" in json.loads(body)["error"]


def test_without_the_quick_parser(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.httptools_impl", None)
    assert protocol.settings(Limits())["http"] == "h11"
