"""The page of the service: three files of this folder, in which texts of a language are filled in."""

import html as escaping
import json
import re
from functools import cache
from pathlib import Path

from convia.texts import LANGUAGES, TEXTS, language, speaker

_HERE = Path(__file__).parent
_ASSETS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


def check(lang: str | None) -> None:
    """Refuse a language that is not spoken.

    Raises:
        ValueError: such a one.
    """
    language(lang or "en")


def chosen(asked: str | None, default: str | None, accepted: str) -> str:
    """Return the language of a page: asked for in its address, else the service's, else what the browser prefers."""
    preferred = [part.strip()[:2].lower() for part in accepted.split(",")]
    return next((code for code in (asked, default, *preferred) if code in LANGUAGES), "en")


@cache
def html(lang: str) -> str:
    """Return the page in a language."""
    say = speaker(lang)
    other = next(code for code in LANGUAGES if code != lang)
    texts = {key.removeprefix("page_"): say(key) for key in TEXTS if key.startswith("page_")}
    known = {key: escaping.escape(text) for key, text in texts.items()}
    known |= {"lang": lang, "other": other, "texts": json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: known[match[1]], (_HERE / "page.html").read_text(encoding="utf-8"))


@cache
def asset(name: str) -> tuple[bytes, str] | None:
    """Return the content and the type of one of the page's files; None of any other name."""
    return ((_HERE / name).read_bytes(), _ASSETS[name]) if name in _ASSETS else None
