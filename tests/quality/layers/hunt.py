"""Runs tests against planted bugs: collected once, and a process of its own for each bug."""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.quality.layers.bug import Bug
from tests.quality.layers.counting import EXAMPLES, count_calls, count_examples
from tests.quality.layers.suite import LAYERS, layer_of
from tests.quality.project import ROOT

__all__ = ["Find", "Hunt", "hunt"]

_CRASHES: Final = ("NameError", "UnboundLocalError", "SyntaxError", "LookupError: mutant")
_PATIENCE: Final = 100.0
"""Seconds without a word until a process is given up: the time limit of a test."""


@dataclass(frozen=True, slots=True)
class Find:
    """A test that failed.

    Attributes:
        bug: the bug that was planted; "" for none.
        layer: the test's layer.
        test: its pytest node id.
        examples: how many examples it had tried by then.
        how: the end of its report.
    """

    bug: str
    layer: str
    test: str
    examples: int
    how: str


class Hunt:
    """A pytest plugin that runs the collected tests once for each bug, instead of once.

    Args:
        bugs: what to plant; None for a run without any bug.
        tests: which tests are to run with a bug, by its name; without an entry all of them, cheapest layer first.
            Behind the first that finds a bug no more are run.
    """

    def __init__(self, bugs: Sequence[Bug | None], tests: Mapping[str, Sequence[str]]) -> None:
        self._bugs = list(bugs)
        self._tests = tests
        self._running: dict[int, _Worker] = {}
        self.finds: list[Find] = []
        self.problems: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        count_examples()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = [layer.name for layer in LAYERS]
        chosen = [(layer_of(item.nodeid), item) for item in items]
        items[:] = [
            item
            for layer, item in sorted(
                ((layer, item) for layer, item in chosen if layer), key=lambda pair: order.index(pair[0].name)
            )
        ]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(str(report.longrepr))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Two bugs at a time, or as many as there are CPUs."""
        for item in session.items:
            count_calls(item)
        waiting = self._bugs[::-1]
        while waiting or self._running:
            while waiting and len(self._running) < (os.cpu_count() or 1):
                worker = _Worker(waiting.pop(), session.items, self._tests)
                self._running[worker.reading] = worker
            self._listen()
        return True

    def _listen(self) -> None:
        ready, _, _ = select.select(list(self._running), [], [], 1.0)
        for fd in ready:
            worker = self._running[fd]
            if not worker.hear():
                self._end(worker)
        for worker in [each for each in self._running.values() if time.monotonic() > each.give_up]:
            worker.kill()
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        del self._running[worker.reading]
        worker.close()
        self.finds += worker.finds
        self.problems += worker.problems


class _Worker:
    """A process that runs tests with one bug planted, and what it has said so far."""

    def __init__(self, bug: Bug | None, items: Sequence[pytest.Item], tests: Mapping[str, Sequence[str]]) -> None:
        self.name = bug.name if bug else ""
        self.finds: list[Find] = []
        self.problems: list[str] = []
        self._said = b""
        self._test = ""
        chosen = tests.get(self.name)
        mine = [item for item in items if chosen is None or item.nodeid in chosen]
        if chosen is not None:
            gone = set(chosen) - {item.nodeid for item in mine}
            self.problems += [f"{self.name}: there is no test {node}" for node in sorted(gone)]
        self.reading, writing = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _be_a_worker(bug, mine, writing)
        os.close(writing)
        self.give_up = time.monotonic() + _PATIENCE

    def hear(self) -> bool:
        """Takes what it said; False when it has ended."""
        self.give_up = time.monotonic() + _PATIENCE
        told = os.read(self.reading, 1 << 16)
        *lines, self._said = (self._said + told).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self._test = message.get("begins", "")
            if "test" in message:
                self.finds.append(Find(**message))
            elif "done" in message:
                return False
        if not told:
            self.problems.append(f"{self.name}: the process died in {self._test}")
        return bool(told)

    def kill(self) -> None:
        """It hangs: a test that never ends is ended by its time limit, and has found the bug."""
        os.kill(self._pid, 9)
        layer = layer_of(self._test)
        self.finds.append(Find(self.name, layer.name if layer else "", self._test, 1, "never ends"))

    def close(self) -> None:
        os.waitpid(self._pid, 0)
        os.close(self.reading)


def _be_a_worker(bug: Bug | None, items: Sequence[pytest.Item], writing: int) -> None:
    """Never returns."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)

    def say(message: Mapping[str, object]) -> None:
        os.write(writing, json.dumps(message).encode() + b"\n")

    try:
        watcher = _Watcher()
        for item in items:
            say({"begins": item.nodeid})
            how = watcher.run(bug, item)
            if how:
                layer = layer_of(item.nodeid)
                assert layer is not None
                say(asdict(Find(bug.name if bug else "", layer.name, item.nodeid, EXAMPLES.count, how)))
                if bug:
                    break
        say({"done": True})
    finally:
        os._exit(0)


class _Watcher:
    """Runs one test after the other, as pytest does, and keeps what it reports."""

    def __init__(self) -> None:
        self._how = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._how:
            self._how = report.longreprtext.strip().splitlines()[-1]
            crash = getattr(report.longrepr, "reprcrash", None)
            if crash is not None:
                self._how = crash.message.splitlines()[0]

    def run(self, bug: Bug | None, item: pytest.Item) -> str:
        """How the test failed; "" when it did not."""
        manager = item.config.pluginmanager
        self._how = ""
        EXAMPLES.begin()
        manager.register(self)
        try:
            if bug is None:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            else:
                with bug.planted():
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            manager.unregister(self)
        return "" if self._how.startswith(_CRASHES) else self._how


def hunt(bugs: Iterable[Bug | None], tests: Mapping[str, Sequence[str]] | None = None) -> tuple[list[Find], list[str]]:
    """Plants each bug and runs tests against it.

    Args:
        bugs: the bugs; None among them for a run without one.
        tests: the tests to run by the bug's name; None for all layers.

    Returns:
        For each bug the first test that failed, and without one all that did; what went wrong with the hunt itself.
    """
    files = [file for layer in LAYERS for file in layer.files]
    if tests is not None:
        # Not the tests alone: pytest would name none that is gone.
        files = sorted({node.partition("::")[0] for chosen in tests.values() for node in chosen})
    os.environ |= {"PERFRING_LINUX": "0", "HYPOTHESIS_PROFILE": "default"}
    os.chdir(ROOT)
    hunting = Hunt(list(bugs), tests or {})
    with tempfile.TemporaryDirectory() as folder:
        options = ["-q", "-s", "--no-header", "--no-summary", "-p", "no:cacheprovider", f"--basetemp={folder}/tests"]
        # Of what the plugins bring, some is imported here already.
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = pytest.main([*options, *files], plugins=[hunting])
    if status != pytest.ExitCode.OK and not hunting.problems:
        hunting.problems.append(f"pytest ended with {status!r}")
    return hunting.finds, hunting.problems


def _main(argument: str) -> None:
    """In a process of its own: a request on the standard input, the answer into a file."""
    from tests.quality.layers import BUGS

    request = json.load(sys.stdin)
    by_name: dict[str, Bug | None] = {"": None} | {each.name: each for each in BUGS}
    finds, problems = hunt([by_name[name] for name in request["bugs"]], request["tests"])
    Path(argument).write_text(json.dumps({"finds": [asdict(find) for find in finds], "problems": problems}))


if __name__ == "__main__":
    _main(sys.argv[1])
