"""`sr models`: list networks and weights, or describe a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr_cli.cli.console import print_json, print_table
from sr_cli.cli.options import takes
from sr_cli.errors import SrError

if TYPE_CHECKING:
    from sr_cli.registry.manifest import Entry


@dataclass(frozen=True)
class Options:
    """The command line of `sr models`."""

    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="Checkpoint file or address to describe."),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify all weights by their sha256.")
    ] = False


@takes(Options)
def models(options: Options) -> None:
    """List the available networks, or describe a checkpoint file.

    The list shows each network's scale, parameters, PSNR on Set5, licence,
    and where its weights are. For a file, also which published model it is.

    Exit codes: 0 all done; 1 a file is damaged or not a checkpoint;
    2 refused; 130 interrupted; 143 terminated.
    """
    if options.file is not None:
        _describe(options.file, options.json)
        return
    rows = _rows(options.verify)
    if options.json:
        print_json(rows, indent=2)
    else:
        _print_table(rows)


def _describe(file: str, json: bool) -> None:
    """Print the description of a checkpoint."""
    from sr_cli.cli.upscale_report import Reporter
    from sr_cli.engine.describe import describe, describe_origin
    from sr_cli.registry.ref import Download
    from sr_cli.store.remote import Remote, is_address
    from sr_cli.upscale.plan import fetch

    path = Path(file)
    if is_address(file):
        remote = Remote(file)
        with Reporter(json=json, quiet=False, verbose=False) as reporter:
            fetch([Download(file, remote)], reporter.on_event)
        path = remote.path
    try:
        facts = describe(path)
    except SrError:
        # A file that cannot be used can still be a published one.
        if published := describe_origin(path):
            _print_facts({"file": file, "published": published}, json)
        raise
    _print_facts(facts, json)


def _print_facts(facts: dict[str, Any], json: bool) -> None:
    if json:
        print_json(facts, indent=2)
        return
    for name, value in facts.items():
        if name == "published":
            for model in value:
                typer.echo(f"{name}: {model['id']} ({model['licence']}), {model['page']}")
        elif isinstance(value, dict) and value:
            typer.echo(f"{name}:")
            for key, inner in value.items():
                typer.echo(f"  {key}: {inner}")
        elif value not in (None, "", {}, []):
            typer.echo(f"{name}: {value}")


def _rows(verify: bool) -> list[dict[str, Any]]:
    """A row for each available checkpoint, then the networks without one."""
    from sr_cli.networks import model_names
    from sr_cli.registry.manifest import load_manifest
    from sr_cli.registry.published import cached_published
    from sr_cli.registry.ref import verified_path

    manifest = load_manifest()
    entries = [e for e in manifest.weights if e.is_available] + cached_published()
    if verify:
        for entry in entries:
            verified_path(entry)
    rows = [_row(e, e.family == manifest.general) for e in entries]
    trained = {e.network for e in entries if not e.url}
    for name in model_names():
        if name == "bicubic":
            rows.append(
                {"id": name, "network": name, "scale": None, "trained": True, "parameters": 0}
            )
        elif name not in trained:
            rows.append({"id": name, "network": name, "scale": None, "trained": False})
    return rows


def _row(entry: Entry, general: bool) -> dict[str, Any]:
    return {
        "id": entry.id,
        "network": entry.network,
        "scale": entry.scale,
        "trained": True,
        "general_default": general,
        "parameters": entry.parameters,
        "bytes": entry.bytes,
        "file": str(entry.path),
        "sha256": entry.sha256,
        "figures": entry.figures,
        "url": entry.url or None,
        "licence": entry.licence,
        "data": entry.data,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("model", "scale", "parameters", "trained", "Set5 PSNR-Y", "licence", "weights"):
        right = heading in ("parameters", "Set5 PSNR-Y")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        psnr = row.get("figures", {}).get("Set5 PSNR-Y")
        table.add_row(
            escape(row["id"]) + (" *" if row.get("general_default") else ""),
            f"x{row['scale']}" if row["scale"] else "any" if row["trained"] else "",
            f"{row['parameters']:,}" if row.get("parameters") is not None else "",
            "yes" if row["trained"] else "no",
            f"{psnr:.2f}" if psnr is not None else "",
            escape(row.get("licence", "")),
            _where(row),
        )
    print_table(table)
    typer.echo("* used by sr upscale when no model is named", err=True)


def _where(row: dict[str, Any]) -> str:
    if row.get("url"):
        return "downloaded"
    if row.get("file"):
        return "in the package"
    return "needs none" if row["trained"] else ""
