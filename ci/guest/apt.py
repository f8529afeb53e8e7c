"""Debian packages of any suite, through apt and the mirror that this machine is configured for; needs no root.

Each suite gets a private apt directory, so that neither the machine's package lists nor what it would upgrade to are
touched. No mirror is named here: the machine's own configuration, with its proxies and credentials, decides.
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["MIRROR", "AptFailed", "Package", "Suite", "configured_mirror", "unpacked"]

MIRROR: Final = "PERFRING_DEBIAN_MIRROR"
"""The environment variable that overrides the configured mirror."""

_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PATIENCE: Final = 300.0
_SAID: Final = 3
"""Lines of a failed command that are passed on: the last ones tell why."""


class AptFailed(Exception):
    """A package cannot be had here; says what apt said."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package at one version.

    Attributes:
        name: as in ``linux-image-cloud-amd64``.
        version: as in ``6.1.176-1``.
        depends: the names that it depends on, in order; of alternatives the first.
    """

    name: str
    version: str
    depends: tuple[str, ...]


def configured_mirror() -> str:
    """The Debian mirror of this machine's apt configuration.

    Raises:
        AptFailed: there is no apt, or it is configured for no Debian mirror.
    """
    if named := os.environ.get(MIRROR):
        return named
    listed = _run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Identifier: Packages"])
    targets = [line.split("|") for line in listed.splitlines() if line.count("|") == 2]
    # Before the first apt-get update only the address is known.
    for origin, label, uri in targets:
        if (origin, label) == ("Debian", "Debian") or uri.rstrip("/").endswith("/debian"):
            return uri
    raise AptFailed(f"apt is configured for no Debian mirror here; name one in {MIRROR}")


class Suite:
    """One suite of the mirror.

    Args:
        name: ``"bookworm"``.
        home: a directory for apt's lists; made when needed.
        mirror: its address.
    """

    def __init__(self, name: str, home: Path, mirror: str) -> None:
        self.name = name
        self._home = home
        self._mirror = mirror

    def update(self) -> None:
        """Fetches what the suite has now.

        Raises:
            AptFailed: the mirror does not have the suite, or cannot be reached.
        """
        for folder in ("lists/partial", "cache/archives/partial", "state"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
        self._sources.write_text(f"deb {signed}{self._mirror} {self.name} main\n")
        # Any problem is an error: otherwise apt goes on with the lists of last time.
        self._apt("apt-get", "update", "-o", "APT::Update::Error-Mode=any")

    @property
    def _sources(self) -> Path:
        return self._home / "sources.list"

    def package(self, name: str) -> Package:
        """The newest version of a package.

        Raises:
            AptFailed: the suite has no such package.
        """
        shown = self._apt("apt-cache", "show", "--no-all-versions", name)
        fields = dict(re.findall(r"^([\w-]+): (.*)$", shown, re.MULTILINE))
        if "Version" not in fields:
            raise AptFailed(f"{self.name} has no package {name}")
        depends = re.split(r",\s*", fields.get("Depends", ""))
        return Package(name, fields["Version"], tuple(each.split()[0] for each in depends if each))

    def closure(self, name: str, pattern: str) -> list[Package]:
        """A package, and what it depends on at any depth whose name matches from its beginning."""
        found: dict[str, Package] = {}
        waiting = [name]
        while waiting:
            package = self.package(waiting.pop())
            found[package.name] = package
            waiting += [each for each in package.depends if re.match(pattern, each) and each not in found]
        return list(found.values())

    def download(self, packages: Sequence[Package], folder: Path) -> list[Path]:
        """Fetches packages into a directory, checked against the suite's signature.

        Raises:
            AptFailed: the mirror does not have one of them any more, or it is not what was signed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "download", *(f"{each.name}={each.version}" for each in packages), folder=folder)
        return sorted(folder.glob("*.deb"))

    def _apt(self, tool: str, *arguments: str, folder: Path | None = None) -> str:
        options = {
            "Dir::Etc::sourcelist": self._sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": "-",
            "Dir::State": self._home / "state",
            "Dir::State::lists": self._home / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self._home / "cache",
            # root would fetch as a user who may not write here.
            "APT::Sandbox::User": "",
            "APT::Architecture": "amd64",
        }
        given = [f"-o{name}={value}" for name, value in options.items()]
        return _run([tool, *given, *arguments], folder=folder)


def _run(command: Sequence[str], *, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise AptFailed(f"this machine has no {command[0]}: it comes with Debian's apt and dpkg") from None
    except subprocess.TimeoutExpired:
        raise AptFailed(f"{command[0]} did not end within {_PATIENCE:.0f} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))] or [f"{done.returncode}"]
        raise AptFailed(f"{command[0]}: {' '.join(said[-_SAID:])}")
    return done.stdout


@contextmanager
def unpacked(package: Path) -> Iterator[tarfile.TarFile]:
    """The files of a ``.deb`` as a stream: to be iterated once, in order.

    Raises:
        AptFailed: there is no dpkg-deb, or the file is damaged.
    """
    try:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise AptFailed("this machine has no dpkg-deb: it comes with dpkg") from None
    with process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                yield tar
        except tarfile.TarError as damaged:
            raise AptFailed(f"{package.name} is damaged: {damaged}") from None
        finally:
            process.stdout.close()
