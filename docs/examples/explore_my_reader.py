"""Two readers of a perf ring in every interleaving: python explore_my_reader.py. Needs no privileges."""

from collections.abc import Hashable

from simkernel.explore import Scenario, View, explore

HEAD, TAIL = 1024, 1032


def my_reader(view: View, kept: Hashable) -> Hashable:
    if kept is None:
        view.register()  # takes a wakeup that came before, so a first look is due
    else:
        view.wait()
    for ring in view.rings:
        head, tail = ring.load_u64(HEAD), ring.load_u64(TAIL)
        while tail != head:
            start = tail % len(ring.data)
            image = bytes(ring.data[start:]) + bytes(ring.data[:start])
            size = int.from_bytes(image[6:8], "little")
            view.deliver(ring.cpu, image[:size])
            tail = (tail + size) % 2**64
            ring.store_u64(TAIL, tail)
    return "registered"


def hasty_reader(view: View, kept: Hashable) -> Hashable:
    my_reader(view, kept)
    view.ask()  # "is there more?": and the wakeup that says so is gone
    return "registered"


SCENARIO = Scenario(ring_bytes=64, watermark=15, records=(16, 16), interrupts=(8,), pauses=1)

if __name__ == "__main__":
    print(explore(my_reader, SCENARIO))
    print(explore(hasty_reader, SCENARIO))
