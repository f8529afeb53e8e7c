"""What is kept between runs: the kernels, and the files that make a guest's user land.

A kernel is its image, its configuration and the versions of the packages that they came from. The cache is
``PERFRING_KERNEL_CACHE``, or ``perfring/kernels`` in the user's cache directory.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ci.guest.apt import AptFailed, Package, Suite, configured_mirror, unpacked
from ci.guest.cpio import Archive

__all__ = ["CACHE", "Kernel", "Store", "cache_folder"]

CACHE: Final = "PERFRING_KERNEL_CACHE"
"""The environment variable that says where things are kept."""

_IMAGE: Final = "linux-image-cloud-amd64"
# Since 7.x the image is an empty package on top of these; the modules are not needed.
_PARTS: Final = r"linux-(image|binary|base)-\d"
_USERLAND: Final = "bookworm"
_USERLAND_PACKAGES: Final = (
    *("busybox-static", "libc6", "libexpat1", "zlib1g", "libffi8", "liblzma5", "libbz2-1.0"),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
)
_LEFT_OUT: Final = (
    *("usr/share/", "usr/lib/valgrind", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/python3.11/test"),
    *("usr/lib/python3.11/pydoc_data", "usr/lib/python3.11/lib2to3", "usr/lib/python3.11/distutils"),
)
_FOLDERS: Final = ("proc", "sys", "dev", "tmp", "root", "work")


def cache_folder() -> Path:
    """Where kernels are kept for this user."""
    if named := os.environ.get(CACHE):
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "perfring" / "kernels"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, ready to be booted.

    Attributes:
        suite: where it came from.
        image: the file to boot.
        config: its build configuration, as in ``/boot/config-*``.
        packages: package names and versions.
    """

    suite: str
    image: Path
    config: Path
    packages: dict[str, str]

    @property
    def version(self) -> str:
        """Debian's version of it: ``6.1.176-1``."""
        return self.packages[_IMAGE]


class Store:
    """The cache.

    Args:
        folder: where; made when needed.
        refresh: ask the mirror for newer packages even when there are some.
        say: gets a line of progress before each download.
    """

    def __init__(self, folder: Path, *, refresh: bool = False, say: Callable[[str], object] = lambda _: None) -> None:
        self._folder = folder
        self._refresh = refresh
        self._say = say

    def kept(self, suite: str) -> Kernel | None:
        """The kernel of a suite that needs no download."""
        return self._load(suite, self._folder / suite)

    def kernel(self, suite: str) -> Kernel:
        """The kernel of a suite.

        Raises:
            AptFailed: it is neither kept nor to be had.
        """
        if not self._refresh and (kept := self.kept(suite)):
            return kept
        self._say(f"{suite}: asking the mirror for {_IMAGE}")
        debian = self._suite(suite)
        self._make(self._folder / suite, lambda folder: self._fetch_kernel(debian, folder))
        made = self.kept(suite)
        assert made is not None
        return made

    def userland(self) -> Path:
        """An initramfs with CPython and busybox, to which sources and an init are appended.

        Raises:
            AptFailed: it is neither kept nor to be had.
        """
        made = self._folder / "userland"
        if self._refresh or not (made / "packages.json").is_file():
            self._say(f"{_USERLAND}: fetching CPython and busybox for the guests")
            debian = self._suite(_USERLAND)
            self._make(made, lambda folder: _fetch_userland(debian, folder))
        return made / "initramfs"

    def userland_packages(self) -> dict[str, str]:
        """Names and versions of what `userland` is made of."""
        return dict(json.loads((self._folder / "userland" / "packages.json").read_text()))

    def _load(self, suite: str, folder: Path) -> Kernel | None:
        try:
            packages = json.loads((folder / "packages.json").read_text())
        except FileNotFoundError:
            return None
        return Kernel(suite, folder / "vmlinuz", folder / "config", packages)

    def _suite(self, name: str) -> Suite:
        suite = Suite(name, self._folder / "apt" / name, configured_mirror())
        suite.update()
        return suite

    def _make(self, folder: Path, fill: Callable[[Path], object]) -> None:
        """Puts a finished directory in place of the old one; a failure leaves the old one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            fill(Path(scratch))
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(scratch, folder)

    def _fetch_kernel(self, debian: Suite, folder: Path) -> None:
        packages = debian.closure(_IMAGE, _PARTS)
        for deb in debian.download(packages, folder / "debs"):
            with unpacked(deb) as tar:
                _take_kernel(tar, folder)
        shutil.rmtree(folder / "debs")
        if lacking := [name for name in ("vmlinuz", "config") if not (folder / name).is_file()]:
            raise AptFailed(f"{debian.name}: no {' and no '.join(lacking)} in {[each.name for each in packages]}")
        _note(folder, packages)


def _take_kernel(tar: tarfile.TarFile, folder: Path) -> None:
    # boot/vmlinuz-VERSION, or usr/lib/modules/VERSION/vmlinuz since 7.x
    for member in tar:
        name = Path(member.name).name
        for wanted in ("vmlinuz", "config"):
            if member.isfile() and (name == wanted or name.startswith(f"{wanted}-")):
                (folder / wanted).write_bytes(_content(tar, member))


def _fetch_userland(debian: Suite, folder: Path) -> None:
    packages = [debian.package(name) for name in _USERLAND_PACKAGES]
    archive = Archive()
    for name in _FOLDERS:
        archive.directory(name)
    archive.node("dev/console", 5, 1)
    for deb in debian.download(packages, folder / "debs"):
        with unpacked(deb) as tar:
            _take_files(tar, archive)
    shutil.rmtree(folder / "debs")
    (folder / "initramfs").write_bytes(archive.finish())
    _note(folder, packages)


def _take_files(tar: tarfile.TarFile, archive: Archive) -> None:
    for member in tar:
        name = member.name.removeprefix("./")
        if name.startswith(_LEFT_OUT):
            continue
        if member.issym():
            archive.link(name, member.linkname)
        elif member.isfile():
            archive.file(name, _content(tar, member), executable=bool(member.mode & 0o100))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _note(folder: Path, packages: Sequence[Package]) -> None:
    versions = {each["name"]: each["version"] for each in map(asdict, packages)}
    (folder / "packages.json").write_text(json.dumps(versions, indent=1))
