"""Random attrs: good ones, ones at the edge, and ones that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random

__all__ = ["bpf", "noisy", "read_format", "refused", "sample_bytes", "sampling", "sampling_kind", "side_band"]

_WORDS: Final = ("TID", "TIME", "ID", "CPU", "PERIOD", "IDENTIFIER", "STREAM_ID", "IP", "ADDR")
_SIDE_BAND: Final = ("task", "comm", "mmap", "mmap2")
_MASK: Final = (1 << 64) - 1


def sample_bytes(sample_type: str) -> int:
    """About how many bytes a sample has."""
    return 8 + sum(8 if word in _WORDS else 24 for word in sample_type.split("|") if word != "0")


def _sample_type(rng: random.Random) -> str:
    if rng.randrange(100) < 35:
        return "TID"
    words = rng.sample(_WORDS, rng.randrange(6))
    words += [word for word in ("RAW", "READ", "WEIGHT", "DATA_SRC") if rng.randrange(100) < 6]
    return "|".join(words) or "0"


def read_format(rng: random.Random) -> str:
    """Bits of read_format."""
    names = ("LOST", "ID", "GROUP", "ENABLED", "RUNNING")
    return "|".join(name for name in names if rng.randrange(100) < 40) or "0"


def _wakeup(rng: random.Random, size: int) -> dict[str, Any]:
    """A watermark near what decides, a count of samples, or neither."""
    full = 4095 // size * size
    marks = [
        1,
        16,
        size,
        size - 1,
        2 * size,
        1000,
        2048,
        full,
        full - 1,
        full - size,
        4088,
        4095,
        4096,
        5000,
        1 << 30,
        0,
    ]
    if rng.randrange(100) < 60:
        return {"watermark": 1, "wakeup_watermark": rng.choice(marks)}
    return {"wakeup_events": rng.choice([1, 1, 1, 2, 3, 10])} if rng.randrange(100) < 80 else {}


def _common(rng: random.Random) -> dict[str, Any]:
    flags = {"disabled": 8, "inherit": 8, "pinned": 3, "exclusive": 2, "enable_on_exec": 2, "write_backward": 7}
    attr: dict[str, Any] = {name: 1 for name, percent in flags.items() if rng.randrange(100) < percent}
    if rng.randrange(100) < 40:
        attr["read_format"] = read_format(rng)
    if rng.randrange(100) < 50:
        attr["sample_id_all"] = 1
    if rng.randrange(100) < 4:
        attr |= {"use_clockid": 1, "clockid": rng.choice([1, 4])}
    return attr


def sampling_kind(rng: random.Random) -> str:
    """A tracepoint that getppid hits."""
    return rng.choices(["tracepoint:getppid", "tracepoint:getppid_exit", "tracepoint:rename"], [85, 8, 7])[0]


def sampling(rng: random.Random) -> dict[str, Any]:
    """An event with samples of a known size."""
    sample_type = _sample_type(rng)
    attr = {"sample_type": sample_type, "sample_period": rng.choices([1, 2, 3, 10], [85, 5, 5, 5])[0]} | _common(rng)
    if "inherit" in attr:
        attr["sample_period"] = 1  # parent and child may swap their events, and with them what is left of a period
    return attr | _wakeup(rng, sample_bytes(sample_type))


def side_band(rng: random.Random) -> dict[str, Any]:
    """A dummy that hears of the task."""
    attr = _common(rng) | {"sample_type": "|".join(rng.sample(_WORDS[:6], rng.randrange(1, 5)))}
    for name in _SIDE_BAND:
        if rng.randrange(100) < 60:
            attr[name] = 1
    for name, percent in {"namespaces": 8, "comm_exec": 10, "inherit_stat": 6, "remove_on_exec": 2}.items():
        if rng.randrange(100) < percent:
            attr[name] = 1
    return attr | _wakeup(rng, 40)


def bpf(rng: random.Random) -> dict[str, Any]:
    """A BPF output event, mostly with RAW."""
    return sampling(rng) | {"sample_type": rng.choice(["RAW", "RAW", "RAW|TID|TIME", "TID"]), "sample_period": 1}


def noisy(rng: random.Random) -> tuple[dict[str, Any], str]:
    """An event that a real actor feeds whether it wants or not."""
    kinds = ["cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations", "page-faults-min", "dummy"]
    kind = rng.choice(kinds)
    attr = _common(rng) | {"sample_type": "TID|TIME"}
    if "clock" in kind:
        attr["sample_period"] = rng.choice([0, 100_000, 1_000_000])
    elif kind == "dummy":
        attr["context_switch"] = 1
    else:
        attr["sample_period"] = rng.choice([0, 1, 2])
    return attr, f"software:{kind}"


_WRONG: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    # kind (empty: any), options of `open`
    *(("", {"sample_type": hex(1 << bit)}) for bit in (11, 25, 26, 31, 63)),
    *(("", {"sample_type": "BRANCH_STACK", "branch_sample_type": 1 << bit}) for bit in (0, 3, 10, 19, 20)),
    *(("", {"sample_type": "REGS_USER", "sample_regs_user": mask}) for mask in (0, 1 << 12, 1 << 24, 1 << 40)),
    *(("", {"sample_type": "REGS_INTR", "sample_regs_intr": mask}) for mask in (0, 1 << 15, 1 << 33)),
    *(("", {"sample_type": "STACK_USER", "sample_stack_user": size}) for size in (4, 65535, 65536)),
    ("", {"sample_type": "WEIGHT|WEIGHT_STRUCT"}),
    ("", {"sample_type": "AUX", "aux_sample_size": 8}),
    ("", {"aux_sample_size": 8}),
    *(("", {"sample_type": "CALLCHAIN", "sample_max_stack": depth, "sample_period": 1}) for depth in (128, 1000)),
    *(("", {"read_format": hex(1 << bit)}) for bit in (5, 6, 63)),
    *(("", {"flags": 1 << bit}) for bit in (38, 40, 63)),
    ("", {"inherit": 1, "sample_type": "READ"}),
    ("", {"inherit_thread": 1}),
    ("", {"aux_output": 1}),
    ("", {"remove_on_exec": 1, "enable_on_exec": 1}),
    ("", {"reserved_2": 1}),
    *(("", {"size": size}) for size in (1, 63, 4097, 1 << 20)),
    ("", {"size": 152, "config4": 1}),
    *(("", {"use_clockid": 1, "clockid": clock}) for clock in (0, 2, 3, 5, 7, 11, 12, -1)),
    *(("", {"freq": 1, "sample_freq": rate}) for rate in (1 << 40, 1 << 63)),
    ("", {"sample_period": 1 << 63}),
    *(("", {"open_flags": flags}) for flags in ("PID_CGROUP", "16", "0x100")),
    ("", {"pid": "-1", "cpu": -1}),
    *(("", {"cpu": cpu}) for cpu in (64, 5000, -2)),
    *(("", {"pid": pid}) for pid in ("dead", "-2", "-5")),
    *(("", {"group": group}) for group in ("-5", str(1 << 29), "-2")),
    *(("", {"group_of": True, **more}) for more in ({}, {"pinned": 1}, {"exclusive": 1}, {"inherit": 1}, {"cpu": 1})),
    *(("", {"group_of": True, **more}) for more in ({"pid": "-1", "cpu": 0}, {"use_clockid": 1, "clockid": 4})),
    *(("", {"group_of": True, "open_flags": flags}) for flags in ("OUTPUT", "NO_GROUP", "OUTPUT|NO_GROUP")),
    *(("type:0", {"config": config}) for config in (0, 9)),
    ("type:3", {}),
    ("type:4", {"config": 5}),
    ("type:99", {}),
    *(("type:1", {"config": config}) for config in (12, 1 << 32, _MASK)),
    *(("type:2", {"config": config}) for config in (0, 1 << 31, 1 << 32)),
)
"""One thing wrong in each."""


def refused(rng: random.Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """An attr, a kind and options of the call, with one or two things wrong."""
    kind = rng.choice(["software:dummy", "software:dummy", "tracepoint:getppid", "software:cpu-clock"])
    attr: dict[str, Any] = {"disabled": 1} if rng.randrange(2) else {}
    options: dict[str, Any] = {}
    for _ in range(rng.choices([1, 2], [80, 20])[0]):
        other, wrong = rng.choice(_WRONG)
        kind = other or kind
        attr |= {name: value for name, value in wrong.items() if name not in _OF_THE_CALL}
        options |= {name: value for name, value in wrong.items() if name in _OF_THE_CALL}
    if "freq" in attr and "sample_period" in attr:
        del attr["sample_period"]
    return attr, kind, options


_OF_THE_CALL: Final = ("pid", "cpu", "group", "open_flags", "group_of")
