"""Which published networks the engine runs, and in which layout: the table of docs/engine.md.

Usage: python tools/applications.py [NAMES] writes the rows of some networks, or of all; with --check it compares them.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from convia import applications, engine
from convia.training import plans

PAGE = Path(__file__).parent.parent / "docs" / "engine.md"
HEAD = "| network | input | 10⁶ multiplications | one image | 32 images | a step of 32 |"
LANES, THREADS, BATCH = 16, 2, 32  # of AVX-512, and of a small laptop
USUAL = (224, 224)  # where a network has no size of its own
NETWORKS = [name for name in applications.__all__ if name[0].isupper() and callable(getattr(applications, name))]


def row(name: str) -> str:
    """Return the row of a network at its own size."""
    model = getattr(applications, name)(weights=None)
    if None in model.input_shape[1:]:
        model = getattr(applications, name)(weights=None, input_shape=(*USUAL, 3))
    size = "×".join(map(str, model.input_shape[1:]))
    try:
        plan = engine.lower(model.graph, list(model.trainable_variables))
    except engine.Unsupported as error:
        return f"| {name} | {size} | | torch: {error} | | |"
    lacking = plan.beyond_wide()
    layouts = [layout(plan, 1, False), layout(plan, BATCH, False), layout(plan, BATCH, True)]
    note = f" ({lacking})" if lacking else ""
    return f"| {name} | {size} | {plan.cost() / 1e6:.1f} | {' | '.join(layouts)}{note} |"


def layout(plan: Any, samples: int, training: bool) -> str:
    """Return what the lanes of a call are, by the costs of both layouts."""
    wide = plans.wide_step_cost if training else plans.wide_cost
    costs = (each(plan, samples, LANES, THREADS) for each in (wide, plans.narrow_cost))
    return "channels" if next(costs) < next(costs) else "samples"


def table_of(text: str) -> str:
    """Return what follows the table's head, up to the next empty line."""
    return text.partition(HEAD)[2].partition("\n\n")[0]


def rows_of(text: str) -> dict[str, str]:
    """Return the rows that a page has, by network."""
    lines = table_of(text).splitlines()[2:]
    return {line.split("|")[1].strip(): line for line in lines}


def with_row(text: str, name: str, line: str) -> str:
    """Return a page in which a network has a row, in its place."""
    rows = {**rows_of(text), name: line}
    before = table_of(text)
    lines = [HEAD, before.splitlines()[1], *(rows[each] for each in NETWORKS if each in rows)]
    return text.replace(HEAD + before, "\n".join(lines))


def main() -> int:
    """Write the rows, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NETWORKS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wrong = []
    for name in options.names:
        line = row(name)
        text = PAGE.read_text(encoding="utf-8")
        if rows_of(text).get(name) != line:
            wrong.append(name)
        print(line, flush=True)
        if not options.check:
            PAGE.write_text(with_row(text, name, line), encoding="utf-8")
    if options.check and wrong:
        print(f"not as in {PAGE.name}: {', '.join(wrong)}")
    return int(options.check and bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
