"""Right consumers pass check_consumer; each wrong one fails the check that is about its mistake."""

from __future__ import annotations

import re
import runpy
import textwrap
from collections.abc import Callable

import pytest

from simkernel.contract import check_consumer
from simkernel.contract.consumer_suite import consumer_checks
from simkernel.contract.session_consumer import SessionConsumer
from simkernel.contract.suite import Report
from tests.quality import consumers
from tests.quality.project import ROOT

WAKING = (
    "wakeup_",
    "waiting_",
    "timeout_",
    "data_before_the_first_wait",
    "end_of_",
    "record",
    "position_",
    "loss_",
    "ring_",
)
# In these, too, the first records come before the first wait.
EARLY = (
    "wakeup_of_an",
    "more_than",
    "record",
    "position_",
    "bytes_",
    "ring_",
    "time_that",
    "header_",
    "loss_",
    "events_that",
    "close_leaves",
)
SPLIT = ("loss_told", "records_after_a_loss", "position_")

# The check that must be the first to find it, and which others may: those that the mistake spoils as well.
FOUND_BY: dict[type[consumers.Right], tuple[str, tuple[str, ...]]] = {
    consumers.DrainsOnlyWhenWoken: ("data_before_the_consumer", ()),
    consumers.RegistersLate: ("data_before_the_first_wait", EARLY),
    consumers.AsksTwice: ("wakeup_between_two_waits", WAKING),
    consumers.WaitsInNestedEpoll: ("wakeup_during_the_wait", (*WAKING, "close_during", "header_", "data_of_")),
    consumers.ForgetsToRearm: ("wakeup_between_two_waits", WAKING),
    consumers.PollsInALoop: ("wakeup_during_the_wait", (*WAKING, "close_during", "header_", "data_of_")),
    consumers.TakesAnEmptyWakeupForTheEnd: (
        "wakeup_of_an_empty_ring",
        ("timeout_with", "records_after_a_loss", "end_of_one"),
    ),
    consumers.TakesATimeoutForTheEnd: ("timeout_with_nothing_to_read", ()),
    consumers.SleepsOnAfterTheTimeout: ("timeout_drains_below_the_watermark", ()),
    consumers.NobodyCanWakeIt: ("close_during_the_wait", ("loss_", "events_that", "close_leaves")),
    consumers.TakesAnyWatermark: ("watermark_that_can_never_be_passed[0]", ("watermark_that_can_never",)),
    consumers.LeavesTheFlagOff: ("events_that_defeat_the_watermark", ()),
    consumers.StopsAtItsBudget: ("more_than_it_takes_at_once", ("loss_told",)),
    consumers.ReadsOnBehindTheEnd: ("record_across_the_end", SPLIT),
    consumers.WrapsOneByteLate: ("record_across_the_end", SPLIT),
    consumers.SkipsTheRestOfTheRing: ("record_across_the_end", SPLIT),
    consumers.TakesHeadForAPlace: ("record_across_the_end", SPLIT),
    consumers.NeverFrees: ("record_across_the_end", ("ring_that", "records_after_a_loss")),
    consumers.KeepsThirtyTwoBits: ("position_that_overflows[4294966896]", ("position_",)),
    consumers.SubtractsWithoutModulo: ("position_that_overflows[18446744073709551216]", ()),
    consumers.FreesBeforeItReads: ("bytes_freed_before_they_were_read", ()),
    consumers.FreesWhatItNeverRead: ("records_that_come_while_it_drains", ()),
    consumers.DrainsUntilEmpty: ("ring_that_is_never_empty", ()),
    consumers.DropsWhatIsLate: ("time_that_runs_backwards", ()),
    consumers.TrustsEveryHeader: ("header_that_makes_no_sense[0]", ("header_",)),
    consumers.StopsAtABadHeader: ("header_that_makes_no_sense[0]", ("header_",)),
    consumers.CountsLostRecordsAsOne: ("loss_told_by_a_record", ("loss_followed",)),
    consumers.CountsOnlyLostRecords: ("loss_followed_by_silence", ()),
    consumers.CountsLossesTwice: ("loss_told_by_a_record", ()),
    consumers.ExpectsOnlySamples: ("loss_told_by_a_record", ("records_after_a_loss",)),
    consumers.SpinsOnHangup: ("data_of_a_task_that_has_exited", ("end_of_",)),
    consumers.LeavesWithoutTheRest: ("data_of_a_task_that_has_exited", ("end_of_one",)),
    consumers.EndsWithTheFirstTask: ("end_of_one_of_two_tasks[0]", ()),
    consumers.ForgetsToClose: ("close_leaves_nothing_open", ()),
    consumers.LeavesItsEventsOpen: ("close_leaves_nothing_open", ()),
    consumers.CannotCloseTwice: ("close_twice", ()),
}


