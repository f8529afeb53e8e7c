"""Ways to damage a file: as bytes, as text, and as the tree of values that it is.

One mutator for every format that is read: perf.data is damaged as bytes, a recording or a scenario in all three ways.
The same `Random` makes the same damage.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

__all__ = ["Form", "damaged", "damaged_text", "damaged_tree", "hostile_file", "other_words"]

_WORDS: Final = (0, 1, 7, 8, 0xFF, 0xFFFF, 1 << 16, 1 << 24, (1 << 31) - 1, 1 << 32, 1 << 63, (1 << 64) - 1)
_NUMBERS: Final = (
    *(0, 1, -1, 2, 7, 8, 63, 255, 4096, 65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32, -(1 << 31), 10**9),
    *(1 << 53, 10**18, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 63), 10**30, 1 << 1024, 1 << 20_000),
)
_FLOATS: Final = (0.5, -0.0, 1e-9, 1e-30, 1e-308, 5e-324, 1e9, 1e18, 1e300, 1.7e308, float("nan"), float("inf"))
_TEXTS: Final = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\r\n",
        "\x1b[31m\x1b[2J",
        "\u2028",
        "\u202etxt.exe",
        "\ufeff",
        "\ud800",
        "\U0001f980",
    ),
    *("[/x]", "[bold]", "[link=x]", "%s%n{0}{}", "../../etc/passwd", "/", ".", "/dev/null", "/dev/zero", "x" * 100_000),
    *(
        "nan",
        "inf",
        "-1",
        "1e999",
        "10ms",
        "1s",
        "9" * 5000,
        "9" * 400 + "s",
        "auto",
        "true",
        "null",
        "6.18",
        "5.10",
        "me",
    ),
)
_TOKEN: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|[+-]?[0-9][0-9._e+-]*|\w+|[^\w\s]')
_SPLICED: Final = (
    *("\0", "\x00\x00", "\ufffd", "\ud800", '"', "'''", "\\", "\\u0000", "#", "=", "==", "{", "}", "[", "]", ",", "\n"),
    *("[" * 5_000, "{" * 5_000, '{"a":' * 5_000, "a." * 2_000, "[" * 200 + "]" * 200, "9" * 5_000, "1e" + "9" * 50),
    *("0x" + "f" * 5_000, "[[a]]", "1979-05-27T07:32:00Z", "\x0b", "\x85", " " * 5_000, "-nan", "+inf", "1_000_000"),
)


def damaged(data: bytes, random: Random) -> bytes:
    """The file with one damage or several, as disks, networks and enemies do them."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        at = random.randrange(len(found) or 1)
        kind = random.randrange(6)
        if kind == 0 and found:
            found[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            at -= at % 8
            found[at : at + 8] = struct.pack("=Q", random.choice(_WORDS))
        elif kind == 2:
            found[at : at + 4] = struct.pack("=I", random.choice(_WORDS) & 0xFFFF_FFFF)
        elif kind == 3:
            found[at : at + random.randrange(64)] = b""
        elif kind == 4:
            found[at:at] = found[random.randrange(len(found) or 1) :][: random.randrange(256)]
        else:
            found[at:] = b""
    return bytes(found)


def damaged_text(text: str, random: Random) -> str:
    """Lines lost, doubled, swapped and cut; words made into others; what has no business there put in between."""
    lines = text.split("\n")
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        at = random.randrange(len(lines)) if lines else 0
        kind = random.randrange(8)
        if kind == 0 or not lines:
            lines[at : at + 1] = []
        elif kind == 1:
            lines[at:at] = [random.choice(lines)] * random.choice((1, 1, 2, 100))
        elif kind == 2:
            other = random.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 3:
            lines[at] = lines[at][: random.randrange(len(lines[at]) or 1)]
        elif kind == 4:
            where = random.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:where] + random.choice(_SPLICED) + lines[at][where:]
        else:
            lines[at] = other_words(lines[at], random)
    return "\n".join(lines)


