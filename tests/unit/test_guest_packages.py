"""Which mirror is asked, what becomes of packages, and what is said when they cannot be had: scripts play apt."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from ci.guest import apt
from ci.guest.apt import AptFailed, Suite, configured_mirror
from ci.guest.cpio import Archive
from ci.guest.store import Store, cache_folder

SHOWN = {
    "linux-image-cloud-amd64": "Version: 7.2.1-1\nDepends: linux-image-7.2-cloud (= 7.2.1-1), linux-base-cloud-amd64\n",
    "linux-image-7.2-cloud": "Version: 7.2.1-1\nDepends: dracut | other, linux-binary-7.2, linux-modules-7.2\n",
    "linux-binary-7.2": "Version: 7.2.1-1\n",
}


def _tool(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which only scripts of the test come before the machine's tools."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv(apt.MIRROR, raising=False)
    return folder


@pytest.mark.parametrize(
    "listed",
    ["Other|Other|http://b.test/x/\nDebian|Debian|http://a.test/debian/", "$(ORIGIN)|$(LABEL)|http://a.test/debian/"],
    ids=["known", "never updated"],
)
def test_the_mirror_is_the_configured_one(tools: Path, listed: str) -> None:
    _tool(tools, "apt-get", f"cat <<'X'\nDebian|Debian-Security|http://a.test/debian-security/\n{listed}\nX")
    assert configured_mirror() == "http://a.test/debian/"


def test_a_mirror_may_be_named(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(apt.MIRROR, "http://mine.test/debian")
    assert configured_mirror() == "http://mine.test/debian"


def test_a_machine_without_a_debian_mirror_is_told_so(tools: Path) -> None:
    _tool(tools, "apt-get", "echo 'Ubuntu|Ubuntu|http://a.test/ubuntu/'")
    with pytest.raises(AptFailed, match=f"no Debian mirror here; name one in {apt.MIRROR}"):
        configured_mirror()


def test_a_machine_without_apt_is_told_so(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(AptFailed, match="this machine has no apt-get"):
        configured_mirror()


def test_what_apt_says_is_passed_on(tools: Path, tmp_path: Path) -> None:
    _tool(tools, "apt-get", "echo 'E: The repository has no Release file.' >&2; exit 100")
    with pytest.raises(AptFailed, match="has no Release file"):
        Suite("bullseye", tmp_path / "apt", "http://a.test/debian").update()


def test_the_image_is_found_where_it_is_a_package_of_its_own(tools: Path, tmp_path: Path) -> None:
    cases = "\n".join(f"{name}) printf '{text}' ;;" for name, text in SHOWN.items())
    _tool(tools, "apt-cache", f'for last; do :; done\ncase "$last" in\n{cases}\nesac')
    found = Suite("sid", tmp_path, "http://a.test").closure("linux-image-cloud-amd64", r"linux-(image|binary|base)-\d")
    assert [each.name for each in found] == list(SHOWN)
    assert {each.version for each in found} == {"7.2.1-1"}


def test_a_package_that_the_suite_lacks_is_named(tools: Path, tmp_path: Path) -> None:
    _tool(tools, "apt-cache", "exit 0")
    with pytest.raises(AptFailed, match="bullseye has no package busybox-static"):
        Suite("bullseye", tmp_path, "http://a.test").package("busybox-static")


def test_a_kept_kernel_needs_no_mirror(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "trixie").mkdir()
    (tmp_path / "trixie" / "packages.json").write_text(json.dumps({"linux-image-cloud-amd64": "6.12.1-1"}))
    _tool(tools, "apt-get", "exit 1")
    assert Store(tmp_path).kernel("trixie").version == "6.12.1-1"


def test_a_failed_refresh_leaves_what_is_kept(tools: Path, tmp_path: Path) -> None:
    test_a_kept_kernel_needs_no_mirror(tools, tmp_path)
    with pytest.raises(AptFailed):
        Store(tmp_path, refresh=True).kernel("trixie")
    assert Store(tmp_path).kernel("trixie").version == "6.12.1-1"


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERFRING_KERNEL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/perfring/kernels")


def test_an_initramfs_is_what_cpio_unpacks(tmp_path: Path) -> None:
    archive = Archive()
    archive.file("usr/bin/tool", b"#!/bin/sh\n", executable=True)
    archive.link("bin/sh", "/bin/busybox")
    archive.directory("proc")
    data = archive.finish()
    assert _listed(data) == {
        "usr": (0o40755, b""),
        "usr/bin": (0o40755, b""),
        "usr/bin/tool": (0o100755, b"#!/bin/sh\n"),
        "bin": (0o40755, b""),
        "bin/sh": (0o120777, b"/bin/busybox"),
        "proc": (0o40755, b""),
        "TRAILER!!!": (0, b""),
    }


def _listed(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Names, modes and contents of a "newc" archive: after the magic 13 fields of 8 hexadecimal digits."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while at < len(data):
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        at = (at + 110 + fields[11] + 3) // 4 * 4
        found[name] = (fields[1], data[at : at + fields[6]])
        at = (at + fields[6] + 3) // 4 * 4
    return found


def test_a_second_file_of_the_name_is_refused() -> None:
    archive = Archive()
    archive.file("a", b"")
    with pytest.raises(ValueError, match="'a' is in the archive already"):
        archive.file("/a", b"")


def test_a_package_is_read_as_dpkg_gives_it(tools: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "files.tar", "w") as tar:
        member = tarfile.TarInfo("./boot/vmlinuz-1")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    _tool(tools, "dpkg-deb", f"cat {tmp_path}/files.tar")
    with apt.unpacked(tmp_path / "linux.deb") as files:
        assert [member.name for member in files] == ["./boot/vmlinuz-1"]


def test_a_damaged_package_is_named(tools: Path, tmp_path: Path) -> None:
    _tool(tools, "dpkg-deb", "echo garbage that is no archive")
    with pytest.raises(AptFailed, match=r"linux\.deb is damaged"), apt.unpacked(tmp_path / "linux.deb"):
        pass


def test_the_init_of_a_guest_is_a_script_that_a_shell_can_read() -> None:
    script = Path(apt.__file__).with_name("init")
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
