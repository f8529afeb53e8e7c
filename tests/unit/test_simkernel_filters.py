"""Filters of the simulated tracepoints: which refusals come in which order, and what every tracepoint has."""

from __future__ import annotations

import errno

import pytest

from simkernel.filters import FilterError, parse_filter
from simkernel.tracepoints import Field, Tracepoint

POINT = Tracepoint(7, "test:point", (Field("int number", "i"),))


def refusal(text: str) -> int:
    with pytest.raises(FilterError) as refused:
        parse_filter(text, POINT)
    return refused.value.errno


def lets_through(text: str, *, comm: str = "actor", cpu: int = 0) -> bool:
    return parse_filter(text, POINT)(POINT.values(1, {"number": 5}, comm=comm, cpu=cpu))


@pytest.mark.parametrize("text", ["number == 1)", ")(", "nothing == 1)"])
def test_k38_a_bracket_that_was_not_open_is_not_permitted(text: str) -> None:
    assert refusal(text) == errno.EPERM


@pytest.mark.parametrize(("before", "behind"), [("(", ")"), ("!", ""), ("!(", ")")])
def test_what_is_nested_deeper_than_anybody_writes_is_not_simulated(before: str, behind: str) -> None:
    assert lets_through(before * 24 + "number == 5" + behind * 24)
    with pytest.raises(NotImplementedError, match="more than 50 brackets"):
        parse_filter(before * 3000 + "number == 5" + behind * 3000, POINT)


@pytest.mark.parametrize("text", ["(", "(number == 1", "(nothing", "()("])
def test_k38_an_open_bracket_comes_before_what_is_in_it(text: str) -> None:
    assert refusal(text) == errno.ENOENT


@pytest.mark.parametrize("text", ['"', "number == '", '(comm == "x)'])
def test_k38_a_quotation_mark_alone_comes_before_an_open_bracket(text: str) -> None:
    assert refusal(text) == errno.ESRCH


@pytest.mark.parametrize("text", ["number == 1 2", "(number == 1) (number == 1)", "number == 1 && ()"])
def test_k38_a_word_too_many_is_not_permitted(text: str) -> None:
    assert refusal(text) == errno.EPERM


@pytest.mark.parametrize("text", ["()", "", "number", "nothing == 1", "number == 99999999999999999999", "comm == 1"])
def test_k38_all_else_is_invalid(text: str) -> None:
    assert refusal(text) == errno.EINVAL


def test_every_tracepoint_has_the_name_and_the_cpu() -> None:
    assert lets_through('comm == "actor" && CPU == 0')
    assert not lets_through('comm == "actor" && CPU == 0', cpu=1)
    assert not lets_through('COMM ~ "x*"')


def test_a_field_of_its_own_hides_the_name_of_the_task() -> None:
    point = Tracepoint(8, "test:wakeup", (Field("char comm[16]", "16s"),))
    assert point.values(1, {"comm": "woken"}, comm="waker", cpu=0)["comm"] == "woken"


def test_filters_by_stack_are_not_simulated() -> None:
    with pytest.raises(NotImplementedError, match="stacktrace"):
        parse_filter("stacktrace == 1", POINT)
