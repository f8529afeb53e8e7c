"""One ring, from the reader's side.

It takes a `Mapping`, never an fd: a ring of 16 bytes made by a test is as good as any.

Positions are the kernel's: u64 counts of bytes since the ring was made, which wrap at 2**64; only ``position % size``
is a place in the data area::

      data area    |  free   |######## unread ########|   free   |
                             ^ tail                   ^ head
                             the reader stores it     the kernel stores it
                             with release             the reader loads it with acquire (K37)

The bytes are copied out before the tail is stored. From that moment on the kernel may write there, and what is then
done with the copy, or fails to be done, can neither hold up the kernel nor tear a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL

if TYPE_CHECKING:
    from perfring.kernel import Mapping

__all__ = ["BackwardRing", "RingOverrun", "RingReader"]

_U64: Final = (1 << 64) - 1


class RingOverrun(ValueError):
    """``head - tail`` is larger than the ring: the metadata page cannot be trusted, and the unread bytes are lost.

    Attributes:
        position: the tail, where the reader stood.
        distance: ``head - tail``: the bytes that were skipped.
    """

    def __init__(self, position: int, distance: int, size: int) -> None:
        self.position = position
        self.distance = distance
        super().__init__(f"head is {distance} bytes past tail in a ring of {size} bytes")


class RingReader:
    """A forward ring: reads what lies between tail and head, and frees it.

    Args:
        mapping: a writable mapping of the ring (K1).

    Raises:
        ValueError: a data area that is empty or no power of two, with its size.
    """

    __slots__ = ("_data", "_mapping", "published", "size", "tail")

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._data = mapping.data
        self.size = _checked_size(mapping)
        # A second mapping of the same fd shares the ring, and with it whatever was freed already (K3).
        self.tail = self.published = mapping.load_u64(MMAP_PAGE_DATA_TAIL)

    def head(self) -> int:
        """Loads head, with acquire: whatever lies below it may be read afterwards."""
        return self._mapping.load_u64(MMAP_PAGE_DATA_HEAD)

    def unread(self, head: int) -> int:
        """Bytes between tail and ``head``.

        Raises:
            RingOverrun: more than the ring holds. Nothing is changed: `skip_to` gets the reader past it.
        """
        distance = (head - self.tail) & _U64
        if distance > self.size:
            raise RingOverrun(self.tail, distance, self.size)
        return distance

    def copy(self, length: int) -> bytes:
        """A copy of the next ``length`` unread bytes, in one piece also where they wrap (K5)."""
        return b"".join(self.pieces(length))

    def pieces(self, length: int) -> tuple[memoryview, ...]:
        """The next ``length`` unread bytes where they lie, in two pieces where they wrap: for copying, and no more."""
        start = self.tail % self.size
        end = start + length
        if end <= self.size:
            return (self._data[start:end],)
        return self._data[start:], self._data[: end - self.size]

    def free(self, length: int) -> None:
        """Gives ``length`` bytes back to the kernel: they must have been copied before."""
        self.skip_to(self.after(length))

    def after(self, length: int) -> int:
        """The position ``length`` bytes behind tail."""
        return (self.tail + length) & _U64

    def skip_to(self, position: int) -> None:
        """Stores ``position`` as the tail, with release, whatever lies before it."""
        self.tail = position
        self.publish()

    def publish(self) -> None:
        """Stores the tail. Setting it alone gives nothing back yet, and can be made up for later."""
        tail = self.tail
        self._mapping.store_u64(MMAP_PAGE_DATA_TAIL, tail)
        self.published = tail


class BackwardRing:
    """An overwrite ring written backward (K4, K34): head goes down from 0, and the newest record stands at it::

        data area    | newest | ... | oldest that is whole | cut off |
                     ^ head                                          ^ head + size, or where the ring began

    The kernel writes into it at any time, so it must be paused while it is read (K23).
    """

    __slots__ = ("_data", "_mapping", "size")

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._data = mapping.data
        self.size = _checked_size(mapping)

    def head(self) -> int:
        """Loads head, with acquire."""
        return self._mapping.load_u64(MMAP_PAGE_DATA_HEAD)

    def copy(self, head: int) -> bytes:
        """A copy of all that was written and not overwritten, newest record first.

        The oldest record may be cut off at the end of the copy: its header then says more than is left.

        Args:
            head: what `head` returned. It is not loaded anew: a writer that was under way when the ring was paused may
                publish between the two.
        """
        # Before the first lap the bytes behind position 0 were never written.
        length = min(-head & _U64, self.size)
        start = head % self.size
        return b"".join((self._data[start:], self._data[:start]))[:length]


def _checked_size(mapping: Mapping) -> int:
    size = len(mapping.data)
    if size == 0 or size & (size - 1):
        raise ValueError(f"the data area has {size} bytes: a ring that can be read has a power of two of them (K1)")
    return size
