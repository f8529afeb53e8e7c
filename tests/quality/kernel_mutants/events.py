"""Mutants of perf_event_open(2), ioctl(2), read(2), and of what events count."""

from __future__ import annotations

from typing import Final

from tests.quality.kernel_mutants.mutant import Mutant, mutant

__all__ = ["MUTANTS"]

_COPY: Final = "validation:copy_attr"
_ATTR: Final = "validation:check_attr"
_KIND: Final = "validation:check_kind"
_TYPE: Final = "validation:_check_type"
_GROUP: Final = "validation:check_group"
_SIZES: Final = "PERF_ATTR_SIZE_VER0 <= size <= _LONGEST_ATTR"
_CLOCK: Final = "validation:clock_offset"

_ATTRS: Final = (
    mutant("a size of 0 is refused", (_COPY, "attr.size or PERF_ATTR_SIZE_VER0", "attr.size")),
    mutant("only the first and the newest size are accepted", (_COPY, _SIZES, "size in (PERF_ATTR_SIZE_VER0, known)")),
    mutant("the first size is refused", (_COPY, _SIZES, _SIZES.replace("<=", "<", 1))),
    mutant(
        "a size is written back with every open",
        (_COPY, "packed = attr.pack()", "packed = attr.pack(); attr.size = known"),
    ),
    mutant("E2BIG does not tell the size", (_COPY, "attr.size = known", "pass")),
    mutant("a size of 1 is accepted", (_COPY, _SIZES, "1 <= size <= _LONGEST_ATTR")),
    mutant("a size of 63 is accepted", (_COPY, _SIZES, "63 <= size <= _LONGEST_ATTR")),
    mutant("a size above a page is accepted", (_COPY, _SIZES, "PERF_ATTR_SIZE_VER0 <= size <= 8192")),
    mutant("a larger struct is refused", (_COPY, "any(packed[known:])", "size > known")),
    mutant("unknown bytes are ignored", (_COPY, "or any(packed[known:])", "")),
    mutant(
        "EINVAL writes the size back, too",
        (
            "kernel:SimKernel.perf_event_open",
            "validation.check_attr(self._machine, copy)",
            "attr.size = 136\n    validation.check_attr(self._machine, copy)",
        ),
    ),
    mutant(
        "an unknown type is EINVAL",
        (_TYPE, "else:\n        _refuse(errno.ENOENT)", "else:\n        _refuse(errno.EINVAL)"),
    ),
    mutant("unknown software configs are accepted", (_TYPE, "attr.config > PERF_COUNT_SW_CGROUP_SWITCHES", "False")),
    mutant(
        "the dummy alone is a software event",
        (_TYPE, "attr.config > PERF_COUNT_SW_CGROUP_SWITCHES", "attr.config != 9"),
    ),
    mutant("there is no dummy", (_TYPE, "attr.config > PERF_COUNT_SW_CGROUP_SWITCHES", "attr.config == 9")),
    mutant(
        "an unknown tracepoint is ENOENT",
        (
            _TYPE,
            "if point is None:\n            _refuse(errno.EINVAL)",
            "if point is None:\n            _refuse(errno.ENOENT)",
        ),
    ),
    mutant("unknown bits of sample_type are ignored", (_ATTR, "attr.sample_type >> features.sample_bits or", "")),
    mutant("unknown bits of read_format are ignored", (_ATTR, "or attr.read_format >> _READ_BITS", "")),
    mutant("unknown flags are ignored", (_ATTR, "if unknown_flags or", "if")),
    mutant("reserved_2 is ignored", (_ATTR, "attr.reserved_2 or", "")),
    mutant("any frequency is accepted", ("validation:check_rates", "if attr.freq and", "if False and")),
    mutant("any period is accepted", ("validation:check_rates", "if not attr.freq and", "if False and")),
    mutant("a user stack of any size is accepted", (_ATTR, "or attr.sample_stack_user & 7", "")),
    mutant("no user registers are accepted", ("validation:_check_registers", "not mask or", "")),
    mutant("any clockid is accepted", (_CLOCK, "_refuse(errno.EINVAL)", "return 0")),
    mutant(
        "remove_on_exec goes with enable_on_exec",
        (_ATTR, "if attr.remove_on_exec and attr.enable_on_exec:", "if False:"),
    ),
    mutant("inherit goes with any READ", (_KIND, "if attr.inherit and", "if False and")),
    mutant("both kinds of weight are accepted", (_ATTR, "== PERF_SAMPLE_WEIGHT_TYPE:", "== -1:")),
    mutant("the clockid is ignored", (_CLOCK, "if not attr.use_clockid:", "if True:")),
    mutant("software events take the clocks of tracepoints", (_CLOCK, "else _ANY_CLOCK", "else _NMI_SAFE_CLOCKS")),
    mutant("tracepoints take the clocks of software events", (_CLOCK, "_NMI_SAFE_CLOCKS if", "_ANY_CLOCK if")),
)

