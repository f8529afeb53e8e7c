"""Mutants of what stands in records, and of which records come when."""

from __future__ import annotations

from typing import Final

from tests.quality.kernel_mutants.mutant import Mutant, mutant

__all__ = ["MUTANTS"]

_SAMPLE: Final = "sampling:Encoder.sample"
_ENCODER: Final = "sampling:Encoder.__init__"
_TIME: Final = "hit.now + self._offset"
_STRING: Final = "sideband:_string"
_SWITCHES: Final = "activity:Activity._switch_records"
_TOLD: Final = "activity:Activity._told"
_TASKS: Final = "activity:Activity._task_records"
_FORK_FLAGS: Final = "attr.task or attr.comm or attr.mmap or attr.mmap2 or attr.mmap_data"

_LAYOUT: Final = (
    mutant("samples of user space are the kernel's", (_SAMPLE, "if hit.user", "if not hit.user")),
    mutant(
        "a sample without fields has an ip",
        (_ENCODER, "in _FIXED if attr.sample_type & bit]", "in _FIXED if (attr.sample_type or PERF_SAMPLE_IP) & bit]"),
    ),
    mutant("IDENTIFIER comes last", (_ENCODER, "in _FIXED if", "in (*_FIXED[1:], _FIXED[0]) if")),
    mutant("a sample has its fields in the opposite order", (_ENCODER, "in _FIXED if", "in _FIXED[::-1] if")),
    mutant("times go back", (_SAMPLE, _TIME, "(1 << 62) - hit.now")),
    mutant("samples are stamped by the monotonic clock", (_SAMPLE, _TIME, "hit.now")),
    mutant("samples are stamped late", (_SAMPLE, _TIME, f"{_TIME} + 10**9")),
    mutant("trailers are stamped by the monotonic clock", ("sampling:Encoder.trailer", "now + self._offset", "now")),
    mutant("a trailer has its fields in the opposite order", (_ENCODER, "in _TRAILER if", "in _TRAILER[::-1] if")),
    mutant("IDENTIFIER comes first in a trailer", (_ENCODER, "in _TRAILER if", "in (_TRAILER[-1], *_TRAILER[:-1]) if")),
    mutant("every record has a trailer", (_ENCODER, "if attr.sample_id_all and attr", "if attr")),
    mutant(
        "a trailer has the fields of a sample",
        (_ENCODER, "in _TRAILER if", 'in (*_TRAILER, (PERF_SAMPLE_IP, "Q", (2,)), (PERF_SAMPLE_READ, "Q", (2,))) if'),
    ),
    mutant("no record has a trailer", (_ENCODER, "if attr.sample_id_all and attr.sample_type & bit", "if False")),
    mutant("the size of raw data is without its padding", ("sampling:_raw", "len(data) + padding", "len(data)")),
    mutant("raw data comes backwards", ("sampling:_raw", "+ data +", "+ data[::-1] +")),
    mutant(
        "raw data has pid and id mixed up",
        ("tracepoints:Tracepoint.encode", "pack(self.id, 0, 1, pid, ", "pack(pid, 0, 1, self.id, "),
    ),
    mutant(
        "the format file counts in steps of 8",
        ("tracepoints:Tracepoint.format_text", "offset += each.size", "offset += 8"),
    ),
    mutant(
        "READ is the count before",
        (_SAMPLE, 'tail = b""', 'tail = bytes(8) if self._attr.sample_type == PERF_SAMPLE_READ else b""'),
    ),
    mutant(
        "a call chain has no marks", ("sampling:Encoder._chain", "chain += (PERF_CONTEXT_USER, *(", "chain += (0, *(")
    ),
    mutant("a call chain counts itself", ("sampling:Encoder._chain", "len(chain), *chain)", "1 + len(chain), *chain)")),
    mutant(
        "BPF output comes from the next CPU",
        ("activity:Activity.bpf_output", "Hit(task, task.cpu.id,", "Hit(task, task.cpu.id + 1,"),
    ),
    mutant("BPF output is cut at 4 KiB", ("actor:Actor.emit", "bytes(payload))", "bytes(payload[:4096]))")),
    mutant("a string has 8 bytes too many", (_STRING, "bytes(-len(raw) % 8)", "bytes(-len(raw) % 8 + 8)")),
    mutant("a string has no zero at its end", (_STRING, '+ b"\\0"', "")),
    mutant("a name has 16 bytes", ("actor:Actor._set_comm", "[:_COMM_BYTES]", "[:16]")),
    mutant("a name has 14 bytes", ("actor:Actor._set_comm", "[:_COMM_BYTES]", "[:14]")),
    mutant("COMM has pid 0", ("sideband:comm_body", "task.pid, task.pid", "0, 0")),
    mutant(
        "MMAP tells the length twice",
        ("sideband:mmap_body", "mapping.length, mapping.pgoff", "mapping.length, mapping.length"),
    ),
    mutant("MMAP does not tell the file", ("sideband:mmap_body", "_string(mapping.path)", '_string("//anon")')),
    mutant(
        "MMAP2 has protection and flags mixed up",
        ("sideband:mmap2_body", "mapping.prot, mapping.flags", "mapping.flags, mapping.prot"),
    ),
    mutant("mmap2 alone writes MMAP", ("activity:Activity.mapped", "if attr.mmap2:", "if attr.mmap2 and attr.mmap:")),
    mutant("mmap2 is mmap", ("activity:Activity.mapped", "if attr.mmap2:", "if False:")),
)

