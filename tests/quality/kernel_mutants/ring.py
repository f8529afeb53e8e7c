"""Mutants of the ring: room, loss, watermark, wakeup cursor, overwrite and backward rings, mappings."""

from __future__ import annotations

from typing import Final

from tests.quality.kernel_mutants.mutant import Mutant, mutant

__all__ = ["MUTANTS"]

_RESERVE: Final = "ringbuf:RingBuffer.reserve"
_REFUSE: Final = "ringbuf:RingBuffer._refuse"
_LOST: Final = "ringbuf:RingBuffer._write_lost"
_INIT: Final = "ringbuf:RingBuffer.__init__"
_PUBLISH: Final = "ringbuf:RingBuffer.publish"
_SAMPLES: Final = "ringbuf:RingBuffer.count_sample"
_PAUSE: Final = "ringbuf:RingBuffer.pause"
_PAGE: Final = "ringbuf:RingBuffer._init_page"
_CROSSED: Final = "if (written - self.wakeup) & _U64 > self.watermark:"
_MOVE: Final = "self.wakeup = (self.wakeup + self.watermark) & _U64"
_ROOM: Final = "if need > ((distance"
_WATERMARK: Final = "kernel_watermark(watermark, data_size) if data_size else 0"
_PAUSED: Final = "self.paused = paused or not self.data_size"
_SHOWN: Final = "self._words[_HEAD] = self.head"

_WAKEUPS: Final = (
    mutant("a watermark that is just reached wakes", (_RESERVE, _CROSSED, _CROSSED.replace("> self", ">= self"))),
    mutant(
        "the watermark counts bytes unread",
        (_RESERVE, _CROSSED, "if (written - self._words[_TAIL]) & _U64 > self.watermark:"),
    ),
    mutant("the wakeup cursor moves twice", (_RESERVE, _MOVE, "self.wakeup = (self.wakeup + 2 * self.watermark)")),
    mutant("the wakeup cursor moves up to head", (_RESERVE, _MOVE, "self.wakeup = written & _U64")),
    mutant("a long record moves the cursor several times", (_RESERVE, _CROSSED, _CROSSED.replace("if", "while", 1))),
    mutant("the wakeup cursor stands still", (_RESERVE, _MOVE, "pass")),
    mutant("a watermark beyond the ring is not cut down", (_INIT, _WATERMARK, "watermark or data_size // 2")),
    mutant("a watermark of 0 is every record", (_INIT, _WATERMARK, "min(watermark, data_size)")),
    mutant("the default watermark is the whole ring", (_INIT, _WATERMARK, "min(watermark, data_size) or data_size")),
    mutant("a watermark is at most the ring less one byte", (_INIT, _WATERMARK, f"min({_WATERMARK}, data_size - 1)")),
    mutant(
        "a watermark is at most three quarters of the ring",
        (_INIT, _WATERMARK, f"min({_WATERMARK}, data_size * 3 // 4)"),
    ),
    mutant(
        "wakeup_events is taken for a watermark",
        ("perf:Perf._new_ring", "attr.wakeup_watermark if attr.watermark else 0", "attr.wakeup_watermark"),
    ),
    mutant(
        "a redirected event brings its own watermark",
        (
            "perf:Perf.set_output",
            "target.ring.attach(event)",
            "target.ring.attach(event)\n    target.ring.buffer.watermark = event.attr.wakeup_watermark or 1",
        ),
    ),
    mutant(
        "a ring mapped anew remembers the old cursor",
        ("perf:Perf._new_ring", "ring.attach(event)", "ring.attach(event); buffer.wakeup = event.count * 16"),
    ),
    mutant(
        "only one event's bytes count for the watermark", (_RESERVE, _CROSSED, f"{_CROSSED[:-1]} and writer.id < 2:")
    ),
    mutant("wakeup_events wakes one sample late", (_SAMPLES, ">=", ">")),
    mutant("wakeup_events is not counted down", (_SAMPLES, "self.events -= writer.wakeup_events", "pass")),
    mutant("wakeup_events moves the cursor by the watermark", (_SAMPLES, "+ 1) &", "+ self.watermark) &")),
    mutant("wakeup_events never wakes", (_SAMPLES, "if writer.wakeup_events:", "if False:")),
    mutant(
        "each event counts its own wakeup_events",
        (_SAMPLES, "self.events += 1", "writer.owner.interrupts += 1"),
        (_SAMPLES, "if self.events >=", "if writer.owner.interrupts >="),
        (_SAMPLES, "self.events -=", "writer.owner.interrupts -="),
    ),
    mutant(
        "side-band counts for wakeup_events",
        (
            "output:Output.write",
            "buffer.output(writer, record, sample=is_sample)",
            "buffer.output(writer, record, sample=True)",
        ),
    ),
    mutant(
        "wakeup_events counts in spite of the flag",
        ("event:PerfEvent._make_writer", "0 if attr.watermark else attr.wakeup_events", "attr.wakeup_events"),
    ),
    mutant(
        "wakeup_events of 0 is every sample",
        ("event:PerfEvent._make_writer", "else attr.wakeup_events", "else attr.wakeup_events or 1"),
    ),
    mutant(
        "side-band does not cross the watermark",
        (
            "output:Output.write",
            "buffer.output(writer, record, sample=is_sample)",
            (
                "before = buffer.latch; buffer.output(writer, record)\n"
                "        buffer.latch = buffer.latch if is_sample else before"
            ),
        ),
    ),
)

