"""Log lines: what they are about, and their forms."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from seaway_bus import concern, context, start_trace
from seaway_service import logs
from seaway_service.journal import datagram

ID = "a" * 64


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs, "_told_by", [])
    monkeypatch.setattr(logs, "always", {"service": "supervisor"})
    yield


def record(text: str = "Cannot start: %s", **extra: str) -> logging.LogRecord:
    made = logging.LogRecord("seaway.x", logging.WARNING, "/x.py", 7, text, ("no room",) if "%s" in text else (), None)
    made.__dict__.update(extra)
    made.funcName = "start"
    return made


def handle() -> str:
    logs.tell(context.handled)
    start_trace("00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    context.handle("supervisor.start")
    return "1" * 32


async def test_an_entry_says_which_request_of_which_container_it_belongs_to() -> None:
    trace = handle()
    concern(ID, "web")
    concern("b" * 64, "its neighbour")
    assert logs.entry(record(), "seaway-supervisor", "Cannot start: no room") == {
        "MESSAGE": "Cannot start: no room",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "seaway-supervisor",
        "CODE_FILE": "/x.py",
        "CODE_LINE": "7",
        "CODE_FUNC": "start",
        "LOGGER": "seaway.x",
        "SEAWAY_SERVICE": "supervisor",
        "SEAWAY_CALL": "supervisor.start",
        "SEAWAY_TRACE_ID": trace,
        "SEAWAY_CONTAINER_ID": ID,
        "SEAWAY_CONTAINER_NAME": "web",
    }


async def test_what_the_line_says_itself_comes_first() -> None:
    handle()
    concern(ID)
    assert logs.about(record(container="b" * 64, container_name="other"))["container"] == "b" * 64


def test_a_line_outside_of_requests_is_about_its_service_alone() -> None:
    assert logs.about(record()) == {"service": "supervisor"}


async def test_what_a_request_does_not_know_the_process_may() -> None:
    logs.always["container"] = ID
    handle()
    assert logs.about(record())["container"] == ID


async def test_a_line_for_people_ends_with_what_it_is_about() -> None:
    trace = handle()
    line = logs.TextFormatter().format(record())
    assert line.endswith(f" WARNING seaway.x: Cannot start: no room call=supervisor.start trace={trace}")


async def test_a_line_of_json_has_the_same_facts() -> None:
    trace = handle()
    line = json.loads(logs.JsonFormatter().format(record()))
    assert line.pop("time") > 0
    assert line == {
        "level": "warning", "logger": "seaway.x", "message": "Cannot start: no room", "service": "supervisor",
        "call": "supervisor.start", "trace": trace,
    }  # fmt: skip


def test_a_traceback_keeps_its_priority_on_standard_error() -> None:
    made = record("Failed")
    try:
        raise ValueError("why")
    except ValueError:
        made.exc_info = sys.exc_info()
    lines = logs.StreamFormatter().format(made).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<4>") for line in lines)
    assert json.loads(logs.JsonFormatter().format(made))["traceback"].endswith("ValueError: why")


def test_a_value_of_several_lines_has_its_length_before_it() -> None:
    assert datagram({"A": "b", "C": "d\ne"}) == b"A=b\nC\n\x03\x00\x00\x00\x00\x00\x00\x00d\ne\n"


@pytest.mark.parametrize("given", ["nonsense", "00-1-2-01", "00-" + "1" * 32 + "-" + "2" * 16 + "-01\r\nX: y", ""])
async def test_a_trace_that_is_none_is_not_taken_from_a_client(given: str) -> None:
    assert start_trace(given) != given
    assert len(context.trace_id()) == 32
