"""Which engine is in use, and who says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from perfring import engine
from perfring.errors import Unsupported

TELL = "from perfring import engine; print(engine.engine_name(), engine.is_built())"
UNBUILT = "import sys; sys.modules['perfring._core'] = None; "
needs_compiled = pytest.mark.skipif(not engine.is_built(), reason="the compiled engine is not built")


def told(code: str, chosen: str | None) -> tuple[str, str]:
    """What a Python with this choice prints, and the last line of what it complains of."""
    environment = {name: value for name, value in os.environ.items() if name != "PERFRING_ENGINE"}
    if chosen is not None:
        environment["PERFRING_ENGINE"] = chosen
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return ran.stdout.strip(), (ran.stderr.strip().splitlines() or [""])[-1]


@needs_compiled
@pytest.mark.parametrize(
    ("chosen", "name"), [(None, "compiled"), ("", "compiled"), ("compiled", "compiled"), ("python", "python")]
)
def test_the_environment_chooses(chosen: str | None, name: str) -> None:
    assert told(TELL, chosen) == (f"{name} True", "")


@pytest.mark.parametrize("chosen", [None, "", "python"])
def test_without_the_compiled_one_python_is_used(chosen: str | None) -> None:
    assert told(UNBUILT + TELL, chosen) == ("python False", "")


@pytest.mark.parametrize("interface", ["", "INTERFACE = 1", "INTERFACE = 1000"])
def test_one_that_was_built_of_other_sources_is_not_used(interface: str) -> None:
    other = f"import sys, types; other = types.ModuleType('_core'); {interface and 'other.' + interface}\n"
    code = other + "sys.modules['perfring._core'] = other\n" + TELL + "; print(engine.why_python())"
    printed, _ = told(code, None)
    assert printed == "python False\nthe compiled one was built of other sources than these: install perfring anew"


def test_a_compiled_one_that_must_be_there_and_is_not_is_told() -> None:
    printed, complaint = told(UNBUILT + TELL, "compiled")
    assert printed == ""
    assert "Unsupported: PERFRING_ENGINE is 'compiled', but this perfring was installed without" in complaint


@pytest.mark.parametrize("chosen", ["cython", "Compiled", "python ", "1"])
def test_an_engine_that_there_is_not_is_named_with_those_that_there_are(chosen: str) -> None:
    _, complaint = told(TELL, chosen)
    assert complaint.endswith(f"PERFRING_ENGINE is {chosen!r}: it must be one of compiled, python")


def test_a_block_chooses_whatever_the_environment_says() -> None:
    assert (
        told("from perfring import engine\nwith engine.using('python'): print(engine.core())", "nonsense")[0] == "None"
    )


def test_blocks_nest_and_end() -> None:
    before = engine.engine_name()
    with engine.using("python"):
        with engine.using(before):
            assert engine.engine_name() == before
        assert engine.engine_name() == "python"
    assert engine.engine_name() == before


def test_a_block_that_raises_ends_too() -> None:
    before = engine.engine_name()
    with pytest.raises(KeyError), engine.using("python"):
        raise KeyError
    assert engine.engine_name() == before


def test_a_block_refuses_an_engine_that_there_is_not() -> None:
    with pytest.raises(Unsupported, match="the engine is 'rust': it must be one of compiled, python"):
        engine.using("rust").__enter__()


def test_an_engine_that_there_is_not_is_told_before_a_record_can_be_lost_for_it() -> None:
    pytest.importorskip("numpy")
    _, complaint = told("from perfring import SessionBuilder; SessionBuilder().with_columns()", "cython")
    assert complaint.endswith("Unsupported: PERFRING_ENGINE is 'cython': it must be one of compiled, python")