_LATCH: Final = (
    mutant(
        "asking does not take the readiness",
        ("ringbuf:RingBuffer.take_latch", "taken, self.latch = self.latch, 0", "taken = self.latch"),
    ),
    mutant("a second crossing takes the readiness back", (_PUBLISH, "self.latch = READABLE", "self.latch ^= READABLE")),
    mutant("a record that crosses nothing takes the readiness", (_PUBLISH, _SHOWN, f"{_SHOWN}; self.latch = 0")),
    mutant("every record wakes", (_PUBLISH, "if self.wakeup == self._outer_wakeup:", "if False:")),
    mutant("no record wakes", (_PUBLISH, "if self.wakeup == self._outer_wakeup:", "if True:")),
    mutant(
        "a drain takes the readiness",
        (
            "ringbuf:RingBuffer.store_u64",
            "if offset == MMAP_PAGE_DATA_TAIL:",
            "if offset == MMAP_PAGE_DATA_TAIL:\n        self.latch = 0",
        ),
    ),
)

_ROOMS: Final = (
    mutant("no byte stays free", (_RESERVE, _ROOM, "if need - 1 > ((distance")),
    mutant("eight bytes more stay free", (_RESERVE, _ROOM, "if need + 8 > ((distance")),
    mutant("a tail that is stored makes no room", (_RESERVE, "start - self._words[_TAIL]", "start")),
    mutant("there is no space check", (_RESERVE, "if not self.overwrite:", "if False:")),
    mutant(
        "a part behind the end of the ring is not written",
        ("ringbuf:RingBuffer._write_wrapped", "view[len(part) :], 0", "view[:0], 0"),
    ),
    mutant(
        "what wraps is written before the end",
        (
            "ringbuf:RingBuffer.write",
            "end = start + len(data)",
            "end = start + len(data)\n    if end > self.data_size: start, end = 0, len(data)",
        ),
    ),
    mutant("head is taken from the page", (_RESERVE, "start = self.head\n", "start = self._words[_HEAD]\n")),
    mutant(
        "the page tells the size of the ring",
        (_RESERVE, "- 1) & self._mask", "- 1) & self._words[MMAP_PAGE_DATA_SIZE >> 3] - 1"),
    ),
    mutant(
        "data_size is written with each record",
        (_PUBLISH, _SHOWN, f"{_SHOWN}; self._words[MMAP_PAGE_DATA_SIZE >> 3] = self.data_size"),
    ),
    mutant("the kernel moves the tail", (_PUBLISH, _SHOWN, f"{_SHOWN}; self._words[_TAIL] = self.head")),
    mutant("head is shown one record late", (_PUBLISH, _SHOWN, "self._words[_HEAD] = max(self.head - 16, 0)")),
    mutant("data_offset is 0", (_PAGE, "= self.page_size", "= 0")),
    mutant("data_size counts the metadata page", (_PAGE, "= self.data_size", "= self.data_size + self.page_size")),
    mutant("head begins at 8", (_PAGE, "self._words[_TAIL] = start", "self._words[_TAIL] = start + 8")),
    mutant(
        "a longest record is refused",
        ("actor:Actor.emit", "> MAX_SAMPLE_BYTES - 8", ">= MAX_SAMPLE_BYTES - 12"),
    ),
)