_OPEN: Final = (
    mutant(
        "unknown flags of the call are ignored",
        ("kernel:SimKernel.perf_event_open", "if flags & ~_KNOWN_FLAGS:", "if False:"),
    ),
    mutant(
        "a CPU that there is not is ENODEV",
        (
            _KIND,
            "if cpu not in machine.cpus and (task is None or cpu != -1):\n        _refuse(errno.EINVAL)",
            "if cpu not in machine.cpus and (task is None or cpu != -1):\n        _refuse(errno.ENODEV)",
        ),
    ),
    mutant(
        "a CPU below -1 is -1",
        (
            "kernel:SimKernel.perf_event_open",
            "if flags & ~_KNOWN_FLAGS:",
            "cpu = max(cpu, -1)\n    if flags & ~_KNOWN_FLAGS:",
        ),
    ),
    mutant(
        "any task on any CPU is CPU 0",
        (
            "kernel:SimKernel.perf_event_open",
            "if flags & ~_KNOWN_FLAGS:",
            "cpu = max(cpu, pid == -1 and cpu == -1 and 0)\n    if flags & ~_KNOWN_FLAGS:",
        ),
    ),
    mutant(
        "a CPU that there is not is the last",
        (
            "kernel:SimKernel.perf_event_open",
            "if flags & ~_KNOWN_FLAGS:",
            "cpu = min(cpu, 1)\n    if flags & ~_KNOWN_FLAGS:",
        ),
    ),
    mutant("a task that there is not is EINVAL", ("perf:Perf._task", "errno.ESRCH", "errno.EINVAL")),
    mutant(
        "a task that has exited can be watched",
        ("machine:Machine.forget_task", "self.tasks.pop(task.pid, None)", "pass"),
    ),
    mutant("a group fd that is none is EINVAL", ("kernel:SimKernel._perf_file", "errno.EBADF", "errno.EINVAL")),
    mutant(
        "a group fd that is none is ignored",
        (
            "kernel:SimKernel.perf_event_open",
            "None if group_fd == -1 else",
            "None if not isinstance(self._descriptors.find(group_fd), PerfFile) else",
        ),
    ),
    mutant(
        "cgroups need no CPU",
        (
            "kernel:SimKernel.perf_event_open",
            "(pid == -1 or cpu == -1):\n        raise os_error(errno.EINVAL)",
            "(pid == -1 or cpu == -1):\n        raise os_error(errno.EBADF)",
        ),
    ),
    mutant("a member may lead a group", (_GROUP, "leader.leader is not leader", "False")),
    mutant(
        "a group may be of two tasks or CPUs",
        (_GROUP, "or leader.context is not context", ""),
        (_GROUP, "or leader.cpu != cpu", ""),
    ),
    mutant("a group may be of two tasks", (_GROUP, "or leader.context is not context", "")),
    mutant("a group may have two clocks", (_GROUP, "or leader.clock_offset != offset", "")),
    mutant("a member may be pinned", (_GROUP, "or attr.pinned", "")),
    mutant("a member may be exclusive", (_GROUP, "or attr.exclusive", "")),
    mutant("a closed fd is EINVAL", ("descriptors:Descriptors.get", "errno.EBADF", "errno.EINVAL")),
    mutant(
        "closing twice is nothing",
        (
            "descriptors:Descriptors.remove",
            "file = self.get(fd)",
            "if fd not in self._files: return\n    file = self.get(fd)",
        ),
    ),
)

_REFRESH: Final = "ioctls:PerfIoctls._refresh"
_PERIOD: Final = "ioctls:PerfIoctls._period"
_FILTER: Final = "ioctls:PerfIoctls._set_filter"
_PAUSE: Final = "ioctls:PerfIoctls._pause_output"
_MEMBERS: Final = "ioctls:PerfIoctls._members"
_RESET: Final = "ioctls:PerfIoctls._reset"
_HEARERS: Final = "activity:Activity.hearers"

