"""Builds the compiled engine into the wheel, where a C compiler is found; perfring works without it.

``PERFRING_BUILD=compiled`` makes a failure an error, ``PERFRING_BUILD=python`` leaves it out.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = (Path("perfring/_core.c"), Path("perfring/_walk.c"))
_LIBRARY = Path("perfring/_core.abi3.so")
_OLDEST = (3, 11)
"""Whose stable ABI the library uses: it then serves all newer ones."""
_CHOICES = ("", "compiled", "python")


class CompiledEngine(BuildHookInterface[Any]):
    """Compiles the engine next to the package, where an editable install finds it, and puts it into a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a wheel is put together."""
        wanted = os.environ.get("PERFRING_BUILD", "")
        if wanted not in _CHOICES:
            raise ValueError(f"PERFRING_BUILD is {wanted!r}: it must be 'compiled', 'python', or unset")
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        library, sources = root / _LIBRARY, [root / source for source in _SOURCES]
        why_not = "PERFRING_BUILD says so" if wanted == "python" else _compile(sources, library)
        if why_not:
            if wanted == "compiled":
                raise RuntimeError(f"the compiled engine could not be built: {why_not}")
            library.unlink(missing_ok=True)  # an editable install must not find an old one
            self.app.display_warning(f"perfring is installed without its compiled engine: {why_not}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp{''.join(map(str, _OLDEST))}-abi3-{_platform()}"
        if version != "editable":
            build_data["force_include"][str(library)] = str(_LIBRARY)


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _compile(sources: list[Path], library: Path) -> str:
    """Why it could not be compiled; "" when it was."""
    linker = sysconfig.get_config_var("LDSHARED")
    if not linker:
        return "this Python does not say how a shared library is linked"
    built = library.with_suffix(f".{os.getpid()}.tmp")
    command = [
        *shlex.split(linker),
        *("-O3", "-g0", "-std=c11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"),
        f"-DPy_LIMITED_API=0x{_OLDEST[0]:02X}{_OLDEST[1]:02X}0000",
        f"-I{sysconfig.get_path('include')}",
        *(*map(str, sources), "-o", str(built)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if done.returncode:
        built.unlink(missing_ok=True)
        return f"{command[0]} failed: {done.stderr.strip()[-500:]}"
    os.replace(built, library)  # at once: another process may be importing it
    return ""
