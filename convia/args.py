"""Arguments that are their own configuration.

A class declares its constructor in its body; the base writes ``__init__`` and ``get_config``::

    class Dense(Layer):
        units: PositiveInt
        activation: Activation = None
        use_bias: bool = True

Constructor argument = attribute = config key. An annotation may carry a :class:`Convert`, which checks and
normalizes what the user gave, once, at the door. ``__post_init__`` follows. A class that writes its own
``__init__`` is left alone, and its ``get_config`` still reads the signature.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, dataclass_transform, get_origin

from convia import registry
from convia.errors import explain, nearest

_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Convert:
    """Attach to an annotation: ``Annotated[Any, Convert(function)]``; called as function(value, owner, name)."""

    function: Callable[[Any, Any, str], Any]


@dataclass(frozen=True)
class _Field:
    name: str
    default: Any
    keyword_only: bool
    convert: Callable[[Any, Any, str], Any] | None


@dataclass(frozen=True)
class _KeywordOnly:
    default: Any


def field(default: Any = _REQUIRED, *, kw_only: bool = False) -> Any:
    """Declare a default that needs more than a value: ``name: str | None = field(default=None, kw_only=True)``."""
    return _KeywordOnly(default) if kw_only else default


@dataclass_transform(eq_default=False, field_specifiers=(field,))
class Configured:
    """Base of everything that is made from arguments and goes into a config: layers, losses, optimizers, …"""

    _namespace: ClassVar[str | None] = None  # where classes of the library are registered: "keras.layers"
    _fields: ClassVar[dict[str, _Field]] = {}
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, init: bool = True, **kwargs: Any) -> None:
        """Read the arguments; ``init=False`` tells type checkers that the constructor of a base serves."""
        super().__init_subclass__(**kwargs)
        if cls._namespace and cls.__module__.startswith("convia.") and not cls.__name__.startswith("_"):
            registry.register(cls._namespace, cls)
        if "__init__" in cls.__dict__:
            return
        own = _own_fields(cls)
        if own:
            cls._fields = _merge(cls._fields, own)
            _give_init(cls)

    def __post_init__(self) -> None:
        """Derive and check what depends on several arguments; runs after the arguments are set."""

    def _accept(self, extra: dict[str, Any]) -> None:
        """Take arguments that are not declared; the base refuses them and names the nearest."""
        if extra:
            _refuse(type(self), next(iter(extra)))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values, such that ``from_config`` makes an equal object."""
        names = parameters(type(self))
        return {name: registry.serialize(getattr(self, name)) for name in names if hasattr(self, name)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an object from what ``get_config`` returned."""
        return cls(**config)


def parameters(cls: type) -> list[str]:
    """Return the names of a constructor's arguments, following ``**kwargs`` to the parents."""
    names: list[str] = []
    for parent in cls.__mro__:
        init = parent.__dict__.get("__init__")
        if init is None:
            continue
        given = inspect.signature(init).parameters.values()
        named = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
        names += [name for name in named if name not in names]
        if not any(p.kind is p.VAR_KEYWORD for p in given) or hasattr(init, "_fields_of"):
            break
    return names


def is_class_variable(hint: object) -> bool:
    """Whether an annotation, which may be a string, says ``ClassVar``: no argument of the constructor."""
    return get_origin(hint) is ClassVar or hint is ClassVar or str(hint).startswith("ClassVar")


def _own_fields(cls: type) -> dict[str, _Field]:
    fields = {}
    for name, hint in inspect.get_annotations(cls).items():
        if name.startswith("_") or is_class_variable(hint):
            continue
        default = cls.__dict__.get(name, _REQUIRED)
        keyword_only = isinstance(default, _KeywordOnly)
        if keyword_only:
            default = default.default
        if name in cls.__dict__ and not isinstance(getattr(cls, name, None), property):
            delattr(cls, name)
        converts = [m.function for m in getattr(hint, "__metadata__", ()) if isinstance(m, Convert)]
        fields[name] = _Field(name, default, keyword_only, converts[0] if converts else None)
    return fields


def _merge(inherited: dict[str, _Field], own: dict[str, _Field]) -> dict[str, _Field]:
    """Redeclared arguments keep their place, unless they were keyword-only and now are not."""
    merged = dict(inherited)
    for name, new in own.items():
        if name in merged and merged[name].keyword_only and not new.keyword_only:
            del merged[name]
        merged[name] = new
    return merged


def _give_init(cls: Any) -> None:
    fields = cls._fields
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ordered = sorted(fields.values(), key=lambda f: f.keyword_only)
    names = [inspect.Parameter(f.name, kinds[f.keyword_only], default=f.default) for f in ordered]
    extra = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
    signature = inspect.Signature([*names, extra])

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        bound = _bind(type(self), signature, args, kwargs)
        extra = bound.pop("kwargs", {})
        for name, value in bound.items():
            convert = fields[name].convert
            setattr(self, name, convert(value, self, name) if convert else value)
        self._accept(extra)
        self.__post_init__()

    self_parameter = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = inspect.Signature([self_parameter, *names, extra])  # type: ignore[attr-defined]
    __init__._fields_of = cls  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = __init__


def _bind(cls: type, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        names = [name for name in signature.parameters if name != "kwargs"]
        raise TypeError(
            explain(
                cls.__name__, _call_text(args, kwargs), f"arguments ({', '.join(names)})", str(error).capitalize() + "."
            )
        ) from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _call_text(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return "(" + ", ".join([*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]) + ")"


def _refuse(cls: type, name: str) -> None:
    known = parameters(cls)
    raise TypeError(
        explain(cls.__name__, f"the unknown argument {name!r}", f"one of {', '.join(known)}", nearest(name, known))
    )


def converter(get: Callable[[Any], Any]) -> Convert:
    """Make a :class:`Convert` of a function that needs only the value, such as ``activations.get``."""
    return Convert(lambda value, owner, name: get(value))


def one_of(*allowed: Any, fold: bool = True) -> Convert:
    """Accept only the given values; strings in any case."""

    def convert(value: Any, owner: Any, name: str) -> Any:
        folded = value.lower() if fold and isinstance(value, str) else value
        if folded not in allowed:
            raise ValueError(
                explain(f"{type(owner).__name__}, argument {name!r}", repr(value), f"one of {list(allowed)}")
            )
        return folded

    return Convert(convert)


def whole(value: Any, owner: Any, name: str, minimum: int = 1) -> int:
    """Check a whole number of at least ``minimum``; floats that are whole are accepted."""
    try:
        number = int(value)
        good = number == value and number >= minimum and not isinstance(value, bool)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            explain(f"{type(owner).__name__}, argument {name!r}", repr(value), f"a whole number ≥ {minimum}")
        )
    return number


def whole_tuple(value: Any, length: int, owner: Any, name: str, minimum: int = 1) -> tuple[int, ...]:
    """Check one whole number, or ``length`` of them, and return a tuple of ``length``."""
    items = tuple(value) if isinstance(value, (list, tuple)) else (value,) * length
    if len(items) != length:
        raise ValueError(
            explain(
                f"{type(owner).__name__}, argument {name!r}",
                repr(value),
                f"one whole number or {length} of them, one per spatial dimension",
            )
        )
    return tuple(whole(item, owner, name, minimum) for item in items)


def fraction(value: Any, owner: Any, name: str) -> float:
    """Check a number in [0, 1]."""
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), "a number from 0 to 1"))
    return value


PositiveInt = Annotated[int, Convert(whole)]
Fraction = Annotated[float, Convert(fraction)]
PerAxis = Annotated[Any, Convert(lambda value, owner, name: whole_tuple(value, owner.rank, owner, name))]
