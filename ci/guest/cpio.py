"""An initramfs as the kernel unpacks it: cpio, "newc", which its documentation calls the initramfs buffer format.

Written here rather than by cpio(1): device nodes need no root this way, and the bytes depend on nothing but the files.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

__all__ = ["Archive"]

_MAGIC: Final = b"070701"
_TRAILER: Final = "TRAILER!!!"


class Archive:
    """Files, directories and links, in the order in which they are added; parents are made as needed."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._known: set[str] = {"."}

    def file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """A regular file of root, mode 644 or 755."""
        self._add(path, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def directory(self, path: str) -> None:
        """A directory, mode 755. Again is no error."""
        self._parents(f"{path}/x")

    def node(self, path: str, major: int, minor: int) -> None:
        """A character device."""
        self._add(path, stat.S_IFCHR | 0o600, b"", device=(major, minor))

    def tree(self, root: Path, *, below: str = "", suffix: str = "") -> None:
        """Every file below a directory of the host whose name ends so, in order."""
        for path in sorted(root.rglob(f"*{suffix}")):
            if path.is_file() and "__pycache__" not in path.parts:
                executable = bool(path.stat().st_mode & stat.S_IXUSR)
                self.file(f"{below}/{path.relative_to(root)}", path.read_bytes(), executable=executable)

    def finish(self) -> bytes:
        """The archive; the kernel unpacks several that are joined."""
        return b"".join([*self._pieces, _entry(0, _TRAILER, 0, b"", (0, 0))])

    def _parents(self, path: str) -> None:
        for parent in reversed(Path(path.lstrip("/")).parents):
            if str(parent) not in self._known:
                self._known.add(str(parent))
                self._pieces.append(_entry(len(self._pieces) + 1, str(parent), stat.S_IFDIR | 0o755, b"", (0, 0)))

    def _add(self, path: str, mode: int, data: bytes, *, device: tuple[int, int] = (0, 0)) -> None:
        name = path.lstrip("/")
        if name in self._known:
            raise ValueError(f"{name!r} is in the archive already")
        self._parents(name)
        self._known.add(name)
        self._pieces.append(_entry(len(self._pieces) + 1, name, mode, data, device))


def _entry(inode: int, name: str, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
    # inode, mode, uid, gid, links, time, size, device of the file system, device of the node, length of the name, sum
    raw = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
    head = _MAGIC + b"".join(b"%08X" % field for field in fields) + raw
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