_LOSS: Final = (
    mutant("losses are not told", (_RESERVE, "if self.lost else size", "if False else size")),
    mutant("losses are told before every record", (_LOST, "self.lost = 0", "pass")),
    mutant("LOST counts 1", (_LOST, "writer.id, self.lost)", "writer.id, 1)")),
    mutant("LOST has no id", (_LOST, "writer.id, self.lost)", "0, self.lost)")),
    mutant(
        "LOST has the id of the ring's first event",
        ("output:Output.write", "if buffer.lost:", "if buffer.lost:\n        writer.id = ring.events[0].id"),
    ),
    mutant(
        "LOST comes after the record",
        (_RESERVE, "start = self._write_lost(writer, start)", "self._write_lost(writer, start + size)"),
    ),
    mutant("room is looked for without the LOST", (_RESERVE, _ROOM, "if size > ((distance")),
    mutant(
        "LOST has no trailer",
        ("event:PerfEvent._make_writer", "self.encoder.trailer_bytes", "0"),
        ("output:Output.write", "trailer = first.encoder.trailer(task, self._clock.now, cpu)", 'trailer = b""'),
    ),
    mutant(
        "the trailer of a LOST has pid 0",
        (
            "output:Output.write",
            "trailer(task, self._clock.now, cpu)",
            "trailer(event.context.on.idle, self._clock.now, cpu)",
        ),
    ),
    mutant("a loss is not counted by the event", (_REFUSE, "writer.lost += 1", "pass")),
    mutant("a loss is told and forgotten", (_LOST, "self.lost = 0", "self.lost = writer.lost = 0")),
    mutant(
        "events count the losses of their ring",
        ("readformat:read_values", "leader.writer.lost)", "leader.ring.buffer.refused if leader.ring else 0)"),
    ),
    mutant(
        "RESET forgets the losses",
        ("ioctls:PerfIoctls._reset", "member.count = 0", "member.count = member.writer.lost = 0"),
    ),
    mutant(
        "a loss wakes", (_REFUSE, "self.lost += 1", "self.lost += 1; self.latch = READABLE; self.on_wakeup(writer)")
    ),
    mutant("a loss moves the wakeup cursor", (_REFUSE, "self.lost += 1", "self.lost += 1; self.wakeup -= 24")),
    mutant("a ring without data pages counts losses", (_RESERVE, "if self.data_size:", "if True:")),
    mutant(
        "an event without a ring counts losses",
        ("output:Output.write", "if ring is None:", "if ring is None:\n        first.writer.lost += 1"),
    ),
    mutant("a paused ring counts no losses", (_RESERVE, "if self.data_size:", "if False:")),
    mutant("PAUSE_OUTPUT does nothing", (_PAUSE, _PAUSED, "pass")),
    mutant("a paused ring is not resumed", (_PAUSE, _PAUSED, "self.paused = True")),
    mutant("PAUSE_OUTPUT wakes", (_PAUSE, _PAUSED, f"{_PAUSED}; self.latch = READABLE")),
    mutant("PAUSE_OUTPUT toggles", (_PAUSE, _PAUSED, "self.paused = not self.paused")),
    mutant("PAUSE_OUTPUT nests", (_PAUSE, _PAUSED, "self.paused = max(self.paused + (1 if paused else -1), 0)")),
    mutant("resuming writes nothing for a while", (_PAUSE, _PAUSED, f"{_PAUSED}; self.lost += not paused")),
    mutant(
        "only the event that was mapped pauses",
        (
            "ioctls:PerfIoctls._pause_output",
            "event.ring.buffer.pause",
            "(event is event.ring.events[0]) and event.ring.buffer.pause",
        ),
    ),
)

