"""Who may do what, and who a connection is: the rules alone."""

from __future__ import annotations

import pytest
from seaway_daemon.access.identity import NOBODY, NotAnActor, Opening, of_certificate
from seaway_daemon.access.roles import allows, carries, lesser, settled
from seaway_daemon.access.scopes import filtered
from seaway_daemon.api.query import Query
from seaway_daemon.fleet.nodes import target
from seaway_daemon.routes import ROUTES
from seaway_daemon.settings import Grant
from seaway_fleet.preamble import preamble
from seaway_protocol.actor import Actor
from seaway_protocol.enrolment import HOST_UNIT
from seaway_protocol.errors import InvalidArgument, NotFound
from seaway_protocol.fleet import Dial

TABLE = {
    "vera": Grant(role="viewer"),
    "oscar": Grant(role="operator", labels=("team=web",), hosts=("h1",)),
    "*": Grant(role="viewer", hosts=("h2",)),
}


@pytest.mark.parametrize(
    ("actor", "node", "role"),
    [
        (Actor(name="root", role="admin"), "h1", "admin"),
        (Actor(name="root", role="admin", node="h9"), "h1", "admin"),
        (Actor(name="vera", certificate="ab"), "h1", "viewer"),
        (Actor(name="oscar", certificate="ab"), "h1", "operator"),
        (Actor(name="oscar", certificate="ab"), "h2", ""),
        (Actor(name="mallory", certificate="ab"), "h1", ""),
        (Actor(name="mallory", certificate="ab"), "h2", "viewer"),
        (Actor(name="vera", role="admin", certificate="ab", node="h9"), "h1", "viewer"),
        (Actor(name="oscar", role="viewer", certificate="ab", node="h9"), "h1", "viewer"),
        (Actor(name="oscar", role="god", certificate="ab", node="h9"), "h1", ""),
        (Actor(name="vera", certificate="ab", node="h9"), "h1", ""),
        (NOBODY, "h1", ""),
    ],
)
def test_the_role_that_holds(actor: Actor, node: str, role: str) -> None:
    assert settled(actor, TABLE, node).role == role


def test_without_a_table_a_certificate_makes_an_admin_here_and_no_more_of_anybody_from_elsewhere() -> None:
    assert settled(Actor(name="x", certificate="ab"), {}, "h1").role == "admin"
    assert settled(Actor(name="x", role="viewer", certificate="ab", node="h9"), {}, "h1").role == "viewer"
    assert settled(Actor(name="x", certificate="ab", node="h9"), {}, "h1").role == ""
    assert settled(NOBODY, {}, "h1").role == ""


def test_scopes_of_both_hosts_hold() -> None:
    there = Actor(name="oscar", role="operator", labels=("stage=test",), certificate="ab", node="h9")
    assert settled(there, TABLE, "h1").labels == ("stage=test", "team=web")


def test_roles_are_ordered_and_what_is_unknown_is_an_admins() -> None:
    assert [allows(Actor(name="x", role=role), "write") for role in ("", "viewer", "operator", "admin")] == [
        *(False, False),
        *(True, True),
    ]
    assert not allows(Actor(name="x", role="operator"), "admin") and not allows(Actor(name="x", role="operator"), "new")
    assert lesser("admin", "viewer") == "viewer" and lesser("god", "viewer") == ""


def test_every_route_says_who_may() -> None:
    assert {each.access for each in ROUTES} == {"read", "write", "admin"}
    assert not [each.path for each in ROUTES if each.method in ("PUT", "DELETE") and each.access == "read"]
    posts = {each.path for each in ROUTES if each.method == "POST" and each.access == "read"}
    assert posts == {"/containers/{name}/wait"}


def test_labels() -> None:
    assert carries({"a": "1", "b": ""}, ("a=1", "b")) and carries({}, ())
    assert not carries({"a": "1"}, ("a=2",)) and not carries({}, ("a",)) and not carries({"a": "1"}, ("a=",))


def test_a_scope_is_added_to_filters_in_both_forms() -> None:
    for given in ("", "filters=%7B%22label%22%3A%5B%22x%22%5D%7D", "filters=%7B%22label%22%3A%7B%22x%22%3Atrue%7D%7D"):
        filters = filtered(Query(f"all=1&{given}"), ("team=web",)).filters("label")
        assert set(filters.values_of("label")) == ({"x", "team=web"} if given else {"team=web"})
    with pytest.raises(InvalidArgument):
        filtered(Query("filters=nonsense"), ("a",))


def test_a_certificates_name() -> None:
    subject = ((("organizationName", "o"),), (("commonName", "alice"),))
    assert of_certificate({"subject": subject}, b"der", "a:1").name == "alice"
    assert of_certificate({"subjectAltName": (("email", "alice@example.org"),)}, b"", "").name == "alice@example.org"
    assert of_certificate({}, b"der", "a:1") == NOBODY


def test_a_host_of_the_fleet_is_nobody_to_an_engine() -> None:
    subject = ((("organizationalUnitName", HOST_UNIT),), (("commonName", "h1"),))
    assert of_certificate({"subject": subject, "subjectAltName": (("DNS", "h1"),)}, b"der", "a:1") == NOBODY


def test_the_line_of_the_fleet_service_is_understood_in_any_pieces() -> None:
    actor = Actor(name="alice", role="viewer", labels=("a",), node="liar", address="x", certificate="ab")
    line = preamble(Dial(actor=actor, node="h9", requests="r", answers="a"))
    for cut in range(1, len(line)):
        opening = Opening()
        assert opening.feed(line[:cut]) is None
        found = opening.feed(line[cut:] + b"GET /")
        assert found is not None and found[0] is not None
        assert (found[0].name, found[0].node, found[0].labels, found[1]) == ("alice", "h9", ("a",), b"GET /")


def test_a_request_is_none() -> None:
    assert Opening().feed(b"GET / HTTP/1.1\r\n") == (None, b"GET / HTTP/1.1\r\n")
    opening = Opening()
    assert opening.feed(b"SEA") is None
    assert opening.feed(b"RCH / HTTP/1.1\r\n") == (None, b"SEARCH / HTTP/1.1\r\n")
    for line in (b"SEAWAY-ACTOR []\r\n", b'SEAWAY-ACTOR {"name":"a"}\r\n', b"SEAWAY-ACTOR " + b"x" * 20_000):
        with pytest.raises(NotAnActor):
            Opening().feed(line)


def test_which_host_a_path_means() -> None:
    for path in ("/nodes/h2/_ping", "/v1.44/nodes/h2/_ping", "/nodes/h2/v1.44/_ping"):
        found = target(path)
        assert found and found.node == "h2" and found.plain == "/_ping"
    for path in ("/nodes", "/nodes/h2", "/nodes/h2/update", "/v1.44/nodes/h2", "/containers/json", "/x/nodes/h2/_ping"):
        assert target(path) is None
    for path in ("/nodes/h2/../x", "/nodes/h2/%2E%2e/x", "/nodes/h2/a%2f..%2Fb", "/nodes/h2/./x"):
        with pytest.raises(InvalidArgument):
            target(path)
    for path in ("/nodes/a.b/x", "/nodes/%2e%2e/x", "/nodes/*/x", "/nodes/h2%2fx/y"):
        with pytest.raises(NotFound):
            target(path)
