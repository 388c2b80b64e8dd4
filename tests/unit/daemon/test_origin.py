from __future__ import annotations

import pytest
from seaway_daemon.api.origin import check
from seaway_protocol.errors import PermissionDenied


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "h1:2376"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://h1:2376", "Host": "h1:2376"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://h1:2376", "Host": "h1:2376"},
    ],
)
def test_programs_and_our_own_page_may_do_everything(headers: dict[str, str]) -> None:
    for method in ("GET", "POST", "DELETE"):
        check(method, headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example", "Host": "h1:2376"},
        {"Origin": "null", "Host": "h1:2376"},
    ],
)
def test_a_page_of_another_site_may_do_nothing(headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        with pytest.raises(PermissionDenied):
            check(method, headers)


def test_a_link_from_elsewhere_may_be_followed_but_not_a_form_sent() -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    check("GET", followed)
    with pytest.raises(PermissionDenied):
        check("POST", followed)
