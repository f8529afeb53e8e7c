"""The real `watermark_verdict` as formulas: every way through its code, for all sizes and watermarks at once."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from unittest import mock

from perfring import geometry
from perfring.geometry import MAX_LOST_BYTES, MAX_RECORD_BYTES, Verdict
from tests.proofs.logic import Number, Truth, all_of, choose, implies, integer, least, most, negation, quotient
from tests.proofs.model import Ring
from tests.proofs.symbolic import Path, Paths, term_of
from tests.proofs.theorems import EXACT, LIVE, STALLS, fullest

SIZE, ASKED, SMALLEST, LARGEST, LOST = map(integer, ("S", "asked", "r_min", "r_max", "LOST"))


def _in_eights(number: Number, low: Number, high: Number) -> Truth:
    return all_of(low <= number, number <= high, number % 8 == 0)


LOST_IS_VALID = _in_eights(LOST, 24, MAX_LOST_BYTES)
ASSUMED = (SIZE >= 8, SIZE % 8 == 0, LOST_IS_VALID)


def ways(*, overwrite: bool = False, module: ModuleType = geometry) -> Iterator[Path[Verdict]]:
    """Every way through ``watermark_verdict``, for a ring of ``SIZE`` bytes and a watermark of ``ASKED``.

    Two things are put in place: what `ring_data_bytes` returns, which is any multiple of 8 from 8 on, so all powers of
    two as well; and a size of a LOST that is a valid one. `lost_ways` judges the check of that.

    Args:
        overwrite: as in ``watermark_verdict``.
        module: `perfring.geometry`, or a copy of it.
    """
    paths = Paths(*ASSUMED)
    asked, smallest, largest, lost = map(paths.unknown, (ASKED, SMALLEST, LARGEST, LOST))

    def judge() -> Verdict:
        return judged(module, paths.unknown(SIZE), asked, smallest, largest, lost, overwrite=overwrite)

    with mock.patch.object(module, "_check_lost_bytes"):
        yield from paths.all_of(judge)


def lost_ways() -> Iterator[Path[None]]:
    """Every way through the check of ``lost_bytes``."""
    paths = Paths()
    return paths.all_of(lambda: geometry._check_lost_bytes(paths.unknown(LOST)))


def judged(
    module: ModuleType, size: int, asked: int, smallest: int, largest: int, lost: int, *, overwrite: bool
) -> Verdict:
    """The verdict on a ring of this size."""
    with mock.patch.object(module, "ring_data_bytes", return_value=size):
        verdict: Verdict = module.watermark_verdict(
            1, asked, record_bytes=(smallest, largest), lost_bytes=lost, overwrite=overwrite
        )
    return verdict


def is_right(way: Path[Verdict], *, overwrite: bool = False) -> Truth:
    """What must hold for all numbers that go this way, if the verdict is what the theorems are about."""
    if way.result is None:
        return negation(_is_valid())
    told = way.result
    ring = _ring(told, overwrite=overwrite)
    return all_of(
        _is_valid(),
        ring.watermark == choose(ASKED == 0, quotient(SIZE, 2), least(ASKED, SIZE)),
        _is_overwrite_right(told) if overwrite else _is_outcome_right(told, ring),
    )


def _ring(told: Verdict, *, overwrite: bool) -> Ring:
    return Ring(SIZE, term_of(told.kernel_watermark), SMALLEST, LARGEST, LOST, start=0, overwrite=overwrite)


def _is_outcome_right(told: Verdict, ring: Ring) -> Truth:
    stalls = STALLS.hypothesis(ring)
    implied = {
        "LIVE": all_of(LIVE.hypothesis(ring), EXACT.hypothesis(ring)),
        "STALLS": stalls,
        "DEPENDS": all_of(EXACT.hypothesis(ring), negation(LIVE.hypothesis(ring))),
    }
    return all_of(
        implied[told.outcome.value],
        implies(ASKED >= SIZE, stalls),
        term_of(told.fullest) == fullest(ring),
        term_of(told.largest_safe) == most(SIZE - 1 - LARGEST - LOST, 0),
    )


def _is_overwrite_right(told: Verdict) -> Truth:
    return all_of(told.outcome.value == "LIVE", term_of(told.largest_safe) == SIZE, term_of(told.fullest) == SIZE)


def _is_valid() -> Truth:
    """What ``watermark_verdict`` is to accept."""
    return all_of(ASKED >= 0, _in_eights(SMALLEST, 8, LARGEST), _in_eights(LARGEST, 8, MAX_RECORD_BYTES))
