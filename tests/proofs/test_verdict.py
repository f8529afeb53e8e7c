"""The verdict that the library returns is the one that the theorems are about: its own code, for all numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path as File
from types import ModuleType

import pytest

from perfring import geometry
from perfring.geometry import Verdict
from tests.proofs.logic import any_of, example_of, integer, negation, quotient
from tests.proofs.symbolic import Path, Paths, Unknown, term_of
from tests.proofs.verdict import (
    ASKED,
    ASSUMED,
    LARGEST,
    LOST,
    LOST_IS_VALID,
    SIZE,
    SMALLEST,
    is_right,
    judged,
    lost_ways,
    ways,
)

MODES = pytest.mark.parametrize("overwrite", [False, True], ids=["forward", "overwrite"])
_FOUND: dict[bool, list[Path[Verdict]]] = {}


def _all_ways(overwrite: bool) -> list[Path[Verdict]]:
    if overwrite not in _FOUND:
        _FOUND[overwrite] = list(ways(overwrite=overwrite))
    return _FOUND[overwrite]


@MODES
def test_every_way_through_the_verdict_is_what_the_theorems_say(overwrite: bool) -> None:
    for way in _all_ways(overwrite):
        assert example_of(way.condition, negation(is_right(way, overwrite=overwrite))) is None, way


@MODES
def test_all_numbers_go_one_of_the_ways(overwrite: bool) -> None:
    taken = any_of(*(way.condition for way in _all_ways(overwrite)))
    assert example_of(*ASSUMED, negation(taken)) is None


def test_a_lost_is_accepted_exactly_when_its_size_is_valid() -> None:
    for way in lost_ways():
        right = LOST_IS_VALID if way.raised is None else negation(LOST_IS_VALID)
        assert example_of(way.condition, negation(right)) is None


def test_for_equal_records_the_bound_is_that_of_one_byte_kept_free() -> None:
    equal = (SMALLEST == LARGEST, LARGEST >= 8, LARGEST % 8 == 0)
    stated = quotient(SIZE - 1, LARGEST) * LARGEST
    for way in _all_ways(False):
        if way.result is not None:
            assert example_of(way.condition, *equal, term_of(way.result.fullest) != stated) is None


def test_all_outcomes_and_all_refusals_are_met() -> None:
    met = Counter(way.result.outcome.value if way.result else type(way.raised).__name__ for way in _all_ways(False))
    assert set(met) == {"LIVE", "DEPENDS", "STALLS", "ValueError"}


@MODES
def test_on_numbers_the_code_goes_the_way_that_was_foretold(overwrite: bool) -> None:
    for way in _all_ways(overwrite):
        example = example_of(way.condition)
        assert example is not None
        numbers = [example.value(term) for term in (SIZE, ASKED, SMALLEST, LARGEST, LOST)]
        judge = partial(judged, geometry, *numbers, overwrite=overwrite)
        if way.result is None:
            with pytest.raises(ValueError, match=str(way.raised).split()[0]):
                judge()
        else:
            told = judge()
            assert told.outcome == way.result.outcome
            for name in ("kernel_watermark", "largest_safe", "fullest"):
                assert getattr(told, name) == example.value(term_of(getattr(way.result, name)))


BUGS = {
    "LIVE without LOST": ("size - 1 - largest - lost_bytes", "size - 1 - largest"),
    "LIVE one byte too high": ("size - 1 - largest - lost_bytes", "size - largest - lost_bytes"),
    "LIVE of the smallest": ("size - 1 - largest - lost_bytes", "size - 1 - smallest - lost_bytes"),
    "STALLS one byte too high": ("effective >= fullest", "effective > fullest"),
    "STALLS one byte too low": ("effective >= fullest", "effective + 1 >= fullest"),
    "no byte is kept free": ("min((size - 8) //", "min(size //"),
    "nothing is ever full": ("* largest, size - 8)", "* largest, size)"),
    "the smallest fill it": ("// smallest * largest", "// smallest * smallest"),
    "0 stays 0": (" or ring_bytes // 2", ""),
    "more than the ring": ("min(watermark, ring_bytes)", "watermark"),
    "records of 4 bytes": ("value % 8 or", "value % 4 or"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_verdict_is_found(bug: str) -> None:
    module = _copied(*BUGS[bug])
    assert _finds_a_wrong_way(module)


def test_the_copy_without_a_bug_is_right() -> None:
    assert not _finds_a_wrong_way(_copied("def watermark_verdict(", "def watermark_verdict("))


def _finds_a_wrong_way(module: ModuleType) -> bool:
    return any(example_of(way.condition, negation(is_right(way))) is not None for way in ways(module=module))


def _copied(old: str, new: str) -> ModuleType:
    source = File(str(geometry.__file__)).read_text()
    code = source[source.index("\nclass Outcome") :]
    assert code.count(old) == 1, f"perfring/geometry.py no longer has, once:\n{old}"
    module = ModuleType(geometry.__name__)
    exec(compile(source.replace(code, code.replace(old, new)), str(geometry.__file__), "exec"), module.__dict__)
    return module


# The unknown numbers themselves.


def test_both_answers_to_a_question_are_followed() -> None:
    x = integer("x")
    paths = Paths(x >= 0)
    found = [way.result for way in paths.all_of(lambda: "big" if paths.unknown(x) > 5 else "small")]
    assert sorted(map(str, found)) == ["big", "small"]


def test_an_answer_that_cannot_be_is_not_followed() -> None:
    x = integer("x")
    paths = Paths(x > 7)
    found = [way.result for way in paths.all_of(lambda: "big" if paths.unknown(x) > 5 else "small")]
    assert found == ["big"]


@pytest.mark.parametrize("use", [lambda x: x & 7, lambda x: 1 << x, float, round, abs, divmod])
def test_what_an_unknown_number_cannot_do_is_an_error(use: Callable[[object], object]) -> None:
    unknown = Unknown.of(Paths(), integer("x"))
    with pytest.raises((NotImplementedError, TypeError)):
        use(unknown)
