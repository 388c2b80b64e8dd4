"""What Docker's API has no words for: `/seaway/…`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from aiohttp import web
from seaway_protocol import audit, shim, supervisor
from seaway_protocol.check import Finding
from seaway_service.metrics import CONTENT_TYPE

from seaway_daemon.api.request import Request, json
from seaway_daemon.headers import STANDARD_HEADERS
from seaway_daemon.times import SECOND, rfc3339

_MOST = 10_000
"""Requests of the audit in one answer."""


async def check(request: Request) -> web.StreamResponse:
    """`GET /seaway/check`: the differences between what is recorded and what is there. `deep` reads every blob."""
    return await _check(request, mend=False)


async def mend(request: Request) -> web.StreamResponse:
    """`POST /seaway/check`: look, and settle what is found."""
    return await _check(request, mend=True)


async def metrics(request: Request) -> web.StreamResponse:
    """`GET /metrics`: the metrics of all services of this host, as Prometheus reads them."""
    headers = {**STANDARD_HEADERS, "Content-Type": CONTENT_TYPE}
    return web.Response(body=(await request.engine.metrics.page()).encode(), headers=headers)


async def upgrade_shims(request: Request) -> web.StreamResponse:
    """`POST /seaway/shims/upgrade`: have every shim go on as the version that is current, `atOnce` at a time."""
    done = await request.engine.ask(shim.upgrade_shims, shim.UpgradeShims(at_once=request.query.number("atOnce") or 2))
    return json({"Shims": [{"Id": each.id, "Version": each.version, "Error": each.error} for each in done.shims]})


async def _check(request: Request, *, mend: bool) -> web.StreamResponse:
    asked = supervisor.Check(mend=mend, deep=request.query.flag("deep"))
    checked = await request.engine.ask(supervisor.check, asked)
    return json({"Findings": [_shown(each) for each in checked.findings]})


async def audit_(request: Request) -> web.StreamResponse:
    """`GET /seaway/audit`: who asked this host for what, the last `limit` requests between `since` and `until`.

    `actor` and `to` are a name, and the host that a request was forwarded to.
    """
    query = request.query
    since, until = query.time("since"), query.time("until")
    wanted = {name: query.text(name) for name in ("actor", "to") if query.text(name)}
    begin = datetime.fromtimestamp(since / SECOND, UTC) if since else 0
    kept: deque[audit.Request] = deque(maxlen=min(max(1, query.number("limit") or 1000), _MOST))
    lost = 0
    async with request.engine.bus.events(audit.noted, since=begin, follow=False) as occurrences:
        async for occurrence in occurrences:
            noted = cast(audit.Noted, occurrence.payload)
            lost += noted.lost
            kept.extend(each for each in noted.requests if _meant(each, since, until, wanted))
    return json({"Requests": [_noted(each) for each in kept], "Lost": lost})


def _meant(noted: audit.Request, since: int, until: int, wanted: Mapping[str, str]) -> bool:
    ended = noted.at + noted.took
    facts = {"actor": noted.actor.name, "to": noted.to}
    return since <= ended and (not until or noted.at <= until) and all(facts[name] == wanted[name] for name in wanted)


def _noted(noted: audit.Request) -> dict[str, object]:
    actor = noted.actor
    return {
        "At": rfc3339(noted.at),
        "Actor": actor.name,
        "Role": actor.role,
        "Node": actor.node,
        "Address": actor.address,
        "Certificate": actor.certificate,
        "Method": noted.method,
        "Route": noted.route,
        "Object": noted.object,
        "Detail": noted.detail,
        "To": noted.to,
        "Status": noted.status,
        "Took": noted.took,
        "Trace": noted.trace,
        "Phase": noted.phase,
        "FromClient": noted.from_client,
        "ToClient": noted.to_client,
    }


def _shown(finding: Finding) -> dict[str, object]:
    return {
        "What": finding.what,
        "Where": finding.where,
        "Remedy": finding.remedy,
        "Mended": finding.mended,
        "Failure": finding.failure,
    }
