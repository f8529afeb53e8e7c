"""Mutants of poll, epoll, POLLHUP, signals and redirection."""

from __future__ import annotations

from typing import Final

from tests.quality.kernel_mutants.mutant import Mutant, mutant

__all__ = ["MUTANTS"]

_ASK: Final = "perffile:PerfFile.ask"
_HUNG: Final = "event:PerfEvent.hung_up"
_WAIT: Final = "kernel:SimKernel._wait"
_ASKED: Final = "kernel:_asked"
_ADD: Final = "readiness:EpollFile.add"
_MOD: Final = "readiness:EpollFile.modify"
_COLLECT: Final = "readiness:EpollFile.collect"
_QUEUE: Final = "readiness:EpollFile.queue"
_INNER: Final = "readiness:EpollFile.ask"
_WAKE: Final = "perf:Perf._wake"

_POLL: Final = (
    mutant(
        "readable means unread data",
        (_ASK, "return self.event.ring.buffer.take_latch()", "return 0x41 if self.event.ring.buffer.used else 0"),
    ),
    mutant(
        "poll asks only whom it wants POLLIN of", (_ASKED, "file.ask() &", "(file.ask() if events & 0x41 else 0) &")
    ),
    mutant("poll tells what it was not asked for", (_ASKED, "file.ask() & (events | _ERR_HUP)", "file.ask()")),
    mutant("poll does not know POLLRDNORM", (_ASKED, "file.ask() &", "file.ask() & ~0x40 &")),
    mutant("every ring is readable", (_ASK, "return self.event.ring.buffer.take_latch()", "return 0x41")),
    mutant(
        "the latch of a disabled event is lost",
        (
            "counting:Counting.disable",
            "event.set_state(State.OFF)",
            "event.set_state(State.OFF)\n    event.ring and event.ring.buffer.take_latch()",
        ),
    ),
    mutant("a timeout is ignored", (_WAIT, "deadline = None if timeout is None else", "deadline = None if True else")),
    mutant(
        "who waits is not woken",
        (_WAIT, "scheduler.wait(ready, deadline, look)", "scheduler.wait(lambda: False, deadline, look)"),
    ),
    mutant(
        "poll stops at the first that is ready",
        ("kernel:SimKernel.poll", "if (got := _asked(file, events))", "if not found and (got := _asked(file, events))"),
    ),
    mutant(
        "the fds of a ring do not share the readiness",
        (
            _ASK,
            "return self.event.ring.buffer.take_latch()",
            (
                "buffer = self.event.ring.buffer\n"
                "    return buffer.latch if len(self.event.ring.events) > 1 else buffer.take_latch()"
            ),
        ),
    ),
    mutant(
        "a second epoll does not share the readiness",
        (
            _ASK,
            "return self.event.ring.buffer.take_latch()",
            "return self.event.ring.buffer.latch if len(self.watchers) > 1 else self.event.ring.buffer.take_latch()",
        ),
    ),
    mutant(
        "a ring is asked through the event that was mapped",
        (
            _ASK,
            "self.event.hung_up or self.event.ring is None",
            "self.event.hung_up or self.event.ring is None or self.event.ring.events[0] is not self.event",
        ),
    ),
    mutant(
        "without a ring there is no HUP",
        (
            _ASK,
            "if self.event.hung_up or self.event.ring is None:\n        return _HUP",
            "if self.event.hung_up:\n        return _HUP\n    if self.event.ring is None:\n        return 0",
        ),
    ),
    mutant(
        "a ring without data pages is HUP",
        (_ASK, "self.event.ring is None:", "self.event.ring is None or not self.event.ring.buffer.data_size:"),
    ),
    mutant("HUP comes with POLLIN", (_ASK, "return _HUP", "return _HUP | 1")),
    mutant(
        "a dead event takes the readiness of its ring",
        (_ASK, "return _HUP", "self.event.ring and self.event.ring.buffer.take_latch()\n        return _HUP"),
    ),
    mutant(
        "HUP waits for the reader",
        (
            _ASK,
            "if self.event.hung_up or",
            "if self.event.hung_up and not (self.event.ring and self.event.ring.buffer.used) or",
        ),
    ),
    mutant("no task's exit hangs up", (_HUNG, "self.state <= State.EXIT", "False")),
    mutant("HUP does not wait for the children", (_HUNG, " and not self.children", "")),
    mutant("the exit of a task wakes nobody", ("perf:Perf._hung_up", "member.file.wake()", "pass")),
    mutant(
        "events of a CPU end with a task",
        (
            "activity:Activity.exited",
            "task.alive = False",
            "task.alive = False\n    for event in tuple(task.cpu.context.events):\n        self._end(event, task)",
        ),
    ),
    mutant(
        "an exit takes the readiness",
        (
            "activity:Activity._end",
            "self._on_hangup(first or event)",
            "self._on_hangup(first or event)\n    event.ring and event.ring.buffer.take_latch()",
        ),
    ),
    mutant(
        "close wakes who waits",
        (
            "descriptors:Descriptors.remove",
            "file.drop()",
            (
                "ring = getattr(getattr(file, 'event', None), 'ring', None)\n"
                "    if ring:\n        ring.buffer.latch = 0x41\n"
                "    file.wake()\n    file.drop()"
            ),
        ),
    ),
    mutant("a waker is not cleared", ("kernel:SimWaker.clear", "self._file.count = 0", "pass")),
    mutant(
        "a wait clears the waker",
        (
            "readiness:EventFile.ask",
            "return (_IN if self.count else 0)",
            "was, self.count = self.count, 0\n    return (_IN if was else 0)",
        ),
    ),
    mutant("a waker is always set", ("readiness:EventFile.ask", "if self.count", "if True")),
)

