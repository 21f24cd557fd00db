"""What the service says about itself: the parts of its OpenAPI description that no signature tells."""

from typing import Any

_BASE64 = {"type": "string", "format": "byte", "description": "An image file in base64."}
_CLASS = {
    "type": "object",
    "properties": {
        "class": {"type": "string"},
        "index": {"type": "integer"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_PICTURE = {"type": "string", "format": "byte", "description": "A PNG file in base64."}
_SIZE = {"type": "integer", "minimum": 1}
RESULTS: dict[str, dict[str, Any]] = {
    "/predict": {
        "predictions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {**_CLASS["properties"], "classes": {"type": "array", "items": _CLASS}},  # type: ignore[dict-item]
            },
        }
    },
    "/explain": {**_CLASS["properties"], "layer": {"type": ["string", "null"]}, "image": _PICTURE, "heat": _PICTURE},  # type: ignore[dict-item]
    "/maps": {"layer": {"type": "string"}, "count": _SIZE, "shown": _SIZE, "height": _SIZE, "width": _SIZE,
              "maps": _PICTURE},
}  # fmt: skip
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "In the text format of Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
_REFUSALS = {
    408: "The body was sent too slowly.",
    413: "Too many bytes, pixels or images.",
    415: "Not a type, or not a file, that the service takes.",
    422: "A damaged image, a form or JSON that cannot be read, or an unknown layer or class.",
    503: "Too much is waiting, or the service is ending; try again later.",
    504: "The model did not answer in time.",
}


def _json(properties: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object", "properties": properties}}}


def responses(path: str) -> dict[int | str, dict[str, Any]]:
    """Return what a path answers, by status."""
    error = _json({"error": {"type": "string"}})
    refusals: dict[int | str, Any] = {
        status: {"description": text, "content": error} for status, text in _REFUSALS.items()
    }
    return {200: {"description": "The answer.", "content": _json(RESULTS[path])}, **refusals}


def body(many: bool) -> dict[str, Any]:
    """Return what a path takes: files of a form, JSON with base64, or an image itself."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    texts = {"image": _BASE64, "images": {"type": "array", "items": _BASE64, "minItems": 1}}
    ways = [{"type": "object", "properties": {name: text}, "required": [name]} for name, text in texts.items()]
    content = {
        "application/json": {"schema": {"anyOf": ways} if many else ways[0]},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"image": files}, "required": ["image"]}},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}
