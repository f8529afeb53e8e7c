"""What a reader of hostile files is held to: an answer, or one clear error; in bounded memory and bounded time.

`judged` runs one command on one file. A batch runs in `bounded`, so that whoever takes more memory than that is told
by the kernel; and `fuzz` goes on for as long as asked.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import signal
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import SystemRandom
from typing import Final, NoReturn

__all__ = ["SECONDS", "Told", "bounded", "fuzz", "in_time", "judged"]

SECONDS: Final = float(os.environ.get("PERFRING_FUZZ_SECONDS", "600"))
"""How long the slow ones go on."""
_MOST_TEXT: Final = 3000
"""Characters of an error: more is no clear one."""
_MOST_CPU: Final = 30.0
"""Seconds of computing for one file of some kilobytes: a bound for a fault, not a measure."""
_MOST_MEMORY: Final = 768 << 20
_ESCAPES: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What does something to a terminal. Nothing is one here, and so nothing is coloured."""
_FRAME: Final = re.compile(r"[\s│╭╮╰╯─]+")


class TooLong(BaseException):
    """A file was worked on for so long that it might be for ever. No `Exception`: nobody may catch it."""


class Told:
    """What a command said.

    Attributes:
        status: its exit status.
        out: of stdout.
        err: of stderr.
    """

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


def _captured(command: Callable[[list[str]], int], words: list[str]) -> Told:
    """Runs a command with strict UTF-8 for its output, as in most terminals."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = command(words)
        out.flush()
        err.flush()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return Told(status, *texts)


def judged(command: Callable[[list[str]], int], words: list[str], *names: str) -> Told:
    """Runs a command on a hostile file and holds it to its contract.

    Args:
        command: a ``main`` that returns the exit status.
        words: its arguments.
        names: the files; every error must name one of them.

    Raises:
        AssertionError: another status than 0, 1 and 2, an error that does not name the file, or no clear one.
        TooLong: it took too much time.
        whatever else the command raises: that is what is looked for.
    """
    with in_time():
        told = _captured(command, words)
    assert told.status in (0, 1, 2), told.status
    assert told.err or told.status != 2, "refused without a word"
    assert "Traceback" not in told.err, told.err
    assert len(told.err) <= _MOST_TEXT, told.err[:_MOST_TEXT]
    if told.err:
        assert any(_FRAME.sub("", name) in _FRAME.sub("", told.err) for name in names), told.err
    assert not _ESCAPES.search(told.err + told.out), told.err + told.out
    return told


@contextlib.contextmanager
def in_time(seconds: float = _MOST_CPU) -> Iterator[None]:
    """Ends what takes more of a CPU than that. The clock stands still while another process has it."""

    def end(_: int, __: types.FrameType | None) -> NoReturn:
        raise TooLong(f"more than {seconds:g} s of computing")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def bounded(most: int = _MOST_MEMORY) -> Iterator[None]:
    """Whoever takes so many more bytes of address space than there are in use now gets a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def fuzz(one: Callable[[int], str], numbers: range | None = None) -> Counter[str]:
    """One file after the other.

    Args:
        one: makes the file of a number, has it read, and tells what came of it in a word.
        numbers: which; None for all from a random one on, for `SECONDS`.

    Returns:
        How often what came of it.
    """
    first = SystemRandom().getrandbits(48)
    counts: Counter[str] = Counter()
    end = time.monotonic() + SECONDS
    with bounded():
        for number in range(first, 1 << 62) if numbers is None else numbers:
            if numbers is None and time.monotonic() > end:
                break
            try:
                counts[one(number)] += 1
            except BaseException as error:
                error.add_note(f"the damage of number {number}")
                raise
    start, peak = first if numbers is None else numbers[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = ", ".join(f"{count:,} {word}" for word, count in counts.most_common())
    print(f"{counts.total():,} damaged files, from number {start}: {told}; {peak} MiB at most")  # noqa: T201
    return counts
