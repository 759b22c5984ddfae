"""`--plot`: quality over speed, with matplotlib."""

from __future__ import annotations

from pathlib import Path

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.report import Report
from sr_cli.system.files import atomic_write


def require_matplotlib() -> None:
    """Check that matplotlib is installed, before anything is measured.

    Raises:
        RefusedError: `extra-missing`.
    """
    try:
        import matplotlib  # noqa: F401  # only whether it is installed
    except ImportError:
        raise RefusedError("extra-missing", "--plot", extra="plot") from None


def write_plot(report: Report, test_set: str, path: Path) -> None:
    """PSNR-Y over megapixels a second, one point a model, as a PNG.

    Raises:
        SrError: `plot-failed`, `unwritable-file`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row in report.rows:
        found = row.sets.get(test_set)
        quality = found.mean("psnr_y") if found else None
        speed = found.megapixels_per_second if found else None
        if quality is None or speed is None:
            continue
        axes.scatter(speed, quality, s=30)
        axes.annotate(
            row.model, (speed, quality), textcoords="offset points", xytext=(5, 4), fontsize=8
        )
    axes.set_xscale("log")
    axes.set_xlabel("output megapixels per second")
    axes.set_ylabel(f"PSNR-Y on {test_set} (dB)")
    axes.grid(True, alpha=0.3)
    try:
        with atomic_write(path) as file:
            figure.savefig(file, format="png")
    except ValueError as error:
        raise SrError("plot-failed", path, reason=str(error)) from error
