"""Programs: what is done to a kernel, step by step, in a text that names what it makes.

A program is a line for each step, ``[result =] verb word... option=value...``::

    # K12: what is dropped wakes nobody
    actor a
    e = open tracepoint:getppid pid=a sample_period=1 sample_type=TID watermark=1 wakeup_watermark=4088
    m = map e pages=1
    getppid a 256
    poll e IN
    drain m

The text is the program: it is what recordings name, what diffs show and what is hashed. `VERBS` is the whole language.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from perfring.abi import PerfEventAttrFields
from simkernel.contract.amounts import MOST_STEPS, MOST_WORK, check_amount, work_of
from simkernel.foreign import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["VERBS", "Program", "ProgramError", "Step", "Verb"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_PLAIN: Final = re.compile(r"[^\s\"=#]+")
_TOKEN: Final = re.compile(r'\s*((?:[a-z0-9_]+=)?"(?:[^"\\]|\\.)*"|[^\s"]+)')
_OPTION: Final = re.compile(r"([a-z][a-z0-9_]*)=(.*)", re.DOTALL)
_ATTR: Final = frozenset(PerfEventAttrFields.__annotations__) - {"type", "extra"}


class ProgramError(ValueError):
    """A text that is no program: says the line, what is wrong in it, and what it could be."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that a step can do.

    Attributes:
        words: what stands behind the verb, as the documentation calls it.
        least: how many of the words there must be.
        options: the options that it takes.
        makes: what its result is: an actor, event, ring or epoll; empty when it has none.
        says: one line for the documentation.
    """

    words: tuple[str, ...]
    says: str
    least: int = -1
    options: frozenset[str] = frozenset()
    makes: str = ""

    @property
    def needed(self) -> int:
        """How many words there must be."""
        return len(self.words) if self.least < 0 else self.least


def _options(*names: str) -> frozenset[str]:
    return frozenset(names)


VERBS: Final[dict[str, Verb]] = {
    # Actors, and what they do.
    "actor": Verb(("actor",), "makes a task, asleep", options=_options("cpu")),
    "fork": Verb(("actor",), "fork(2); the result is an actor as well", makes="actor"),
    "pin": Verb(("actor", "cpu"), "runs on that CPU from now on"),
    "getppid": Verb(("actor", "times"), "hits of the tracepoint syscalls:sys_enter_getppid", least=1),
    "rename": Verb(("actor", "comm"), "takes another name"),
    "map_executable": Verb(("actor", "bytes"), "maps a file executable"),
    "touch_pages": Verb(("actor", "pages"), "a minor fault each"),
    "emit": Verb(("actor", "bytes"), "puts out a payload of 0, 1, 2, ... by BPF"),
    "spend": Verb(("actor", "ns"), "keeps its CPU busy"),
    "switch": Verb(("actor",), "gives up its CPU once"),
    "exec": Verb(("actor",), "execve(2) of the interpreter; it goes on taking orders"),
    "exit": Verb(("actor",), "_exit(2)"),
    # Events.
    "open": Verb(
        ("kind",),
        "perf_event_open(2); kind is software:NAME, tracepoint:NAME or type:NUMBER",
        options=_ATTR | {"pid", "cpu", "group", "open_flags"},
        makes="event",
    ),
    "map": Verb(
        ("event",),
        "mmap(2) of pages data pages, or of length bytes",
        options=_options("pages", "length", "writable", "shared", "offset"),
        makes="ring",
    ),
    "munmap": Verb(("ring",), "munmap(2)"),
    "close": Verb(("event",), "close(2) of an event or an epoll"),
    "redirect": Verb(("event", "into"), "PERF_EVENT_IOC_SET_OUTPUT; into is an event or a number such as -1"),
    "ioctl": Verb(("event", "request", "argument"), "any other request; null is no pointer", least=2),
    "fcntl": Verb(
        ("event", "command", "argument"), "SETFL, GETFL, SETOWN (me or a number), GETOWN, SETSIG, GETSIG", least=2
    ),
    "connect": Verb(("event", "cpu"), "what actors emit on this CPU goes to this event"),
    "read": Verb(("event", "bytes"), "read(2) of the counts, decoded", least=1),
    "write": Verb(("event", "bytes"), "write(2)", least=1),
    # Rings.
    "look": Verb(("ring",), "head, tail and every record between them; gives nothing back"),
    "drain": Verb(("ring", "records"), "the same, and gives the room back: of all, or of so many records", least=1),
    "free": Verb(("ring", "bytes"), "moves the tail on by so many bytes, or to the head; reads nothing", least=1),
    "page": Verb(("ring",), "the metadata page: lock, offsets, sizes, capabilities"),
    # Asking.
    "poll": Verb(("event", "events"), "poll(2) without waiting; takes the latch", least=1),
    "epoll": Verb((), "epoll_create1(2)", makes="epoll"),
    "add": Verb(("epoll", "fd", "events"), "EPOLL_CTL_ADD of an event or an epoll", least=2),
    "mod": Verb(("epoll", "fd", "events"), "EPOLL_CTL_MOD", least=2),
    "del": Verb(("epoll", "fd"), "EPOLL_CTL_DEL"),
    "wait": Verb(("epoll",), "epoll_wait(2) without waiting", options=_options("maxevents")),
    "signals": Verb((), "the signals delivered since last asked"),
}
"""The language of programs, by verb."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line.

    Attributes:
        verb: a key of `VERBS`.
        words: what stands behind it.
        options: what is given by name, in the order of the names.
        result: the name for what it makes, or empty.

    Raises:
        ProgramError: the verb is unknown, words are missing, an option is none of its own, a number is far too large.
    """

    verb: str
    words: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    result: str = ""

    def __post_init__(self) -> None:
        verb = VERBS.get(self.verb)
        if verb is None:
            raise ProgramError(f"there is no verb {shown(self.verb)}: {', '.join(VERBS)}")
        if not verb.needed <= len(self.words) <= len(verb.words):
            raise ProgramError(
                f"{self.verb} takes {' '.join(verb.words) or 'no words'}, not {shown(' '.join(self.words))}"
            )
        if unknown := [name for name, _ in self.options if name not in verb.options]:
            raise ProgramError(
                f"{self.verb} has no option {shown(unknown[0])}: {', '.join(sorted(verb.options)) or 'none'}"
            )
        if bool(self.result) != bool(verb.makes):
            raise ProgramError(f"{self.verb} makes {verb.makes or 'nothing'}, and its result is {shown(self.result)}")
        if self.result and not _NAME.fullmatch(self.result):
            raise ProgramError(
                f"{shown(self.result)} is no name: begin with a small letter, go on with those, digits, _"
            )
        try:
            check_amount(self)
        except ValueError as wrong:
            raise ProgramError(str(wrong)) from None
        object.__setattr__(self, "options", tuple(sorted(self.options)))
        if len(dict(self.options)) != len(self.options):
            raise ProgramError(f"{self.verb} is given an option twice: {shown(self.options)}")

    @property
    def made(self) -> str:
        """The name that it gives to something: its result, or the actor that it makes."""
        return self.words[0] if self.verb == "actor" else self.result

    @property
    def uses(self) -> tuple[str, ...]:
        """The words and values that may be names."""
        words = () if self.verb == "actor" else self.words
        return (*words, *(value for name, value in self.options if name in ("pid", "group")))

    def word(self, at: int, default: str = "") -> str:
        """One word, or the default when the line ends before it."""
        return self.words[at] if at < len(self.words) else default

    def option(self, name: str, default: str = "") -> str:
        """One option."""
        return dict(self.options).get(name, default)

    @classmethod
    def parse(cls, line: str) -> Self:
        """Reads a line.

        Raises:
            ProgramError: what is wrong in it.
        """
        tokens = _tokens(line)
        result = tokens[0] if tokens[1:2] == ["="] else ""
        rest = tokens[2:] if result else tokens
        if not rest:
            raise ProgramError(f"no verb in {shown(line)}")
        pairs = [_OPTION.fullmatch(token) for token in rest[1:]]
        words = tuple(_unquoted(token) for token, pair in zip(rest[1:], pairs, strict=True) if pair is None)
        options = tuple((pair[1], _unquoted(pair[2])) for pair in pairs if pair is not None)
        return cls(rest[0], words, options, result)

    def __str__(self) -> str:
        """The line."""
        parts = [self.verb, *map(_quoted, self.words), *(f"{name}={_quoted(value)}" for name, value in self.options)]
        return f"{self.result} = {' '.join(parts)}" if self.result else " ".join(parts)


def _tokens(line: str) -> list[str]:
    tokens, at, line = [], 0, line.strip()
    while at < len(line):
        found = _TOKEN.match(line, at)
        if found is None:
            raise ProgramError(f'a quotation mark without its other half in {shown(line)}: write \\" for the character')
        tokens.append(found[1])
        at = found.end()
    return tokens


def _quoted(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else json.dumps(word)


def _unquoted(token: str) -> str:
    return str(json.loads(token)) if token.startswith('"') else token


@dataclass(frozen=True, slots=True)
class Program:
    """Steps, and what they are about.

    Attributes:
        steps: in their order.
        about: the comment before the first step, without its marks; no part of the program's identity.

    Raises:
        ProgramError: it asks for more than can be run in seconds, see `simkernel.contract.amounts`.
    """

    steps: tuple[Step, ...]
    about: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.steps) > MOST_STEPS:
            raise ProgramError(f"{len(self.steps):,} steps are more than a program may have, {MOST_STEPS}: make it two")
        if (work := work_of(self.steps)) > MOST_WORK:
            raise ProgramError(
                f"{len(self.steps)} steps, and what the actors do, come to {work:,}, which is more than {MOST_WORK:,}: "
                "ask for less of getppid, touch_pages or spend, or make it two programs"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a program; comments behind the first step are dropped.

        Raises:
            ProgramError: the line and what is wrong in it.
        """
        steps: list[Step] = []
        about: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.lstrip().startswith("#"):
                about += [] if steps else [line.lstrip().removeprefix("#").strip()]
            elif line.strip():
                try:
                    steps.append(Step.parse(line))
                except ValueError as wrong:
                    raise ProgramError(f"line {number}: {wrong}") from None
        return cls(tuple(steps), "\n".join(about))

    @classmethod
    def of(cls, steps: Iterable[Step], *, about: str = "") -> Self:
        """A program of these steps."""
        return cls(tuple(steps), about)

    @property
    def key(self) -> str:
        """What recordings call it: 16 hexadecimal digits of the SHA-256 of its steps."""
        text = "".join(f"{step}\n" for step in self.steps)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def __str__(self) -> str:
        """The text, which `parse` reads back."""
        comment = "".join(f"# {line}".rstrip() + "\n" for line in self.about.splitlines())
        return comment + "".join(f"{step}\n" for step in self.steps)
