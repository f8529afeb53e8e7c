"""Readers watched on the simulated kernel; tests/linux watches them on the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from perfring.geometry import Outcome
from perfring.stories import STORIES, Story, watch
from perfring.timeline import RingTimeline, Timeline
from perfring.verify import Arm
from simkernel import SimKernel

HALF, SAFE, BELOW, BELOW_AND_LOST, FULLEST, RING = STORIES


@contextmanager
def _arm() -> Iterator[Arm]:
    kernel = SimKernel(page_size=4096)
    yield Arm("simulated", kernel, kernel.actor())


def _watched(story: Story) -> Timeline:
    with _arm() as arm:
        return watch(arm, story)


def _ring(story: Story) -> RingTimeline:
    (ring,) = _watched(story).rings
    return ring


@pytest.mark.parametrize(
    ("story", "outcome", "stalled"),
    [
        (HALF, Outcome.LIVE, False),
        (SAFE, Outcome.LIVE, False),
        (BELOW, Outcome.DEPENDS, False),
        (BELOW_AND_LOST, Outcome.DEPENDS, True),
        (FULLEST, Outcome.STALLS, True),
        (RING, Outcome.STALLS, True),
    ],
    ids=lambda value: value.title if isinstance(value, Story) else str(value),
)
def test_each_story_ends_as_the_rule_says(story: Story, outcome: Outcome, stalled: bool) -> None:
    seen = _watched(story)
    assert (seen.outcome, seen.stalled) == (outcome, stalled)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_what_was_foretold_was_seen(story: Story) -> None:
    told = [text for name, text in _watched(story).facts.items() if "wake" in name and "foretold" in text]
    assert told
    for text in told:
        foretold, seen = text.removeprefix("foretold ").split(", seen ")
        assert foretold == seen


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_every_record_is_drained_lost_or_left(story: Story) -> None:
    ring = _ring(story)
    left = [fill.used for fill in ring.fills][-1] // 56
    assert len(ring.latencies) + ring.lost + left == 219


def test_k42_the_only_wake_is_the_one_before_the_loss() -> None:
    ring = _ring(BELOW_AND_LOST)
    assert (len(ring.wakes), len(ring.drains), ring.fills[-1].used) == (1, 1, 4080)


def test_the_cursor_moves_by_the_watermark_on_each_wake() -> None:
    ring = _ring(HALF)
    assert ring.fills[-1].wakeup == 2048 * len(ring.wakes) > 0


def test_times_go_up() -> None:
    ring = _ring(SAFE)
    for events in (ring.fills, ring.wakes, ring.drains, ring.losses):
        assert [event.at_ns for event in events] == sorted(event.at_ns for event in events)


def test_the_ring_is_closed() -> None:
    with _arm() as arm:
        before = str(arm.kernel)
        watch(arm, HALF)
        assert str(arm.kernel).count("perf_event") == before.count("perf_event")