_MODES: Final = (
    mutant("an overwriting ring fills up", (_RESERVE, "if not self.overwrite:", "if True:")),
    mutant(
        "what is overwritten counts as lost",
        (
            _RESERVE,
            "if not self.overwrite:",
            "if self.overwrite and start >= self.data_size: writer.lost += 1\n    if not self.overwrite:",
        ),
    ),
    mutant("an overwriting ring does not wake", (_RESERVE, _CROSSED, f"{_CROSSED[:-1]} and not self.overwrite:")),
    mutant(
        "an overwriting ring takes half its size for a watermark",
        (_INIT, _WATERMARK, f"data_size // 2 if overwrite else {_WATERMARK}"),
    ),
    mutant(
        "an overwriting ring stands still when it is full",
        (
            _RESERVE,
            "if not self.overwrite:",
            "if self.overwrite and start >= self.data_size: return REFUSED\n    if not self.overwrite:",
        ),
    ),
    mutant(
        "a paused overwriting ring goes on", (_RESERVE, "if self.paused:", "if self.paused and not self.overwrite:")
    ),
    mutant(
        "a writable mapping ends overwriting",
        ("perf:Perf.map", "ring.maps += 1", "ring.maps += 1\n    ring.buffer.overwrite &= not writable"),
    ),
    mutant("a backward ring goes upwards", (_RESERVE, "if self.backward:", "if False:")),
    mutant(
        "a backward ring begins at its size",
        (_PAGE, "self._words[_TAIL] = start", "self._words[_TAIL] = start + self.data_size * self.backward"),
    ),
    mutant(
        "a backward record is written above head",
        (_RESERVE, "self.head = start = (start - need)", "self.head = (start - need)"),
    ),
    mutant(
        "a backward ring has its room the other way round",
        (_RESERVE, "(distance if self.backward else -distance)", "(-distance)"),
    ),
    mutant(
        "a backward ring has no space check",
        (_RESERVE, "if not self.overwrite:", "if not self.overwrite and not self.backward:"),
    ),
    mutant("a backward ring counts its wakeups the other way round", (_RESERVE, "written = -start", "written = start")),
    mutant("a backward ring does not wake", (_RESERVE, _CROSSED, f"{_CROSSED[:-1]} and not self.backward:")),
)

_MAP: Final = "perf:Perf.map"
_UNMAP: Final = "perf:Perf.unmap"
_MMAP: Final = "kernel:SimKernel.mmap"
_REFUSED: Final = "(event.cpu == -1 and event.attr.inherit) or not shared or offset"

