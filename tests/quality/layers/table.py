"""The tables of docs/layers.md: made from a hunt, and read by the test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.quality.layers.bug import Bug
from tests.quality.layers.hunt import Find
from tests.quality.layers.suite import LAYERS

__all__ = ["Row", "page", "rows"]

_ROW: Final = re.compile(r"^\| (.+?) \| (\w+) \| (\w+) \| `(.+?)` \| (\d+) \|$", re.MULTILINE)
_HEAD: Final = """# Which layer of the tests finds which bug

The test suite has layers, and each of them costs more than the one before. Here bugs are planted, one at a time, in
the reader, the session, the columns, the verdict, the simulated ring and its readiness: changes of a few characters.
The layers hunt them with the default profile, so with the examples, states and steps of every ordinary run.

`python -m tests.quality.layers` does it and writes these tables. `tests/quality/test_layers.py` plants every bug in
every ordinary run and holds its row; `pytest -m slow` lets the layers hunt from the beginning.
"""
_BUGS_HEAD: Final = """
## Bugs

*First* is the cheapest layer that finds the bug, and *test* its first test that does. *Examples* is how many that test
had tried when it failed: 1 for a test that has none. They differ a little with the versions of Python and Hypothesis.
"""
_WHY_IDLE: Final = """What is planted here a cheaper layer finds
before them. They are there for the bugs that nobody thought of planting: they do not share the unit tests' ideas of
what may go wrong, and what they say, they say of all inputs, or of a real kernel's behaviour, not of chosen cases."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the page says of a bug."""

    name: str
    part: str
    layer: str
    test: str
    examples: int


def page(bugs: Sequence[Bug], finds: Iterable[Find]) -> str:
    """docs/layers.md."""
    found = _by_bug(bugs, finds)
    lines = [_HEAD, "## Layers\n", *_layer_lines(found), _BUGS_HEAD]
    lines += ["| bug | in the | first | test | examples |", "|---|---|---|---|---:|"]
    lines += [_line(bug, found[bug.name]) for bug in bugs]
    return "\n".join(lines) + "\n"


def _by_bug(bugs: Sequence[Bug], finds: Iterable[Find]) -> dict[str, Find]:
    found = {find.bug: find for find in finds}
    missed = [bug.name for bug in bugs if bug.name not in found]
    if missed:
        raise LookupError(f"no layer finds: {'; '.join(missed)}")
    return found


def _layer_lines(found: Mapping[str, Find]) -> list[str]:
    first = Counter(find.layer for find in found.values())
    lines = ["| layer | what it does | an example is | finds first |", "|---|---|---|---:|"]
    lines += [f"| {layer.name} | {layer.does} | {layer.counts} | {first[layer.name]} |" for layer in LAYERS]
    idle = [layer.name for layer in LAYERS if not first[layer.name]]
    return [*lines, f"\n{len(found)} bugs. {_of_the_idle(idle)}"]


def _of_the_idle(layers: Sequence[str]) -> str:
    """What is to be said of layers that are first at nothing."""
    if not layers:
        return "Each layer is the first to find some of them."
    return f"First at none of them: {', '.join(layers)}. {_WHY_IDLE}"


def _line(bug: Bug, find: Find) -> str:
    test = find.test.removeprefix("tests/").replace("|", "\\|")
    return f"| {bug.name} | {bug.part} | {find.layer} | `{test}` | {find.examples} |"


def rows(text: str) -> dict[str, Row]:
    """What a page says, by the bug's name."""
    found = {}
    for name, part, layer, test, examples in _ROW.findall(text):
        found[name] = Row(name, part, layer, "tests/" + test.replace("\\|", "|"), int(examples))
    return found
