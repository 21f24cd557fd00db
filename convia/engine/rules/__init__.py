"""The rules by which layers, by their classes, and functions, by their names, become steps."""

from convia import layers
from convia.engine.builder import Rule
from convia.engine.rules import convolution, elements, moving, norm
from convia.engine.rules.functions import FUNCTIONS

__all__ = ["FUNCTIONS", "RULES"]

RULES: dict[type, Rule] = {
    getattr(layers, name): rule
    for table in (convolution.RULES, elements.RULES, moving.RULES, norm.RULES)
    for names, rule in table.items()
    for name in names.split()
}
