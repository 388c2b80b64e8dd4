"""A fleet of a hundred hosts, in one answer. A thousand are in tests/bench/fleet.py."""

from __future__ import annotations

from pathlib import Path

from support.api import Api
from support.simulated_fleet import simulated_fleet


def test_a_hundred_hosts_are_in_one_answer(tmp_path: Path) -> None:
    with simulated_fleet(tmp_path, 100) as socket:
        api = Api(socket)
        told = api.request("GET", "/fleet/containers", all=1, timeout=30, on="disk").json
        assert told["Missing"] == [] and told["Errors"] == {}
        assert len({(each["Node"], each["Id"]) for each in told["Items"]}) == len(told["Items"]) == 100 * 20
        nodes = [each["Node"] for each in api.request("GET", "/fleet/hosts", timeout=30).json["Items"]]
        assert nodes == [f"h{number}" for number in range(1, 101)]
        newest = api.request("GET", "/fleet/containers", limit=5, timeout=30, on="region=eu").json["Items"]
        assert len(newest) == 5
        images = api.request("GET", "/fleet/images", timeout=30).json["Items"]
        assert [len(each["Nodes"]) for each in images] == [100] * 5