REPORTS: dict[str, Report] = {}


def report_of(consumer: type[consumers.Right]) -> Report:
    if consumer.__name__ not in REPORTS:
        REPORTS[consumer.__name__] = check_consumer(consumer)
    return REPORTS[consumer.__name__]


def failures(report: Report) -> dict[str, str]:
    return {each.check.name: each.text for each in report.outcomes if not each.ok}


@pytest.mark.parametrize("right", [consumers.Right, consumers.OpensItself])
def test_a_right_consumer_passes(right: type[consumers.Right]) -> None:
    report = check_consumer(right)
    assert report.ok, str(report)


def test_the_session_passes_in_time_order() -> None:
    report = check_consumer(SessionConsumer, ordered=True)
    assert report.ok, str(report)


@pytest.mark.parametrize("wrong", FOUND_BY, ids=lambda wrong: wrong.__name__)
def test_a_wrong_consumer_is_found_by_the_check_of_its_mistake(wrong: type[consumers.Right]) -> None:
    expected, others = FOUND_BY[wrong]
    found = failures(report_of(wrong))
    assert next(iter(found), None) == expected
    assert all(name == expected or name.startswith(others) for name in found), found
    print(f"{wrong.__name__} | {expected} | {found[expected]}")  # noqa: T201  # the table: pytest -rP


def test_a_consumer_without_order_fails_only_where_order_is_promised() -> None:
    found = failures(check_consumer(consumers.Right, ordered=True))
    assert list(found) == ["order_over_two_cpus"]


def test_every_check_finds_a_wrong_consumer() -> None:
    found = {name for wrong in FOUND_BY for name in failures(report_of(wrong))} | {"order_over_two_cpus"}
    assert {each.name for each in consumer_checks()} == found


def test_a_nested_epoll_is_named() -> None:
    found = failures(check_consumer(consumers.WaitsInNestedEpoll, only=["wakeup_during_the_wait"]))
    assert "inside another one" in found["wakeup_during_the_wait"]


def test_a_consumer_that_cannot_be_made_fails_in_words() -> None:
    def broken(setup: object) -> consumers.Right:
        raise RuntimeError("no such luck")

    assert "no such luck" in failures(check_consumer(broken, only=["wakeup_during_the_wait"]))["wakeup_during_the_wait"]


def test_an_unknown_check_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'no_such_check'"):
        check_consumer(consumers.Right, only=["no_such_check"])


@pytest.mark.parametrize("fact", ["K14", "K19"])
def test_checks_can_be_chosen_by_fact(fact: str) -> None:
    report = check_consumer(consumers.Right, only=[fact])
    assert report.outcomes
    assert all(fact in each.check.facts for each in report.outcomes)


def test_a_factory_that_cannot_be_called_is_refused() -> None:
    factory: Callable[..., consumers.Right] = "MyConsumer"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="'MyConsumer'"):
        check_consumer(factory)


def test_the_example_of_the_documentation_passes() -> None:
    example = runpy.run_path(str(ROOT / "docs" / "examples" / "check_my_consumer.py"))
    report = check_consumer(example["MyConsumer"])
    assert report.ok, str(report)


def test_the_page_shows_lines_of_the_example() -> None:
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "consumer.md").read_text(), re.DOTALL)
    example = (ROOT / "docs" / "examples" / "check_my_consumer.py").read_text()
    assert shown
    assert all(textwrap.indent(each, "    ") in example for each in shown)
