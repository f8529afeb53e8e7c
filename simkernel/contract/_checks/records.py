"""K35: how records are laid out, sample by sample."""

from __future__ import annotations

import struct

from perfring import abi
from simkernel.contract.rig import Rig, expect, require, types
from simkernel.contract.suite import check

_MODE = abi.PERF_RECORD_MISC_CPUMODE_MASK
_TRAILER = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME | abi.PERF_SAMPLE_CPU


@check("K35")
def check_a_header_is_type_misc_and_size(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid()
    kind, misc, size = struct.unpack_from("=IHH", ring.mapping.data)
    want = (abi.PERF_RECORD_SAMPLE, abi.PERF_RECORD_MISC_USER, 16)
    expect((kind, misc & _MODE, size), want, "type, CPU mode and size in the header of a sample")


@check("K35")
def check_a_sample_without_fields_is_a_header(rig: Rig) -> None:
    ring = rig.ring(rig.samples(8))
    rig.actor.getppid(2)
    expect([record.size for record in ring.drain()], [8, 8], "sizes of samples with sample_type 0")


@check("K35")
def check_identifier_comes_first_and_the_rest_in_the_order_of_the_bits(rig: Rig) -> None:
    fields = _TRAILER | abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_ID | abi.PERF_SAMPLE_STREAM_ID | abi.PERF_SAMPLE_PERIOD
    ring = rig.ring(rig.samples(sample_type=fields))
    rig.actor.getppid()
    identifier, ip, pid, tid, time, id_, stream, cpu, reserved, period = ring.drain()[0].unpack("QQIIQQQIIQ")
    number = rig.id_of(ring.fd)
    expect((identifier, id_), (number, number), "IDENTIFIER and ID")
    expect(
        (pid, tid, cpu, reserved, period), (rig.actor.pid, rig.actor.pid, rig.cpus[0], 0, 1), "pid, tid, cpu, period"
    )
    require(ip and time and stream, f"ip {ip:#x}, time {time} or stream id {stream} is 0")


@check("K35")
def check_times_do_not_go_back_in_one_task(rig: Rig) -> None:
    ring = rig.ring(rig.samples(sample_type=abi.PERF_SAMPLE_TIME))
    rig.actor.getppid(50)
    times = [record.unpack("Q")[0] for record in ring.drain()]
    require(times == sorted(times), f"times of one task's samples go back: {times}")


@check("K35")
def check_in_a_trailer_the_id_comes_last(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, sample_type=_TRAILER, sample_id_all=True))
    rig.actor.rename("name")
    (record,) = ring.drain()
    pid, tid, time, cpu, reserved, identifier = struct.unpack("=IIQIIQ", record.body[16:])
    want = (rig.actor.pid, rig.actor.pid, rig.cpus[0], 0, rig.id_of(ring.fd))
    expect((pid, tid, cpu, reserved, identifier), want, "pid, tid, cpu and id in a trailer")
    require(time, "the time in a trailer is 0")


@check("K35")
def check_without_sample_id_all_there_is_no_trailer(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, sample_type=_TRAILER))
    rig.actor.rename("name")
    expect([record.size for record in ring.drain()], [24], "size of a COMM without sample_id_all")


@check("K35")
def check_raw_data_is_padded_together_with_its_size(rig: Rig) -> None:
    ring = rig.ring(rig.samples(sample_type=abi.PERF_SAMPLE_RAW))
    rig.actor.getppid()
    (record,) = ring.drain()
    (size,) = record.unpack("I")
    expect(4 + size, len(record.body), "raw size and the 4 bytes that tell it")
    # The raw data begins with common_type (u16), common_flags, common_preempt_count and common_pid.
    kind, _, _, pid = struct.unpack_from("=HBBi", record.body, 4)
    expect((kind, pid), (rig.getppid_id, rig.actor.pid), "common_type and common_pid in the raw data")


@check("K35")
def check_the_format_file_tells_where_the_fields_are(rig: Rig) -> None:
    ring = rig.ring(rig.samples(sample_type=abi.PERF_SAMPLE_RAW))
    rig.actor.getppid()
    text = rig.read_tracepoint("format")
    line = next(line for line in text.splitlines() if "__syscall_nr" in line)
    places = dict(part.strip().split(":") for part in line.split(";")[1:3])
    end = int(places["offset"]) + int(places["size"])
    (size,) = ring.drain()[0].unpack("I")
    require(end <= size < end + 16, f"the format file ends __syscall_nr at {end}, and the raw data has {size} bytes")


@check("K35")
def check_read_in_a_sample_is_the_count_so_far(rig: Rig) -> None:
    read_format = abi.PERF_FORMAT_ID
    ring = rig.ring(rig.samples(sample_type=abi.PERF_SAMPLE_READ, read_format=read_format))
    rig.actor.getppid(3)
    values = [record.unpack("QQ") for record in ring.drain()]
    number = rig.id_of(ring.fd)
    expect(values, [(1, number), (2, number), (3, number)], "count and id in three samples")


