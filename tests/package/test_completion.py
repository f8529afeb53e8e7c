"""Completion in bash, zsh and fish, for somebody who has the wheel and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.package._environments import Installed, clean_environment, run, succeed

WHERE = {
    "bash": ".bash_completions/perfring.sh",
    "zsh": ".zfunc/_perfring",
    "fish": ".config/fish/completions/perfring.fish",
}
ASK_BASH = """
source "$HOME/.bash_completions/perfring.sh"
COMP_WORDS=(perfring {words}) COMP_CWORD={at}
_perfring_completion perfring
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def environment(installed: Installed, home: Path) -> dict[str, str]:
    """With the command on PATH, as after activate."""
    path = f"{installed.where / 'bin'}:{clean_environment()['PATH']}"
    return clean_environment(HOME=str(home), PATH=path)


@pytest.fixture(params=list(WHERE))
def shell(request: pytest.FixtureRequest) -> str:
    """A shell that this machine has."""
    if shutil.which(request.param) is None:
        pytest.skip(f"this machine has no {request.param}")
    return str(request.param)


def inside(shell: str, script: str, installed: Installed, home: Path) -> str:
    """What a script prints. Its last command is another one, or the shell would become perfring and not be found."""
    return succeed(shell, "-c", f"{script}; true", env=environment(installed, home))


def test_the_script_is_for_the_shell_that_asks(shell_user: Installed, shell: str, tmp_path: Path) -> None:
    script = inside(shell, "perfring --show-completion", shell_user, tmp_path)
    assert f"_PERFRING_COMPLETE=complete_{shell}" in script


def test_the_script_is_put_where_the_shell_looks(shell_user: Installed, shell: str, tmp_path: Path) -> None:
    said = inside(shell, "perfring --install-completion", shell_user, tmp_path)
    assert f"{shell} completion installed in {tmp_path / WHERE[shell]}" in said.replace("\n", "")
    succeed(shell, "-n", tmp_path / WHERE[shell])


@pytest.mark.parametrize("shell", list(WHERE))
def test_a_packager_gets_the_script_of_any_shell(shell_user: Installed, shell: str, tmp_path: Path) -> None:
    done = shell_user.command(env=environment(shell_user, tmp_path) | {"_PERFRING_COMPLETE": f"source_{shell}"})
    assert done.returncode == 0
    assert f"_PERFRING_COMPLETE=complete_{shell}" in done.stdout


@pytest.mark.parametrize(
    ("words", "at", "expected"),
    [("doc", 1, {"doctor"}), ("watermark --rec", 2, {"--record-bytes"}), ("record --ca", 2, {"--call-graph"})],
)
def test_bash_completes_commands_and_options(
    shell_user: Installed, tmp_path: Path, words: str, at: int, expected: set[str]
) -> None:
    inside("bash", "perfring --install-completion", shell_user, tmp_path)
    answer = succeed("bash", "-c", ASK_BASH.format(words=words, at=at), env=environment(shell_user, tmp_path))
    assert set(answer.split()) == expected


def test_a_shell_named_behind_the_option_is_refused_not_ignored(shell_user: Installed, tmp_path: Path) -> None:
    done = run(shell_user.where / "bin" / "perfring", "--show-completion", "zsh", env=environment(shell_user, tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--show-completion takes no value" in done.stderr
