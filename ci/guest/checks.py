"""The contract's checks of one kernel as a file of results: ``python -m ci.guest.checks FILE``, in the guest and here.

What the simulated kernel of the same release does with each check, `expected` tells; the two have to agree.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from simkernel import SimKernel
from simkernel.contract.arm import Arm, LinuxArm, SimArm
from simkernel.contract.linux_actor import LinuxActor
from simkernel.contract.linux_bpf import LinuxBpfOutput
from simkernel.contract.suite import kernel_checks

__all__ = ["Result", "expected", "load", "main", "run_checks"]

_CAPABILITIES: Final = frozenset({"CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF", "CAP_IPC_LOCK", "CAP_SYS_PTRACE"})


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check on one kernel.

    Attributes:
        name: the check.
        facts: the facts that it holds.
        verdict: ``"ok"``, ``"failed"``, ``"error"`` or ``"unavailable"``.
        text: what the kernel did, or what is lacking.
        seconds: how long it took.
    """

    name: str
    facts: tuple[str, ...]
    verdict: str
    text: str
    seconds: float


def run_checks(factory: Callable[[], Arm], *, announce: Callable[[str], object] = lambda _: None) -> list[Result]:
    """Every check of the contract, in order.

    Args:
        factory: makes an arm for each.
        announce: gets the name of each check before it begins: where it hangs is the last that was named.
    """
    results = []
    for check in kernel_checks():
        announce(f"{check}\n")
        began = time.monotonic()
        outcome = check.run(factory)
        spent = round(time.monotonic() - began, 3)
        results.append(Result(check.name, check.facts, outcome.verdict, outcome.text, spent))
    return results


@cache
def expected(release: str) -> tuple[Result, ...]:
    """What the simulated kernel does with each check.

    Raises:
        ValueError: the release is none that is simulated.
    """
    return tuple(run_checks(lambda: SimArm(SimKernel(release=release, capabilities=_CAPABILITIES))))


def load(data: bytes) -> list[Result]:
    """The results in a file that `main` wrote."""
    return [Result(**each | {"facts": tuple(each["facts"])}) for each in json.loads(data)]


class _ForkingArm(LinuxArm):
    """A fresh arm whose actors are forks of one process: under emulation a fork is 30 times as fast as a start."""

    def __init__(self, parent: LinuxActor) -> None:
        super().__init__()
        self._parent = parent

    def actor(self, cpu: int = 0) -> LinuxActor:
        actor = self._parent.fork()
        self._actors.append(actor)
        actor.pin(cpu)
        return actor


@contextmanager
def _forking_arms() -> Iterator[Callable[[], Arm]]:
    arms: list[_ForkingArm] = []

    def bpf_output() -> LinuxBpfOutput:
        return arms[0]._bpf_output()

    with LinuxActor(bpf_output=bpf_output) as parent:
        parent.prepare()

        def fresh() -> _ForkingArm:
            parent.forget_children()
            arms[:] = [_ForkingArm(parent)]
            return arms[0]

        yield fresh


def main(path: Path) -> None:
    """Checks the kernel underneath and writes the results."""
    with _forking_arms() as factory:
        results = run_checks(factory, announce=_say)
    path.write_text(json.dumps([asdict(each) for each in results], indent=0))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
