"""What stands before all paths: it counts, adds headers, and turns refusals into answers."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from convia.serve.limits import Refused
from convia.serve.metrics import Metrics

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
_coded = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Guard:
    """An ASGI application around another.

    Args:
        app: the other one.
        metrics: where requests are counted.
        paths: under which they are counted; all others are "other".
        shortcuts: path → what answers a POST without parameters. There is nothing to look up and to check in such a
            request, and FastAPI takes about as long for that as a small model for an image.
    """

    def __init__(
        self,
        app: Any,
        metrics: Metrics,
        paths: frozenset[str],
        shortcuts: Mapping[str, Callable[[Any], Awaitable[dict[str, Any]]]],
    ) -> None:
        from starlette.requests import Request

        self._app, self._metrics, self._paths, self._shortcuts = app, metrics, paths, shortcuts
        self._request = Request

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, path = time.perf_counter(), 0, scope["path"]

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_RAW_HEADERS]
            await send(message)

        try:
            if scope["method"] == "POST" and path in self._shortcuts and not scope["query_string"]:
                await _answer(sent, 200, await self._shortcuts[path](self._request(scope, receive)))
            else:
                await self._app(scope, receive, sent)
        except Refused as refusal:
            later = [(b"retry-after", b"1")] if refusal.status == 503 else []
            await _answer(sent, refusal.status, {"error": refusal.message}, *later)
        finally:
            self._metrics.request(path if path in self._paths else "other", status or 500, time.perf_counter() - began)


async def _answer(send: Send, status: int, content: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    body = _coded(content).encode()
    facts = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": facts})
    await send({"type": "http.response.body", "body": body})
