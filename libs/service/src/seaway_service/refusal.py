"""Why a settings file is refused, in words: the key, what would be right there, and what is there."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

import msgspec

from seaway_service.wording import member, words

_WHERE = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\[(\.\.\.|\d+)\]|([^.\[\]]+)")
_REWORDED = ("Expected", "Invalid enum value", "Invalid value")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")


def refusal(error: msgspec.ValidationError, kind: type[msgspec.Struct], table: dict[str, Any]) -> str:
    """`downloads: expected a whole number of at least 1, got 0`, for what `table` has that `kind` doesn't take."""
    found = _WHERE.fullmatch(str(error))
    assert found
    said, place = found["said"], found["path"] or ""
    path = [index or key for index, key in _STEP.findall(place)]
    if unknown := _UNKNOWN.fullmatch(said):
        return _no_such_key(unknown["key"], path, kind)
    expected = member(kind, path) if path else None
    if expected is None or not said.startswith(_REWORDED):
        return f"{place}: {said}" if place else said
    return f"{place}: expected {words(expected)}, got {_got(table, path)}"


def _no_such_key(key: str, path: list[str], kind: type[msgspec.Struct]) -> str:
    inner = member(kind, path) if path else msgspec.inspect.type_info(kind)
    names = [each.encode_name for each in getattr(inner, "fields", ())]
    near = difflib.get_close_matches(key, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(names)}"
    return f"there is no key {'.'.join([*path, key])}; {hint}"


def _got(table: Any, path: list[str]) -> str:
    for step in path:
        try:
            table = table[int(step)] if isinstance(table, list) else table[step]
        except (KeyError, ValueError, IndexError, TypeError):
            return "something else"
    return json.dumps(table, ensure_ascii=False, default=str)
