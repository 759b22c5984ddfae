"""`sr benchmark --check`: the shipped figures, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from sr_cli.cli.console import print_json, say
from sr_cli.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from sr_cli.engine.options import EngineOptions


def check_shipped(
    names: list[str],
    wanted: list[str] | None,
    scale: int | None,
    data_dir: Path | None,
    options: EngineOptions,
    json_: bool,
    quiet: bool,
) -> NoReturn:
    """`sr benchmark --check`: does the PSNR-Y in the manifest hold? Exits 1 where it does not."""
    from sr_cli.evaluation.check import MEASURED_SETS, check
    from sr_cli.evaluation.datasets import known_name
    from sr_cli.registry.manifest import load_manifest
    from sr_cli.registry.ref import FamilyRef, parse_model

    for name in names:
        if (known_name(name) or known_name(Path(name).name)) not in MEASURED_SETS:
            raise RefusedError(
                f"no shipped figures for {name}", f"{', '.join(MEASURED_SETS)} have some"
            )
    entries = load_manifest().embedded
    if wanted:
        shipped = {
            n: [e for e in ref.entries if not e.url] if isinstance(ref, FamilyRef) else []
            for n in wanted
            for ref in [parse_model(n)]
        }
        for name, found in shipped.items():
            if name != "bicubic" and not any(scale in (None, e.scale) for e in found):
                at = "" if scale is None else f" at x{scale}"
                raise RefusedError(f"{name} has no shipped figures to check{at}")
        entries = tuple(e for found in shipped.values() for e in found)
    if scale is not None:
        entries = tuple(e for e in entries if e.scale == scale)

    def start(text: str) -> None:
        if not quiet:
            say(text)

    findings = []
    scales = (2, 3, 4) if scale is None else (scale,)
    for finding in check(
        entries, names, scales, data_dir=data_dir, options=options, on_start=start
    ):
        findings.append(finding)
        if not json_:
            verdict = "ok  " if finding.good else "FAIL"
            difference = finding.found - finding.expected
            typer.echo(
                f"{verdict} {finding.what}: {finding.found:.4f}, "
                f"expected {finding.expected:.4f} ({difference:+.4f})"
            )
    if not findings:
        raise RefusedError(
            f"no shipped figures for {', '.join(names)} at " + ", ".join(f"x{s}" for s in scales),
            f"{', '.join(MEASURED_SETS)} at x2, x3 and x4 have some",
        )
    bad = sum(not f.good for f in findings)
    if json_:
        print_json([vars(f) for f in findings], indent=1)
    if not quiet:
        say(f"{len(findings)} figures, {bad} do not hold")
    raise typer.Exit(ExitCode.FAILED if bad else ExitCode.OK)
