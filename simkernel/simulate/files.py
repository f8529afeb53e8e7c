"""Scenarios as people write them: TOML files, and ``key=value``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from simkernel.simulate.run import check
from simkernel.simulate.scenario import Scenario, ScenarioError

__all__ = ["parse_setting", "read_scenario", "with_settings"]

_KEYS: Final = tuple(field.name for field in fields(Scenario))


def read_scenario(path: str | Path) -> Scenario:
    """A scenario from a TOML file; its keys are the attributes of `Scenario`, each with its default.

    Raises:
        ScenarioError: it is no TOML, has a key that there is not, or a value that makes no sense or that
            `SessionBuilder.build` refuses; the text names file, key and value.
        OSError: it cannot be read.
    """
    text = Path(path).read_bytes()
    try:
        table = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"it is not TOML: {error}", source=str(path)) from None
    return with_settings(Scenario(name=Path(path).stem), table, source=str(path))


def with_settings(scenario: Scenario, settings: Mapping[str, Any], *, source: str = "") -> Scenario:
    """The scenario with some of its attributes changed, and checked as `SessionBuilder.build` would.

    Args:
        scenario: what to begin with.
        settings: attributes of `Scenario` and their values.
        source: where they were written, for the errors.

    Raises:
        ScenarioError: a key that there is not, or a value that makes no sense or that is refused.
    """
    try:
        for key, value in settings.items():
            if key not in _KEYS:
                raise ScenarioError(f"there is no such key; there are {', '.join(_KEYS)}", key=key, value=value)
        changed = replace(scenario, **settings)
        check(changed)
    except ScenarioError as error:
        raise error.at(source) from None
    return changed


def parse_setting(text: str) -> tuple[str, Any]:
    """``key=value`` with a value as in TOML; a word needs no quotes.

    Raises:
        ScenarioError: there is no ``=`` in it, or no key before it.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ScenarioError(f"{text!r} is no setting: write KEY=VALUE, as in watermark=4096")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
