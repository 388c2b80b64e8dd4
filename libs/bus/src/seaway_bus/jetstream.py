"""The few words of JetStream's API that the event stream needs: requests and replies as JSON, no I/O.

Source: https://docs.nats.io/reference/reference-protocols/nats_api_reference and the server's ADR-15 (ack subjects).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from seaway_protocol.errors import Conflict, Error, Internal, NotFound, Unavailable
from seaway_protocol.kinds import WIRE

MESSAGE_ID = "Nats-Msg-Id"
"""Header: a message with an id seen within the stream's duplicate window is acknowledged and not kept again."""

_SECOND = 1_000_000_000

_EXISTS = 10058  # JSStreamNameExistErr: same name, other configuration
_GONE = {10059, 10014, 10090, 10037}  # stream, consumer not found; consumer deleted; no message found
_NO_MESSAGE = 10037  # JSNoMessageFoundErr
_NO_STREAM = 10059  # JSStreamNotFoundErr
_WRITTEN_SINCE = {10071, 10164}  # another last sequence for the subject than expected; with what it is
_LATER = {10008, 10023, 10028, 10076}  # JetStream isn't up yet, or lacks a resource
_LATER |= {10004, 10005, 10006, 10007, 10009, 10118}  # its group is incomplete, or a server of it isn't there yet


def stream_name(node: str, kept_in: str = "evt") -> str:
    """The stream of a host for its events, or its audit; the node stands in it because a fleet's hub sees them all."""
    return f"SW_{kept_in.upper()}_{node}"


def event_stream(node: str) -> dict[str, Any]:
    """The configuration of a host's event stream."""
    return {
        "name": stream_name(node),
        "description": "what has happened on this host",
        "subjects": [f"{WIRE}.evt.{node}.>"],
        "retention": "limits",
        "discard": "old",
        "storage": "file",
        "num_replicas": 1,
        "max_age": 7 * 24 * 3600 * _SECOND,
        "max_bytes": 256 * 1024 * 1024,
        "duplicate_window": 1800 * _SECOND,  # for so long may whoever didn't hear the acknowledgement be away
        "allow_direct": True,
    }


def audit_stream(node: str) -> dict[str, Any]:
    """The configuration of a host's audit: nothing in it is ever deleted by anybody, it only grows too old or large."""
    return {
        "name": stream_name(node, "audit"),
        "description": "who asked this host for what",
        "subjects": [f"{WIRE}.audit.{node}.>"],
        "retention": "limits",
        "discard": "old",
        "storage": "file",
        "num_replicas": 1,
        "max_age": 90 * 24 * 3600 * _SECOND,
        "max_bytes": 256 * 1024 * 1024,
        "duplicate_window": 120 * _SECOND,
        "allow_direct": True,
        "deny_delete": True,
        "deny_purge": True,
    }


def consumer(name: str, subjects: list[str], since: int | datetime | None) -> dict[str, Any]:
    """A reader's place in the stream: in memory, unacknowledged, forgotten a minute after its reader."""
    place: dict[str, Any] = {"deliver_policy": "new"}
    if isinstance(since, datetime):
        at = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        place = {"deliver_policy": "by_start_time", "opt_start_time": at}
    elif since is not None:
        place = {"deliver_policy": "by_start_sequence", "opt_start_seq": since + 1}
    filters = {"filter_subject": subjects[0]} if len(subjects) == 1 else {"filter_subjects": subjects}
    return {
        "name": name,
        "ack_policy": "none",
        "replay_policy": "instant",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": 60 * _SECOND,
        **place,
        **filters,
    }


def body(value: dict[str, Any]) -> bytes:
    """A request's body."""
    return json.dumps(value).encode()


def answer(reply: bytes, doing: str) -> dict[str, Any]:
    """An API reply as a map. Raises Conflict, NotFound, Unavailable or Internal where it is an error."""
    try:
        told = json.loads(reply)
    except ValueError:
        raise Internal(f"cannot {doing}: the bus answered something that isn't JSON") from None
    error = told.get("error")
    if error:
        raise _failure(error, doing)
    return dict(told)


def _failure(error: dict[str, Any], doing: str) -> Error:
    number, text = error.get("err_code", 0), error.get("description", "unknown")
    kind: type[Error] = Internal
    if number == _EXISTS:
        kind = Conflict
    elif number in _GONE:
        kind = NotFound
    elif number in _LATER or error.get("code") == 503:
        kind = Unavailable
    return kind(f"cannot {doing}: {text}")


def message(reply: bytes, doing: str) -> dict[str, Any] | None:
    """The message in an answer to STREAM.MSG.GET; None where there is none. Raises Unavailable or Internal."""
    try:
        return dict(answer(reply, doing)["message"])
    except NotFound:
        if json.loads(reply)["error"].get("err_code") == _NO_MESSAGE:
            return None
        raise Unavailable(f"cannot {doing}: the fleet's hub doesn't keep it yet") from None


def revision(reply: bytes, doing: str) -> int:
    """The sequence under which a write is kept.

    Raises Conflict where something else was written since, Unavailable where it can't be kept now.
    """
    try:
        error = json.loads(reply).get("error", {})
        if error.get("err_code") in _WRITTEN_SINCE:
            raise Conflict(f"cannot {doing}: it was written by somebody else meanwhile")
        return int(answer(reply, doing)["seq"])
    except (KeyError, ValueError, AttributeError, Internal) as error:
        raise Unavailable(f"cannot {doing}: {error}") from error


def published(reply: bytes, subject: str) -> int:
    """The sequence under which a published message is kept. Raises Unavailable where the stream can't take it now."""
    try:
        return int(answer(reply, f"keep an event on {subject}")["seq"])
    except (KeyError, Internal) as error:
        raise Unavailable(f"cannot keep an event on {subject}: {error}") from error


def bounds(told: dict[str, Any]) -> tuple[int, int]:
    """The first sequence a stream keeps and the one after its last, from an answer to STREAM.INFO."""
    state = told["state"]
    return int(state["first_seq"]), int(state["last_seq"]) + 1


def from_sequence(sequence: int) -> dict[str, Any]:
    """STREAM.MSG.GET of the first message kept from a sequence on."""
    return {"seq": sequence, "next_by_subj": ">"}


def kept_at(told: dict[str, Any]) -> tuple[int, datetime]:
    """The sequence of a message and when it was kept, from an answer to STREAM.MSG.GET."""
    message = told["message"]
    return int(message["seq"]), datetime.fromisoformat(message["time"])


def delivery(reply_subject: str) -> tuple[int, datetime, int]:
    """The sequence, time and number of messages still to come, from a delivered message's ack subject.

    Both forms are read, since a server may switch to the second:
    `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<nanoseconds>.<pending>` and
    `$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<sequence>.<…>.<nanoseconds>.<pending>[.<token>]`.
    """
    tokens = reply_subject.split(".")
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < 9 or len(tokens) == 10:
        raise Internal(f"cannot read {reply_subject!r} as a JetStream delivery")
    first = 5 if len(tokens) == 9 else 7
    sequence, _, nanoseconds, pending = (int(token) for token in tokens[first : first + 4])
    return sequence, datetime.fromtimestamp(nanoseconds / _SECOND, UTC), pending
