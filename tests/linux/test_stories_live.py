"""Readers watched on this kernel see what they see on the simulated one."""

from __future__ import annotations

from mmap import PAGESIZE

import pytest

from perfring.stories import STORIES, Story, watch
from perfring.timeline import RingTimeline
from perfring.verify import Arm, linux_arm
from simkernel import SimKernel


def _simulated(story: Story) -> RingTimeline:
    kernel = SimKernel(page_size=PAGESIZE)
    (ring,) = watch(Arm("simulated", kernel, kernel.actor()), story).rings
    return ring


def _real(story: Story) -> RingTimeline:
    with linux_arm() as arm:
        (ring,) = watch(arm, story).rings
    return ring


def _levels(ring: RingTimeline) -> list[tuple[int, int]]:
    return [(fill.head, fill.tail) for fill in ring.fills]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_both_kernels_tell_the_same_story(story: Story) -> None:
    real, simulated = _real(story), _simulated(story)
    assert _levels(real) == _levels(simulated)
    assert (len(real.wakes), real.lost, real.stalled) == (len(simulated.wakes), simulated.lost, simulated.stalled)
