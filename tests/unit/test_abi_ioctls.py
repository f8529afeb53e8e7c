"""ioctl numbers as each architecture encodes them; the literals are from strace and the man pages."""

from __future__ import annotations

import pytest

from perfring.abi import ioctl_request


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64", "s390x"])
def test_enable_has_no_direction_bits_on_most_machines(machine: str) -> None:
    assert ioctl_request("", 0, 0, machine=machine) == 0x2400


def test_enable_says_no_direction_on_powerpc() -> None:
    assert ioctl_request("", 0, 0, machine="ppc64le") == 0x2000_2400


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", 0x8008_2407), ("ppc64le", 0x4008_2407)])
def test_id_reads_a_pointer_size(machine: str, expected: int) -> None:
    assert ioctl_request("r", 7, 8, machine=machine) == expected


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", 0x4004_2409), ("ppc64le", 0x8004_2409)])
def test_pause_output_writes_four_bytes(machine: str, expected: int) -> None:
    assert ioctl_request("w", 9, 4, machine=machine) == expected


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", 0xC008_240A), ("ppc64le", 0xC008_240A)])
def test_query_bpf_reads_and_writes(machine: str, expected: int) -> None:
    assert ioctl_request("rw", 10, 8, machine=machine) == expected


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="'wr'"):
        ioctl_request("wr", 0, 0)


@pytest.mark.parametrize("number", [-1, 256])
def test_a_number_that_needs_more_than_eight_bits_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=str(number)):
        ioctl_request("", number, 0)


@pytest.mark.parametrize("size", [-1, 8192])
def test_a_size_that_does_not_fit_every_machine_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        ioctl_request("w", 0, size)
