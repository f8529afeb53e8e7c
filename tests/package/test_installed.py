"""Each wheel, installed without extras on the oldest and on the newest Python."""

from __future__ import annotations

import json

import pytest

import perfring
from tests.package._environments import Installed, succeed

SIMULATED_SESSION = """
from perfring import SessionBuilder, TracepointEvents
from simkernel import SimKernel
from simkernel.machine import CAPABILITIES

kernel = SimKernel(cpus=2, capabilities=CAPABILITIES)
actor = kernel.actor(cpu=0)
builder = SessionBuilder().with_page_count(1).with_wakeup_watermark(1024).with_target_pid(actor.pid)
events = TracepointEvents("syscalls:sys_enter_getppid")
with builder.with_target_cpu(0).with_tracepoint_events(events).build(kernel) as session:
    session.enable()
    session.next_batch(timeout=0)
    actor.getppid(19)
    print(len(session.next_batch()), session.statistics().wakeups)
"""
COLUMNS_WITHOUT_NUMPY = """
from perfring import SessionBuilder, Unsupported
try:
    SessionBuilder().with_columns()
except Unsupported as error:
    print(error)
"""
CHECKED_CONSUMER = """
from simkernel.contract import check_consumer
from simkernel.contract.session_consumer import SessionConsumer
print(check_consumer(SessionConsumer).ok)
"""
BROUGHT_ALONG = "import sys; before = set(sys.modules); import perfring; print(sorted(set(sys.modules) - before))"


def test_the_command_shows_its_help(installed: Installed) -> None:
    done = installed.command("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "watermark" in done.stdout


def test_the_package_runs_as_a_module(installed: Installed) -> None:
    printed = succeed(installed.python, "-m", "perfring", "--version")
    assert printed == f"perfring {perfring.__version__}\n"


def test_the_doctor_examines_this_machine_and_knows_its_engine(installed: Installed) -> None:
    report = json.loads(installed.command("doctor", "--json").stdout)
    assert report["engine"] == installed.engine
    assert report["usable"] in (True, False)


def test_a_session_on_the_simulated_kernel_is_woken(installed: Installed) -> None:
    assert installed.code(SIMULATED_SESSION) == "19 1\n"


def test_a_consumer_can_be_checked(installed: Installed) -> None:
    assert installed.code(CHECKED_CONSUMER) == "True\n"


def test_the_simulator_runs_from_the_command(installed: Installed) -> None:
    done = installed.command("simulate", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Readers" in done.stdout


def test_the_import_brings_none_of_the_commands_packages_along(installed: Installed) -> None:
    brought = installed.code(BROUGHT_ALONG)
    assert "perfring" in brought
    assert not [name for name in ("typer", "rich", "ctypes", "asyncio", "simkernel") if f"'{name}'" in brought]


def test_columns_without_numpy_name_the_extra(installed: Installed) -> None:
    assert "pip install 'perfring[columns]'" in installed.code(COLUMNS_WITHOUT_NUMPY)


@pytest.mark.parametrize("package", ["perfring", "simkernel"])
def test_a_type_checker_finds_the_types(installed: Installed, package: str) -> None:
    code = f"import importlib.resources as r; print((r.files('{package}') / 'py.typed').is_file())"
    assert installed.code(code) == "True\n"


def test_what_is_missing_of_the_compiled_engine_is_said_when_it_is_asked_for(installed: Installed) -> None:
    done = installed.command("doctor", env={"PERFRING_ENGINE": "compiled"})
    assert ("installed without its compiled part" in done.stderr) == (installed.engine == "python")