_EPOLL: Final = (
    mutant("epoll is not woken", (_WAKE, "member.file.wake()", "pass")),
    mutant(
        "epoll is woken only for whom it wants POLLIN of",
        ("readiness:File.wake", "item.owner.queue(item)", "item.events & 1 and item.owner.queue(item)"),
    ),
    mutant("EPOLL_CTL_ADD does not ask", (_ADD, "if item.ask():", "if False:")),
    mutant("EPOLL_CTL_ADD reports what came before", (_ADD, "if item.ask():", "if True:")),
    mutant("EPOLL_CTL_MOD does not ask", (_MOD, "if item.ask():", "if False:")),
    mutant("EPOLL_CTL_MOD reports what came before", (_MOD, "if item.ask():", "if True:")),
    mutant("EPOLL_CTL_DEL asks", ("readiness:EpollFile.remove", "self.forget", "file.ask(); self.forget")),
    mutant("EPOLLET reports nothing", (_QUEUE, "if item.armed and", "if not item.events & _EDGE and item.armed and")),
    mutant(
        "EPOLLEXCLUSIVE reports nothing",
        (_QUEUE, "if item.armed and", "if not item.events & _EXCLUSIVE and item.armed and"),
    ),
    mutant("EPOLLONESHOT reports for ever", (_COLLECT, "item.events &= _PRIVATE", "pass")),
    mutant(
        "EPOLLONESHOT is not armed again",
        (_MOD, "item.events = events | _ERR_HUP", "item.events = events | _ERR_HUP if item.armed else item.events"),
    ),
    mutant(
        "what EPOLLONESHOT disarmed is asked all the same",
        (_QUEUE, "if item.armed and", "item.armed or item.file.ask()\n    if item.armed and"),
    ),
    mutant("EPOLLEXCLUSIVE may be modified", (_MOD, "if item.events & _EXCLUSIVE:", "if False:")),
    mutant(
        "HUP is edge-triggered",
        (_COLLECT, "elif not item.events & _EDGE:", "elif not item.events & _EDGE and not events & 0x10:"),
    ),
    mutant("everything is edge-triggered", (_COLLECT, "elif not item.events & _EDGE:", "elif False:")),
    mutant("an inner epoll is not asked", (_INNER, "if self._ready[0].ask():", "if True:")),
    mutant(
        "an inner epoll forgets what it was asked for",
        (_INNER, "if self._ready[0].ask():", "if self._ready.popleft().ask():"),
    ),
    mutant(
        "a second EPOLL_CTL_ADD modifies",
        (_ADD, "raise os_error(errno.EEXIST)", "return self.modify(fd, file, events)"),
    ),
    mutant("epoll finds nothing with EINVAL", ("readiness:EpollFile._find", "errno.ENOENT", "errno.EINVAL")),
    mutant("a closed fd stays in the epoll", ("readiness:File.drop", "item.owner.forget(item)", "pass")),
    mutant("maxevents is ignored", (_COLLECT, "len(found) < most", "True")),
    mutant("what maxevents left out is forgotten", (_COLLECT, "[*todo, ", "[")),
)

