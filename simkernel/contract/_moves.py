"""What random programs are made of: moves, each a step or a few that fit what was made before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from simkernel.contract import _attrs
from simkernel.contract.program import Step

if TYPE_CHECKING:
    import random

_MOST_ACTORS: Final = 4


@dataclass(slots=True)
class Made:
    """An event as far as the generator knows it: what it was asked for, not what the kernel said."""

    name: str
    attr: dict[str, Any]
    size: int
    actor: str
    mapped: bool = False
    members: int = 1
    timed: bool = False


@dataclass(slots=True)
class World:
    rng: random.Random
    steps: list[Step] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)
    events: list[Made] = field(default_factory=list)
    rings: list[str] = field(default_factory=list)
    epolls: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    made: int = 0

    # The means.

    def do(self, verb: str, *words: object, result: str = "", **options: object) -> None:
        given = tuple((name, str(value)) for name, value in options.items())
        self.steps.append(Step(verb, tuple(map(str, words)), given, result))

    def name(self, letter: str) -> str:
        self.made += 1
        return f"{letter}{self.made}"

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    def one(self, names: list[str], letter: str) -> str:
        """One that is there; now and then one that is not any more, or never was."""
        if self.gone and self.chance(3):
            return self.rng.choice(self.gone)
        return self.rng.choice(names) if names else f"{letter}0"

    def event(self) -> Made:
        """One that is open; made when there is none."""
        if not self.events:
            sampling(self)
        return self.rng.choice(self.events)

    def event_name(self, *, closed: int = 7) -> str:
        """One that is open, or with so much percent one that is not."""
        if self.chance(closed):
            return self.rng.choice(self.gone or ["e0"])
        return self.event().name

    def actor(self) -> str:
        return self.rng.choice(self.actors)

    # Beginning and end.

    def begin(self) -> None:
        for name in ("a", "b")[: 1 + self.chance(15)]:
            if self.chance(10):
                self.do("actor", name, cpu=self.rng.randrange(2))
            else:
                self.do("actor", name)
            self.actors.append(name)

    def end(self) -> None:
        """Whatever is in the rings and counts is looked at."""
        for ring in self.rings:
            self.do("drain", ring)
        for event in self.events[:3]:
            self.do("read", event.name)

    # Opening.

    def open(self, attr: dict[str, Any], kind: str, **options: object) -> Made:
        name = self.name("e")
        options.setdefault("pid", self.rng.choices([self.actor(), "me", "-1", "dead"], [92, 2, 5, 1])[0])
        if options["pid"] == "-1":
            options.setdefault("cpu", self.rng.randrange(2))
        elif attr.get("inherit") and self.chance(85):
            options.setdefault("cpu", 0)
        elif self.chance(8):
            options.setdefault("cpu", self.rng.choice([0, 0, 1, 7]))
        self.do("open", kind, result=name, **attr, **options)
        made = Made(name, attr, _attrs.sample_bytes(attr.get("sample_type", "0")), str(options["pid"]))
        self.events.append(made)
        return made


def sampling(world: World) -> None:
    """An event of which each getppid makes a sample, and its ring."""
    rng = world.rng
    event = world.open(_attrs.sampling(rng), _attrs.sampling_kind(rng))
    if world.chance(90):
        mapped(world, event=event)


def side_band(world: World) -> None:
    """An event that follows forks, names and mappings, and its ring."""
    event = world.open(_attrs.side_band(world.rng), "software:dummy")
    if world.chance(90):
        mapped(world, event=event)


def noisy(world: World) -> None:
    """A clock, faults, switches."""
    attr, kind = _attrs.noisy(world.rng)
    event = world.open(attr, kind, pid=world.actor())
    event.timed = "clock" in kind
    if world.chance(60):
        mapped(world, event=event)


def refused_open(world: World) -> None:
    """An attr or an argument that is wrong, mostly in one place."""
    attr, kind, options = _attrs.refused(world.rng)
    group = options.pop("group_of", None)
    if group and world.events:
        options["group"] = world.event_name()
    if len(world.events) < 12:
        world.open(attr, kind, **options)
        if not world.chance(10):  # most are refused: what is built on them would be absent
            world.events.pop()


def member(world: World) -> None:
    """A member of a group."""
    leader = world.event()
    if leader.attr.get("inherit") and any(step.verb == "fork" for step in world.steps):
        return  # parent and child may have swapped their events: then the leader is in the other's context
    attr = dict(_attrs.sampling(world.rng))
    attr["read_format"] = _attrs.read_format(world.rng)
    if world.chance(80):
        for name in ("inherit", "pinned", "exclusive"):
            attr.pop(name, None)
            if leader.attr.get(name) and name == "inherit":
                attr[name] = 1
    flags = {"open_flags": world.rng.choice(["OUTPUT", "NO_GROUP", "OUTPUT|NO_GROUP"])} if world.chance(25) else {}
    world.open(attr, _attrs.sampling_kind(world.rng), group=leader.name, pid=leader.actor, **flags)
    leader.members += 1


def mapped(world: World, *, event: Made | None = None) -> None:
    """A mapping: usually of one page, writable unless backward."""
    event = event or world.event()
    name, rng = world.name("m"), world.rng
    options: dict[str, object] = {"pages": rng.choices([1, 2, 4, 0, 8], [70, 12, 4, 6, 8])[0]}
    if (event.attr.get("write_backward") and world.chance(80)) or world.chance(3):
        options["writable"] = 0
    world.do("map", event.name, result=name, **options)
    event.mapped = True
    world.rings.append(name)


def refused_map(world: World) -> None:
    """A mapping that is mostly refused."""
    rng = world.rng
    wrong: list[dict[str, object]] = [{"shared": 0}, {"shared": 0, "writable": 0}]
    wrong += [{"pages": pages} for pages in (3, 5, 6, 16)]
    wrong += [{"length": length} for length in (0, 1, 4095, 8193, 12288)]
    wrong += [{"offset": offset} for offset in (1, 4096, 8192, -4096)]
    options = rng.choice(wrong)
    name = world.name("m")
    world.do("map", world.event_name(), result=name, **options)
    world.rings.append(name)


def redirect(world: World) -> None:
    """SET_OUTPUT, mostly into an event with a ring."""
    event, other = world.event(), world.event()
    target = world.rng.choices([other.name, "-1", "-2", event.name, *world.gone[:1], *world.epolls[:1]])[0]
    if world.chance(70):
        target = other.name
    world.do("redirect", world.event_name() if world.chance(5) else event.name, target)


def redirected(world: World) -> None:
    """A new event that writes into a ring that exists."""
    leaders = [event for event in world.events if event.mapped]
    if not leaders:
        sampling(world)
        return
    leader = world.rng.choice(leaders)
    attr = _attrs.sampling(world.rng) if world.chance(60) else _attrs.side_band(world.rng)
    if world.chance(60):
        attr |= {key: leader.attr[key] for key in ("sample_type", "read_format", "sample_id_all") if key in leader.attr}
    attr.pop("write_backward", None)
    if leader.attr.get("write_backward"):
        attr["write_backward"] = 1
    kind = _attrs.sampling_kind(world.rng) if "sample_period" in attr else "software:dummy"
    event = world.open(attr, kind, **({"pid": leader.actor} if world.chance(85) else {}))
    world.do("redirect", event.name, leader.name)
    if world.chance(40):  # a ring of its own, of the same size or another: refused by some kernels, by others not
        name = world.name("m")
        world.do("map", event.name, result=name, pages=world.rng.choice([1, 1, 2]))
        world.rings.append(name)


# What happens.


def burst(world: World) -> None:
    """Hits: a few, as many as just cross a watermark or fill a ring, or far too many."""
    rng, actor = world.rng, world.actor()
    sizes = [event.size for event in world.events if "sample_period" in event.attr] or [16]
    size = rng.choice(sizes)
    few = rng.randrange(1, 9)
    half, full = 2048 // size, 4095 // size
    times = rng.choice([1, few, few, half, half + 1, full - 1, full, full + 1, full + few, 2 * full])
    world.do("getppid", actor, max(1, times))


def rename(world: World) -> None:
    """COMM."""
    world.do("rename", world.actor(), "x" * world.rng.choice([1, 3, 7, 8, 15, 16]))


def map_executable(world: World) -> None:
    """MMAP."""
    world.do("map_executable", world.actor(), world.rng.choices([4096, 8192, 100], [5, 3, 2])[0])


def fork(world: World) -> None:
    """A child, which acts too."""
    if len(world.actors) < _MOST_ACTORS:
        name = world.name("c")
        world.do("fork", world.actor(), result=name)
        world.actors.append(name)


def exit_(world: World) -> None:
    """The end of an actor, and often a question right behind."""
    actor = world.actor()
    world.do("exit", actor)
    world.actors.remove(actor)
    if not world.actors or world.chance(10):
        name = world.name("a")
        world.do("actor", name)
        world.actors.append(name)
    if world.chance(10):
        world.actors.append(actor)
    if world.events and world.chance(70):
        poll(world)


def pin(world: World) -> None:
    """Another CPU."""
    world.do("pin", world.actor(), world.rng.choices([0, 1, 77], [5, 4, 2])[0])


def touch(world: World) -> None:
    """Something noisy."""
    verb, words = world.rng.choice([("touch_pages", (3,)), ("switch", ()), ("spend", (200_000,))])
    world.do(verb, world.actor(), *words)


def exec_(world: World) -> None:
    """Another program, where nothing hears the mappings that make it."""
    if not any({"mmap", "mmap2", "mmap_data"} & event.attr.keys() for event in world.events):
        world.do("exec", world.actor())


def bpf(world: World) -> None:
    """An output event, connected and used."""
    rng = world.rng
    attr = _attrs.bpf(rng) | ({"inherit": 1} if world.chance(28) else {})
    event = world.open(attr, "software:bpf-output" if world.chance(72) else "software:dummy")
    if world.chance(85):
        mapped(world, event=event)
    target = rng.choice(world.gone or ["e0"]) if world.chance(20) else event.name
    world.do("connect", target, rng.choices([0, 1, 70], [5, 2, 2])[0])
    for _ in range(rng.randrange(1, 4)):
        emit(world)


def emit(world: World) -> None:
    """A payload."""
    world.do("emit", world.actor(), world.rng.choice([1, 4, 5, 12, 13, 100, 1000, 2000, 4100]))


# Readers.


def drain(world: World) -> None:
    """All, some, or a look."""
    ring, rng = world.one(world.rings, "m"), world.rng
    verb, *words = rng.choices([("drain",), ("drain", rng.randrange(1, 40)), ("look",), ("free",)], [10, 5, 3, 2])[0]
    world.do(str(verb), ring, *words)


def free(world: World) -> None:
    """The tail, wherever it should not go."""
    world.do("free", world.one(world.rings, "m"), world.rng.choice([8, 16, 24, 100, 4096, 1 << 40]))


def munmap(world: World) -> None:
    """One mapping less, and often a question right behind."""
    ring = world.one(world.rings, "m")
    world.do("munmap", ring)
    if ring in world.rings and world.chance(80):
        world.rings.remove(ring)
    if world.chance(60):
        poll(world)


def close(world: World) -> None:
    """An event, an epoll, or what is closed already."""
    if world.epolls and world.chance(15):
        name = world.rng.choice(world.epolls)
        world.epolls.remove(name)
    else:
        event = world.event()
        name = event.name
        world.events.remove(event)
    world.do("close", name)
    world.gone.append(name)
    if world.chance(25):
        world.do("poll", name, "IN")


def close_again(world: World) -> None:
    """EBADF."""
    if world.gone:
        world.do("close", world.rng.choice(world.gone))


def read(world: World) -> None:
    """The counts; sometimes into too small a buffer."""
    sizes = [size for size in (0, 7, 8, 16, 24, 39, 40) if world.chance(5)]
    world.do("read", world.event_name(), *sizes[:1])


def write(world: World) -> None:
    """EINVAL."""
    world.do("write", world.event_name(closed=15), world.rng.choice([1, 8]))


def page(world: World) -> None:
    """The metadata page."""
    world.do("page", world.one(world.rings, "m"))


# Asking.


def poll(world: World) -> None:
    """One or two events."""
    names = [world.event_name() for _ in range(1 + world.chance(20))]
    mask = world.rng.choices(["IN", "0", "IN|RDNORM", "OUT", "PRI"], [80, 5, 7, 4, 4])[0]
    world.do("poll", ",".join(dict.fromkeys(names)), mask)


def _events_mask(world: World) -> str:
    masks = ["IN", "IN|ET", "IN|ONESHOT", "IN|EXCLUSIVE", "IN|ET|ONESHOT", "0", "IN|RDNORM", "PRI|EXCLUSIVE", "OUT"]
    return world.rng.choices(masks, [40, 20, 12, 6, 3, 3, 5, 3, 3])[0]


def epoll(world: World) -> None:
    """An instance, with some events."""
    name = world.name("p")
    world.do("epoll", result=name)
    world.epolls.append(name)
    for _ in range(world.rng.randrange(1, 4)):
        add(world)


def add(world: World) -> None:
    """EPOLL_CTL_ADD: an event, or now and then an epoll."""
    if not world.epolls:
        epoll(world)
        return
    target = world.rng.choice(world.epolls) if world.chance(18) else world.event_name()
    world.do("add", world.one(world.epolls, "p"), target, _events_mask(world))


def cycle(world: World) -> None:
    """Epolls that watch each other, as far as they may: ELOOP."""
    names = [world.name("p") for _ in range(2 + world.chance(30))]
    for name in names:
        world.do("epoll", result=name)
    world.epolls += names
    for watcher, watched in zip(names, [*names[1:], names[0]], strict=True):
        world.do("add", watcher, watched, world.rng.choice(["IN", "IN|ET"]))
    add(world)


def crossing(world: World) -> None:
    """Readiness, as it comes and goes: a wakeup for each sample, asked for and taken."""
    attr = {"sample_period": 1, "sample_type": "TID", "wakeup_events": 1}
    event = world.open(attr, "tracepoint:getppid", pid=world.actor())
    if world.chance(30):
        world.do("poll", event.name, "IN")
    mapped(world, event=event)
    by_epoll = world.chance(60)
    epolled = world.name("p")
    if by_epoll:
        world.do("epoll", result=epolled)
        world.epolls.append(epolled)
        world.do("add", epolled, event.name, world.rng.choice(["IN", "IN|ET"]))
    for _ in range(world.rng.randrange(2, 5)):
        verb = world.rng.choices(["getppid", "exit", "close"], [12, 5, 2])[0]
        if verb == "close" and event in world.events:
            world.do("close", event.name)
            world.gone.append(event.name)
            world.events.remove(event)
        elif verb != "close":
            world.do(verb, event.actor)
        world.do("wait", epolled) if by_epoll else world.do("poll", event.name, "IN")


def modify(world: World) -> None:
    """EPOLL_CTL_MOD or DEL."""
    if not world.epolls:
        epoll(world)
        return
    words = (world.one(world.epolls, "p"), world.event_name())
    if world.chance(60):
        world.do("mod", *words, _events_mask(world))
    else:
        world.do("del", *words)


def wait(world: World) -> None:
    """epoll_wait."""
    if not world.epolls:
        epoll(world)
    world.do("wait", world.one(world.epolls, "p"))


# Controls.


def control(world: World) -> None:
    """ENABLE, DISABLE, RESET, PAUSE_OUTPUT, REFRESH, ID: mostly taken."""
    requests = [
        *(("ENABLE", 0), ("ENABLE", 1), ("DISABLE", 0), ("DISABLE", 1), ("RESET", 0), ("RESET", 1), ("ID", 0)),
        *(("PAUSE_OUTPUT", 1), ("PAUSE_OUTPUT", 0), ("PAUSE_OUTPUT", 0), ("REFRESH", 1), ("REFRESH", 3)),
        *(("PERIOD", 1), ("PERIOD", 2), ("PERIOD", 7)),
    ]
    request = world.rng.choice(requests)
    name = world.event_name(closed=20)
    event = next((event for event in world.events if event.name == name), None)
    if request[0] == "PERIOD" and event is not None and ("inherit" in event.attr or event.actor == "-1"):
        # Parent and child may swap their events, and with them what is left of a period. What PERIOD does to an event
        # that is counting just then, as those of a CPU are, the simulator gets wrong: docs/conformance/README.md
        return
    if request[0] == "REFRESH" and event is not None and event.timed:
        return  # when it is over is a matter of time
    world.do("ioctl", name, *request)


def refused_control(world: World) -> None:
    """Requests and arguments that are mostly refused."""
    requests = [
        *(
            ("PERIOD", 0),
            ("PERIOD", 1 << 63),
            ("PERIOD", "null"),
            ("REFRESH", 0),
            ("ID", "null"),
            ("QUERY_BPF", "null"),
        ),
        *(
            ("SET_FILTER", "null"),
            ("SET_FILTER", "no_such == 1"),
            ("SET_FILTER", "common_pid != 0"),
            ("SET_FILTER", ""),
        ),
        *(("QUERY_BPF", 0), ("QUERY_BPF", 4), ("QUERY_BPF", 65), ("SET_BPF", -1), ("SET_BPF", 1 << 29)),
        *(("MODIFY_ATTRIBUTES", "null"), ("0x2499", 0), ("0x5401", 0), ("PAUSE_OUTPUT", 1)),
        *(("ENABLE", 0), ("DISABLE", 0), ("RESET", 0), ("REFRESH", 1), ("QUERY_BPF", 4)),
    ]
    name, request = world.event_name(closed=30), world.rng.choice(requests)
    if world.chance(20):  # an event that does not sample, and has no program
        name = world.open({}, "software:dummy", pid="me").name
    world.do("ioctl", name, *request)
    if request[0] == "SET_FILTER" and world.chance(60):
        world.do("ioctl", name, "SET_FILTER", "common_pid > 1")


def signals(world: World) -> None:
    """Sets an event up for signals, or takes them."""
    if not world.chance(35):
        world.do("signals")
        return
    name = world.event_name(closed=20)
    if world.chance(30):  # the same ring, asked in between
        poll(world)
    world.do("fcntl", name, "SETOWN", "me")
    world.do("fcntl", name, "SETSIG", 34)
    world.do("fcntl", name, "SETFL", world.rng.choices(["ASYNC", "ASYNC|NONBLOCK", "0"], [8, 1, 1])[0])


def fcntl(world: World) -> None:
    """The other commands, and what they refuse."""
    commands = [
        *(
            ("GETFL",),
            ("GETOWN",),
            ("GETSIG",),
            ("SETSIG", 65),
            ("SETSIG", 0),
            ("SETOWN", "dead"),
            ("SETFL", "NONBLOCK"),
        ),
        *(("SETFL", 0), ("SETSIG", -1)),
    ]
    world.do("fcntl", world.event_name(closed=40), *world.rng.choice(commands))
