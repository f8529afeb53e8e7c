"""`perfring record`: what is refused before anything is opened, commands that do not run, how records are written."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from perfring import abi
from perfring.cli import main, record
from perfring.cli._choices import Choices
from perfring.cli._json import JsonLines
from perfring.cli._lines import Lines, Names, printable
from perfring.cli._output import JsonWriter, Output
from perfring.kernel import Kernel
from perfring.layout import EventLayout
from perfring.linux import LinuxKernel
from perfring.plan import SessionPlan
from perfring.records import Record, Sample
from perfring.sideband import Comm, Exit, Fork, Lost, Mmap2
from perfring.tracepoint import parse_format
from simkernel.workload import constant
from tests.unit._opening import PaperKernel
from tests.unit._simulated import machine, watching
from tests.unit.test_perfdata_writer import files_of_at_most

FORMAT = """name: sys_enter_getppid
ID: 5
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
"""
WITH_TEXT = FORMAT + "\tfield:char comm[4];\toffset:12;\tsize:4;\tsigned:0;\n"
COMMON = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME


def _layout(more: int = 0, *, format: str | None = None, name: str = "an %event") -> EventLayout:
    attr = abi.PerfEventAttr(sample_type=COMMON | more, sample_id_all=True)
    return EventLayout(attr, name=name, kind="custom", format=parse_format(format, system="s") if format else None)


def _sample(layout: EventLayout, **values: Any) -> Sample:
    known = {"id": 7, "pid": 10, "tid": 11, "time": 1_234_567_890, **values}
    return Sample(layout, 3, 64, 0, 56, tuple(known[name] for name in layout.places))


# Usage.


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--pages 1 --watermark 65536", "65536"),
        ("--pages 0", "page_count is 0"),
        ("--watermark 8 --wakeup-events 2", "--watermark 8 and --wakeup-events 2"),
        ("--freq 0", "--freq is 0"),
        ("-e dummy --freq 50", "--freq is 50"),
        ("--max-latency soon", "'soon'"),
        ("--max-latency 0", "0"),
        ("--duration 0", "--duration is 0"),
        ("--duration nan", "--duration is nan"),
        ("--cpu 0-x", "'0-x'"),
        ("--cpu ,", "','"),
        ("--pid 0", "pid is 0"),
        ("--pid 1 -- ls", "'ls'"),
        ("--user-only", "--user-only"),
        ("--environment -- ls", "'ls'"),
        ("-e no-such-event", "'no-such-event'"),
        ("-e bpf-output", "bpf-output"),
        ("--filter x", "'x'"),
        ("-e a:b,c:d --filter x", "a:b, c:d"),
        ("-e a:b --filter x --filter y", "'y'"),
        ("-e a:* --filter b:c:x", "b:c is not recorded; name it with --event b:c"),
        ("-e a:{b}*", "'a:{b}*'"),
        ("--json -o x.data", "x.data is a file for perf"),
        ("--output=", "-o is ''"),
    ],
)
def test_wrong_usage_is_refused_with_the_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, named: str
) -> None:
    monkeypatch.setattr(record, "_this_kernel", PaperKernel)
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["record", *words.split()]) == 2
    assert named in capsys.readouterr().err


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SessionPlan, Choices]]:
    """What would have been carried out: nothing is opened."""
    found: list[tuple[SessionPlan, Choices]] = []

    class Paper:
        def __init__(self, kernel: Kernel, plan: SessionPlan, choices: Choices, **other: object) -> None:
            found.append((plan, choices))

        def run(self) -> int:
            return 0

    monkeypatch.setattr(record, "_this_kernel", PaperKernel)
    monkeypatch.setattr("perfring.cli._recorder.Recorder", Paper)
    return found


def _plan(made: list[tuple[SessionPlan, Choices]], words: str) -> SessionPlan:
    assert main(["record", *words.split()]) == 0
    return made[-1][0]


def test_by_default_cpu_clock_is_sampled_with_its_place_and_side_band(
    made: list[tuple[SessionPlan, Choices]],
) -> None:
    side_band, clock = _plan(made, "").events
    assert (side_band.name, clock.name, clock.attr.sample_freq) == ("side-band", "cpu-clock", 99)
    assert clock.attr.sample_type & abi.PERF_SAMPLE_IP


def test_without_side_band_only_the_events_are_left(made: list[tuple[SessionPlan, Choices]]) -> None:
    assert [spec.name for spec in _plan(made, "--no-side-band").events] == ["cpu-clock"]


@pytest.mark.parametrize(
    ("event", "added"),
    [
        ("cpu-clock", abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_PERIOD),
        ("context-switches", abi.PERF_SAMPLE_CPU),
        ("instructions", abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_PERIOD),
        ("cpu-migrations", abi.PERF_SAMPLE_CPU),
    ],
)
def test_a_sample_for_perf_has_its_cpu_and_what_it_stands_for(
    made: list[tuple[SessionPlan, Choices]], event: str, added: int
) -> None:
    plain, for_perf = (_plan(made, f"-e {event} {words}").events[-1].attr for words in ("", "-o x.data"))
    assert plain.sample_type | added == for_perf.sample_type != plain.sample_type


def test_a_terminal_user_waits_a_second_at_most_unless_told_otherwise(
    made: list[tuple[SessionPlan, Choices]],
) -> None:
    latencies = [_plan(made, words).max_latency for words in ("", "--max-latency 2.5", "--max-latency none")]
    assert latencies == [1.0, 2.5, None]


def test_rings_and_targets_are_those_asked_for(made: list[tuple[SessionPlan, Choices]]) -> None:
    plan = _plan(made, "--pages 5 --watermark 4000 -p 3 --pid 4 -C 0-2,5")
    assert (plan.page_count, plan.wakeup_watermark, plan.pids, plan.cpus) == (8, 4000, (3, 4), (0, 1, 2, 5))


def test_a_command_is_followed_from_its_execve_with_its_children(made: list[tuple[SessionPlan, Choices]]) -> None:
    plan = _plan(made, "ls --json -e x")
    assert (plan.enable_on_exec, plan.inherit) == (True, True)


def test_options_behind_the_command_are_its_own(made: list[tuple[SessionPlan, Choices]]) -> None:
    _plan(made, "-g ls --json -- -e x")
    assert made[-1][1].command == ["ls", "--json", "--", "-e", "x"]


def test_a_stall_that_nothing_bounds_is_warned_of(
    made: list[tuple[SessionPlan, Choices]], capsys: pytest.CaptureFixture[str]
) -> None:
    _plan(made, "--pages 1 --watermark 4095 --max-latency none")
    assert capsys.readouterr().err.startswith("perfring: warning: a wakeup watermark of 4095 bytes")


def _filters(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[SessionPlan, Choices]], words: list[str]
) -> dict[str, str | None]:
    monkeypatch.setattr(record, "_this_kernel", machine)
    assert main(["record", "--no-side-band", *words]) == 0
    return {spec.name: spec.filter for spec in made[-1][0].events}


def test_a_glob_records_what_matches_with_its_filter(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[SessionPlan, Choices]]
) -> None:
    found = _filters(
        monkeypatch, made, ["-e", "sched:sched_wakeup*,task:task_rename", "--filter", "sched:sched_wakeup*: pid > 1"]
    )
    assert found == {"sched:sched_wakeup": "pid > 1", "sched:sched_wakeup_new": "pid > 1", "task:task_rename": None}


def test_one_tracepoint_of_a_glob_has_a_filter_of_its_own(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[SessionPlan, Choices]]
) -> None:
    words = ["-e", "sched:sched_wakeup*", "--filter", "sched:sched_wakeup_new: pid > 1", "--filter"]
    found = _filters(monkeypatch, made, [*words, "sched:sched_wakeup*: pid > 2"])
    assert found == {"sched:sched_wakeup": "pid > 2", "sched:sched_wakeup_new": "pid > 1"}


def test_one_tracepoint_of_a_glob_for_perf_has_what_perf_looks_for(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[SessionPlan, Choices]]
) -> None:
    _filters(monkeypatch, made, ["-e", "sched:*", "--filter", "sched:sched_switch: prev_pid > 1", "-o", "x.data"])
    assert all(spec.attr.sample_type & abi.PERF_SAMPLE_CPU for spec in made[-1][0].events)


@pytest.mark.parametrize(("seconds", "said"), [(0.1, ""), (2.0, "2 tracepoints: to close them will take the kernel")])
def test_many_tracepoints_are_told_to_take_long_to_close(
    monkeypatch: pytest.MonkeyPatch,
    made: list[tuple[SessionPlan, Choices]],
    capsys: pytest.CaptureFixture[str],
    seconds: float,
    said: str,
) -> None:
    monkeypatch.setattr("perfring.cli._choices._SECONDS_TO_CLOSE", seconds)
    _filters(monkeypatch, made, ["-e", "sched:sched_wakeup*"])
    assert capsys.readouterr().err == (f"perfring: {said} some 4 s\n" if said else "")


@pytest.mark.parametrize("suffix", ["data", "parquet", "jsonl"])
@pytest.mark.parametrize(("command", "status"), [("no-such-command", 127), ("/", 126)])
def test_an_earlier_recording_is_not_emptied_for_a_command_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    suffix: str,
    command: str,
    status: int,
) -> None:
    monkeypatch.setattr(record, "_this_kernel", PaperKernel)
    kept = tmp_path / f"kept.{suffix}"
    kept.write_text("precious")
    assert main(["record", "-o", str(kept), "--", command]) == status
    assert (kept.read_text(), capsys.readouterr().err.split(":")[:2]) == ("precious", ["perfring", f" {command}"])


# Lines of JSON.


@pytest.mark.parametrize(
    "sample",
    [
        _sample(_layout()),
        _sample(_layout(abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_PERIOD), ip=2**64 - 1, period=0),
        _sample(_layout(abi.PERF_SAMPLE_CALLCHAIN), callchain=(1, 2)),
        _sample(_layout(abi.PERF_SAMPLE_RAW), raw=b"ab"),
        _sample(_layout(abi.PERF_SAMPLE_RAW, format=FORMAT), raw=pack("=8xi", -110)),
        _sample(_layout(abi.PERF_SAMPLE_RAW, format=FORMAT), raw=b"short"),
        _sample(_layout(abi.PERF_SAMPLE_RAW, format=WITH_TEXT), raw=pack("=8xi4s", 1, b'"\xff\n')),
        _sample(_layout(abi.PERF_SAMPLE_RAW | abi.PERF_SAMPLE_ADDR, format=FORMAT), raw=bytes(16), addr=5),
    ],
)
def test_json_line_of_a_sample_is_its_dict(sample: Sample) -> None:
    line = JsonLines().of(sample)
    assert line.endswith("}\n")
    assert list(json.loads(line).items()) == list(json.loads(json.dumps(sample.to_dict())).items())


def test_json_line_of_another_record_is_its_dict() -> None:
    comm = Comm(pid=1, tid=2, time=3, comm="a\udcffb", misc=abi.PERF_RECORD_MISC_COMM_EXEC)
    assert json.loads(JsonLines().of(comm)) == comm.to_dict()


# Lines for people.


@pytest.fixture
def line() -> Callable[[Record], str]:
    return Lines(Names(LinuxKernel())).of


def test_line_has_time_cpu_task_event_and_fields(line: Callable[[Record], str]) -> None:
    line(Comm(pid=10, tid=11, comm="worker"))
    sample = _sample(_layout(abi.PERF_SAMPLE_RAW, format=FORMAT, name="s:e"), raw=pack("=8xi", 110))
    assert line(sample) == "      1.234567 [003] worker          10/11       s:e __syscall_nr=110\n"


def test_call_chain_stands_below_with_where_it_was(line: Callable[[Record], str]) -> None:
    chain = (abi.PERF_CONTEXT_KERNEL, 0xFFFFFFFF81000000, abi.PERF_CONTEXT_USER, 0x401000)
    below = line(_sample(_layout(abi.PERF_SAMPLE_CALLCHAIN), callchain=chain)).splitlines()[1:]
    assert [text.split() for text in below] == [["ffffffff81000000", "kernel"], ["401000", "user"]]


def test_a_new_thread_has_the_name_of_the_one_that_made_it(line: Callable[[Record], str]) -> None:
    line(Comm(pid=2**30, tid=2**30, comm="parent"))
    line(Fork(pid=2**30, tid=2**30 + 1, ppid=2**30, ptid=2**30))
    assert " parent " in line(Exit(pid=2**30, tid=2**30 + 1))


def test_a_thread_that_is_gone_has_no_name(line: Callable[[Record], str]) -> None:
    assert " ? " in line(Exit(pid=2**30, tid=2**30))


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (Comm(pid=1, tid=1, comm="new", misc=abi.PERF_RECORD_MISC_COMM_EXEC), 'comm "new" by exec'),
        (Lost(lost=12), "lost 12 records: the ring was full"),
        (
            Mmap2(pid=1, tid=1, addr=0x1000, length=0x2000, prot=5, flags=2, filename="/bin/x"),
            "mmap2 r-xp 0x1000+0x2000 @0x0 /bin/x",
        ),
    ],
)
def test_side_band_reads_as_a_sentence(line: Callable[[Record], str], record: Record, text: str) -> None:
    assert line(record).rstrip().endswith(text)


def test_names_cannot_command_the_terminal() -> None:
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"


def test_colour_is_for_terminals_only() -> None:
    lost = Lost(lost=1)
    assert "\x1b[1;31mlost" in Lines(Names(LinuxKernel()), colour=True).of(lost)
    assert "\x1b" not in Lines(Names(LinuxKernel())).of(lost)


# Output.


def test_a_name_that_is_no_text_is_written_escaped(tmp_path: Path) -> None:
    with Output(str(tmp_path / "out")) as output:
        output.write("a\udcffb\n")
    assert (tmp_path / "out").read_bytes() == b"a\\udcffb\n"


def test_a_file_that_cannot_grow_keeps_whole_lines_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Output(str(path)) as output:
        resource.setrlimit(resource.RLIMIT_FSIZE, (25, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                output.write("123456789\n" * 3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.filename, path.read_text()) == (str(path), "123456789\n" * 2)


def test_a_disk_that_fills_up_ends_the_recording_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    kernel, path = machine(cpus=1), tmp_path / "out.jsonl"
    kernel.spawn(constant(10_000, count=200), cpu=0)
    with watching(pages=4, watermark=2048).build(kernel) as session, Output(str(path)) as output:
        writer = JsonWriter(output)
        writer.begin(session, environment=False)
        session.enable()
        with files_of_at_most(5000):
            for batch in session.batches():  # ends by itself
                writer.write(batch)
            writer.finish({})
    lines = path.read_text().splitlines()
    assert all(json.loads(line)["kind"] == "sample" for line in lines)
    assert (
        f"{len(lines)} records are in the file, and {session.statistics().records - len(lines)} are not"
        in writer.failure
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
def test_where_nothing_stays_a_refused_write_is_an_error() -> None:
    with Output("/dev/full") as output, pytest.raises(OSError, match="No space left"):
        JsonWriter(output).write([Lost(lost=1)])
