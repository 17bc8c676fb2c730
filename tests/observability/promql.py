"""As much of PromQL as dashboards and alert rules use: which series a query names, and how it uses them.

Everything in a query must be known here. So a metric that is misspelt is found even where it no longer looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_MATCHER: Final = re.compile(rf"\s*({_NAME})\s*(=~|!~|!=|=)\s*({_STRING})\s*,?")
# A name, conditions in braces or an end, and perhaps a range; not a function.
_SELECTOR: Final = re.compile(
    rf"(?<![\w$])({_NAME})(?:\{{((?:{_STRING}|[^}}\"])*)\}}|(?=[)\s\[]|$))(\[[^\]]+\])?(?!\s*\()"
)
_CALL: Final = re.compile(r"(\w+)\s*\($")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_COUNTED: Final = ("_total", "_count", "_sum", "_bucket")
# Of a counter only changes mean something, and only these tell them.
_CHANGES: Final = frozenset({"rate", "increase"})
_WORDS: Final = frozenset({"by", "and", "or", "unless", "offset"})
_FUNCTIONS: Final = frozenset(
    {"sum", "max", "min", "count", "absent", "histogram_quantile", "last_over_time", *_CHANGES}
)
Values = Mapping[str, frozenset[str]]
# What Prometheus adds to everything that it reads.
TARGET_LABELS: Final = frozenset({"job", "instance"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label's value."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """Series that a query names; ``over`` is the range, with its brackets, or nothing."""

    metric: str
    matchers: tuple[Matcher, ...]
    over: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What a service exports: of each sample's name, the values of each label that were seen."""

    labels: Mapping[str, Mapping[str, frozenset[str]]]

    @classmethod
    def of(cls, text: str) -> Exported:
        """What a text in Prometheus' format holds."""
        seen: dict[str, dict[str, set[str]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                known = seen.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    known.setdefault(label, set()).add(value)
        return cls({name: {label: frozenset(of) for label, of in known.items()} for name, known in seen.items()})


def _blank(query: str) -> str:
    """The query with all that stands in quotes left out."""
    return re.sub(_STRING, '""', query)


def selectors(query: str) -> list[Selector]:
    """Every selector, in order."""
    bare = _GROUPING.sub(lambda found: " " * len(found[0]), query)
    found = []
    for match in _SELECTOR.finditer(bare):
        name, inside, over = match.groups()
        if name in _WORDS:
            continue
        matchers = tuple(
            Matcher(label, operator, value[1:-1].replace("\\\\", "\\"))
            for label, operator, value in _MATCHER.findall(inside or "")
        )
        if inside is not None and _MATCHER.sub("", inside).strip():
            raise ValueError(f"matchers not understood: {inside}")
        found.append(Selector(name, matchers, over or ""))
    return found


def groupings(query: str) -> set[str]:
    """Labels that a query groups by."""
    return {label.strip() for labels in _GROUPING.findall(_blank(query)) for label in labels.split(",")} - {""}


def complaints(query: str, exported: Exported, known: Values) -> list[str]:
    """What is wrong with a query about what is ``exported``; ``known`` are further values that labels can have."""
    found = _unknown_words(query)
    named = selectors(query)
    if not named:
        found.append("names no series")
    possible = set(TARGET_LABELS)
    for selector in named:
        labels = exported.labels.get(selector.metric)
        if labels is None:
            found.append(f"no such metric: {selector.metric}")
            continue
        possible |= labels.keys()
        found += _wrong_matchers(selector, labels, known)
    found += [f"nothing has the label {label}" for label in sorted(groupings(query) - possible)]
    return found + _misuses(query)


def _wrong_matchers(selector: Selector, labels: Values, known: Values) -> list[str]:
    wrong = []
    for matcher in selector.matchers:
        if matcher.label in TARGET_LABELS:
            continue
        possible = labels.get(matcher.label, frozenset()) | known.get(matcher.label, frozenset())
        if matcher.label not in labels:
            wrong.append(f"{selector.metric} has no label {matcher.label}")
        elif not all(any(re.fullmatch(way, value) for value in possible) for way in _ways(matcher)):
            wrong.append(f"{selector.metric} never has {matcher.label}{matcher.operator}{matcher.value}")
    return wrong


def _ways(matcher: Matcher) -> list[str]:
    """The alternatives of a pattern, each of which must be able to come about."""
    return matcher.value.split("|") if "~" in matcher.operator else [re.escape(matcher.value)]


def _misuses(query: str) -> list[str]:
    """Counters taken for values, values taken for counters, quantiles of what has no buckets."""
    wrong = []
    bare = _blank(query)
    for match in re.finditer(rf"({_NAME})(?:\{{[^}}]*\}})?(\[[^\]]*\])?", bare):
        name, over = match.groups()
        if not name.startswith("vts_"):
            continue
        call = _CALL.search(bare[: match.start()])
        changes = call is not None and call[1] in _CHANGES
        if changes and not name.endswith(_COUNTED):
            wrong.append(f"{name} is no counter")
        if (changes or (call is not None and call[1] == "last_over_time")) is not bool(over):
            wrong.append(f"{name} is used with a range where there should be none, or without one")
    quantiles = re.findall(r"histogram_quantile\(([^,]*), sum by \(([^)]*)\) \(rate\((\w+)", bare)
    for share, labels, name in quantiles:
        if "le" not in re.split(r",\s*", labels) or not name.endswith("_bucket"):
            wrong.append(f"a quantile of {name} by ({labels})")
        if not 0 < float(share) < 1:
            wrong.append(f"a quantile of {share}")
    if bare.count("histogram_quantile(") != len(quantiles):
        wrong.append("a quantile in another form than sum by (le) of a rate")
    return wrong


def _unknown_words(query: str) -> list[str]:
    bare = _GROUPING.sub(" by ", _blank(query))
    if any(bare.count(a) != bare.count(b) for a, b in ("()", "{}", "[]")) or query.count('"') % 2:
        return ["brackets or quotes that do not match"]
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\boffset\s+\d+[smhd]\b", " ", bare)
    words = set(re.findall(rf"(?<![\w$.]){_NAME}", rest))
    named = {selector.metric for selector in selectors(query)}
    return [f"not understood: {word}" for word in sorted(words - named - _WORDS - _FUNCTIONS)]
