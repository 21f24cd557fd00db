"""The import hook: ``keras``, ``tensorflow.keras`` and their relatives are found here, by the table of ``paths``.

Modules are lazy: importing ``keras`` imports nothing else; a name is looked up when a program asks for it.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from convia.compat import eras, paths
from convia.compat.report import note
from convia.errors import explain, nearest

ROOTS = ("keras", "tf_keras", "keras_preprocessing", "keras_applications", "tensorflow")
_FACADE = "convia.compat.tensorflow"
_NAMES = "convia.compat.names"  # modules of which only what __all__ lists is for programs
_ABSENT = object()


class EraModule(ModuleType):
    """A module of Keras: its names are those of other modules, looked up when they are asked for."""

    def __init__(self, path: str, sources: Sequence[str]) -> None:
        super().__init__(path, f"{path}, as convia has it.")
        self.__dict__.update(__path__=[], _sources=tuple(sources), __file__=None)

    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__}.{name}"
        if name == "__all__":
            return [item for item in dir(self) if not item.startswith("_")]
        if name == "__version__" and self.__name__ == "keras":
            return eras.ERAS[eras.current()]
        if name.startswith("__"):
            raise AttributeError(name)
        if path in paths.PATHS or path == "keras.keras":  # from tensorflow.contrib.keras.python import keras
            return importlib.import_module(path.replace("keras.keras", "keras"))
        for source in self._sources:
            module = importlib.import_module(source)
            hidden = source.startswith(_NAMES) and name not in module.__all__
            found = _ABSENT if hidden else getattr(module, name, _ABSENT)
            if found is not _ABSENT:
                return importlib.import_module(path) if _is_path(path, found) else found
        raise AttributeError(
            explain(f"module {self.__name__!r}", repr(name), "a name that Keras has", nearest(name, dir(self)))
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.layers.merge`` was a function in Keras 1 and a module in Keras 2."""
        if self.__name__ != "keras.layers.merge":
            raise TypeError(explain(f"module {self.__name__!r}", "a call", "a use of its names"))
        return importlib.import_module("convia.compat.names.layers").merge(*args, **kwargs)

    def __dir__(self) -> list[str]:
        names = set(paths.children(self.__name__))
        for source in self._sources:
            module = importlib.import_module(source)
            names |= set(getattr(module, "__all__", None) or (n for n in vars(module) if not n.startswith("_")))
        return sorted(names)


def _is_path(path: str, found: Any) -> bool:
    """Whether a name is that of a module of Keras, which is to be found under its own path."""
    return isinstance(found, ModuleType) and sources_of(path) is not None


def sources_of(path: str, private: bool = False) -> list[str] | None:
    """Return the modules that have the names of a path; of an inner path those of its longest known beginning."""
    if path in paths.PATHS:
        return paths.PATHS[path].split()
    ours = path.replace("keras", "convia", 1)
    if path.count(".") and not ours.startswith("convia.compat") and _is_module(ours):
        return [ours]
    if private and path.count(".") > 1:
        return sources_of(path.rpartition(".")[0], True)
    return None


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class _Alias(Loader):
    """Gives a module that exists already another name."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def create_module(self, spec: ModuleSpec) -> Any:
        """Return the module."""
        return self._make()

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has run already."""


