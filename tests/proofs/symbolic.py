"""Runs Python code on unknown numbers: the real `watermark_verdict`, on every size and watermark at once.

An `Unknown` is an int to whoever asks, and a term of z3 inside. Arithmetic makes further ones. Where the code asks for
a truth, `Paths` answers: it tries both answers that can be, one run after the other, and remembers what each assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tests.proofs.logic import Number, Solver, Truth, all_of, negation, quotient

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Path(Generic[_Result]):
    """One way through the code.

    Attributes:
        condition: what it assumes of the unknown numbers.
        result: what was returned, or None.
        raised: what was raised, or None.
    """

    condition: Truth
    result: _Result | None
    raised: Exception | None


class Paths:
    """Answers questions about unknown numbers, so that all ways through a function are taken.

    Args:
        assuming: what is known of the numbers.
    """

    def __init__(self, *assuming: Truth) -> None:
        self._assuming = assuming
        self._plan: list[bool] = []
        self._taken: list[tuple[Truth, bool]] = []

    def unknown(self, term: Number) -> Unknown:
        return Unknown.of(self, term)

    def all_of(self, function: Callable[[], _Result]) -> Iterator[Path[_Result]]:
        """Runs the function once for every way through it that some numbers take."""
        open_plans: list[list[bool]] = [[]]
        while open_plans:
            self._plan, self._taken = open_plans.pop(), []
            planned = len(self._plan)
            yield self._run(function)
            for number in range(planned, len(self._taken)):
                other = [answer for _, answer in self._taken[:number]] + [not self._taken[number][1]]
                if self._possible(number, other[-1]):
                    open_plans.append(other)

    def answer(self, question: Truth) -> bool:
        """The answer for this run: as planned, or the first that can be."""
        number = len(self._taken)
        answer = self._plan[number] if number < len(self._plan) else True
        self._taken.append((question, answer))
        if number >= len(self._plan) and not self._possible(number, True):
            self._taken[number] = (question, answer := False)
        return answer

    def _run(self, function: Callable[[], _Result]) -> Path[_Result]:
        try:
            result, raised = function(), None
        except (TypeError, ValueError) as error:
            return Path(self._condition(len(self._taken)), None, error)
        return Path(self._condition(len(self._taken)), result, raised)

    def _condition(self, count: int) -> Truth:
        answers = (question if answer else negation(question) for question, answer in self._taken[:count])
        return all_of(*self._assuming, *answers)

    def _possible(self, number: int, answer: bool) -> bool:
        question = self._taken[number][0]
        solver = Solver()
        solver.add(self._condition(number), question if answer else negation(question))
        return solver.example() is not None


class Unknown(int):
    """An int of which only a term is known. Its own value as an int is meaningless, and using it is an error.

    Beyond reach is C code that takes the digits of an int as they are, as ``hex`` and the indexing of a list do.
    """

    paths: Paths
    term: Number

    @classmethod
    def of(cls, paths: Paths, term: Number) -> Unknown:
        made = cls(0)
        made.paths, made.term = paths, term
        return made

    def _made(self, term: Number) -> Unknown:
        return Unknown.of(self.paths, term)

    def __add__(self, other: int) -> Unknown:
        return self._made(self.term + term_of(other))

    def __sub__(self, other: int) -> Unknown:
        return self._made(self.term - term_of(other))

    def __rsub__(self, other: int) -> Unknown:
        return self._made(term_of(other) - self.term)

    def __mul__(self, other: int) -> Unknown:
        return self._made(self.term * term_of(other))

    def __floordiv__(self, other: int) -> Unknown:
        return self._made(quotient(self.term, term_of(other)))

    def __mod__(self, other: int) -> Unknown:
        return self._made(self.term % term_of(other))

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other: int) -> bool:
        return self.paths.answer(self.term < term_of(other))

    def __le__(self, other: int) -> bool:
        return self.paths.answer(self.term <= term_of(other))

    def __gt__(self, other: int) -> bool:
        return self.paths.answer(self.term > term_of(other))

    def __ge__(self, other: int) -> bool:
        return self.paths.answer(self.term >= term_of(other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and self.paths.answer(self.term == term_of(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self != 0

    def __format__(self, spec: str) -> str:
        return format(str(self.term), spec)

    def _refuse(self, *others: object) -> Any:
        raise NotImplementedError(f"{self.term} is unknown: this operation is not modelled, add it to Unknown")

    __hash__ = _refuse
    __abs__ = __and__ = __divmod__ = __float__ = __index__ = __int__ = __invert__ = __lshift__ = _refuse
    __neg__ = __or__ = __pos__ = __pow__ = __rand__ = __rdivmod__ = __rfloordiv__ = __rlshift__ = __rmod__ = _refuse
    __ror__ = __round__ = __rpow__ = __rrshift__ = __rshift__ = __rtruediv__ = __rxor__ = __truediv__ = _refuse
    __trunc__ = __ceil__ = __floor__ = __xor__ = bit_length = _refuse


def term_of(value: int) -> Number:
    """The term of an unknown number, or a number as it is."""
    return value.term if isinstance(value, Unknown) else value
