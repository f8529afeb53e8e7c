"""A planted bug: a change of a few characters in one or two functions of the simulated kernel."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType

from simkernel.contract.arm import SimArm
from simkernel.contract.suite import Check, Outcome

__all__ = ["Edit", "Mutant", "kills", "mutant", "run"]

Edit = tuple[str, str, str]
"""Where: ``ringbuf:RingBuffer.reserve``, or ``perfring.ring:RingReader.copy``; what stands there, once; what is to."""

# A kernel that dies of its mutation has not been found out by a check: these are no way for Linux to answer.
_CRASHES = ("AttributeError", "IndexError", "KeyError", "NameError", "SimulatorError", "TypeError")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A kernel that does one thing wrong.

    Attributes:
        name: what it does wrong, as a sentence.
        edits: how that comes.
    """

    name: str
    edits: tuple[Edit, ...]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The simulated kernel is this mutant for the length of a ``with`` block.

        Raises:
            LookupError: the source no longer has what is to be changed.
        """
        with ExitStack() as undo:
            for where in dict.fromkeys(where for where, _, _ in self.edits):
                undo.enter_context(_swapped(_function(where), self._code(where)))
            yield

    def _code(self, where: str) -> CodeType:
        function = _function(where)
        source = textwrap.dedent(inspect.getsource(function))
        for _, old, new in (edit for edit in self.edits if edit[0] == where):
            if source.count(old) != 1:
                raise LookupError(f"mutant {self.name!r}: {where} has {source.count(old)} times, not once:\n{old}")
            source = source.replace(old, new)
        return _compiled(source, function)


def mutant(name: str, *edits: Edit) -> Mutant:
    """A mutant of these edits."""
    return Mutant(name, edits)


def _function(where: str) -> FunctionType:
    module, path = where.split(":")
    found: object = import_module(module if module.startswith("perfring.") else f"simkernel.{module}")
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
    assert isinstance(found, FunctionType), where
    plain = inspect.unwrap(found)
    assert isinstance(plain, FunctionType), where
    return plain


def _compiled(source: str, function: FunctionType) -> CodeType:
    """The code of the changed source, in the names of the module it comes from."""
    tree = ast.parse(source)
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list.clear()
    names = dict(function.__globals__)
    exec(compile(tree, f"<mutant of {function.__qualname__}>", "exec"), names)
    made = names[function.__name__]
    assert isinstance(made, FunctionType)
    return made.__code__


@contextmanager
def _swapped(function: FunctionType, code: CodeType) -> Iterator[None]:
    # The code and not the function: other modules have imported it by its name.
    plain, function.__code__ = function.__code__, code
    try:
        yield
    finally:
        function.__code__ = plain


def kills(outcome: Outcome) -> bool:
    """The check has found the kernel out: what it did is wrong, or made the check itself impossible."""
    crashed = outcome.text.startswith(_CRASHES) and "/contract/" not in outcome.text
    return not outcome.ok and not (outcome.verdict == "error" and crashed)


def run(check: Check) -> Outcome:
    """One check against the simulated kernel as it is at the moment."""
    return check.run(SimArm)