_LIFE: Final = (
    mutant("a disabled event tells side-band", (_TOLD, "event.state >= State.INACTIVE and", "")),
    mutant("no event tells side-band", (_TOLD, "event.state >= State.INACTIVE and", "False and")),
    mutant(
        "FORK has child and parent mixed up",
        ("sideband:task_body", "task.pid, parent, task.pid, parent", "parent, task.pid, parent, task.pid"),
    ),
    mutant("FORK has no time", (_TASKS, "self._clock.now + event.clock_offset", "0")),
    mutant("only task brings FORK", (_TASKS, _FORK_FLAGS, "attr.task")),
    mutant("every event tells FORK", (_TASKS, _FORK_FLAGS, "True")),
    mutant(
        "no EXIT is recorded",
        ("activity:Activity.exited", "self._task_records(task, task, PERF_RECORD_EXIT, task.ppid)", "pass"),
    ),
    mutant("exec leaves no mark in COMM", ("activity:Activity.comm", "PERF_RECORD_MISC_COMM_EXEC if exec else 0", "0")),
    mutant(
        "every COMM has the mark of exec",
        ("activity:Activity.comm", "PERF_RECORD_MISC_COMM_EXEC if exec else 0", "PERF_RECORD_MISC_COMM_EXEC"),
    ),
    mutant(
        "exec maps nothing",
        ("actor:Actor.exec", "self._map(_PROGRAM, _PROGRAM_PAGES * self._machine.page_size, path)", "pass"),
    ),
    mutant(
        "enable_on_exec is ignored", ("activity:Activity.execute", "elif event.attr.enable_on_exec:", "elif False:")
    ),
    mutant("remove_on_exec is ignored", ("activity:Activity.execute", "if event.attr.remove_on_exec:", "if False:")),
    mutant("exec removes every event", ("activity:Activity.execute", "if event.attr.remove_on_exec:", "if True:")),
    mutant("no switch in is recorded", ("activity:Activity.switched_in", "self._switch_records(task, was, 0)", "pass")),
    mutant(
        "a switch of a task tells the other",
        (_SWITCHES, 'PERF_RECORD_SWITCH, misc, b""', "PERF_RECORD_SWITCH, misc, sideband.switch_body(other)"),
    ),
    mutant(
        "every switch out is a preemption",
        ("activity:Activity.switched_out", "if preempted or not task.pid else 0)", "if True else 0)"),
    ),
    mutant("a switch of a CPU tells itself", (_SWITCHES, "sideband.switch_body(other)", "sideband.switch_body(task)")),
    mutant("a switch of a CPU is one of a task", (_SWITCHES, "if event.target is not None:", "if True:")),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*_LAYOUT, *_LIFE)
