"""What Docker's API has no words for: `/seaway/…`."""

from __future__ import annotations

from aiohttp import web
from seaway_protocol import shim, supervisor
from seaway_protocol.check import Finding
from seaway_service.metrics import CONTENT_TYPE

from seaway_daemon.api.request import Request, json
from seaway_daemon.headers import STANDARD_HEADERS


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


def _shown(finding: Finding) -> dict[str, object]:
    return {
        "What": finding.what,
        "Where": finding.where,
        "Remedy": finding.remedy,
        "Mended": finding.mended,
        "Failure": finding.failure,
    }
