"""K1 to K3, K5, K6: the shape of a ring."""

from __future__ import annotations

from errno import EINVAL

from perfring import abi
from simkernel.contract.raw import DATA_HEAD, DATA_OFFSET, DATA_SIZE
from simkernel.contract.rig import Rig, expect, refused, require, types
from simkernel.contract.suite import check


@check("K1", pages=[0, 1, 2, 8, 64])
def check_a_power_of_two_of_data_pages_maps_and_so_does_none(rig: Rig, pages: int) -> None:
    ring = rig.ring(rig.software(), pages=pages)
    expect(ring.size, pages * rig.kernel.page_size, "the data area has so many bytes")


@check("K1", pages=[3, 5, 6, 7, 12])
def check_another_number_of_data_pages_is_refused(rig: Rig, pages: int) -> None:
    fd = rig.open(rig.software())
    with refused(f"a mapping of {pages} data pages", EINVAL):
        rig.map(fd, pages)


@check("K1")
def check_nothing_is_written_without_data_pages(rig: Rig) -> None:
    ring = rig.ring(rig.samples(), pages=0)
    rig.actor.getppid(3)
    expect(ring.head, 0, "head of a ring without data pages")
    expect(rig.counts(ring.fd), (3,), "the event counts all the same")


@check("K1")
def check_a_private_mapping_is_refused(rig: Rig) -> None:
    fd = rig.open(rig.software())
    with refused("MAP_PRIVATE", EINVAL):
        rig.map(fd, shared=False)


@check("K1", pages=[0, 1])
def check_an_offset_is_refused(rig: Rig, pages: int) -> None:
    fd = rig.open(rig.software())
    with refused("a mapping at an offset of one page", EINVAL):
        rig.map(fd, pages, offset=rig.kernel.page_size)


@check("K1")
def check_an_empty_mapping_is_refused(rig: Rig) -> None:
    fd = rig.open(rig.software())
    with refused("a mapping of no bytes", EINVAL):
        rig.map(fd, -1)


@check("K2")
def check_the_metadata_page_tells_where_the_data_is(rig: Rig) -> None:
    ring = rig.ring(rig.software(), pages=4)
    expect(ring.mapping.load_u64(DATA_OFFSET), rig.kernel.page_size, "data_offset")
    expect(ring.mapping.load_u64(DATA_SIZE), 4 * rig.kernel.page_size, "data_size")


@check("K2")
def check_head_begins_at_0_and_grows_by_what_is_written(rig: Rig) -> None:
    ring = rig.ring(rig.samples(24))
    expect((ring.head, ring.tail), (0, 0), "head and tail of a new ring")
    rig.actor.getppid(2)
    expect((ring.head, ring.tail), (48, 0), "head and tail after two records of 24 bytes")


@check("K3")
def check_a_second_mapping_of_the_same_size_shares_the_ring(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid(3)
    again = rig.map(ring.fd)
    expect(again.head, 48, "head in the second mapping")
    expect(bytes(again.mapping.data[:48]), bytes(ring.mapping.data[:48]), "data in the second mapping")


@check("K3", pages=[0, 2])
def check_a_second_mapping_of_another_size_is_refused(rig: Rig, pages: int) -> None:
    ring = rig.ring(rig.software())
    with refused(f"a second mapping, of {pages} data pages and not 1,", EINVAL):
        rig.map(ring.fd, pages)


@check("K3")
def check_the_ring_lives_until_its_last_mapping_goes(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    again = rig.map(ring.fd)
    ring.mapping.close()
    rig.actor.getppid()
    expect(again.head, 16, "head after the first of two mappings went")


@check("K3")
def check_a_mapping_after_the_last_munmap_starts_at_head_0(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid(3)
    ring.mapping.close()
    expect(rig.map(ring.fd, 2).head, 0, "head of a mapping after the last munmap")


@check("K3")
def check_scribbling_over_data_head_does_not_disturb_the_kernels_own(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid(2)
    ring.mapping.store_u64(DATA_HEAD, 999_999)
    rig.actor.getppid()
    expect(ring.head, 48, "head after the reader scribbled over it")


@check("K3")
def check_scribbling_over_data_size_does_not_disturb_the_kernels_own(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    ring.mapping.store_u64(DATA_SIZE, 8)
    rig.actor.getppid(2)
    expect(ring.head, 32, "head after the reader scribbled over data_size")
    expect(ring.mapping.load_u64(DATA_SIZE), 8, "data_size, which the kernel writes but once")


@check("K3")
def check_records_are_written_while_the_event_is_open_though_its_fd_was_closed(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.close_fd(ring.fd)
    rig.actor.getppid(2)
    expect(ring.head, 32, "a mapping keeps its event alive; head after its fd was closed")


@check("K5", length=[1, 7, 8, 15])
def check_records_are_multiples_of_8_bytes(rig: Rig, length: int) -> None:
    ring = rig.ring(rig.software(comm=True))
    rig.actor.rename("x" * length)
    expect([record.size for record in ring.records()], [24 + length // 8 * 8], "size of a COMM")


@check("K5")
def check_the_longest_record_is_65528_bytes(rig: Rig) -> None:
    attr = rig.software(abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1, sample_type=abi.PERF_SAMPLE_RAW)
    ring = rig.ring(attr, pages=32)
    rig.arm.connect_bpf_output(ring.fd, rig.cpus[0])
    rig.actor.emit(b"\xa5" * 65516)
    expect([record.size for record in ring.records()], [65528], "size of the longest BPF output")


@check("K5")
def check_a_body_may_straddle_the_end_of_the_ring(rig: Rig) -> None:
    ring = rig.ring(rig.samples(24))
    rig.redirected(rig.software(comm=True), ring)
    at = rig.fill(ring, 24) * 24
    ring.free()
    rig.actor.rename("wrapped")
    require(at + 16 == ring.size, "the name must begin where the ring ends, for this check")
    (record,) = ring.records()
    want = at + 24, (rig.actor.pid, rig.actor.pid), b"wrapped\0"
    expect((ring.head, record.unpack("II"), record.body[8:]), want, "head, pid, tid and name of a wrapped COMM")


@check("K6", size=[8, 16, 24, 32, 40, 56])
def check_one_byte_always_stays_free(rig: Rig, size: int) -> None:
    ring = rig.ring(rig.samples(size))
    rig.actor.getppid(ring.size // size + 3)
    expect(ring.head, (ring.size - 1) // size * size, f"head of a ring full of records of {size} bytes")


@check("K6")
def check_a_stored_tail_makes_room_at_once(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    full = rig.fill(ring) * 16
    rig.actor.getppid()
    expect(ring.head, full, "head when the ring is full")
    ring.free()
    rig.actor.getppid()
    kinds = types(ring.records())
    expect(kinds, [abi.PERF_RECORD_LOST, abi.PERF_RECORD_SAMPLE], "records after the tail was stored")


@check("K6")
def check_the_reader_owns_the_tail(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid(4)
    ring.free(to=32)
    rig.actor.getppid()
    expect((ring.head, ring.tail), (80, 32), "head and tail after the reader freed two of four records")
