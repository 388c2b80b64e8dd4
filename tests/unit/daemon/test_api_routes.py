"""The table of routes against the operations in the Engine API's description (moby's api/swagger.yaml, 1.56)."""

from __future__ import annotations

import pytest
from seaway_daemon.routes import ROUTES, Table

OPERATIONS = [
    "",
    "GET /containers/json",
    "POST /containers/create",
    "GET /containers/x/json",
    "GET /containers/x/top",
    "GET /containers/x/logs",
    "GET /containers/x/changes",
    "GET /containers/x/export",
    "GET /containers/x/stats",
    "POST /containers/x/resize",
    "POST /containers/x/start",
    "POST /containers/x/stop",
    "POST /containers/x/restart",
    "POST /containers/x/kill",
    "POST /containers/x/update",
    "POST /containers/x/rename",
    "POST /containers/x/pause",
    "POST /containers/x/unpause",
    "POST /containers/x/attach",
    "GET /containers/x/attach/ws",
    "POST /containers/x/wait",
    "DELETE /containers/x",
    "HEAD /containers/x/archive",
    "GET /containers/x/archive",
    "PUT /containers/x/archive",
    "POST /containers/prune",
    "POST /containers/x/exec",
    "POST /exec/x/start",
    "POST /exec/x/resize",
    "GET /exec/x/json",
    "GET /images/json",
    "POST /build",
    "POST /build/prune",
    "POST /images/create",
    "GET /images/x/json",
    "GET /images/x/attestations",
    "GET /images/x/history",
    "POST /images/x/push",
    "POST /images/x/tag",
    "DELETE /images/x",
    "GET /images/search",
    "POST /images/prune",
    "POST /commit",
    "GET /images/x/get",
    "GET /images/get",
    "POST /images/load",
    "GET /networks",
    "GET /networks/x",
    "DELETE /networks/x",
    "POST /networks/create",
    "POST /networks/x/connect",
    "POST /networks/x/disconnect",
    "POST /networks/prune",
    "GET /volumes",
    "POST /volumes/create",
    "GET /volumes/x",
    "PUT /volumes/x",
    "DELETE /volumes/x",
    "POST /volumes/prune",
    "POST /auth",
    "GET /info",
    "GET /version",
    "GET /_ping",
    "HEAD /_ping",
    "GET /events",
    "GET /system/df",
    "GET /plugins",
    "GET /plugins/privileges",
    "POST /plugins/pull",
    "GET /plugins/x/json",
    "DELETE /plugins/x",
    "POST /plugins/x/enable",
    "POST /plugins/x/disable",
    "POST /plugins/x/upgrade",
    "POST /plugins/create",
    "POST /plugins/x/push",
    "POST /plugins/x/set",
    "GET /swarm",
    "POST /swarm/init",
    "POST /swarm/join",
    "POST /swarm/leave",
    "POST /swarm/update",
    "GET /swarm/unlockkey",
    "POST /swarm/unlock",
    "GET /nodes",
    "GET /nodes/x",
    "DELETE /nodes/x",
    "POST /nodes/x/update",
    "GET /services",
    "POST /services/create",
    "GET /services/x",
    "DELETE /services/x",
    "POST /services/x/update",
    "GET /services/x/logs",
    "GET /tasks",
    "GET /tasks/x",
    "GET /tasks/x/logs",
    "GET /secrets",
    "POST /secrets/create",
    "GET /secrets/x",
    "DELETE /secrets/x",
    "POST /secrets/x/update",
    "GET /configs",
    "POST /configs/create",
    "GET /configs/x",
    "DELETE /configs/x",
    "POST /configs/x/update",
    "GET /distribution/x/json",
    "POST /session",
    "",
][1:-1]


def test_the_list_is_the_whole_description() -> None:
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 108


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_a_route(operation: str) -> None:
    method, path = operation.split()
    found = Table().find(method, path)
    assert found, operation
    route, names = found
    assert route.path.replace("{name}", "x").replace("{name*}", "x") == path
    assert names == ({"name": "x"} if "{" in route.path else {})


def test_no_route_is_there_twice() -> None:
    assert len({(each.method, each.path) for each in ROUTES}) == len(ROUTES)


def test_access_is_one_of_two_words() -> None:
    assert {each.access for each in ROUTES} == {"read", "write", "admin"}


def test_an_image_name_may_have_slashes() -> None:
    found = Table().find("GET", "/images/localhost:5000/a/b:1/json")
    assert found and found[1] == {"name": "localhost:5000/a/b:1"}


def test_an_image_called_json_does_not_hide_the_list() -> None:
    found = Table().find("GET", "/images/json")
    assert found and found[0].path == "/images/json"


@pytest.mark.parametrize(
    "target", ["GET /nothing", "PUT /containers/json", "GET /containers/a/b/json", "GET /", "GET /images"]
)
def test_other_pages_are_not_found(target: str) -> None:
    assert Table().find(*target.split()) is None