_IOCTLS: Final = (
    mutant("REFRESH permits one more", (_REFRESH, "event.limit + _signed", "event.limit + 1 + _signed")),
    mutant("REFRESH sets what is left", (_REFRESH, "event.limit + _signed", "_signed")),
    mutant("REFRESH does not enable", (_REFRESH, "self._perf.counting.enable(event)", "pass")),
    mutant(
        "REFRESH never disables",
        ("activity:Activity._overflow", "self.counting.disable(event)", "pass"),
        (
            "activity:Activity._overflow",
            "event.stopped = self._release.limit_stops_tracepoints and event.is_tracepoint",
            "pass",
        ),
    ),
    mutant("REFRESH takes counting events", (_REFRESH, "or not event.sampling", "")),
    mutant("PERIOD takes counting events", (_PERIOD, "not event.sampling or", "")),
    mutant("PERIOD takes 0", (_PERIOD, "or not value", "")),
    mutant("PERIOD takes the top bit", (_PERIOD, "else value >> 63", "else False")),
    mutant(
        "PERIOD changes nothing",
        ("counting:Counting.set_period", "event.attr.sample_period = event.sample_period = period", "pass"),
    ),
    mutant(
        "a pointer that is NULL is EINVAL",
        ("ioctls:_bytes", "errno.EFAULT", "errno.EINVAL"),
        ("ioctls:_write", "errno.EFAULT", "errno.EINVAL"),
    ),
    mutant("ID to NULL does nothing", ("ioctls:_write", "_refuse(errno.EFAULT)", "return")),
    mutant(
        "ENABLE, DISABLE and RESET know their arguments",
        (
            _MEMBERS,
            "whole_group = _number(argument)",
            "if _number(argument) > 1: _refuse(errno.EINVAL)\n    whole_group = _number(argument)",
        ),
    ),
    mutant(
        "DISABLE and ENABLE want 0",
        ("ioctls:PerfIoctls._enable", "for member in", "if argument: _refuse(errno.EINVAL)\n    for member in"),
        ("ioctls:PerfIoctls._disable", "for member in", "if argument: _refuse(errno.EINVAL)\n    for member in"),
    ),
    mutant("the group flag is ignored", (_MEMBERS, "if whole_group else", "if False else")),
    mutant("every argument is the group flag", (_MEMBERS, "if whole_group else", "if True else")),
    mutant("PAUSE_OUTPUT without a ring does nothing", (_PAUSE, "_refuse(errno.EINVAL)", "return")),
    mutant(
        "PAUSE_OUTPUT without data pages does nothing",
        (_PAUSE, "if event.ring is None or not event.ring.buffer.data_size:", "if event.ring is None:"),
    ),
    mutant("a filter that cannot be read is taken", (_FILTER, "_refuse(error.errno)", "pass")),
    mutant(
        "an empty filter is none",
        (_FILTER, "if event.filter is not None:", "if not text: return\n    if event.filter is not None:"),
    ),
    mutant(
        "software events take filters",
        (
            _FILTER,
            "or point is None:\n        _refuse(errno.EINVAL)",
            ":\n        _refuse(errno.EINVAL)\n    if point is None:\n        return",
        ),
    ),
    mutant("filters are not obeyed", (_HEARERS, "and (not event.filter or event.filter(values()))", "")),
    mutant(
        "filters are obeyed the other way round",
        (_HEARERS, "or event.filter(values())", "or not event.filter(values())"),
    ),
    mutant("a second filter replaces the first", (_FILTER, "if event.filter is not None:", "if False:")),
    mutant(
        "QUERY_BPF takes software events", ("ioctls:PerfIoctls._query_bpf", "if not event.is_tracepoint:", "if False:")
    ),
    mutant(
        "MODIFY_ATTRIBUTES of a tracepoint is EINVAL",
        ("ioctls:PerfIoctls._modify_attributes", "else errno.EOPNOTSUPP", "else errno.EINVAL"),
    ),
    mutant("an unknown request is EINVAL", ("ioctls:PerfIoctls.__call__", "errno.ENOTTY", "errno.EINVAL")),
    mutant(
        "a request from elsewhere does nothing", ("ioctls:PerfIoctls.__call__", "_refuse(errno.ENOTTY)", "return 0")
    ),
    mutant("write(2) succeeds", ("kernel:SimKernel.write", "raise os_error(errno.EINVAL)", "return len(data)")),
    mutant(
        "all events have one id",
        ("perf:Perf._make", "self._next_id, self._next_id + 1", "self._next_id, self._next_id"),
    ),
    mutant("read(2) tells another id", ("readformat:_ends", "yield event.first.id", "yield event.first.id + 1")),
    mutant("ID tells another id", ("ioctls:PerfIoctls._id", "event.first.id", "event.first.id + 1")),
    mutant("RESET does nothing", (_RESET, "member.count = 0", "pass")),
    mutant("DISABLE does nothing", ("ioctls:PerfIoctls._disable", "self._perf.counting.disable(member)", "pass")),
    mutant("ENABLE does nothing", ("ioctls:PerfIoctls._enable", "self._perf.counting.enable(member)", "pass")),
)

_READ: Final = "kernel:SimKernel.read"
_VALUES: Final = "readformat:read_values"
_COUNT: Final = "activity:Activity._count"
_ACTIVATE: Final = "counting:Counting._activate_if_possible"
_INHERIT: Final = "activity:Activity.inherit"
_IF_INHERIT: Final = "and event.attr.inherit and"
_TIMES: Final = "event:PerfEvent.update_times"

