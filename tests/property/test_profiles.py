"""The profiles: 200 times as many examples, for every test, and no luck by default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.hypothesis_profiles import FACTOR, PROFILES, VARIABLE, examples, factor, use_profile


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    in_use = settings.get_current_profile_name()
    monkeypatch.setenv(VARIABLE, request.param)
    use_profile()
    yield request.param
    settings.load_profile(in_use)


@pytest.mark.parametrize("profile", ["thorough"], indirect=True)
def test_thorough_tries_200_times_as_many_examples(profile: str) -> None:
    assert factor() == FACTOR >= 200
    assert settings().max_examples >= 200 * settings.get_profile("default").max_examples
    assert examples(7).max_examples == 7 * FACTOR


@pytest.mark.parametrize("profile", ["default", "fresh"], indirect=True)
def test_other_profiles_try_what_the_test_says(profile: str) -> None:
    assert examples(7).max_examples == 7


@pytest.mark.parametrize("profile", PROFILES, indirect=True)
def test_every_profile_measures_no_time_and_prints_how_to_repeat(profile: str) -> None:
    assert (settings().deadline, settings().print_blob) == (None, True)


@pytest.mark.parametrize("profile", PROFILES, indirect=True)
def test_only_the_default_leaves_nothing_to_luck(profile: str) -> None:
    assert settings().derandomize is (profile == "default")


def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "throrough")
    with pytest.raises(ValueError, match="'throrough': the profiles are default, fresh, thorough"):
        use_profile()


def test_no_test_counts_its_examples_past_the_profile() -> None:
    fixed = re.compile(r"max_examples\s*=")
    files = [path for path in Path(__file__).parent.parent.rglob("*.py") if path != Path(__file__)]
    assert [path.name for path in files if fixed.search(path.read_text())] == ["hypothesis_profiles.py"]
