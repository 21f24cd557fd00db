"""Settings as TOML: read from ``--config``, and written to every run folder."""

import json
import shlex
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from convia.errors import explain, nearest


def read_settings(path: str, known: Iterable[str]) -> dict[str, Any]:
    """Return the settings in a TOML file; dashes in names count as underscores.

    Raises:
        OSError: no such file. ValueError: not TOML, or an unknown name.
    """
    try:
        values = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            explain("--config", f"{path!r}, which is not TOML ({error})", "lines such as epochs = 5")
        ) from None
    names = [*known]
    found = {name.replace("-", "_"): value for name, value in values.items()}
    for name in found:
        if name not in names:
            raise ValueError(explain("--config", f"the setting {name!r} in {path}", "known ones", nearest(name, names)))
    return found


def write_settings(path: Path, settings: dict[str, Any], command: Sequence[str] = ()) -> None:
    """Write settings as TOML, with the command in a comment; what is None is left out."""
    lines = [f"# {shlex.join(command)}"] if command else []
    lines += [
        f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items() if value is not None
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