_COUNTING: Final = (
    mutant("read(2) cuts off what does not fit", (_READ, "raise os_error(errno.ENOSPC)", "return values[:size]")),
    mutant("a buffer that is too small is EINVAL", (_READ, "errno.ENOSPC", "errno.EINVAL")),
    mutant("read(2) fills the buffer", (_READ, "return values", "return values.ljust(min(size, 64), b'\\0')")),
    mutant("hits count double", (_COUNT, "event.count += count", "event.count += 2 * count")),
    mutant("only samples count", (_COUNT, "event.count += count", "event.count += count if event.sampling else 0")),
    mutant(
        "counting stops with the exit",
        (
            "activity:Activity._end",
            "self._on_hangup(first or event)",
            "event.count = 0\n    self._on_hangup(first or event)",
        ),
    ),
    mutant(
        "an event without a period samples",
        (_COUNT, "if not event.sampling:\n        return", "event.sample_period = event.sample_period or 1"),
    ),
    mutant("every hit is a sample", (_COUNT, "if event.samples_each:", "if True:")),
    mutant(
        "a period is one hit longer",
        (
            _COUNT,
            "event.period_left += count",
            "event.period_left += count - (event.period_left == -1 and event.count % 7 == 0)",
        ),
    ),
    mutant("a disabled event takes time", (_TIMES, "if state >= State.INACTIVE:", "if True:")),
    mutant("time running stands still", (_TIMES, "self.running_ns += passed", "pass")),
    mutant("the clocks stand still", (_TIMES, "if self.is_clock:", "if False:")),
    mutant("the clocks count microseconds", (_TIMES, "self.count += passed", "self.count += passed // 1000")),
    mutant("a group is its leader", (_VALUES, "(leader, *leader.siblings)", "(leader,)")),
    mutant("a group is read backwards", (_VALUES, "(leader, *leader.siblings)", "(*leader.siblings, leader)")),
    mutant(
        "a member counts without its leader",
        (_ACTIVATE, "if event.leader is not event and event.leader.state is not State.ACTIVE:", "if False:"),
    ),
    mutant(
        "children's counts are not added",
        ("readformat:_total", "for member in _family(event)", "for member in (event,)"),
    ),
    mutant("a child's count goes with it", ("activity:Activity._end", "first.child_count += event.count", "pass")),
    mutant("every event is inherited", (_INHERIT, _IF_INHERIT, "and")),
    mutant("no event is inherited", (_INHERIT, _IF_INHERIT, "and False and")),
    mutant("an event counts on every CPU", (_ACTIVATE, "or event.cpu not in (-1, cpu.id)", "")),
    mutant(
        "an event stays on the first CPU",
        (_ACTIVATE, "event.cpu not in (-1, cpu.id)", "event.cpu not in (-1, cpu.id) or event.target and cpu.id"),
    ),
    mutant(
        "events of a CPU hear nothing",
        (_HEARERS, "for context in (task.context, task.cpu.context):", "for context in (task.context,):"),
    ),
    mutant(
        "page faults are not counted",
        (
            "actor:Actor.touch_pages",
            "self._activity.software(self._task, PERF_COUNT_SW_PAGE_FAULTS, user=True, addr=address)",
            "pass",
        ),
    ),
    mutant("minor faults are counted as major", ("actor:Actor.touch_pages", "if major else", "if not major else")),
    mutant(
        "all faults have one address",
        ("actor:Actor.touch_pages", "self._next_page + self._machine.page_size", "self._next_page"),
    ),
    mutant(
        "context switches are not counted",
        ("activity:Activity.switched_out", "self.software(task, PERF_COUNT_SW_CONTEXT_SWITCHES)", "pass"),
    ),
    mutant(
        "migrations are not counted",
        ("activity:Activity.switched_in", "self.software(task, PERF_COUNT_SW_CPU_MIGRATIONS)", "pass"),
    ),
    mutant("the clocks do not sample", ("counting:Counting._expired", "self._on_timer(event)", "pass")),
    mutant(
        "the clocks sample the idle task", ("activity:Activity._timer_expired", "task = cpu.current", "task = cpu.idle")
    ),
    mutant(
        "a frequency does not sample", ("perf:Perf._make", "10**9 // attr.sample_freq", "10**12 // attr.sample_freq")
    ),
    mutant(
        "the dummy counts faults",
        (
            "activity:Activity._hit",
            "hit = None",
            (
                "hit = None\n    for context in (task.context, task.cpu.context):\n"
                "        for event in context.active.get((1, 9), ()):\n            event.count += count"
            ),
        ),
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*_ATTRS, *_OPEN, *_IOCTLS, *_COUNTING)
