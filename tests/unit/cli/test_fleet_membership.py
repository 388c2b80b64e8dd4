"""What `seaway fleet` says of a host's place."""

from __future__ import annotations

import click
import pytest
from seaway_cli.fleet.membership import lines, seconds

PLACE = {
    "Node": "h2",
    "Fleet": "home",
    "Role": "controller",
    "Hub": False,
    "Addresses": ["10.0.0.1:7422"],
    "Connected": True,
    "Leader": "h1",
}


def test_a_place_is_told_in_lines() -> None:
    assert lines({"Node": "h1", "Fleet": ""}) == ["h1 is in no fleet"]
    assert lines(PLACE) == ["h2 is in the fleet home, as controller", "hubs: 10.0.0.1:7422", "connected, led by h1"]
    assert "one of its hubs" in lines({**PLACE, "Hub": True})[0]
    assert lines({**PLACE, "Leader": ""})[2] == "connected, led by nobody just now"
    assert lines({**PLACE, "Connected": False})[2].startswith("not connected: it works on alone")


@pytest.mark.parametrize(("text", "said"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800)])
def test_times_are_read(text: str, said: int) -> None:
    assert seconds(text) == said


@pytest.mark.parametrize("text", ["", "h", "-1s", "1w", "1.5h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="isn't a time; say 90s"):
        seconds(text)
