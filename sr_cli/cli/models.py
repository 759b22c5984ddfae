"""`sr models`: which networks there are, and which are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sr_cli.cli.chosen import fetch_addresses
from sr_cli.cli.console import print_json, print_table
from sr_cli.networks import model_names
from sr_cli.registry.manifest import Entry, load_manifest, verified


def models(
    file: Annotated[
        str | None,
        typer.Argument(help="A checkpoint, of sr or another tool, or its address, to describe."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every shipped file against its sha256.")
    ] = False,
) -> None:
    """List networks: trained or not, parameters, PSNR on Set5, licence, where weights lie.

    With a file: what it is.
    """
    if file is not None:
        _describe(file, json_)
        return
    manifest = load_manifest()
    entries = [e for e in manifest.entries if e.is_here]
    if verify:
        for entry in entries:
            verified(entry)
    rows = [_row(e, e.family == manifest.general) for e in entries]
    trained = {e.network for e in entries if not e.url}
    for name in model_names():
        if name == "bicubic":
            rows.append(
                {"id": name, "network": name, "scale": None, "trained": True, "parameters": 0}
            )
        elif name not in trained:
            rows.append({"id": name, "network": name, "scale": None, "trained": False})
    if json_:
        print_json(rows, indent=2)
        return
    _print_table(rows)


def _describe(file: str, json_: bool) -> None:
    """What a checkpoint file is: network, scale, size, and what it says of itself."""
    from sr_cli.registry.describe import describe
    from sr_cli.store.address import is_address, obtain

    fetch_addresses([file])
    facts = describe(obtain(file) if is_address(file) else Path(file))
    if json_:
        print_json(facts, indent=2)
        return
    for name, value in facts.items():
        if value not in (None, "", {}, []):
            typer.echo(f"{name}: {value}")


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
        where = (
            "downloaded"
            if row.get("url")
            else "in the package"
            if row.get("file")
            else ("needs none" if row["trained"] else "")
        )
        table.add_row(
            escape(row["id"]) + (" *" if row.get("general_default") else ""),
            f"x{row['scale']}" if row["scale"] else "any" if row["trained"] else "",
            f"{row['parameters']:,}" if row.get("parameters") is not None else "",
            "yes" if row["trained"] else "no",
            f"{psnr:.2f}" if psnr is not None else "",
            escape(row.get("licence", "")),
            where,
        )
    print_table(table)
    typer.echo("* taken by sr upscale when no model is named", err=True)
