"""What `import perfring` costs, where everything is installed that it could use."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "pyarrow", "pandas", "polars", "rich", "typer", "ctypes", "asyncio", "simkernel")
SESSION = "from perfring import LinuxKernel, Session, SessionBuilder, TracepointEvents"


def loaded(code: str) -> list[str]:
    """The heavy modules that a fresh interpreter holds after it."""
    ask = f"import sys; {code}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_package_loads_nothing_heavy() -> None:
    assert loaded("import perfring") == []


def test_a_session_of_records_loads_no_numpy() -> None:
    assert not {"numpy", "rich", "typer", "simkernel"} & set(loaded(SESSION))


def test_a_session_of_columns_loads_it_before_the_rings_fill() -> None:
    assert "numpy" in loaded(f"{SESSION}; SessionBuilder().with_columns()")