def other_words(text: str, random: Random) -> str:
    """A word, or a number, in the place of another one; no line more or less."""
    words = list(_TOKEN.finditer(text))
    if not words:
        return text
    word, other = random.choice(words), random.choice(words)[0]
    new = random.choice((other, other, _spelled(_hostile_value(random)), _spelled(random.choice(_NUMBERS))))
    return text[: word.start()] + new + text[word.end() :]


def _spelled(value: Any) -> str:
    """As JSON has it, TOML mostly too; numbers of more digits than `str` will write in hexadecimal."""
    if isinstance(value, int) and value.bit_length() > 2_000:
        return hex(value)
    return json.dumps(value) if not isinstance(value, float) else repr(value)


def _hostile_value(random: Random) -> Any:
    """Something of a type that need not be the right one, and seldom a reasonable one of that type."""
    kind = random.randrange(9)
    if kind < 3:
        return random.choice(_NUMBERS[:-1])
    if kind < 5:
        return random.choice(_TEXTS)
    if kind == 5:
        return random.choice(_FLOATS)
    return random.choice((None, True, False, [], {}, [[]], {"": None}, [0] * 300, {"a": {"b": [1, "x", {}]}}))


def damaged_tree(tree: Any, random: Random) -> Any:
    """The same values of another type or size, lost, doubled, in another order, under another name; a new tree."""
    for _ in range(random.choice((1, 1, 1, 2, 4, 8))):
        tree = _damaged_once(tree, random)
    return tree


def _damaged_once(tree: Any, random: Random) -> Any:
    if isinstance(tree, dict) and tree:
        return _damaged_dict(tree, random)
    if isinstance(tree, list) and tree:
        return _damaged_list(tree, random)
    if isinstance(tree, str) and random.random() < 0.5:
        return damaged_text(tree, random)
    if isinstance(tree, int | float) and random.random() < 0.5:
        return random.choice((-tree, tree + 1, tree * 1000, 0, tree // 3, random.choice(_NUMBERS[:-1])))
    return _hostile_value(random)


def _damaged_dict(tree: dict[str, Any], random: Random) -> Any:
    found, key, kind = dict(tree), random.choice(list(tree)), random.randrange(10)
    if kind == 0:
        del found[key]
    elif kind == 1:
        found[random.choice((*tree, *_TEXTS))] = found.pop(key)
    elif kind == 2:
        found[random.choice((*tree, *_TEXTS))] = _hostile_value(random)
    elif kind == 3:
        found[key] = found[random.choice(list(tree))]
    elif kind == 4:
        names = list(found)
        random.shuffle(names)
        found = {name: found[name] for name in names}
    else:
        found[key] = _damaged_once(found[key], random)
    return found


def _damaged_list(tree: list[Any], random: Random) -> Any:
    found, at, kind = list(tree), random.randrange(len(tree)), random.randrange(10)
    if kind == 0:
        del found[at]
    elif kind == 1:
        found[at:at] = [random.choice(tree)] * random.choice((1, 2, 50))
    elif kind == 2:
        random.shuffle(found)
    elif kind == 3:
        found[at:at] = [_hostile_value(random)]
    else:
        found[at] = _damaged_once(found[at], random)
    return found


@dataclass(frozen=True, slots=True)
class Form:
    """A format, for the mutator.

    Attributes:
        text: a tree as the format has it.
        packed: the text as bytes of the file; another form of the same, such as gzip, may be here.
    """

    text: Callable[[Any], str]
    packed: Callable[[bytes], bytes] = bytes


def hostile_file(tree: Any, form: Form, random: Random) -> bytes:
    """A file that was whole once: damaged in one way, or in several at once."""
    ways = random.choice(("tree", "tree", "tree", "text", "text", "bytes", "packed", "all"))
    if ways in ("tree", "all"):
        tree = damaged_tree(tree, random)
    text = form.text(tree)
    if ways in ("text", "all"):
        text = damaged_text(text, random)
    data = text.encode("utf-8", "surrogatepass")
    if ways == "bytes":
        data = damaged(data, random)
    data = form.packed(data)
    return damaged(data, random) if ways == "packed" else data