_OVERFLOW: Final = "activity:Activity._overflow"
_SIGNAL: Final = "kernel:SimKernel._signal"

_SIGNALS: Final = (
    mutant("only wakeups signal", (_OVERFLOW, "self._on_overflow(first)", "pass")),
    mutant(
        "without a ring nothing signals",
        (_OVERFLOW, "self._on_overflow(first)", "first.ring and self._on_overflow(first)"),
    ),
    mutant(
        "signals come without O_ASYNC",
        (_SIGNAL, "if not file.is_async or file.owner != self._machine.me.pid:", "if False:"),
        ("perf:Perf._overflowed", "and event.file.is_async", ""),
    ),
    mutant(
        "signals can be taken twice",
        (
            "kernel:SimKernel.take_signals",
            "self._signals = self._signals, []",
            "self._signals = self._signals, list(self._signals)",
        ),
    ),
    mutant("the last overflow says POLL_IN", (_OVERFLOW, "first.pending = _POLL_HUP", "pass")),
    mutant("every overflow says POLL_HUP", (_OVERFLOW, "first.pending = _POLL_IN", "first.pending = _POLL_HUP")),
)

_MAY: Final = "perf:Perf._may_redirect"
_OUTPUT: Final = "perf:Perf.set_output"
_IOCTL: Final = "ioctls:PerfIoctls._set_output"

_REDIRECTION: Final = (
    mutant("SET_OUTPUT does nothing", (_OUTPUT, "target.ring.attach(event)", "pass")),
    mutant(
        "SET_OUTPUT into itself does nothing",
        (
            _IOCTL,
            "self._perf.set_output(event, target.event)",
            "target.event is event or self._perf.set_output(event, target.event)",
        ),
    ),
    mutant("SET_OUTPUT accepts another CPU", (_MAY, "and target.cpu == event.cpu", "")),
    mutant("SET_OUTPUT accepts another task on any CPU", (_MAY, "target.cpu == -1 and", "False and")),
    mutant("SET_OUTPUT accepts another clock", (_MAY, "and target.clock_offset == event.clock_offset", "")),
    mutant(
        "SET_OUTPUT accepts backward into forward",
        (_MAY, "and target.attr.write_backward == event.attr.write_backward", ""),
    ),
    mutant("SET_OUTPUT refuses another task on one CPU", (_MAY, "target.cpu == -1 and", "")),
    mutant(
        "SET_OUTPUT refuses a whole CPU",
        (_MAY, "event is not target", "event is not target and target.target is not None"),
    ),
    mutant(
        "SET_OUTPUT into an unmapped event does nothing",
        (_OUTPUT, "if target.ring is None:\n        _refuse(errno.EINVAL)", "if target.ring is None:\n        return"),
    ),
    mutant("SET_OUTPUT moves a mapped event", (_OUTPUT, "if event.file is not None and event.file.maps:", "if False:")),
    mutant(
        "SET_OUTPUT -1 detaches a mapped event",
        (
            _OUTPUT,
            "if event.file is not None and event.file.maps:",
            "if target is not None and event.file and event.file.maps:",
        ),
    ),
    mutant("SET_OUTPUT into no perf fd is EINVAL", (_IOCTL, "errno.EBADF", "errno.EINVAL")),
    mutant("SET_OUTPUT -1 does nothing", (_IOCTL, "self._perf.set_output(event, None)", "pass")),
    mutant("SET_OUTPUT -1 is no perf fd", (_IOCTL, "if number == -1:", "if False:")),
    mutant(
        "SET_OUTPUT of a redirected event is refused",
        (_OUTPUT, "if target.ring is None:", "if target.ring is None or event.ring is not None:"),
    ),
    mutant(
        "SET_OUTPUT leaves the event where it was",
        (_OUTPUT, "target.ring.attach(event)", "event.ring or target.ring.attach(event)"),
    ),
    mutant(
        "SET_OUTPUT into a redirected event is EBUSY",
        (
            _OUTPUT,
            "if target.ring is None:",
            (
                "if target.ring is not None and target.file is not None and not target.file.maps:\n"
                "        _refuse(errno.EBUSY)\n    if target.ring is None:"
            ),
        ),
    ),
    mutant(
        "SET_OUTPUT brings the readiness of the ring",
        (_OUTPUT, "target.ring.attach(event)", "target.ring.attach(event); target.ring.buffer.latch = 0x41"),
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*_POLL, *_EPOLL, *_SIGNALS, *_REDIRECTION)
