"""A container's log."""

from __future__ import annotations

import logging

from aiohttp import web
from seaway_bus import Receiver
from seaway_protocol import supervisor
from seaway_protocol.errors import InvalidArgument

from seaway_daemon.api.request import Request
from seaway_daemon.conversation.connection import Conversation
from seaway_daemon.conversation.keeper import Talk
from seaway_daemon.conversation.topics import Copy
from seaway_daemon.engine import Engine
from seaway_daemon.framing import content_type
from seaway_daemon.streams import copy

log = logging.getLogger("seaway.daemon")


async def logs(request: Request) -> web.StreamResponse:
    """`GET /containers/{name}/logs`."""
    query = request.query
    if not (query.flag("stdout") or query.flag("stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    flow = request.engine.bus.new_flow()
    wish = supervisor.Logs(
        container=request.name,
        flow=flow,
        follow=query.flag("follow"),
        stdout=query.flag("stdout"),
        stderr=query.flag("stderr"),
        since=query.time("since"),
        until=query.time("until"),
        tail=tail(query.text("tail")),
        timestamps=query.flag("timestamps"),
        details=query.flag("details"),
    )
    lines = await request.engine.bus.receiver(supervisor.logs_flow, flow, explicit=True)
    try:
        opened = await request.engine.ask(supervisor.logs, wish)
        topic = Copy(flow=flow, framed=not opened.terminal)
        talk = copied(request.engine, topic, lines)
        return await request.converse(topic, talk, content_type(opened.terminal, request.version))
    except BaseException:
        await lines.aclose()
        raise


def copied(engine: Engine, topic: Copy, flow: Receiver | None = None) -> Talk:
    """Copy a flow of the supervisor's to a client. One that breaks off ends without the last chunk, as an error."""

    async def talk(conversation: Conversation) -> None:
        mark = conversation.mark
        source = flow or await engine.bus.receiver(supervisor.logs_flow, topic.flow, start=mark, explicit=True)
        try:
            if failure := await copy(conversation, source, framed=topic.framed):
                log.warning("A stream broke off: %s", failure.text)
                return
            await conversation.end()
            source.acknowledge()
        finally:
            await (source.abort() if conversation.handed_over else source.aclose())

    return talk


def tail(text: str) -> int:
    """How many last lines; -1, for all of them, also where the text is no number, as in Docker."""
    return int(text) if text.isascii() and text.isdigit() else -1
