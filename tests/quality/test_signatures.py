"""How functions are shaped: short, and with defaults that a caller must name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.quality.project import Module, label, modules

Function = ast.FunctionDef | ast.AsyncFunctionDef

# What takes a default by position: signatures that others rely on, and the one argument that needs no name.
SEAM = {"perf_event_open", "ioctl", "fcntl", "poll"}
ACTOR = {"actor", "getppid", "exit"}
SELECTORS = {"register", "modify", "select"}
GIVEN = {"ring_data_bytes", "main"}
LIKE_UNPACK_FROM = {"decode"}
LIKE_GET = {"word", "option"}
NEEDS_NO_NAME = {
    "build",
    "build_overwrite",
    "build_app",
    "release",
    "attach_to_bpf_map",
    "report",
    "capture",
    "explore",
}
POSITIONAL_DEFAULTS = SEAM | ACTOR | SELECTORS | GIVEN | LIKE_UNPACK_FROM | LIKE_GET | NEEDS_NO_NAME

MODULES = modules()
# What the checks of the contract are written with, some hundred times, and nobody else calls.
SHORTHAND = ("simkernel.contract.rig", "simkernel.contract.raw", "simkernel.contract._checks")
SURFACE = [m for m in MODULES if not m.name.startswith(("perfring.cli.", *SHORTHAND))]
TYPICAL_LENGTH = 8
NINE_IN_TEN = 25


def _functions(module: Module) -> Iterator[Function]:
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def _length(function: Function) -> int:
    """Lines of the body, the docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    lengths = sorted(_length(function) for module in MODULES for function in _functions(module))
    assert lengths[len(lengths) // 2] <= TYPICAL_LENGTH
    assert lengths[len(lengths) * 9 // 10] <= NINE_IN_TEN


@pytest.mark.parametrize("module", SURFACE, ids=label)
def test_a_default_is_for_an_argument_with_a_name(module: Module) -> None:
    public = [function for function in _functions(module) if not function.name.startswith("_")]
    positional = {function.name for function in public if function.args.defaults}
    assert positional <= POSITIONAL_DEFAULTS, "make these arguments keyword-only"
