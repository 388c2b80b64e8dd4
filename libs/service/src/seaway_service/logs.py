"""Log lines: structured entries for the journal, lines of JSON, or lines for people, of the same facts.

Every line says which request it belongs to, where there is one: the trace that goes through all services, the call and
the container. They come from whoever knows them (`tell`, `always`) and from the line itself:
`log.warning("…", extra={"container": id})`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping

from seaway_service import journal
from seaway_service.journal import Journal

FIELDS: Mapping[str, str] = {
    "service": "SEAWAY_SERVICE",
    "container": "SEAWAY_CONTAINER_ID",
    "name": "SEAWAY_CONTAINER_NAME",
    "trace": "SEAWAY_TRACE_ID",
    "call": "SEAWAY_CALL",
}
"""What a line can be about, and the journal's name for it."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))
"""syslog(3)'s numbers."""

_OF_RECORD = {"container": "container", "container_name": "name"}
"""Names in a line's own `extra`: logging keeps `name` for itself."""

_LONGEST = 64 * 1024
"""Characters of a message for the journal; datagrams end at about 200 KiB."""

_told_by: list[Callable[[], Mapping[str, str]]] = []
"""Who knows what is being handled: each is asked for every line, and gives words of `FIELDS`."""

always: dict[str, str] = {}
"""What all lines of this process are about."""


def tell(handled: Callable[[], Mapping[str, str]]) -> None:
    """Ask this one for every line, too; once is enough."""
    if handled not in _told_by:
        _told_by.append(handled)


def about(record: logging.LogRecord) -> dict[str, str]:
    """The words of `FIELDS` that a line is about; what it says itself comes before what is being handled."""
    found = dict(always)
    for handled in _told_by:
        found.update({word: value for word, value in handled().items() if value})
    for attribute, word in _OF_RECORD.items():
        if value := getattr(record, attribute, None):
            found[word] = str(value)
    return found


def priority(record: logging.LogRecord) -> int:
    """The record's level as syslog(3) has it."""
    return next(number for level, number in _PRIORITIES if record.levelno >= level)


class TextFormatter(logging.Formatter):
    """`time LEVEL logger: text key=value …`, for a file or a person."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The first line; a traceback follows it."""
        words = (f"{word}={value}" for word, value in about(record).items() if word != "service")
        return " ".join((super().formatMessage(record), *words))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (Unix seconds), level, logger, message, what it is about, and the traceback where there is one."""
        line = {
            "time": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **about(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class StreamFormatter(logging.Formatter):
    """`<priority>logger: text`, as systemd reads it from standard error (sd-daemon(3)): each line of a traceback."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record, its lines kept together by their priority."""
        return "\n".join(f"<{priority(record)}>{line}" for line in super().format(record).splitlines())


class JournalHandler(logging.Handler):
    """Records as entries of the journal; what it doesn't take is counted, and said when it takes something again."""

    def __init__(self, identifier: str, to: Journal | None = None) -> None:
        super().__init__()
        self._identifier = identifier
        self._journal = to or Journal()
        self._otherwise = StreamFormatter()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """One entry; a line on standard error where there is no journald."""
        try:
            lost = self._journal.lost
            if self._journal.send(entry(record, self._identifier, self.format(record))) and lost:
                self._journal.lost = 0
                text = f"Lost {lost} lines: journald didn't take them"
                self._journal.send({"MESSAGE": text, "PRIORITY": "4", "SYSLOG_IDENTIFIER": self._identifier})
        except OSError:
            print(self._otherwise.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._journal.close()
        super().close()


def entry(record: logging.LogRecord, identifier: str, message: str) -> dict[str, str]:
    """A record's fields, systemd.journal-fields(7)."""
    return {
        "MESSAGE": message[:_LONGEST],
        "PRIORITY": str(priority(record)),
        "SYSLOG_IDENTIFIER": identifier,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
        "LOGGER": record.name,
        **{FIELDS[word]: value for word, value in about(record).items() if word in FIELDS},
    }


def configure(level: str, form: str, identifier: str) -> None:
    """Send the root logger's records to the journal or to standard error.

    `form` is `journal`, `text` or `json`; "" takes the journal where standard error is connected to it.
    """
    handler = _handler(form or ("journal" if journal.connected() else "text"), identifier)
    always.clear()
    always["service"] = identifier.removeprefix("seaway-")
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _handler(form: str, identifier: str) -> logging.Handler:
    if form == "journal":
        return JournalHandler(identifier)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    return handler
