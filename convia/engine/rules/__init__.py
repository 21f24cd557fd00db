"""The rules by which layers become steps, by the layers' classes."""

from convia import layers
from convia.engine.builder import Rule
from convia.engine.rules import convolution, elements, moving, norm

RULES: dict[type, Rule] = {
    getattr(layers, name): rule
    for table in (convolution.RULES, elements.RULES, moving.RULES, norm.RULES)
    for names, rule in table.items()
    for name in names.split()
}
