"""Runs kernels: a guest for each, and this machine's own. Several guests at once if there are processors for them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ci.guest.agent import run_jobs
from ci.guest.apt import AptFailed
from ci.guest.boot import GuestFailed, Limits, boot, qemu_command
from ci.guest.judge import Verdict, judge
from ci.guest.payload import TRACES, Plan, initramfs, jobs
from ci.guest.store import Kernel, Store
from simkernel.contract.gate import linux_refusal
from simkernel.contract.recordings import keep
from simkernel.contract.trace import configuration

__all__ = ["HOST", "KERNELS", "Matrix", "NotRun"]

HOST: Final = "host"
"""The label of this machine's own kernel."""
KERNELS: Final = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "sid": "sid", HOST: ""}
"""Labels, and the Debian suite that has the kernel."""

_CONFIG: Final = tuple(f"CONFIG_{each}" for each in ("PERF", "BPF", "KPROBE", "UPROBE", "FTRACE", "HZ", "PREEMPT"))


class NotRun(Exception):
    """A kernel cannot be had on this machine; says why."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """How kernels are run.

    Attributes:
        plan: what each does.
        store: where kernels come from.
        qemu: the emulator.
        folder: gets a directory of logs and results for each kernel.
        guests: how many at once.
        say: takes lines of progress.
        recordings: where the traces become recordings; None keeps those that are there.
    """

    plan: Plan
    store: Store
    qemu: str
    folder: Path
    guests: int
    say: Callable[[str], object]
    recordings: Path | None = None

    def run(self, labels: Sequence[str]) -> Iterator[Verdict]:
        """The verdicts in the order of the labels. This machine's kernel runs by itself, before the guests."""
        native = self._one(HOST) if HOST in labels else None
        with ThreadPoolExecutor(self.guests) as pool:
            futures = {label: pool.submit(self._one, label) for label in labels if label != HOST}
            for label in labels:
                if label in futures:
                    yield futures[label].result()
                elif native is not None:
                    yield native

    def _one(self, label: str) -> Verdict:
        verdict = Verdict(label)
        folder = self.folder / label
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        try:
            frames = self._native(verdict) if label == HOST else self._guest(verdict, folder)
        except NotRun as reason:
            verdict.not_run = str(reason)
            self.say(f"{label}: not run: {reason}")
            return verdict
        verdict.seconds = time.monotonic() - began
        _unpack(frames, folder)
        self.say(f"{label}: {verdict.seconds:.0f} s on {verdict.version}; comparing with the simulated kernel")
        judge(verdict, frames, self._wanted(), folder)
        self._record(verdict, folder)
        (folder / "verdict.json").write_text(json.dumps(dataclasses.asdict(verdict), indent=1))
        return verdict

    def _record(self, verdict: Verdict, folder: Path) -> None:
        """Only of a run in which nothing failed; what differs is a reason to record it."""
        parts = [path for job, name in TRACES.items() if (path := folder / job / name).is_file()]
        if self.recordings is None or verdict.failures or not parts:
            return
        path = keep(parts, self.recordings, facts=_noted(folder / "kernel.json"))
        self.say(f"{verdict.label}: recorded in {path}")

    def _wanted(self) -> list[str]:
        return [each["name"] for each in jobs(self.plan, "", "")]

    def _native(self, verdict: Verdict) -> dict[str, bytes]:
        if refusal := linux_refusal():
            raise NotRun(refusal)
        self.say(f"{HOST}: running on this machine's own kernel")
        frames: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory() as scratch:
            todo = jobs(self.plan, sys.executable, scratch)
            run_jobs(todo, Path(scratch), lambda name, data: frames.update({name: data}))
        verdict.version = json.loads(frames["hello"])["release"]
        return frames

    def _guest(self, verdict: Verdict, folder: Path) -> Mapping[str, bytes]:
        try:
            kernel = self.store.kernel(KERNELS[verdict.label])
            userland = self.store.userland()
        except AptFailed as cannot:
            raise NotRun(str(cannot)) from None
        verdict.version = kernel.version
        (folder / "kernel.json").write_text(json.dumps(self._facts(kernel), indent=1))
        image = folder / "initramfs"
        image.write_bytes(initramfs(userland, self.plan))
        self.say(f"{verdict.label}: booting {kernel.version}")
        console = folder / "console.log"
        command = qemu_command(self.qemu, kernel.image, image, console)
        try:
            done = boot(command, console, limits=Limits(total=self.plan.seconds))
        except GuestFailed as failed:
            verdict.boot_seconds = failed.boot_seconds
            verdict.failures.append(str(failed))
            return failed.frames
        except FileNotFoundError:
            raise NotRun(f"{self.qemu} is not there: it is in the package qemu-system-x86") from None
        finally:
            image.unlink()
        verdict.boot_seconds = done.boot_seconds
        return done.frames

    def _facts(self, kernel: Kernel) -> dict[str, Any]:
        lines = kernel.config.read_text().splitlines()
        config = dict(line.split("=", 1) for line in lines if line.startswith(_CONFIG))
        return {"packages": kernel.packages, "userland": self.store.userland_packages(), "config": config}


def _noted(path: Path) -> dict[str, str]:
    """What a guest cannot tell of itself: its package and its configuration."""
    if not path.is_file():
        return {}
    noted = json.loads(path.read_text())
    return {
        "packages": " ".join(f"{name}={version}" for name, version in sorted(noted["packages"].items())),
        **configuration([f"{name}={value}" for name, value in noted["config"].items()]),
    }


def _unpack(frames: Mapping[str, bytes], folder: Path) -> None:
    for name, data in frames.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
