"""`GET /fleet/targets`: what a Prometheus should scrape, for its `http_sd_configs`.

Hosts are scraped by way of the daemon that was asked (`/nodes/<name>/metrics`), so one address and one certificate
reach them all; containers that carry the label `prometheus.port` where that port is published.
Source: https://prometheus.io/docs/prometheus/latest/http_sd/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from aiohttp import web
from seaway_protocol import fleet
from seaway_protocol.errors import InvalidArgument
from seaway_protocol.fleet import AskContainers, ContainerBrief, Seen

from seaway_daemon.api.operation import Parameter, Shape, operation
from seaway_daemon.api.request import Request, json
from seaway_daemon.fleet.asking import SECONDS, ask_all, chosen, controller, known
from seaway_daemon.fleet.parameters import HOSTS, REFUSALS, seconds, selection

PORT, PATH = "prometheus.port", "prometheus.path"
"""Labels of a container: the port that tells its metrics, and at which path, where that isn't /metrics."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


class Target(Shape, rename=None):
    """A group of one target, and what is known of it."""

    targets: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}


@operation(
    "List what a Prometheus should scrape (HTTP service discovery)",
    answer=list[Target],
    query=(
        Parameter("of", "hosts (the default), or containers", choices=("hosts", "containers")),
        Parameter("address", "where the scraper reaches this daemon, `host:port`; by default the request's Host"),
        *HOSTS,
    ),
    refusals=REFUSALS,
)
async def targets(request: Request) -> web.StreamResponse:
    """`GET /fleet/targets`."""
    of = request.query.text("of", "hosts")
    if of not in ("hosts", "containers"):
        raise InvalidArgument(f"invalid value for parameter of: {of!r} is neither hosts nor containers")
    found = _hosts(request) if of == "hosts" else _containers(request)
    return json(await found)


async def _hosts(request: Request) -> list[Target]:
    """Every host that is meant, lost ones too: that they can't be scraped is what somebody wants to know."""
    await controller(request.engine)
    on = selection(request.query)
    address = request.query.text("address") or request.http.headers.get("Host", "")
    meant = chosen(on, await known(request.engine))
    return [
        Target(targets=(address,), labels={"__metrics_path__": f"/nodes/{node}/metrics", **of_host(seen)})
        for node, seen in meant.items()
    ]


async def _containers(request: Request) -> list[Target]:
    query = request.query
    ask = AskContainers(on=selection(query), labels=(PORT,))
    gathered = await ask_all(request.engine, fleet.containers, ask, seconds(query, SECONDS))
    return [
        target
        for node, answer in gathered.answers.items()
        if node in gathered.hosts
        for each in answer.containers
        for target in of_container(each, gathered.hosts[node])
    ]


def of_host(seen: Seen) -> dict[str, str]:
    """The labels of a host's targets."""
    return {"node": seen.host.node, **_known("host", seen.host.labels)}


def of_container(given: ContainerBrief, seen: Seen) -> Iterator[Target]:
    """Where a container's metrics are, if their port is published where others can reach it."""
    for port in given.ports:
        if str(port.port) == given.labels.get(PORT) and not port.host_address.startswith("127.") and port.host_port:
            labels = {
                **of_host(seen),
                **({"__metrics_path__": given.labels[PATH]} if PATH in given.labels else {}),
                "container": given.name,
                "image": given.image,
                **{
                    f"__meta_seaway_container_{_NOT_IN_NAMES.sub('_', key)}": text for key, text in given.labels.items()
                },
            }
            yield Target(targets=(f"{_host(seen.host.address)}:{port.host_port}",), labels=labels)
            return


def _known(of: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Labels that a scraper may relabel by, and forgets otherwise."""
    return {f"__meta_seaway_{of}_{_NOT_IN_NAMES.sub('_', key)}": value for key, value in labels.items()}


def _host(address: str) -> str:
    """An address without its port; IPv6 in its brackets."""
    host, colon, port = address.rpartition(":")
    bare = host if colon and port.isdigit() and (host.endswith("]") or ":" not in host) else address
    return f"[{bare}]" if ":" in bare and not bare.startswith("[") else bare