_MAPPINGS: Final = (
    mutant(
        "data pages are rounded up to a power of two",
        (
            _MAP,
            "_refuse(errno.EINVAL)\n    ring = event.ring",
            "pages = 1 << pages.bit_length()\n    ring = event.ring",
        ),
    ),
    mutant("a mapping needs data pages", (_MAP, "if pages and pages", "if not pages or pages")),
    mutant("more than one data page is refused", (_MAP, "if pages and pages & (pages - 1):", "if pages > 1:")),
    mutant("a data area is a page short", (_MAP, "ring = event.ring\n", "ring = event.ring; pages //= 2\n")),
    mutant(
        "a ring without data pages is written",
        (_PAUSE, _PAUSED, "self.paused = paused"),
        (_INIT, "self.paused = not data_size", "self.paused = False"),
        (
            _RESERVE,
            "if self.paused:",
            "if not self.data_size:\n        self._words[_HEAD] += size; return REFUSED\n    if self.paused:",
        ),
    ),
    mutant("a private mapping is accepted", (_MMAP, _REFUSED, _REFUSED.replace("or not shared ", ""))),
    mutant("an offset is accepted", (_MMAP, _REFUSED, _REFUSED.replace("or offset", ""))),
    mutant("inherit on every CPU can be mapped", (_MMAP, _REFUSED, "not shared or offset")),
    mutant("inherit can never be mapped", (_MMAP, "(event.cpu == -1 and event.attr.inherit)", "event.attr.inherit")),
    mutant(
        "an empty mapping is ENOMEM",
        (
            _MMAP,
            "if length <= 0:\n        raise os_error(errno.EINVAL)",
            "if length <= 0:\n        raise os_error(errno.ENOMEM)",
        ),
    ),
    mutant(
        "a second mapping of any size is accepted",
        (_MAP, "if ring.buffer.data_size != pages * self._machine.page_size:", "if False:"),
    ),
    mutant(
        "a second mapping gets a ring of its own",
        (_MAP, "if ring is not None:", "if ring is not None and not file.maps:"),
    ),
    mutant(
        "the first munmap takes the ring away",
        (_UNMAP, "if not ring.maps:", "if True:"),
        (_UNMAP, "self.rings.remove(ring)", "pass"),
    ),
    mutant(
        "the last munmap leaves the ring",
        (_UNMAP, "if not ring.maps:", "if False:"),
        (_UNMAP, "elif not file.maps:", "elif False:"),
    ),
    mutant("the last munmap keeps the redirected events", (_UNMAP, "in tuple(ring.events)", "in ring.events[:1]")),
    mutant("the last munmap wakes nobody", (_UNMAP, "event.file.wake()", "pass")),
    mutant(
        "redirected events come back with the next mapping",
        (_UNMAP, "Ring.detach(event)\n            if", "if"),
        (_UNMAP, "self.rings.remove(ring)", "pass"),
    ),
    mutant(
        "closing the fd ends a mapped event",
        ("descriptors:Descriptors.remove", "file.drop()", "file.refs = 1; file.drop()"),
    ),
    mutant(
        "a redirected event that is closed goes on",
        ("perf:Perf.close", "self.counting.retire(member, State.EXIT)", "pass"),
        ("perf:Perf.close", "Ring.detach(event)", "pass"),
    ),
    mutant("mapping a redirected event is EINVAL", (_MAP, "_refuse(errno.EBUSY)", "_refuse(errno.EINVAL)")),
    mutant(
        "mapping a redirected event is EBUSY at any size",
        (
            _MAP,
            "if ring.buffer.data_size",
            "if not file.maps:\n            _refuse(errno.EBUSY)\n        if ring.buffer.data_size",
        ),
    ),
)

_OUTPUT: Final = "ringbuf:RingBuffer.output"
_QUICK_CROSSED: Final = "if (head - self.wakeup) & _U64 > self.watermark:"

_SHORT_WAY: Final = (
    mutant(
        "the short way: a watermark that is just reached wakes",
        (_OUTPUT, _QUICK_CROSSED, _QUICK_CROSSED.replace("> self", ">= self")),
    ),
    mutant(
        "the short way: the wakeup cursor moves twice",
        (_OUTPUT, _MOVE, "self.wakeup = (self.wakeup + 2 * self.watermark)"),
    ),
    mutant("the short way: wakeup_events is not looked at", (_OUTPUT, "and not (sample and writer.wakeup_events)", "")),
    mutant("the short way: losses are not told", (_OUTPUT, "or self.lost or", "or")),
    mutant("the short way: a paused ring is written", (_OUTPUT, "or self.paused or", "or")),
)


def _the_long_way(each: Mutant) -> Mutant:
    """Nearly every record takes the short way of `output`: closes it, so that the change is reached."""
    if not {_RESERVE, _PUBLISH} & {where for where, _, _ in each.edits}:
        return each
    return mutant(each.name, *each.edits, (_OUTPUT, "not (self._nest", "not (True or self._nest"))


_LONG_WAY: Final = (*_WAKEUPS, *_LATCH, *_ROOMS, *_LOSS, *_MODES, *_MAPPINGS)
MUTANTS: Final[tuple[Mutant, ...]] = (*map(_the_long_way, _LONG_WAY), *_SHORT_WAY)
