"""Who may come in, stay and go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from seaway_bus.credentials import Key
from seaway_fleet.admission import check_admission, check_departure, check_renewal, check_token
from seaway_protocol.enrolment import Admission, Departure, IssuedToken, Member, Renewal
from seaway_protocol.errors import Conflict, Error, InvalidArgument, NotFound, PermissionDenied
from seaway_protocol.fleet import NewToken

NOW = 1_000 * 1_000_000_000
TOKEN = IssuedToken(role="controller", expires=NOW + 1)
ASKED = Admission(secret="s", node="h2", key="U2", request="")
KEY = Key.generate("user")
MEMBER = Member(node="h2", role="controller", key=KEY.public, joined=NOW, asked=7)


def admitted(token: IssuedToken | None = TOKEN, member: Member | None = None, seen: bool = False, **asked: Any) -> None:
    check_admission(msgspec.structs.replace(ASKED, **asked), token, member, seen=seen, now=NOW)


def test_a_host_with_a_good_token_comes_in() -> None:
    admitted()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"token": None}, PermissionDenied, "knows no such token"),
        ({"token": msgspec.structs.replace(TOKEN, expires=NOW)}, PermissionDenied, "has expired"),
        ({"token": msgspec.structs.replace(TOKEN, used_by={"h3": "U3"})}, PermissionDenied, "h3 has used the token up"),
        ({"token": msgspec.structs.replace(TOKEN, used_by={"h2": "U3"})}, PermissionDenied, "h2 has used the token up"),
        ({"token": msgspec.structs.replace(TOKEN, hub=True)}, InvalidArgument, "as a hub: say where"),
        ({"node": "h.2"}, InvalidArgument, "letters, digits, - and _"),
        ({"member": MEMBER}, Conflict, "has a host of that name; choose another with --node"),
        ({"member": msgspec.structs.replace(MEMBER, joined=1), "seen": True}, Conflict, "has a host of that name"),
    ],
)
def test_another_is_told_why_not_and_what_to_do(change: dict[str, Any], error: type[Error], said: str) -> None:
    with pytest.raises(error, match=said):
        admitted(**change)


def test_a_token_that_is_not_for_once_lets_more_in() -> None:
    admitted(msgspec.structs.replace(TOKEN, once=False, used_by={"h3": "U3"}))


def test_who_did_not_hear_the_answer_asks_again() -> None:
    token = msgspec.structs.replace(TOKEN, used_by={"h2": "U2"})
    admitted(token)
    admitted(token, msgspec.structs.replace(MEMBER, key="U2"), seen=True)


def test_a_name_is_free_again_once_its_host_was_evicted_or_never_arrived() -> None:
    admitted(member=msgspec.structs.replace(MEMBER, evicted=True), seen=True)
    admitted(member=msgspec.structs.replace(MEMBER, joined=NOW - 61 * 1_000_000_000))


def renewal(signer: Key = KEY, at: int = 8, **changed: Any) -> Renewal:
    asked = Renewal(node="h2", key="U9", request="request", at=at)
    return msgspec.structs.replace(asked, **{"proof": signer.sign(asked.message()), **changed})


def test_a_host_renews_with_the_key_that_the_fleet_knows() -> None:
    assert check_renewal(renewal(), MEMBER) is MEMBER


def test_who_did_not_hear_of_its_renewal_asks_again() -> None:
    renewed = msgspec.structs.replace(MEMBER, key="U9", former=("UX", KEY.public), asked=8)
    assert check_renewal(renewal(), renewed) is renewed
    with pytest.raises(PermissionDenied):
        check_renewal(renewal(Key.generate("user")), renewed)


@pytest.mark.parametrize(
    ("asked", "member", "error"),
    [
        (renewal(), None, NotFound),
        (renewal(), msgspec.structs.replace(MEMBER, evicted=True), PermissionDenied),
        (renewal(Key.generate("user")), MEMBER, PermissionDenied),
        (renewal(key="U8"), MEMBER, PermissionDenied),
        (renewal(request="another"), MEMBER, PermissionDenied),
        (renewal(at=7), MEMBER, PermissionDenied),
        (renewal(proof=b""), MEMBER, PermissionDenied),
    ],
)
def test_nobody_else_does(asked: Renewal, member: Member | None, error: type[Error]) -> None:
    with pytest.raises(error, match=r"^cannot .*h2"):
        check_renewal(asked, member)


def test_a_host_leaves_by_itself_alone() -> None:
    asked = Departure(node="h2", at=9)
    check_departure(msgspec.structs.replace(asked, proof=KEY.sign(asked.message())), MEMBER)
    with pytest.raises(PermissionDenied, match="isn't the host that was let in"):
        check_departure(msgspec.structs.replace(asked, proof=Key.generate("user").sign(asked.message())), MEMBER)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (NewToken(role="owner"), "the role is 'owner'"),
        (NewToken(role="member", hub=True), "a hub is a controller"),
        (NewToken(seconds=0), "1 to"),
        (NewToken(seconds=10**9), "1 to"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(wanted: NewToken, said: str) -> None:
    with pytest.raises(InvalidArgument, match=f"cannot make a token.*{said}"):
        check_token(wanted)


def test_one_that_does_is() -> None:
    check_token(NewToken())
    check_token(NewToken(role="member", seconds=1))
    check_token(NewToken(hub=True))