@check("K35")
def check_a_group_is_read_in_a_sample_of_its_leader(rig: Rig) -> None:
    group = {"read_format": abi.PERF_FORMAT_GROUP | abi.PERF_FORMAT_ID}
    ring = rig.ring(rig.samples(sample_type=abi.PERF_SAMPLE_READ, **group))
    member = rig.open(rig.software(**group), group_fd=ring.fd)
    rig.actor.getppid(2)
    values = [record.unpack("QQQQQ") for record in ring.drain()]
    ids = rig.id_of(ring.fd), rig.id_of(member)
    want = [(2, count, ids[0], 0, ids[1]) for count in (1, 2)]
    expect(values, want, "number of events, and value and id of each")


@check("K35")
def check_a_call_chain_begins_with_the_mark_of_user_space(rig: Rig) -> None:
    chain = abi.PERF_SAMPLE_CALLCHAIN
    ring = rig.ring(rig.samples(sample_type=chain, exclude_callchain_kernel=True))
    rig.actor.getppid()
    (record,) = ring.drain()
    count, *entries = record.unpack(f"{len(record.body) // 8}Q")
    expect(count, len(entries), "the number of entries, and those there are")
    expect(entries[:1], [abi.PERF_CONTEXT_USER], "the first entry of a call chain without a kernel part")


@check("K35", "K5", length=[1, 4, 5, 100, 4092, 5000])
def check_bpf_output_is_the_payload_padded(rig: Rig, length: int) -> None:
    attr = rig.software(abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1, sample_type=abi.PERF_SAMPLE_RAW)
    ring = rig.ring(attr, pages=4)
    rig.arm.connect_bpf_output(ring.fd, rig.cpus[0])
    payload = bytes(index % 251 for index in range(length))
    rig.actor.emit(payload)
    (record,) = ring.drain()
    padded = (4 + length + 7) // 8 * 8 - 4
    expect(record.unpack("I"), (padded,), f"raw size of a payload of {length} bytes")
    expect(record.body[4 : 4 + length], payload, "the payload")


@check("K35")
def check_bpf_output_tells_who_sent_it(rig: Rig) -> None:
    fields = abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_RAW
    attr = rig.software(abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1, sample_type=fields)
    ring = rig.ring(attr, pid=-1, cpu=rig.cpus[0])
    rig.arm.connect_bpf_output(ring.fd, rig.cpus[0])
    rig.actor.emit(b"four")
    mine = [record for record in ring.drain() if record.unpack("I") == (rig.actor.pid,)]
    want = [(rig.actor.pid, rig.actor.pid, rig.cpus[0], 0, 4)]
    expect([record.unpack("IIIII") for record in mine], want, "pid, tid, cpu and raw size of BPF output")


@check("K35", comm=["a", "7 bytes", "8 bytes!", "15 bytes at all", "more than fifteen bytes"])
def check_comm_is_pid_tid_and_the_padded_name(rig: Rig, comm: str) -> None:
    ring = rig.ring(rig.software(comm=True))
    rig.actor.rename(comm)
    (record,) = ring.drain()
    name = comm[:15].encode()
    padded = name + bytes(8 - len(name) % 8)
    want = struct.pack("=II", rig.actor.pid, rig.actor.pid) + padded
    expect((record.type, record.body), (abi.PERF_RECORD_COMM, want), "type and body of a COMM")


@check("K35")
def check_mmap_tells_the_file_and_its_length(rig: Rig) -> None:
    ring = rig.ring(rig.software(mmap=True))
    rig.actor.map_executable(rig.arm.executable, rig.kernel.page_size)
    (record,) = ring.drain()
    pid, tid, _start, length, offset = record.unpack("IIQQQ")
    name = record.body[32:].split(b"\0")[0].decode()
    want = (abi.PERF_RECORD_MMAP, rig.actor.pid, rig.actor.pid, rig.kernel.page_size, 0, rig.arm.executable)
    expect((record.type, pid, tid, length, offset, name), want, "an MMAP")


@check("K35")
def check_mmap2_tells_protection_and_flags_as_well(rig: Rig) -> None:
    ring = rig.ring(rig.software(mmap=True, mmap2=True))
    rig.actor.map_executable(rig.arm.executable, rig.kernel.page_size)
    (record,) = ring.drain()
    prot, flags = struct.unpack_from("=II", record.body, 56)
    name = record.body[64:].split(b"\0")[0].decode()
    read_execute, private = 5, 2
    want = (abi.PERF_RECORD_MMAP2, read_execute, private, rig.arm.executable)
    expect((record.type, prot, flags, name), want, "type, protection, flags and file of an MMAP2")


@check("K35")
def check_mmap2_alone_is_enough_while_any_event_asks_for_mmap(rig: Rig) -> None:
    # Without one, of whatever task, 6.18 does not look for listeners at all: but others may have theirs open.
    rig.open(rig.software(mmap=True), rig.another_actor())
    ring = rig.ring(rig.software(mmap2=True))
    rig.actor.map_executable(rig.arm.executable, rig.kernel.page_size)
    expect(types(ring.drain()), [abi.PERF_RECORD_MMAP2], "records of an event with mmap2 and without mmap")
