"""What a refused ``perfring record`` or ``top`` could have asked for instead: less, which needs no privilege."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from perfring import findings
from perfring.errors import PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.cli._choices import Choices
    from perfring.kernel import Kernel

__all__ = ["offering_less", "what_needs_no_privilege"]

_OF_TARGETS: Final = "Or add --user-only: without the kernel's part it needs no privilege"
_OF_A_COMMAND: Final = "Or record a command of your own, which needs no privilege: --user-only -- COMMAND"


@contextmanager
def offering_less(choices: Choices, kernel: Kernel) -> Iterator[None]:
    """Adds to a refusal what the same user may do as he is.

    Raises:
        PermissionDenied: as it came, with one more line where there is something to offer.
    """
    try:
        yield
    except PermissionDenied as error:
        offer = what_needs_no_privilege(choices, kernel, error)
        if not offer:
            raise
        raise PermissionDenied(error.errno or 0, f"{error}\n{offer}", findings=error.findings) from error


def what_needs_no_privilege(choices: Choices, kernel: Kernel, error: PermissionDenied) -> str:
    """A line for people; empty when --user-only would be refused as well, or would leave nothing to record.

    Args:
        choices: what the command line asked for.
        kernel: asked for /proc and tracefs.
        error: its refusal.
    """
    if not error.findings or error.findings[0].topic != "paranoid" or choices.user_only:
        return ""
    if not findings.gather(kernel).permits(findings.LEVEL_FOR_USER):
        return ""  # kernels that know levels above it refuse all (K31)
    has_target = bool(choices.pids or choices.command)
    less = replace(choices, user_only=True, environment=False)
    if not has_target:
        less = replace(less, command=["COMMAND"])
    try:
        less.plan(kernel)
    except (ValueError, OSError):
        return ""  # events that only ever happen in the kernel
    return _OF_TARGETS if has_target else _OF_A_COMMAND
