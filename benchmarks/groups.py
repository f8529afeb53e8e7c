"""The groups of figures, by name; each is imported when it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.measuring import Outcome, Run


def _decode(run: Run) -> Iterator[Outcome]:
    from benchmarks import decode

    return decode.figures(run)


def _live(run: Run) -> Iterator[Outcome]:
    from benchmarks import live

    return live.figures(run)


def _watermark(run: Run) -> Iterator[Outcome]:
    from benchmarks import watermark

    return watermark.figures(run)


def _scaling(run: Run) -> Iterator[Outcome]:
    from benchmarks import scaling

    return scaling.figures(run)


def _memory(run: Run) -> Iterator[Outcome]:
    from benchmarks import memory

    return memory.figures(run)


def _simulator(run: Run) -> Iterator[Outcome]:
    from benchmarks import sample_cost, simulator

    if run.short:
        yield from simulator.figures(records=2_000, rounds=1)
    else:
        yield from simulator.figures(rounds=run.rounds)
    yield from sample_cost.figures(run)


GROUPS: dict[str, Callable[[Run], Iterator[Outcome]]] = {
    "decode": _decode,
    "live": _live,
    "watermark": _watermark,
    "scaling": _scaling,
    "memory": _memory,
    "simulator": _simulator,
}
