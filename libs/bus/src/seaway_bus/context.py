"""What travels beside a payload: the deadline, the idempotency key and the trace of a request, and whether it is asked
again.

A handler's own calls inherit both deadline and trace without being told, through context variables. Work that
outlives its request is started with `detach`, which keeps the trace and drops the deadline.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import re
import secrets
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

DEADLINE = "Sw-Deadline"
"""Header: the absolute deadline, Unix time in milliseconds."""
WITHIN = "Sw-Within"
"""Header, instead of the deadline, of a request to another host, whose clock is its own: milliseconds it may take."""
REQUEST = "Sw-Req"
"""Header: the idempotency key of a call that changes something."""
AGAIN = "Sw-Again"
"""Header of a request that may have been acted on before: when it was asked first, Unix time in milliseconds."""
PENDING = "Sw-Pending"
"""Header of a question, not of a request: is the one whose reply goes to this subject still being handled?"""
TIME = "Sw-Time"
"""Header: when an event happened, Unix time in milliseconds."""
TRACE = "traceparent"
"""Header: W3C Trace Context, `00-<32 hex trace>-<16 hex parent>-<2 hex flags>`."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

T = TypeVar("T")

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("seaway_deadline", default=None)
_trace: contextvars.ContextVar[str | None] = contextvars.ContextVar("seaway_trace", default=None)
_key: contextvars.ContextVar[str] = contextvars.ContextVar("seaway_key", default="")
_again: contextvars.ContextVar[float | None] = contextvars.ContextVar("seaway_again", default=None)
_call: contextvars.ContextVar[str] = contextvars.ContextVar("seaway_call", default="")
_container: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("seaway_container", default=("", ""))


def current_deadline() -> float | None:
    """The Unix time, in seconds, by which the request being handled must be answered; None outside a handler."""
    return _deadline.get()


def current_trace() -> str | None:
    """The `traceparent` of the request being handled; None where there is none."""
    return _trace.get()


def request_key() -> str:
    """The idempotency key of the request being handled: one that is asked again has the same. "" where it has none."""
    return _key.get()


def first_asked() -> float | None:
    """When the request being handled was asked first, Unix seconds, if it is asked again; None if it isn't.

    One that is asked again may have been acted on already, wholly or in part, by a process that has ended since: so
    what it asks for may be found done. Where this process has answered it, or is about to, no handler sees it.
    """
    return _again.get()


def done_since(at: int) -> bool:
    """Whether what happened at `at`, Unix nanoseconds, may be what the request being handled has asked for before.

    It is asked again, and that happened after it was asked first.
    """
    first = _again.get()
    return first is not None and at >= first * 1e9


def made_id(purpose: str = "") -> str:
    """An id for what the request being handled makes: 64 hexadecimal digits, the same if it is asked again.

    Nobody can guess it who doesn't know the key. Outside a request that has a key it is random. Several things that one
    request makes are told apart by `purpose`.
    """
    key = _key.get()
    return hashlib.sha256(f"{key} {purpose}".encode()).hexdigest() if key else secrets.token_hex(32)


def handle(call: str) -> None:
    """Say which call this task handles, such as `supervisor.start`, for what is logged meanwhile."""
    _call.set(call)
    _container.set(("", ""))


def concern(container: str, name: str = "") -> None:
    """Say which container, by its full id, the request being handled is about; the first word counts."""
    if not _container.get()[0]:
        _container.set((container, name))


def handled() -> Mapping[str, str]:
    """What is being handled, for a line in the journal: the call, its trace, and the container it is about."""
    container, name = _container.get()
    return {"call": _call.get(), "trace": trace_id(), "container": container, "name": name}


def trace_id() -> str:
    """The 32 hexadecimal digits of the trace of the request being handled; "" where there is none."""
    parts = (_trace.get() or "").split("-")
    return parts[1] if len(parts) > 1 else ""


def start_trace(traceparent: str | None = None) -> str:
    """Begin a trace in this task, or continue a given one: for whoever brings a request in from outside.

    A given one that isn't of the form is no trace.
    """
    given = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    trace = given or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    _trace.set(trace)
    return trace


def deadline_in(seconds: float) -> float:
    """The Unix time `seconds` from now, or the deadline of the request being handled where that is sooner."""
    mine = time.time() + seconds
    inherited = _deadline.get()
    return mine if inherited is None else min(mine, inherited)


def outgoing(deadline: float) -> dict[str, str]:
    """The headers of a call that must be answered by `deadline` (Unix seconds)."""
    headers = {DEADLINE: str(int(deadline * 1000))}
    trace, again = _trace.get(), _again.get()
    if trace:
        headers[TRACE] = trace
    if again is not None:  # what is asked on behalf of a repetition may be one, too
        headers[AGAIN] = str(int(again * 1000))
    return headers


def within(headers: Mapping[str, str], deadline: float) -> dict[str, str]:
    """The same headers with the time that is left, now, instead of the deadline (Unix seconds)."""
    left = max(0, int((deadline - time.time()) * 1000))
    return {**{name: value for name, value in headers.items() if name != DEADLINE}, WITHIN: str(left)}


def enter(headers: Mapping[str, str]) -> float | None:
    """Adopt what travels with an arriving request in this task; the deadline, in Unix seconds."""
    deadline, within = _seconds(headers.get(DEADLINE, "")), _seconds(headers.get(WITHIN, ""))
    if within is not None:
        deadline = time.time() + within
    _deadline.set(deadline)
    _trace.set(headers.get(TRACE))
    _key.set(headers.get(REQUEST, ""))
    _again.set(_seconds(headers.get(AGAIN, "")))
    return deadline


def _seconds(milliseconds: str) -> float | None:
    return int(milliseconds) / 1000 if milliseconds.isascii() and milliseconds.isdigit() else None


def detach(work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
    """Start work that outlives the request being handled: same trace, no deadline, no key. Keep the task."""
    context = contextvars.copy_context()
    context.run(_deadline.set, None)
    context.run(_key.set, "")
    context.run(_again.set, None)
    return asyncio.get_running_loop().create_task(work, name=name, context=context)
