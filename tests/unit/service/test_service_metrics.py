"""Metrics as text: the exposition format, labels, histograms, several pages as one."""

from __future__ import annotations

import asyncio
import selectors

import pytest
from seaway_service.metrics import Counts, Family, Histogram, Sample, counter, gauge, merged, number, text
from seaway_service.process_metrics import Turns, process
from seaway_service.scraping import Metrics


def test_a_family_is_its_help_its_kind_and_a_line_for_each_sample() -> None:
    family = Family("seaway_things", "gauge", "Things", [Sample({"kind": "a"}, 1), Sample({"kind": "b"}, 0.5)])
    assert text([family], service="x") == (
        "# HELP seaway_things Things\n"
        "# TYPE seaway_things gauge\n"
        'seaway_things{service="x",kind="a"} 1\n'
        'seaway_things{service="x",kind="b"} 0.5\n'
    )


def test_families_of_a_name_stand_together_and_empty_ones_are_left_out() -> None:
    page = text(
        [gauge("a", "A", 1, x="1"), gauge("b", "B", 2), gauge("a", "A", 3, x="2"), Family("c", "gauge", "C", [])]
    )
    assert page.splitlines() == [
        "# HELP a A", "# TYPE a gauge", 'a{x="1"} 1', 'a{x="2"} 3',
        "# HELP b B", "# TYPE b gauge", "b 2",
    ]  # fmt: skip


def test_what_has_a_meaning_in_the_format_is_escaped() -> None:
    page = text([gauge("a", "line\nend", 1, name='a"b\\c\nd')])
    assert page == '# HELP a line end\n# TYPE a gauge\na{name="a\\"b\\\\c\\nd"} 1\n'


@pytest.mark.parametrize(
    ("value", "written"), [(1.0, "1"), (0.25, "0.25"), (float("inf"), "+Inf"), (1e20, f"{10**20}")]
)
def test_numbers(value: float, written: str) -> None:
    assert number(value) == written


def test_the_buckets_of_a_histogram_contain_each_other() -> None:
    took = Histogram("call", bounds=(0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        took.observe(value, "start")
    found = {(sample.suffix, sample.labels.get("le")): sample.value for sample in took.samples()}
    assert found == {
        ("_bucket", "0.1"): 2, ("_bucket", "1"): 3, ("_bucket", "+Inf"): 4,
        ("_sum", None): pytest.approx(7.65), ("_count", None): 4,
    }  # fmt: skip


def test_counts_are_kept_by_the_values_of_their_labels() -> None:
    counts = Counts("method", "code")
    counts.add("GET", "200")
    counts.add("GET", "200", by=2)
    counts.add("GET", "404")
    assert [(dict(each.labels), each.value) for each in counts.samples()] == [
        ({"method": "GET", "code": "200"}, 3),
        ({"method": "GET", "code": "404"}, 1),
    ]


def test_pages_of_several_services_become_one_whose_families_stand_together() -> None:
    pages = [text([gauge("a", "A", 1), counter("b_total", "B", 2)], service=name) for name in ("one", "two")]
    assert merged(pages).splitlines() == [
        "# HELP a A", "# TYPE a gauge", 'a{service="one"} 1', 'a{service="two"} 1',
        "# HELP b_total B", "# TYPE b_total counter", 'b_total{service="one"} 2', 'b_total{service="two"} 2',
    ]  # fmt: skip


def test_a_name_that_looks_like_a_head_breaks_no_page() -> None:
    page = text([gauge("a", "A", 1, name="# HELP x"), gauge("b", "B", 1)])
    assert merged([page, page]).count("# TYPE") == 2


async def test_a_collector_that_fails_is_counted_and_costs_the_page_nothing_else() -> None:
    metrics = Metrics("x")
    metrics.add(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    metrics.add(lambda: [gauge("a", "A", 1)])

    async def slow() -> list[Family]:
        await asyncio.sleep(0)
        return [gauge("b", "B", 2)]

    metrics.add(slow)
    page = await metrics.text()
    assert 'a{service="x"} 1' in page
    assert 'b{service="x"} 2' in page
    assert 'seaway_metrics_failures_total{service="x"} 1' in page


def test_a_process_tells_the_standard_families() -> None:
    page = text(process("1.2.3"))
    assert 'seaway_build_info{version="1.2.3"} 1' in page
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        assert float(next(line for line in page.splitlines() if line.startswith(f"{name} ")).split()[1]) >= 0


def test_the_time_that_a_loop_is_busy_is_seen() -> None:
    turns = Turns()
    loop = asyncio.SelectorEventLoop(turns.watch(selectors.DefaultSelector()))

    async def stand_still() -> None:
        deadline = loop.time() + 0.06
        while loop.time() < deadline:
            pass

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(stand_still())
    buckets = {each.labels["le"]: each.value for each in next(turns.families()).samples if each.suffix == "_bucket"}
    assert buckets["+Inf"] > buckets["0.05"]
