"""``perfring ...``: the command line, and nothing that a library user needs.

Each command is a module of this package that defines a function of its own name; its signature is the command's options
and its docstring the help. A call imports the module of the command it names and no other, and the modules import
perfring's engine inside their functions: ``perfring --help`` must stay below 0.3 s.

Exit statuses: 0 done, 1 an error or a negative answer, 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from inspect import getdoc
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer
from typer.main import get_command

from perfring import __version__
from perfring.errors import CommandNotStarted, PerfringError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["COMMANDS", "build_app", "main"]

COMMANDS = ("doctor", "watermark", "simulate", "record", "read", "top", "verify")
"""The commands, in the order of the help: each is the module ``perfring.cli.NAME`` with the function ``NAME`` in it."""

_COMPLETION = ("--install-completion", "--show-completion")
_HELP = "Linux perf rings that wake their reader by a byte watermark: no polling loop, no record lost unseen, no stall."


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(f"perfring {__version__}")
    raise typer.Exit


def _options_of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before the name of a command; `_show_version` has done its work by now."""


def build_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The typer application with these commands in it; imports their modules.

    Args:
        names: any of `COMMANDS`.

    Returns:
        An application for `typer.main.get_command` or `typer.testing.CliRunner`.
    """
    app = typer.Typer(name="perfring", help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback(help=_HELP)(_options_of_all_commands)
    for name in names:
        module = import_module(f"{__name__}.{name}")
        command = getattr(module, name)
        settings = getattr(module, "CONTEXT_SETTINGS", None)
        app.command(name, help=_flowing(command), context_settings=settings)(command)
    return app


def _flowing(command: Callable[..., None]) -> str:
    """Its docstring with each paragraph in one line: the window breaks it, and not the width of our source as well."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (getdoc(command) or "").split("\n\n"))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``perfring ARGV...`` and returns the exit status; never raises for what a user can cause.

    Args:
        argv: the words after ``perfring``; ``sys.argv[1:]`` when None.

    Returns:
        0 done, 1 an error or a negative answer, 2 wrong usage, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _fill_closed_streams()
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone (`| head`)
        _drop_output()
        return 1
    except (PerfringError, OSError) as error:
        _show_error(error)
        _drop_what_nobody_takes()
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _fill_closed_streams() -> None:
    """Where ``>&-`` closed a standard stream, a ring or a file would get its number, and its text.

    Standard output can't be written then, which is told; that errors are to go nowhere was somebody's wish.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None and _is_closed(number):
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
            if number:  # that nothing is piped in is for the commands to say
                setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115 - as long as the process


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _check_completion(words: list[str]) -> str:
    """What is wrong with the options of completion: typer drops a word behind them unseen."""
    for option, then in pairwise(words):
        if option in _COMPLETION and not then.startswith("-"):
            return f"{option} takes no value, but {then!r} stands behind it: call it without, from the shell it is for"
    return ""


def _run(words: list[str]) -> int:
    """Through typer, whose way of ending is always SystemExit: after usage errors (2), Ctrl-C (130), or a command."""
    wrong = _check_completion(words[:2])
    if wrong:
        typer.echo(f"perfring: {wrong}", err=True)
        return 2
    # Only options stand before the command's name, and none of them takes a value.
    named = next((word for word in words if not word.startswith("-")), None)
    app = build_app([named] if named in COMMANDS else COMMANDS)
    try:
        get_command(app)(args=words, prog_name="perfring")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    return 0


def _show_error(error: PerfringError | OSError) -> None:
    from rich.console import Console
    from rich.text import Text

    from perfring.cli._advice import of_command, with_advice

    if isinstance(error, CommandNotStarted):
        text = of_command(error)
    else:
        text = str(error) if isinstance(error, PerfringError) else with_advice(error)
    console = Console(stderr=True)
    # A log keeps its lines whole, for grep; a terminal gets them broken between words.
    console.print(
        Text("perfring: ", style="bold red").append(text, style="not bold default"), soft_wrap=not console.is_terminal
    )


def _drop_what_nobody_takes() -> None:
    """Where the error was that standard output takes nothing, it is not told once more at the very end."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()


def _drop_output() -> None:
    """The interpreter's last flush must not complain either."""
    with suppress(OSError, ValueError):  # a stdout that is no file has no flush to fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
