"""HTTP as Uvicorn speaks it, with limits on what comes before a body: endless headers, and those sent too slowly."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from convia.errors import explain
from convia.serve.limits import Limits

_HEAD = 64 << 10  # bytes of an address and headers
_TOO_LONG = f"more than {_HEAD >> 10} kB of headers", "fewer"
_REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large"}

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Base
else:
    _Base = object


def settings(limits: Limits) -> dict[str, Any]:
    """Return the arguments of ``uvicorn.Config`` that choose the protocol."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:  # the slower parser, which has a limit of its own
        return {"http": "h11", "ws": "none", "h11_max_incomplete_event_size": _HEAD}
    return {"http": type("Protocol", (_Guarded, HttpToolsProtocol), {"limits": limits}), "ws": "none"}


class _Guarded(_Base):
    """Ends connections whose address and headers are too long or too slow; mixed into Uvicorn's protocol."""

    limits: Limits
    _head: int | None = 0  # bytes of a head that is not yet whole; None within a body
    _clock: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def _wait(self) -> None:
        self._head = 0
        self._stop()
        self._clock = asyncio.get_running_loop().call_later(self.limits.seconds, self._too_slow)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """A head is whole; it may have come in one piece with what follows."""
        self._head = None
        self._stop()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > _HEAD:
            self._refuse(431, *_TOO_LONG)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, unless the head was refused."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, unless its head was refused."""
        if not self.transport.is_closing():
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, unless it is too much."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > _HEAD:
                self._refuse(431, *_TOO_LONG)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _too_slow(self) -> None:
        self._refuse(408, f"no whole headers within {self.limits.seconds:g} s", "some sent faster")

    def _refuse(self, status: int, received: str, expected: str) -> None:
        self._stop()
        if self.transport.is_closing():
            return
        body = json.dumps({"error": explain("request", received, expected)}).encode()
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nconnection: close\r\ncontent-type: application/json\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()
