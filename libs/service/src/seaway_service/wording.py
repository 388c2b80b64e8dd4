"""Types of settings in words, for refusals and for the reference page. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

_SIMPLE = {inspect.BoolType: "true or false", inspect.StrType: "text", inspect.AnyType: "anything"}


def words(kind: inspect.Type) -> str:
    """A type as a person reads it: `whole number from 1 to 65535`, `list, each text`, `"debug", "info" or "error"`."""
    match kind:
        case inspect.Metadata(type=inner, extra_json_schema=schema, extra=extra):
            said = str((schema or {}).get("description", "")) or words(inner)
            return f"{said}, in {extra['unit']}" if extra and "unit" in extra else said
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.LiteralType(values=values):
            return _either([f'"{each}"' for each in values])
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"list, each {words(item)}"
        case inspect.TupleType(item_types=items):
            return f"list of {len(items)}: {', '.join(map(words, items))}"
        case inspect.DictType(value_type=value):
            return f"table, each value {words(value)}"
        case inspect.StructType(fields=fields):
            return f"table with {', '.join(each.encode_name for each in fields)}"
    return _SIMPLE.get(type(kind), type(kind).__name__)


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    noun = "whole number" if isinstance(kind, inspect.IntType) else "number"
    match (kind.gt, kind.ge, kind.le):
        case (None, None, None):
            return noun
        case (None, least, None):
            return f"{noun} of at least {least}"
        case (None, least, most):
            return f"{noun} from {least} to {most}"
        case (above, _, None):
            return f"{noun} above {above}"
    return noun


def _either(parts: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def member(kind: type[msgspec.Struct], path: list[str]) -> inspect.Type | None:
    """The type of the setting at a path of keys, indices and `...` (any key of a table); None where there is none."""
    here: Any = inspect.type_info(kind)
    for step in path:
        while isinstance(here, inspect.Metadata):
            here = here.type
        match here:
            case inspect.StructType(fields=fields):
                here = next((each.type for each in fields if each.encode_name == step), None)
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                here = item
            case inspect.TupleType(item_types=items):
                here = items[int(step)]
            case inspect.DictType(value_type=value):
                here = value
            case _:
                return None
    return here  # type: ignore[no-any-return]
