"""The rules by which layers, by their classes, and functions, by their names, become steps."""

from typing import Any

from convia import layers
from convia.engine.builder import Rule
from convia.engine.rules import convolution, elements, moving, norm, published
from convia.engine.rules.functions import FUNCTIONS

__all__ = ["FUNCTIONS", "RULES", "rule_of"]

RULES: dict[type, Rule] = {
    getattr(layers, name): rule
    for table in (convolution.RULES, elements.RULES, moving.RULES, norm.RULES)
    for names, rule in table.items()
    for name in names.split()
}


def rule_of(layer: Any) -> Rule | None:
    """Return the rule of a layer, None where there is none."""
    kind = type(layer)
    return RULES.get(kind) or published.RULES.get(f"{kind.__module__}.{kind.__name__}")
