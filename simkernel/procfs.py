r"""The files of a simulated machine in a pyfakefs filesystem, for code that opens them itself.

Code that reads /proc, /sys or tracefs past the seam then sees the machine that its system calls see::

    def test_it(fs, sim_kernel):
        populate(fs, sim_kernel)
        assert Path("/proc/sys/kernel/perf_event_paranoid").read_text() == "2\n"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simkernel.files import Files

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

    from simkernel.kernel import SimKernel

__all__ = ["populate"]

_ROOTS: Final = ("/proc", "/sys")
_TRACING: Final = "/sys/kernel/tracing"


def populate(fs: FakeFilesystem, kernel: SimKernel) -> None:
    """Puts /proc, /sys and tracefs of the simulated machine into a fake filesystem, as they are at this moment.

    What changes on the machine later, such as tasks that come and go, is there after the next call, which replaces
    whatever lies below /proc and /sys.

    A tracefs that the program under test may not read is an empty directory with mode 0. pyfakefs asks for
    permission only on behalf of an ordinary user: where the tests run as root, say ``pyfakefs.helpers.set_uid(1000)``.

    Args:
        fs: pyfakefs's filesystem: its fixture ``fs``, or ``Patcher.fs``.
        kernel: the machine.
    """
    for root in _ROOTS:
        if fs.exists(root):
            fs.remove_object(root)
    for path in Files(kernel.machine).paths():
        try:
            contents = kernel.read_bytes(path)
        except PermissionError:
            continue
        fs.create_file(path, contents=contents)
    if not fs.exists(_TRACING):
        fs.create_dir(_TRACING)
        fs.chmod(_TRACING, 0)
