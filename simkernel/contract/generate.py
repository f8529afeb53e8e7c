"""Random programs, biased to where kernels differ: refusals, limits, full rings, changes of readiness.

All choices come from one `random.Random`, so that a seed names a program on every machine and nothing but the standard
library is needed. `programs` lets Hypothesis make the same choices, and shrink them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simkernel.contract import _moves
from simkernel.contract._moves import World
from simkernel.contract.program import Program

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

__all__ = ["programs", "random_program"]

_LONGEST: Final = 36


def random_program(rng: random.Random) -> Program:
    """One program of some 10 to 36 steps around a theme."""
    theme = rng.choices(list(_THEMES.values()), [share for share, _ in _THEMES.values()])[0][1]
    world = World(rng)
    world.begin()
    length = rng.randrange(10, _LONGEST)
    while len(world.steps) < length:
        makers = list(theme)
        makers[rng.choices(range(len(makers)), [theme[maker] for maker in makers])[0]](world)
    world.end()
    return Program(tuple(world.steps))


def programs() -> SearchStrategy[Program]:
    """The same programs as a strategy of Hypothesis, which must be installed."""
    from hypothesis import strategies

    return strategies.randoms(use_true_random=False).map(random_program)


_Theme = dict["Callable[[World], None]", int]

_REFUSALS: Final[_Theme] = {
    _moves.refused_open: 24,
    _moves.refused_map: 8,
    _moves.refused_control: 18,
    _moves.close_again: 3,
    _moves.write: 2,
    _moves.fcntl: 6,
}
_COMMON: Final[_Theme] = {
    _moves.burst: 20,
    _moves.drain: 12,
    _moves.poll: 14,
    _moves.read: 5,
    _moves.control: 5,
    _moves.close: 2,
    _moves.exit_: 2,
    _moves.fork: 2,
    _moves.munmap: 2,
}

_THEMES: Final[dict[str, tuple[int, _Theme]]] = {
    "one ring": (
        18,
        {
            **_COMMON,
            _moves.crossing: 7,
            _moves.sampling: 4,
            _moves.wait: 6,
            _moves.modify: 3,
            _moves.add: 3,
            _moves.free: 1,
            _moves.page: 1,
            _moves.rename: 1,
        },
    ),
    "refusals": (
        31,
        {
            **_REFUSALS,
            _moves.sampling: 3,
            _moves.side_band: 1,
            _moves.burst: 3,
            _moves.redirect: 4,
            _moves.read: 4,
            _moves.modify: 9,
            _moves.exit_: 1,
            _moves.pin: 2,
        },
    ),
    "redirected": (
        14,
        {
            **_COMMON,
            _moves.sampling: 4,
            _moves.redirected: 12,
            _moves.redirect: 6,
            _moves.wait: 4,
            _moves.side_band: 2,
            _moves.rename: 3,
        },
    ),
    "side-band": (
        12,
        {
            **_COMMON,
            _moves.side_band: 6,
            _moves.rename: 10,
            _moves.fork: 8,
            _moves.map_executable: 8,
            _moves.exit_: 6,
            _moves.exec_: 1,
            _moves.burst: 4,
        },
    ),
    "epoll": (
        14,
        {
            **_COMMON,
            _moves.epoll: 5,
            _moves.add: 8,
            _moves.modify: 12,
            _moves.wait: 24,
            _moves.cycle: 3,
            _moves.crossing: 14,
            _moves.sampling: 5,
            _moves.redirected: 3,
        },
    ),
    "groups": (
        8,
        {**_COMMON, _moves.member: 12, _moves.read: 20, _moves.sampling: 3, _moves.pin: 3, _moves.control: 10},
    ),
    "signals": (
        6,
        {
            **_COMMON,
            _moves.signals: 24,
            _moves.sampling: 4,
            _moves.fcntl: 6,
            _moves.rename: 2,
            _moves.side_band: 2,
            _moves.redirected: 2,
        },
    ),
    "bpf": (11, {**_COMMON, _moves.bpf: 6, _moves.emit: 16, _moves.pin: 1}),
    "noise": (3, {**_COMMON, _moves.noisy: 8, _moves.touch: 12, _moves.pin: 2, _moves.sampling: 1}),
}
"""What programs are about: how many of a hundred, and the weights of what is done in them."""
