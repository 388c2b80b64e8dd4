"""Exec: one more process in a container that runs."""

from __future__ import annotations

import secrets
import shlex
from typing import Any

from aiohttp import web
from seaway_protocol import shim, supervisor
from seaway_protocol.errors import Conflict, Error
from seaway_protocol.types import ExecState

from seaway_daemon.access import roles
from seaway_daemon.api import bodies
from seaway_daemon.api.request import Request, json, nothing
from seaway_daemon.conversation.connection import Conversation
from seaway_daemon.conversation.keeper import Talk
from seaway_daemon.conversation.topics import Execution
from seaway_daemon.engine import Engine
from seaway_daemon.framing import RAW, DetachKeys, content_type, detach_sequence
from seaway_daemon.streams import converse, open_flows, tell
from seaway_daemon.translate.container import exec_process

_TO_START, _STARTED = 0, 1
"""The phases."""


async def create(request: Request) -> web.StreamResponse:
    """`POST /containers/{name}/exec`."""
    raw, document = await request.raw_body()
    body = bodies.typed(document, bodies.ExecConfig)
    roles.check_exec(request.actor, body)
    request.about(detail=shlex.join(body.cmd))
    if body.detach_keys:
        detach_sequence(body.detach_keys)
    wish = supervisor.ExecCreate(
        container=request.name,
        process=exec_process(body),
        attach_stdin=body.attach_stdin,
        attach_stdout=body.attach_stdout,
        attach_stderr=body.attach_stderr,
        origin=raw,
    )
    created = await request.engine.ask(supervisor.exec_create, wish)
    return json({"Id": created.id}, status=201)


async def start(request: Request) -> web.StreamResponse:
    """`POST /exec/{name}/start`."""
    body = await request.optional_body(bodies.ExecStart)
    state = await _state(request)
    if state.exit and state.exit.unknown:
        raise Conflict(f"cannot start exec {state.id}: {state.exit.unknown}; create it again")
    if state.running or state.exit:
        raise Conflict(f"Error: Exec command {state.id} has already run")
    height, width = body.console_size if len(body.console_size) == 2 else (0, 0)
    if body.detach:
        wish = shim.ExecStart(id=state.id, width=width, height=height)
        await request.engine.ask(shim.exec_start, wish, id=state.container)
        return nothing(200)
    bus, terminal = request.engine.bus, state.process.terminal
    topic = Execution(
        id=state.id,
        container=state.container,
        output=bus.new_flow(),
        stdin=bus.new_flow() if state.attach_stdin else "",
        terminal=terminal,
        detach=_detach(state) if terminal else b"",
        program=state.process.args[0],
        width=width,
        height=height,
        key=secrets.token_hex(12),
    )
    return await request.converse(
        topic, executed(request.engine, topic), RAW if terminal else content_type(False, request.version)
    )


def executed(engine: Engine, topic: Execution) -> Talk:
    """Start, and copy until its end. The head was sent: a failure is told in the stream, as clients expect."""

    async def talk(conversation: Conversation) -> None:
        mark, passed, framed = conversation.mark, conversation.passed, not topic.terminal
        flows = await open_flows(engine.bus, topic.container, topic.output, topic.stdin, mark=mark, passed=passed)
        async with flows.until_end_of(conversation):
            try:
                await _start_once(engine, conversation, topic)
            except Error as error:
                await tell(conversation, refusal(error, topic.program), framed=framed, channel=1)
            else:
                detach = DetachKeys(topic.detach) if topic.detach else None
                if failure := await converse(conversation, flows, framed=framed, detach=detach):
                    await tell(conversation, f"the output broke off: {failure.text}", framed=framed)
            await flows.end(conversation)

    return talk


async def _start_once(engine: Engine, conversation: Conversation, topic: Execution) -> None:
    """Have the shim start it; under the same key where it isn't known whether a daemon before us had."""
    if conversation.phase == _TO_START:
        wish = shim.ExecStart(
            id=topic.id, output=topic.output, stdin=topic.stdin, width=topic.width, height=topic.height
        )
        await engine.ask(shim.exec_start, wish, id=topic.container, key=topic.key)
        await conversation.raw(b"", phase=_STARTED)


def refusal(error: Error, program: str) -> str:
    """Why an exec couldn't start, in the words that Docker's clients look for."""
    missing = f"stat {program}: no such file or directory" if "/" in program else "executable file not found in $PATH"
    reasons = {"ENOENT": missing, "EACCES": "permission denied"}
    reason = reasons.get(error.details.get("errno", "")) if error.details.get("step", "exec") == "exec" else None
    why = f'exec: "{program}": {reason}' if reason else error.text
    return f"OCI runtime exec failed: exec failed: unable to start container process: {why}"


def _detach(state: ExecState) -> bytes:
    asked = bodies.decode(state.origin, bodies.ExecConfig) if state.origin else bodies.ExecConfig()
    return detach_sequence(asked.detach_keys)


async def resize(request: Request) -> web.StreamResponse:
    """`POST /exec/{name}/resize`."""
    height, width = request.query.required_number("h"), request.query.required_number("w")
    state = await _state(request)
    wish = shim.Resize(width=width, height=height, process=state.id)
    await request.engine.bus.call(shim.resize, wish, id=state.container)
    return nothing(200)


async def inspect(request: Request) -> web.StreamResponse:
    """`GET /exec/{name}/json`."""
    return json(shape(await _state(request)))


async def _state(request: Request) -> ExecState:
    return await request.engine.ask(supervisor.exec_inspect, supervisor.ExecReference(id=request.name))


def shape(state: ExecState) -> dict[str, Any]:
    """The answer of inspect."""
    asked = bodies.decode(state.origin, bodies.ExecConfig) if state.origin else bodies.ExecConfig()
    args = state.process.args
    process: dict[str, Any] = {
        "tty": state.process.terminal,
        "entrypoint": args[0] if args else "",
        "arguments": list(args[1:]),
        "privileged": state.process.privileged,
    }
    if state.process.user:
        process["user"] = state.process.user
    return {
        "ID": state.id,
        "Running": state.running,
        "ExitCode": state.exit.code if state.exit else None,
        "ProcessConfig": process,
        "OpenStdin": state.attach_stdin,
        "OpenStderr": state.attach_stderr,
        "OpenStdout": state.attach_stdout,
        "CanRemove": state.exit is not None,
        "ContainerID": state.container,
        "DetachKeys": asked.detach_keys,
        "Pid": state.pid,
    }
