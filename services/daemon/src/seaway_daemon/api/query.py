"""The query parameters of a request, read strictly: what isn't of its type is refused with the parameter's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from seaway_protocol.errors import InvalidArgument

from seaway_daemon.api.filters import Filters
from seaway_daemon.times import to_nanoseconds

_NO = frozenset(("", "0", "no", "false", "none"))
_INTEGER = re.compile(r"[+-]?\d{1,18}")


class Query:
    """Parameters by name; the first of several counts, as in Docker, except where all are asked for."""

    def __init__(self, text: str) -> None:
        self.raw = text
        self._pairs = parse_qsl(text, keep_blank_values=True) if text else []
        self._first: Mapping[str, str] = dict(reversed(self._pairs))

    def __contains__(self, name: str) -> bool:
        return name in self._first

    def changed(self, name: str, value: str) -> Query:
        """The same parameters with another value of one."""
        return Query(urlencode([*((key, each) for key, each in self._pairs if key != name), (name, value)]))

    def text(self, name: str, default: str = "") -> str:
        """The parameter as it stands."""
        return self._first.get(name, default)

    def texts(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter that may be repeated."""
        return tuple(value for key, value in self._pairs if key == name)

    def flag(self, name: str, default: bool = False) -> bool:
        """Docker's idea of a boolean: everything but "", 0, no, false and none is true."""
        value = self._first.get(name)
        return default if value is None else value.strip().lower() not in _NO

    def number(self, name: str) -> int | None:
        """A whole number; None where the parameter is absent or empty."""
        value = self._first.get(name, "").strip()
        if not value:
            return None
        if not _INTEGER.fullmatch(value):
            raise InvalidArgument(f"invalid value for parameter {name}: {value!r} is not a whole number")
        return int(value)

    def required_number(self, name: str) -> int:
        """A whole number that must be given."""
        number = self.number(name)
        if number is None:
            raise InvalidArgument(f"invalid value for parameter {name}: it is missing")
        return number

    def time(self, name: str) -> int:
        """A time in nanoseconds since the epoch, from Unix seconds with a fraction or from RFC 3339; 0 where absent."""
        value = self._first.get(name, "").strip()
        try:
            return to_nanoseconds(value) if value else 0
        except ValueError:
            raise InvalidArgument(f"invalid value for parameter {name}: {value!r} is not a time") from None

    def filters(self, *known: str) -> Filters:
        """The `filters` parameter. Raises InvalidArgument where it is malformed or names a filter not in `known`."""
        return Filters.parse(self._first.get("filters", ""), known)
