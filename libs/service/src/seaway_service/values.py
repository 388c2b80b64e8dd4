"""Kinds of values that settings have: each with its limits, its unit and words for a person.

A limit is said once, in the type. Loading refuses what is outside of it; the refusal and the reference page say it in
the words that `wording` has for the type.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, extra={"unit": "seconds"})]
Bytes = Annotated[int, Meta(ge=1, extra={"unit": "bytes"})]
Count = Annotated[int, Meta(ge=1)]
CountFromZero = Annotated[int, Meta(ge=0)]
Port = Annotated[int, Meta(ge=1, le=65535)]
PrefixLength = Annotated[int, Meta(ge=1, le=128)]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["", "journal", "text", "json"]
OptionalToken = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,63}\Z", description="letters, digits, - and _")]
Url = Annotated[str, Meta(pattern=r"^[a-z]+://[^/\s]", description="a URL")]
AbsolutePath = Annotated[str, Meta(pattern=r"^/", description="an absolute path")]
OptionalPath = Annotated[str, Meta(pattern=r"^(/|\Z)", description='an absolute path, or ""')]
