"""What objects of older eras could do: methods and properties lent to the library's classes while eras are in use."""

from convia.compat.grafts import (
    callbacks,
    constructors,
    files,
    inner,
    lambdas,
    layers,
    libraries,
    mentions,
    models,
    naming,
    optimizers,
    symbols,
)

_ALL = (
    naming,
    constructors,
    files,
    lambdas,
    layers,
    inner,
    libraries,
    mentions,
    symbols,
    models,
    optimizers,
    callbacks,
)


def install() -> None:
    """Lend them."""
    for module in _ALL:
        module.install()
