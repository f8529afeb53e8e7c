"""`perfring top`: what it measures and shows on a simulated machine, and what it refuses."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from perfring.advice import Advice, Concern, Setting
from perfring.cli import main, top
from perfring.cli._top_meter import Interval, RingInterval, awake_seconds
from perfring.cli._top_run import Monitor
from perfring.cli._top_screen import Screen, named
from perfring.errors import CommandNotStarted
from simkernel import SimKernel
from simkernel.tasks import Spend
from simkernel.workload import constant
from tests.unit._opening import PaperKernel
from tests.unit._simulated import machine

GETPPID = "-e syscalls:sys_enter_getppid --no-side-band"
Top = Callable[[str], list[str]]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> SimKernel:
    """Two CPUs; on the first somebody calls getppid 10,000 times a second, 56 bytes each."""
    made = machine()
    made.spawn(constant(10_000, between=Spend), cpu=0)
    monkeypatch.setattr(top, "_this_kernel", lambda: made)
    return made


@pytest.fixture
def run(kernel: SimKernel, capsys: pytest.CaptureFixture[str]) -> Top:
    """Runs it with these options, and returns the lines of its output."""

    def run(words: str) -> list[str]:
        assert main(["top", *GETPPID.split(), *words.split()]) == 0
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def intervals(run: Top) -> Callable[[str], list[dict[str, Any]]]:
    return lambda words: [json.loads(line) for line in run(f"--json {words}")]


Intervals = Callable[[str], list[dict[str, Any]]]


def test_there_is_one_object_for_each_interval(intervals: Intervals) -> None:
    found = intervals("--interval 0.02 --duration 0.1")
    assert [each["time"] for each in found] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1], abs=0.001)
    assert all([ring["cpu"] for ring in each["rings"]] == [0, 1] for each in found)


def test_the_last_interval_is_as_short_as_the_duration(intervals: Intervals) -> None:
    assert [each["seconds"] for each in intervals("--interval 1 --duration 0.01")] == pytest.approx([0.01], abs=0.001)


def test_once_is_one_interval(intervals: Intervals) -> None:
    assert len(intervals("--once --interval 0.01 --duration 5")) == 1


def test_counts_are_those_of_the_interval_and_by_cpu(intervals: Intervals) -> None:
    busy, idle = intervals("--interval 0.1 --duration 0.3 --watermark 5600 --pages 4")[-1]["rings"]
    # 1000 records, woken for each 101st: the watermark has to be passed.
    assert busy["bytes"] == pytest.approx(56_000, abs=56)
    assert busy["wakeups"] in (9, 10)
    assert (idle["records"], idle["wakeups"], idle["fill"]) == (0, 0, 0)
    assert 5600 < busy["highest_fill"] < 6000


def test_what_lies_in_a_ring_counts_as_having_come(intervals: Intervals) -> None:
    (interval,) = intervals("--once --interval 0.1 --max-latency none")
    busy = interval["rings"][0]
    assert (busy["records"], busy["wakeups"]) == (0, 0)
    assert busy["bytes"] == busy["fill"] == pytest.approx(56_000, abs=56)


def test_losses_are_counted_in_the_interval_and_so_far(intervals: Intervals) -> None:
    before, after = intervals("--interval 0.1 --duration 0.2 --pages 1 --watermark 4088 --max-latency 10")
    assert before["rings"][0]["lost"] > 900
    assert after["rings"][0]["lost_so_far"] == before["rings"][0]["lost"] + after["rings"][0]["lost"]


def test_a_look_between_two_intervals_drains_nothing(intervals: Intervals) -> None:
    found = intervals("--interval 0.01 --duration 0.05 --max-latency none")
    assert [each["rings"][0]["records"] for each in found] == [0] * 5


@pytest.mark.parametrize(
    ("words", "concern"),
    [
        ("--pages 1 --watermark 4000 --max-latency none", "stall"),
        ("--pages 1 --max-latency 0.004 --wakeup-events 1000", None),
        ("--pages 16 --watermark 64", "wakeups"),
        ("--pages 1 --watermark 4088 --max-latency 0.007", "headroom"),
        ("--pages 1 --watermark 4088 --max-latency 0.05", "loss"),
        ("--pages 1024 --watermark 2000000 --max-latency none", "lateness"),
    ],
)
def test_what_is_advised_does_well(intervals: Intervals, words: str, concern: str | None) -> None:
    (interval,) = intervals(f"--once --interval 0.5 {words}")
    assert [advice["concern"] for advice in interval["advice"]] == ([] if concern is None else [concern])
    for advice in interval["advice"]:
        pages = advice["pages"] or int(words.split()[1])
        bound = words.rsplit("--max-latency ", maxsplit=1)[-1] if "--max-latency" in words else "1"
        better = f"--pages {pages} --watermark {advice['watermark']} --max-latency {bound}"
        (again,) = intervals(f"--once --interval 0.5 {better}")
        assert again["advice"] == []


def test_a_page_shows_every_ring_the_sum_and_the_verdict(run: Top) -> None:
    lines = run("--once --interval 0.1 --watermark 16384 --pages 16")
    assert lines[0].startswith("perfring top  syscalls:sys_enter_getppid  0 s")
    assert lines[1] == "rings of 16 pages, 65,536 bytes, watermark 16,384, drained every 1 s at least"
    assert [line.split()[0] for line in lines[2:6]] == ["cpu", "0", "1", "all"]
    assert lines[6] == "The watermark does well."


def test_a_page_says_when_nothing_came(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "_this_kernel", machine)
    assert main(["top", *GETPPID.split(), "--once", "--interval", "0.01"]) == 0
    assert capsys.readouterr().out.endswith("Nothing has come, so there is nothing to say of the watermark.\n")


@pytest.mark.perf_linux
def test_what_came_before_the_first_look_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "-e", "dummy", "--user-only", "--json", "--once", "--", "true"]) == 0
    rings = json.loads(capsys.readouterr().out)["rings"]
    assert sum(ring["records"] for ring in rings) > 3  # true was executed, mapped, and ended
    assert sum(ring["bytes"] for ring in rings) > 200


def test_a_terminal_gets_the_last_page_when_it_is_over(kernel: SimKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=100, height=30, record=True, highlight=False)
    monkeypatch.setattr("perfring.cli._top_run.Console", lambda **_: console)
    assert main(["top", *GETPPID.split(), "--interval", "0.01", "--duration", "0.03"]) == 0
    shown = console.export_text()
    assert "(Ctrl-C ends)" in shown
    assert shown.rstrip().endswith("The watermark does well.")


@pytest.mark.usefixtures("kernel")
def test_a_terminal_is_not_empty_while_the_first_interval_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=100, height=30, record=True, highlight=False)
    monkeypatch.setattr("perfring.cli._top_run.Console", lambda **_: console)
    monkeypatch.setattr(Monitor, "_watch", lambda *_: None)
    assert main(["top", *GETPPID.split(), "--interval", "100"]) == 0
    assert "the first interval runs  (Ctrl-C ends)" in console.export_text()


def test_the_processes_own_time_is_nothing_beside_virtual_time(intervals: Intervals) -> None:
    assert intervals("--once --interval 0.01")[0]["busy"] is None


def test_a_thread_that_works_is_awake() -> None:
    before = awake_seconds()
    sum(range(1_000_000))
    assert awake_seconds() > before


def test_a_kernel_without_schedstat_has_the_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfring.cli._top_meter.Path", lambda _: Path("/nowhere"))
    assert 0 < awake_seconds() <= time.process_time()


def test_the_end_of_the_targets_is_the_end(intervals: Intervals, kernel: SimKernel) -> None:
    pid = kernel.spawn(constant(10_000, count=100), cpu=1).pid
    found = intervals(f"--interval 0.004 --pid {pid}")
    assert sum(each["rings"][1]["records"] for each in found) == 100
    assert len(found) == 3


# Usage.


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--interval 0", "--interval is 0"),
        ("--interval nan", "--interval is nan"),
        ("--duration 0", "--duration is 0"),
        ("--pages 1 --watermark 65536", "65536"),
        ("--pid 1 -- ls", "'ls'"),
    ],
)
def test_wrong_usage_is_refused_with_the_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, named: str
) -> None:
    monkeypatch.setattr(top, "_this_kernel", PaperKernel)
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["top", *words.split()]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.usefixtures("kernel")
def test_a_command_that_is_not_there_comes_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def watch(*_: object) -> None:
        raise CommandNotStarted(errno.ENOENT, "no-such")

    monkeypatch.setattr(Monitor, "_watch", watch)
    assert main(["top", *GETPPID.split()]) == 1
    said = "perfring: no-such: No such file or directory; name a program on PATH, or the path of one\n"
    assert capsys.readouterr().err == said


# The parts.


def an_interval(*fills: int, lost: int = 0, highest: int = 0) -> Interval:
    setting = Setting(
        page_count=1, page_size=4096, watermark=1024, record_bytes=(56, 56), lost_bytes=48, max_latency=None
    )
    zeros = dict.fromkeys(("wakeups", "spurious_wakeups", "lost"), 0)
    rings = [
        RingInterval(cpu=cpu, records=cpu, bytes=56 * cpu, lost_so_far=lost, fill=fill, highest_fill=highest, **zeros)
        for cpu, fill in enumerate(fills)
    ]
    return Interval(since_begin=1, seconds=1, setting=setting, rings=tuple(rings), timeouts=0, busy=0.25, advice=())


def lines_of(screen: Screen, interval: Interval, *, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - never written
    with console.file:
        console.print(screen.draw(interval))
        return console.export_text().splitlines()


def headings_of(width: int) -> str:
    lines = lines_of(Screen(["x"], width=width, height=24), an_interval(0, 0), width=width)
    return " ".join(next(line for line in lines if line.split()[:1] == ["cpu"]).split())


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (12, "cpu lost"),
        (20, "cpu lost/s lost"),
        (30, "cpu most lost/s lost"),
        (40, "cpu records/s now most lost/s lost"),
        (50, "cpu records/s now most wakes/s lost/s lost"),
        (60, "cpu records/s fill now most wakes/s lost/s lost"),
        (70, "cpu records/s bytes/s fill now most wakes/s lost/s lost"),
        (80, "cpu records/s bytes/s fill now most wakes/s spurious lost/s lost"),
        (120, "cpu records/s bytes/s fill now most wakes/s spurious lost/s lost"),
    ],
)
def test_a_narrow_screen_leaves_out_what_matters_least_and_keeps_what_was_lost(width: int, shown: str) -> None:
    assert headings_of(width) == shown


def test_the_losses_end_every_line_of_a_ring_whatever_the_width() -> None:
    interval = an_interval(0, 0, lost=1_234_567)
    for width in range(12, 130):
        lines = lines_of(Screen(["x"], width=width, height=24), interval, width=width)
        heading = next(place for place, line in enumerate(lines) if line.split()[:1] == ["cpu"])
        assert [line.split()[-1] for line in lines[heading : heading + 4]] == ["lost", "1235k", "1235k", "2469k"], width


@pytest.mark.parametrize("width", [50, 60])
def test_the_share_of_time_that_the_reader_was_busy_is_told_without_the_bar_too(width: int) -> None:
    lines = lines_of(Screen(["x"], width=width, height=24), an_interval(0, 0), width=width)
    assert sum("busy 25%" in line for line in lines) == 1


def test_events_that_the_title_has_no_room_for_are_counted() -> None:
    names = [f"sched:{name}" for name in ("sched_switch", "sched_wakeup", "sched_waking")]
    assert named(names, 58) == ", ".join(names)
    assert [named(names, cells) for cells in (57, 52, 51, 1)] == [
        "sched:sched_switch, sched:sched_wakeup and 1 more",
        "sched:sched_switch, sched:sched_wakeup and 1 more",
        "sched:sched_switch and 2 more",
        "sched:sched_switch and 2 more",
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_advice_in_a_narrow_window_is_not_pushed_out_of_it(width: int) -> None:
    advice = Advice(concern=Concern.LOSS, cpu=0, text="word " * 150 + "end", watermark=None, pages=None)
    interval = replace(an_interval(*[0] * 64), advice=(advice,))
    lines = lines_of(Screen(["x"] * 40, width=width, height=40), interval, width=width)
    assert (len(lines) <= 40, lines[-1].split()[-1]) == (True, "end")


@pytest.mark.parametrize("width", [12, 40, 60, 80, 120, 200])
def test_no_line_is_longer_than_the_screen(width: int) -> None:
    lines = lines_of(Screen(["x"], width=width, height=24), an_interval(*range(64)), width=width)
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("height", [24, 50])
def test_many_cpus_fit_the_screen_and_the_busiest_are_shown(height: int) -> None:
    lines = lines_of(Screen(["x"], width=80, height=height), an_interval(*[0] * 64))
    shown = [int(line.split()[0]) for line in lines if line.split()[0].isdigit()]
    assert shown == list(range(64 - len(shown), 64))
    assert f"and {64 - len(shown)} more CPUs, which do less" in lines
    assert len(lines) <= height


def test_a_bar_shows_now_the_most_so_far_and_the_watermark() -> None:
    screen = Screen(["x"], width=81, height=24, ascii_only=True)
    line = next(line for line in lines_of(screen, an_interval(512, highest=3072)) if line.lstrip().startswith("0 "))
    bar = next(word for word in line.split() if "#" in word)
    assert bar == "###=|========...."
    assert len(bar) == 17


def test_one_ring_has_no_sum() -> None:
    assert not [
        line for line in lines_of(Screen(["x"], width=80, height=24), an_interval(0)) if line.startswith(" all")
    ]


def test_a_monitor_is_only_live_on_a_terminal(kernel: SimKernel) -> None:
    from perfring.cli._choices import Choices

    choices = Choices(events=("syscalls:sys_enter_getppid",), side_band=False, duration=0.01)
    monitor = Monitor(kernel, choices.plan(kernel), choices, interval=0.01, json=False, once=False)
    assert type(monitor._view).__name__ == "_Pages"
    assert monitor.run() == 0
