from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import pytest

from perfring.builder import SessionBuilder
from perfring.plan import SessionPlan
from tests.unit._planning import fixed_tracepoint, planning_kernel

if TYPE_CHECKING:
    from perfring.kernel import Kernel


class FakeSession:
    def __init__(self, kernel: Kernel, plan: SessionPlan) -> None:
        self.kernel = kernel
        self.plan = plan
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _fake_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("perfring.session")
    module.__dict__["Session"] = FakeSession
    monkeypatch.setitem(sys.modules, "perfring.session", module)


def built(builder: SessionBuilder) -> FakeSession:
    return cast("FakeSession", builder.build(planning_kernel()))


def test_build_opens_the_plan_on_the_kernel() -> None:
    kernel = planning_kernel()
    session = cast("FakeSession", fixed_tracepoint().build(kernel))
    assert session.kernel is kernel
    assert session.plan.page_count == fixed_tracepoint().plan(kernel).page_count


def test_build_sends_overwrite_rings_to_the_other_method() -> None:
    with pytest.raises(ValueError, match=r"build_overwrite\(\)"):
        built(fixed_tracepoint().with_overwrite())


def test_builder_hooks_run_in_their_order_and_change_what_is_built() -> None:
    builder = fixed_tracepoint().with_hooks(builder=lambda builder: builder.with_page_count(2))
    assert built(builder.with_hooks(builder=lambda builder: builder.with_page_count(4))).plan.page_count == 4


def test_session_hooks_run_last_in_their_order() -> None:
    seen: list[str] = []
    builder = fixed_tracepoint()
    builder = builder.with_hooks(session=lambda session: seen.append("first"))
    built(builder.with_hooks(session=lambda session: seen.append("second")))
    assert seen == ["first", "second"]


def test_session_hook_gets_the_session() -> None:
    seen: list[Any] = []
    session = built(fixed_tracepoint().with_hooks(session=seen.append))
    assert seen == [session]


def test_hooks_that_a_hook_adds_run_too() -> None:
    seen: list[Any] = []

    def adds(builder: SessionBuilder) -> SessionBuilder:
        return builder.with_hooks(builder=lambda builder: builder.with_page_count(8), session=seen.append)

    session = built(fixed_tracepoint().with_hooks(builder=adds))
    assert session.plan.page_count == 8
    assert seen == [session]


def test_session_is_closed_when_a_session_hook_fails() -> None:
    seen: list[FakeSession] = []

    def fails(session: object) -> None:
        seen.append(cast("FakeSession", session))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        built(fixed_tracepoint().with_hooks(session=fails))
    assert seen[0].closed


def test_error_of_a_builder_hook_is_passed_on() -> None:
    def fails(builder: SessionBuilder) -> SessionBuilder:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        built(fixed_tracepoint().with_hooks(builder=fails))


def test_builder_hook_must_return_a_builder() -> None:
    hook = cast("Any", lambda builder: None)
    with pytest.raises(TypeError, match="returned None: it must return a SessionBuilder"):
        built(fixed_tracepoint().with_hooks(builder=hook))


def test_builder_hooks_run_at_each_build() -> None:
    builder = fixed_tracepoint().with_hooks(builder=lambda builder: builder.with_page_count(2))
    assert [built(builder).plan.page_count, built(builder).plan.page_count] == [2, 2]


def test_hook_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="session hook is 5"):
        SessionBuilder().with_hooks(session=cast("Any", 5))


def test_with_hooks_without_a_hook_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a builder hook"):
        SessionBuilder().with_hooks()
