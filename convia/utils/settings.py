"""A dictionary of settings whose keys are attributes, too."""

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from convia.errors import explain, nearest

__all__ = ["Config"]


class Config(MutableMapping[str, Any]):
    """Settings by name: ``config.seed`` is ``config["seed"]``. They can be frozen, and written as JSON."""

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_config", kwargs)
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        """Whether changes are refused."""
        frozen: bool = self._frozen
        return frozen

    def freeze(self) -> None:
        """Refuse changes from now on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allow changes again."""
        object.__setattr__(self, "_frozen", False)

    def as_dict(self) -> dict[str, Any]:
        """Return a copy as a dict."""
        return dict(self._config)

    def to_json(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(self._config)

    def _changing(self, name: str) -> dict[str, Any]:
        if self._frozen:
            raise ValueError(explain("Config", f"a change of {name!r}", "none: it is frozen", "Call unfreeze() first."))
        changed: dict[str, Any] = self._config
        return changed

    def __getitem__(self, name: str) -> Any:
        return self._config[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._changing(name)[name] = value

    def __delitem__(self, name: str) -> None:
        del self._changing(name)[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_config", "_frozen"):
            raise AttributeError(name)
        if name not in self._config:
            raise AttributeError(
                explain("Config", f"the attribute {name!r}", "a known one", nearest(name, self._config))
            )
        return self._config[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
