"""The filters of tracepoints (SET_FILTER): ``common_pid != 0 && (comm ~ "py*" || !(prio < 100))``.

Numbers compare with ``== != < <= > >= &``, strings with ``== != ~``, where ``~`` takes a glob; ``&&`` binds before
``||``. A field must exist and the value must be of its kind, else EINVAL, as on Linux. Every tracepoint has ``comm``
and ``cpu`` besides its own fields, in small letters or capitals.
"""

from __future__ import annotations

import errno
import fnmatch
import re
from collections.abc import Callable, Set
from typing import TYPE_CHECKING, Final

from simkernel.tracepoints import Value

if TYPE_CHECKING:
    from simkernel.tracepoints import Tracepoint

__all__ = ["Filter", "FilterError", "Values", "parse_filter"]

Values = dict[str, Value]
Filter = Callable[[Values], bool]

_TOKEN: Final = re.compile(r'\s*(&&|\|\||[=!<>]=|[<>&~!()]|"[^"]*"|\'[^\']*\'|-?0[xX][0-9a-fA-F]+|-?\d+|\w+)')
_COMMON: Final = {"common_type": 0, "common_flags": 0, "common_preempt_count": 0, "common_pid": 0}
_OF_ALL: Final = {"comm": True, "COMM": True, "cpu": False, "CPU": False}
"""What every tracepoint can be asked for, and whether it is a string."""
_LARGEST: Final = 1 << 64
_NUMBERS: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "&": lambda a, b: bool(a & b),
}
_STRINGS: Final[dict[str, Callable[[str, str], bool]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "~": fnmatch.fnmatchcase,
}


class FilterError(ValueError):
    """A filter that cannot be read.

    Attributes:
        errno: what the kernel says: EINVAL, and EPERM for words where none may stand. Before it looks at any word
            it says ESRCH for a quotation mark without its other half, ENOENT for a bracket that is not closed, EPERM
            for one that was not open (measured on 6.18).
    """

    def __init__(self, text: str, code: int = errno.EINVAL) -> None:
        super().__init__(text)
        self.errno = code


def parse_filter(text: str, point: Tracepoint) -> Filter:
    """Reads a filter for a tracepoint.

    Raises:
        FilterError: it cannot be read, or names a field that there is not.
    """
    kinds = _OF_ALL | {field.name: field.is_string for field in point.fields}
    parser = _Parser(text, kinds, arrays={field.name for field in point.fields if field.is_array})
    return parser.whole()


def _check_pairs(text: str) -> None:
    """Brackets and quotation marks, which the kernel counts before it reads a word."""
    depth, quote = 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if depth < 0:
                raise FilterError("a bracket is closed that was not open", errno.EPERM)
    if quote:
        raise FilterError(f"{quote} is not closed", errno.ESRCH)
    if depth:
        raise FilterError("a bracket is not closed", errno.ENOENT)


def _compared(compare: Callable[[int, int], bool], value: Value, number: int) -> bool:
    assert isinstance(value, int)  # the parser lets no other kind of field come here
    return compare(value, number)


_DEEPEST: Final = 50


class _Parser:
    def __init__(self, text: str, strings: dict[str, bool], *, arrays: Set[str] = frozenset()) -> None:
        _check_pairs(text)
        self._arrays = arrays
        self._compares = False
        self._depth = 0
        self._strings = dict.fromkeys(_COMMON, False) | strings
        self._tokens = self._split(text)

    @staticmethod
    def _split(text: str) -> list[str]:
        tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise FilterError(f"cannot be read from {text[at:]!r} on")
            tokens.append(found[1])
            at = found.end()
        return tokens[::-1]

    def whole(self) -> Filter:
        result = self._either()
        if self._tokens:
            raise FilterError(f"{self._tokens[-1]!r} is too much", errno.EPERM)
        return result

    def _take(self) -> str:
        if not self._tokens:
            raise FilterError("it ends too early")
        return self._tokens.pop()

    def _next_is(self, token: str) -> bool:
        if self._tokens and self._tokens[-1] == token:
            self._tokens.pop()
            return True
        return False

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._next_is("||") and self._tokens:  # an operator at the very end is forgiven
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda values: any(part(values) for part in parts)

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._next_is("&&") and self._tokens:
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda values: all(part(values) for part in parts)

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotImplementedError(
                f"filters with more than {_DEEPEST} brackets and ! in each other are not simulated"
            )
        try:
            return self._negated_or_not()
        finally:
            self._depth -= 1

    def _negated_or_not(self) -> Filter:
        if self._next_is("!"):
            inner = self._one()
            return lambda values: not inner(values)
        if self._next_is("("):
            inner = self._either()
            if not self._next_is(")"):
                raise FilterError("no operator before the bracket's end", errno.EPERM)
            return inner
        return self._comparison()

    def _comparison(self) -> Filter:
        name = self._take()
        if name in (")", "&&", "||") and (self._compares or self._tokens):
            raise FilterError(f"{name} where a comparison must stand", errno.EPERM)
        operator, value, self._compares = self._take(), self._take(), True
        if name == "stacktrace":
            raise NotImplementedError("filters by stacktrace are not simulated")
        if name not in self._strings:
            raise FilterError(f"no field {name!r}")
        if self._strings[name]:
            return self._string(name, operator, value)
        try:
            number, compare = int(value, 0), _NUMBERS[operator]
        except (KeyError, ValueError):
            raise FilterError(f"{name} {operator} {value}: a number is compared with a number") from None
        if not -_LARGEST // 2 <= number < _LARGEST:
            raise FilterError(f"{value} needs more than 64 bits")
        if name in self._arrays:  # Linux compares the whole of it in a way of its own
            raise NotImplementedError(f"filters by {name}, an array, are not simulated")
        return lambda values: _compared(compare, values[name], number)

    @staticmethod
    def _string(name: str, operator: str, value: str) -> Filter:
        if operator not in _STRINGS or value[0] not in "\"'":
            raise FilterError(f"{name} {operator} {value}: strings compare with == != ~, and stand in quotes")
        compare, wanted = _STRINGS[operator], value.strip("\"'")
        return lambda values: compare(str(values[name]), wanted)
