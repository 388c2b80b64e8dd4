"""What a service's settings say of themselves: each key with its kind, its default, and the sentence under it.

The struct is the one home of all this; the sentences are read from its source, where they stand below the fields.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from seaway_service.effective import toml
from seaway_service.settings import Settings
from seaway_service.wording import words


@dataclass(frozen=True)
class Setting:
    """One key, with dots for tables."""

    key: str
    kind: str
    default: str
    says: str
    common: bool
    """Whether every service has it."""


def of_service(name: str) -> type[Settings] | None:
    """The settings of service `name`; None where it reads no file."""
    try:
        module = importlib.import_module(f"seaway_{name}.settings")
    except ModuleNotFoundError as error:
        if error.name not in (f"seaway_{name}", f"seaway_{name}.settings"):
            raise
        return None
    own = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    return next((each for each in own if issubclass(each, Settings)), None)


def describe(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[Setting]:
    """Every key of a struct, those of tables within it after their own names. Raises ValueError for one unexplained."""
    common = {each.name for each in msgspec.structs.fields(Settings)}
    sentences = {key: text for each in reversed(kind.__mro__) for key, text in _sentences(each).items()}
    sources = {key: text for each in reversed(kind.__mro__) for key, text in _defaults(each).items()}
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    for field in described.fields:
        if field.name not in sentences:
            raise ValueError(f"cannot describe {kind.__name__}.{field.name}: no sentence stands below it")
        if isinstance(field.type, msgspec.inspect.StructType):
            yield from describe(field.type.cls, f"{prefix}{field.encode_name}.")
        else:
            key = f"{prefix}{field.encode_name}"
            shown = _default(field, sources.get(field.name, ""))
            yield Setting(key, words(field.type), shown, sentences[field.name], not prefix and field.name in common)


def _default(field: msgspec.inspect.Field, written: str) -> str:
    """As TOML; a number in octal, as permission bits are, stays as it is written."""
    if written.startswith("0o"):
        return written
    if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
        return ""
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return toml(msgspec.to_builtins(value))


def _statements(kind: type) -> list[ast.stmt]:
    if not issubclass(kind, msgspec.Struct) or kind is msgspec.Struct:
        return []
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(found, ast.ClassDef)
    return found.body


def _sentences(kind: type) -> dict[str, str]:
    """The string below each field of a class."""
    found = {}
    statements = _statements(kind)
    for field, below in itertools.pairwise(statements):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                found[name] = inspect.cleandoc(said)
    return found


def _defaults(kind: type) -> dict[str, str]:
    """The default of each field of a class as it is written."""
    source = textwrap.dedent(inspect.getsource(kind)) if _statements(kind) else ""
    return {
        each.target.id: ast.get_source_segment(source, each.value) or ""
        for each in _statements(kind)
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value
    }
