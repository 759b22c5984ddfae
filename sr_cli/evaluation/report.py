"""The report of a benchmark: a row for each model, next to the published figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sr_cli.errors import SrError
from sr_cli.evaluation.measure import Pixels, SetFigures


@dataclass(frozen=True)
class Metric:
    """A measure of quality: its heading, the digits that papers give it, which way is better."""

    key: str
    heading: str
    digits: int
    lower_is_better: bool = False


METRICS = (
    Metric("psnr_y", "PSNR-Y", 2),
    Metric("ssim", "SSIM", 4),
    Metric("lpips", "LPIPS", 4, lower_is_better=True),
    Metric("psnr_rgb", "PSNR-RGB", 2),
    Metric("dists", "DISTS", 4, lower_is_better=True),
    Metric("niqe", "NIQE", 2, lower_is_better=True),
)


@dataclass(frozen=True)
class Figure:
    """A model's mean on a set.

    Args:
        metric: What was measured.
        value: inf for the PSNR of equal images.
        difference: To the published figure; None where there is none.
        is_best: Whether no model of the report has a better one, at the digits of the metric.
    """

    metric: Metric
    value: float
    difference: float | None = None
    is_best: bool = False


@dataclass
class Row:
    """One model under one degradation: its sets, and what it costs.

    Args:
        model: An id, `bicubic`, or a file's name.
        family: Names the model in the published tables; empty where they do not have it.
        scale: What images were upscaled by.
        degradation: How lr was made.
        sets: Figures by the name of the set.
        known_sets: Those sets that are the papers' own, file by file.
        parameters: Weights and biases.
        multiply_adds: For each pixel of the result.
        device: Where it ran.
        precision: fp32, bf16 or fp16; None for bicubic.
        peak_memory: Bytes; None where the system does not tell.
        error: Why the model could not be measured.
    """

    model: str
    family: str
    scale: int
    degradation: str = "bicubic"
    sets: dict[str, SetFigures] = field(default_factory=dict)
    known_sets: set[str] = field(default_factory=set)
    parameters: int = 0
    multiply_adds: float = 0.0
    device: str = "cpu"
    precision: str | None = None
    peak_memory: int | None = None
    error: SrError | None = None

    def published(self, test_set: str) -> dict[str, float]:
        """The paper's figures by metric, where these may be compared with them."""
        if self.degradation != "bicubic" or test_set not in self.known_sets:
            return {}
        return published(self.family, self.scale, test_set)

    def mean(self, test_set: str, metric: Metric) -> float | None:
        """The mean over a set; None where it was not measured."""
        found = self.sets.get(test_set)
        return None if found is None else found.mean(metric.key)

    def difference(self, test_set: str, metric: Metric) -> float | None:
        """How far the mean is from the published figure; None where there is none."""
        value, paper = self.mean(test_set, metric), self.published(test_set).get(metric.key)
        if value is None or paper is None or math.isinf(value):
            return None
        return value - paper

    @property
    def quality(self) -> float:
        """The mean PSNR-Y over the sets, -inf where there is none: for sorting."""
        values = [v for s in self.sets.values() if (v := s.mean("psnr_y")) is not None]
        return sum(values) / len(values) if values else -math.inf


@dataclass(frozen=True)
class Comparison:
    """One image under one degradation, through every model, and its original."""

    image: str
    degradation: str
    hr: Pixels
    results: dict[str, Pixels]


@dataclass(frozen=True)
class Report:
    """The report of a benchmark.

    Args:
        scale: What images were upscaled by.
        rows: Models by degradation, then from the lowest PSNR-Y to the highest.
        comparisons: The upscaled images, where they were to be kept.
    """

    scale: int
    rows: Sequence[Row]
    comparisons: Sequence[Comparison] = ()

    @property
    def sets(self) -> list[str]:
        """The names of the sets."""
        return list(dict.fromkeys(name for row in self.rows for name in row.sets))

    @property
    def metrics(self) -> list[Metric]:
        """What was measured, in the order of `METRICS`."""
        return [
            m
            for m in METRICS
            if any(s.mean(m.key) is not None for row in self.rows for s in row.sets.values())
        ]

    @property
    def degradations(self) -> list[str]:
        """How lr was made."""
        return list(dict.fromkeys(row.degradation for row in self.rows))

    @property
    def image_errors(self) -> list[SrError]:
        """Each image that could not be measured, once for all models."""
        found = [e for row in self.rows for s in row.sets.values() for e in s.errors]
        return list({(e.code, e.subject, repr(e.facts)): e for e in found}.values())

    @property
    def model_errors(self) -> list[SrError]:
        """Each model that could not be measured: `model-failed` with the cause."""
        return [SrError("model-failed", r.model, cause=r.error) for r in self.rows if r.error]

    def figure(self, row: Row, test_set: str, metric: Metric) -> Figure | None:
        """A row's figure on a set; None where it was not measured."""
        value = row.mean(test_set, metric)
        if value is None:
            return None
        best = self.best(row.degradation, test_set, metric)
        is_best = best is not None and round(value, metric.digits) == round(best, metric.digits)
        return Figure(metric, value, row.difference(test_set, metric), is_best)

    def best(self, degradation: str, test_set: str, metric: Metric) -> float | None:
        """The best mean of the models under one degradation."""
        rows = [row for row in self.rows if row.degradation == degradation]
        values = [v for row in rows if (v := row.mean(test_set, metric)) is not None]
        return (min if metric.lower_is_better else max)(values, default=None)


def published(family: str, scale: int, test_set: str) -> dict[str, float]:
    """The paper's figures by metric, as far as it has them."""
    found: dict[str, float] = (
        published_figures().get(family, {}).get(f"x{scale}", {}).get(test_set, {})
    )
    return found


@lru_cache
def published_figures() -> dict[str, Any]:
    """family -> x2, x3, x4 -> set -> metric -> figure, from the papers."""
    text = (Path(__file__).parent / "data" / "published.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)["figures"]
    return figures