class _Aged(Loader):
    """Loads a module of another library, which then gets back names that it had once."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> Any:
        """Make the module."""
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then lend it the names."""
        self._real.exec_module(module)
        if installed():
            importlib.import_module("convia.compat.grafts.libraries").lend(module.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Finder(MetaPathFinder):
    """Finds the modules of Keras and TensorFlow."""

    def __init__(self, on_use: Callable[[str], None]) -> None:
        self._on_use = on_use
        self.modules: dict[str, EraModule] = {}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where a module is, None if it is not for us."""
        if fullname in paths.MOVED:
            return _moved(fullname, path)
        if fullname in paths.AGED:
            real = PathFinder.find_spec(fullname, path)
            if real is not None and real.loader is not None:
                real.loader = _Aged(real.loader)
            return real
        if fullname.partition(".")[0] not in ROOTS:
            return None
        place = paths.canonical(fullname)
        if place is None:
            return self._tensorflow(fullname)
        sources = sources_of(place, paths.is_private(fullname))
        if sources is None:
            return None
        return ModuleSpec(fullname, _Alias(lambda: self._module(place, sources, fullname)), is_package=True)

    def _module(self, path: str, sources: list[str], asked: str) -> EraModule:
        self._on_use(asked)
        if path not in self.modules:
            self.modules[path] = EraModule(path, sources)
        if path != asked:
            sys.modules.setdefault(path, self.modules[path])
        return self.modules[path]

    def _tensorflow(self, fullname: str) -> ModuleSpec | None:
        """``tensorflow`` is our facade; ``tensorflow.a.b`` its attribute or its module."""
        tail = fullname.partition(".")[2]
        if tail and _facade_part(tail) is _ABSENT:
            return None
        return ModuleSpec(fullname, _Alias(lambda: self._facade(fullname, tail)), is_package=True)

    def _facade(self, fullname: str, tail: str) -> Any:
        self._on_use(fullname)
        if tail:
            return _facade_part(tail)
        facade: Any = importlib.import_module(_FACADE)
        importlib.import_module(f"{_FACADE}.tensors").activate()
        facade.keras = self._module("keras", paths.PATHS["keras"].split(), "keras")
        return facade


def _moved(fullname: str, path: Any) -> ModuleSpec | None:
    """A module that another library has dropped; one that it still has, with names in it, is left alone."""
    real = PathFinder.find_spec(fullname, path)
    if real is not None and fullname != "scipy.misc" and not fullname.startswith("tensorflow_addons"):
        return None  # scipy.misc is there, empty; the addons need TensorFlow's own library
    note(fullname, paths.MOVED[fullname])
    return ModuleSpec(fullname, _Alias(lambda: importlib.import_module(paths.MOVED[fullname])), is_package=True)


def _facade_part(tail: str) -> Any:
    found: Any = importlib.import_module(_FACADE)
    for place, part in enumerate(tail.split(".")):
        found = getattr(found, part, _ABSENT)
        if found is _ABSENT:
            module = f"{_FACADE}.{'.'.join(tail.split('.')[: place + 1])}"
            if not _is_module(module):
                return _ABSENT
            found = importlib.import_module(module)
    return found


_finders: list[_Finder] = []
_displaced: dict[str, ModuleType] = {}


def _of_keras() -> Iterator[str]:
    return (name for name in list(sys.modules) if name.partition(".")[0] in ROOTS or name in paths.MOVED)


def installed() -> bool:
    """Whether the hook is in place."""
    return bool(_finders)


def allowed() -> bool:
    """Whether the environment wants the hook: ``CONVIA_COMPAT=off`` asks for the real packages."""
    return os.environ.get("CONVIA_COMPAT", "").lower() not in ("off", "0", "no", "false")


def install(on_use: Callable[[str], None]) -> None:
    """Put the hook in place; modules of a real Keras that are loaded are set aside.

    Args:
        on_use: called with the name of each module that a program imports for the first time.
    """
    if installed():
        return
    _finders.append(_Finder(on_use))
    _displaced.update({name: sys.modules.pop(name) for name in _of_keras()})
    sys.meta_path.insert(0, _finders[0])


def uninstall() -> None:
    """Take the hook away; what was set aside comes back."""
    if not installed():
        return
    sys.meta_path.remove(_finders.pop())
    for name in _of_keras():
        del sys.modules[name]
    if _FACADE in sys.modules:
        vars(sys.modules[_FACADE]).pop("keras", None)
    sys.modules.update(_displaced)
    _displaced.clear()


__all__ = ["EraModule", "allowed", "install", "installed", "sources_of", "uninstall"]
