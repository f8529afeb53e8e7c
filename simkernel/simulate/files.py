"""Scenarios as people write them: TOML files, and ``key=value``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from simkernel.foreign import read_text, shown
from simkernel.simulate.run import check
from simkernel.simulate.scenario import Scenario, ScenarioError

__all__ = ["parse_setting", "read_scenario", "with_settings"]

_KEYS: Final = tuple(field.name for field in fields(Scenario))
_TEXTS: Final = frozenset({"name", "about", "kernel"})
_MOST_BYTES: Final = 1 << 16
"""Of a file: all keys with long texts take a few thousand."""
_MOST_WORDS: Final = 200


def read_scenario(path: str | Path, *, checked: bool = True) -> Scenario:
    """A scenario from a TOML file; its keys are the attributes of `Scenario`, each with its default.

    Args:
        path: the file.
        checked: as `SessionBuilder.build` would. A scenario of which something is still to be changed or swept may
            do without: what comes of it is checked anyway.

    Raises:
        ScenarioError: it is no TOML, has a key that there is not, or a value that makes no sense or that
            `SessionBuilder.build` refuses; the text names file, key and value.
        OSError: it cannot be read.
    """
    try:
        table = tomllib.loads(read_text(path, most=_MOST_BYTES))
    except ValueError as error:  # also of tomllib where a number has more digits than Python makes an int of
        raise ScenarioError(f"it is not TOML: {_in_a_line(error)}", source=str(path)) from None
    except RecursionError:
        raise ScenarioError(
            "it is not TOML that makes sense: its values are nested too deeply", source=str(path)
        ) from None
    return with_settings(Scenario(name=Path(path).stem), table, source=str(path), checked=checked)


def with_settings(
    scenario: Scenario, settings: Mapping[str, Any], *, source: str = "", checked: bool = True
) -> Scenario:
    """The scenario with some of its attributes changed.

    Args:
        scenario: what to begin with.
        settings: attributes of `Scenario` and their values.
        source: where they were written, for the errors.
        checked: as `SessionBuilder.build` would.

    Raises:
        ScenarioError: a key that there is not, or a value that makes no sense or that is refused.
    """
    try:
        for key, value in settings.items():
            if key not in _KEYS:
                raise ScenarioError(f"there is no such key; {_meant(key)}", key=key, value=value)
        changed = replace(scenario, **settings)
        if checked:
            check(changed)
    except ScenarioError as error:
        raise error.at(source) from None
    return changed


def _in_a_line(error: ValueError) -> str:
    """What tomllib says; it may repeat a key or a value of any length, and of any characters."""
    text = str(error)
    return text if len(text) <= _MOST_WORDS and text.isprintable() else shown(text)


def _meant(key: str) -> str:
    close = get_close_matches(key[: 2 * max(map(len, _KEYS))], _KEYS, 1)
    return f"do you mean {close[0]}?" if close else f"there are {', '.join(_KEYS)}"


def parse_setting(text: str) -> tuple[str, Any]:
    """``key=value`` with a value as in TOML; a word needs no quotes.

    Raises:
        ScenarioError: there is no ``=`` in it, no key before it, or more than one line.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key or "\n" in value:
        raise ScenarioError(f"{text!r} is no setting: write KEY=VALUE, as in watermark=4096")
    try:
        found = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return key, value
    # Without quotes the release 6.18 looks like a number.
    return key, value if key in _TEXTS and not isinstance(found, str) else found
