"""The description of the fleet's API is true: asked with all kinds of values, a running daemon answers as it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from docker.transport import UnixHTTPAdapter
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS
from seaway_daemon.api.operation import Operation
from seaway_daemon.routes import ROUTES
from support.api import Api
from support.simulated_fleet import simulated_fleet

_SAID = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
"""What is checked: that each answer's status, type and shape are described."""

_BROKEN = 500
"""A bug. Other server errors are answers: what isn't supported, and a service that is away."""

DESCRIBED = [route for route in ROUTES if isinstance(route.handler, Operation)]

_STREAMS = ("/fleet/events", "/fleet/logs")


@pytest.fixture(scope="module")
def daemon_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("fleet")
    with simulated_fleet(directory, 3) as socket:
        yield socket


@pytest.fixture(scope="module")
def description(daemon_socket: Path) -> Any:
    answer = Api(daemon_socket).request("GET", "/fleet/openapi.json")
    assert answer.status == 200
    return schemathesis.openapi.from_dict(answer.json)


@pytest.fixture(scope="module")
def session(daemon_socket: Path) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.mount("http://localhost", UnixHTTPAdapter(f"http+unix://{daemon_socket}", timeout=30))
        yield session


def _examples(count: int) -> settings:
    """The same ones each time: what a machine's load does to them is no finding."""
    unhurried = list(HealthCheck)
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=unhurried)


def _of_hub(path: str) -> bool:
    """Whether it is about what the fleet's hub keeps, which simulated hosts have none of."""
    return path.startswith(("/fleet/upgrades", "/fleet/releases", "/fleet/packages"))


def asked_in_many_ways(description: Any, path: str, method: str, session: requests.Session, examples: int) -> None:
    """Ask an operation in many ways."""

    @_examples(examples)
    @given(case=description[path][method].as_strategy())
    def ask(case: Any) -> None:
        query = dict(case.query or {})
        if path in _STREAMS:
            query["follow"] = "false"  # else it never ends
        if "timeout" in query:
            query["timeout"] = "5"
        case.query = query
        response = case.call(base_url="http://localhost", session=session, timeout=100)
        assert response.status_code != _BROKEN, response.text
        case.validate_response(response, checks=[CHECKS.get_one(name) for name in _SAID])

    ask()


@pytest.mark.parametrize("path", [each.path for each in DESCRIBED if each.method == "GET" and not _of_hub(each.path)])
def test_every_answer_is_as_described(description: Any, session: requests.Session, path: str) -> None:
    asked_in_many_ways(description, path, "GET", session, 8)


@pytest.mark.parametrize("path", ["/fleet/init", "/fleet/join", "/fleet/leave", "/fleet/tokens"])
def test_bodies_of_all_kinds_break_nothing(description: Any, session: requests.Session, path: str) -> None:
    asked_in_many_ways(description, path, "POST", session, 8)


def test_every_route_of_the_fleet_is_described(description: Any) -> None:
    routes = {(each.path, each.method) for each in ROUTES if each.path.split("/")[1] == "fleet"}
    assert routes == {(each.path, each.method) for each in DESCRIBED}
