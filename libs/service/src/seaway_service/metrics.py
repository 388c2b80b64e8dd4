"""Metrics: what is counted, and its text as Prometheus reads it. Pure.

Source: Prometheus' text exposition format 0.0.4. Names and units follow its conventions: base units, `_total` for what
only grows. A family has one name, one kind and any number of samples, told apart by their labels.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram of how long something took."""

Labels = Mapping[str, str]

_HEAD = re.compile(r"^# HELP ", re.MULTILINE)
"""Where a family begins: no value of a label has a line end."""


class Sample(NamedTuple):
    """One line: `suffix` is what a histogram puts behind the family's name."""

    labels: Labels
    value: float
    suffix: str = ""


class Family(NamedTuple):
    """All samples of one name. `help` is a sentence without its full stop."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Iterable[Sample]


def gauge(name: str, help: str, value: float, /, **labels: str) -> Family:
    """A family of one sample that goes up and down."""
    return Family(name, "gauge", help, [Sample(labels, value)])


def counter(name: str, help: str, value: float, /, **labels: str) -> Family:
    """A family of one sample that only grows while the process lives."""
    return Family(name, "counter", help, [Sample(labels, value)])


class Counts:
    """How often something has happened, by the values of its labels. Who counts sees to it that these are few."""

    def __init__(self, *labels: str) -> None:
        self._labels = labels
        self._counts: dict[tuple[str, ...], float] = {}

    def add(self, *values: str, by: float = 1) -> None:
        """Once more, or `by` more."""
        self._counts[values] = self._counts.get(values, 0) + by

    def samples(self) -> Iterator[Sample]:
        """One for each combination of values that was seen."""
        for values, count in self._counts.items():
            yield Sample(dict(zip(self._labels, values, strict=True)), count)


class Histogram:
    """How many observations were at most so large, by the values of the labels."""

    def __init__(self, *labels: str, bounds: tuple[float, ...] = SECONDS) -> None:
        self._labels = labels
        self._bounds = bounds
        self._seen: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *values: str) -> None:
        """Take in one observation."""
        seen = self._seen.get(values)
        if seen is None:
            seen = self._seen[values] = ([0] * (len(self._bounds) + 1), [0.0])
        counts, total = seen
        counts[bisect_left(self._bounds, value)] += 1
        total[0] += value

    def samples(self) -> Iterator[Sample]:
        """The buckets, which contain each other, the sum and the count."""
        for values, (counts, total) in self._seen.items():
            labels = dict(zip(self._labels, values, strict=True))
            within = 0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                within += count
                yield Sample({**labels, "le": number(bound)}, within, "_bucket")
            yield Sample(labels, total[0], "_sum")
            yield Sample(labels, within, "_count")


def text(families: Iterable[Family], **more: str) -> str:
    """The exposition. Families of the same name become one; those without a sample are left out.

    `more` are labels that all samples have.
    """
    blocks: dict[str, tuple[str, list[str]]] = {}
    for family in families:
        lines = [_line(family.name, sample, more) for sample in family.samples]
        if lines:
            head = f"# HELP {family.name} {_help(family.help)}\n# TYPE {family.name} {family.kind}\n"
            blocks.setdefault(family.name, (head, []))[1].extend(lines)
    return "".join(head + "".join(lines) for head, lines in blocks.values())


def merged(texts: Iterable[str]) -> str:
    """Several expositions as one: the samples of a family stand together, as the format asks."""
    blocks: dict[str, list[str]] = {}
    for each in texts:
        for block in filter(None, _HEAD.split(each)):
            head, samples = _cut(block)
            blocks.setdefault(head.split(" ", 1)[0], [f"# HELP {head}"]).append(samples)
    return "".join("".join(parts) for parts in blocks.values())


def _cut(block: str) -> tuple[str, str]:
    """A family's two lines of comment, and its samples."""
    end = block.find("\n", block.find("\n") + 1) + 1
    return block[:end], block[end:]


def number(value: float) -> str:
    """A number as the format writes it: whole ones without a point."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _line(name: str, sample: Sample, more: Labels) -> str:
    labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in {**more, **sample.labels}.items())
    return f"{name}{sample.suffix}{'{' + labels + '}' if labels else ''} {number(sample.value)}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _help(sentence: str) -> str:
    return sentence.replace("\\", "\\\\").replace("\n", " ")
