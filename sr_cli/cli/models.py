"""`sr models`: list networks and weights, describe one, or say what made an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr_cli.cli.console import print_json, print_table, shown
from sr_cli.cli.options import takes
from sr_cli.errors import RefusedError, SrError

if TYPE_CHECKING:
    from sr_cli.registry.manifest import Entry


@dataclass(frozen=True)
class Options:
    """The command line of `sr models`."""

    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Network, id, checkpoint file or address to describe."),
    ] = None
    of: Annotated[
        Path | None,
        typer.Option(
            "--of", metavar="IMAGE", help="Show which model made an image or comic archive."
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify all weights by their sha256.")
    ] = False


@takes(Options)
def models(options: Options) -> None:
    """List the available networks, describe one, or say what made an image.

    The list shows each network's scale, parameters, PSNR on Set5, licence,
    and where its weights are. With NAME: the paper, the scales, and size,
    halo and figures of its weights; for a file, which published model it is.

    Exit codes: 0 all done; 1 a file is damaged, not a checkpoint, or no
    result of sr; 2 refused; 130 interrupted; 141 stdout closed; 143 terminated.
    """
    if options.name is not None and options.of is not None:
        raise RefusedError("conflicting-options", "NAME", other="--of")
    if options.of is not None:
        _print_facts(_provenance_of(options.of), options.json)
        return
    if options.name is not None:
        _print_facts(_describe(options.name, options.json), options.json)
        return
    rows = _rows(options.verify)
    if options.json:
        print_json(rows, indent=2)
    else:
        _print_table(rows)


def _provenance_of(image: Path) -> dict[str, Any]:
    """What made an image, by name."""
    if not image.exists():
        raise SrError("file-not-found", image)
    if not image.is_file():
        raise SrError("not-a-regular-file", image)

    from sr_cli.imaging.decode import missing_extra, read_provenance
    from sr_cli.imaging.formats import DEFAULT_MAX_PIXELS
    from sr_cli.upscale.archive import is_archive, page_contents

    source = next(page_contents(image, DEFAULT_MAX_PIXELS)) if is_archive(image) else image
    made = read_provenance(source)
    if made is None:
        if extra := missing_extra(source):
            raise SrError("extra-missing", image, extra=extra)
        raise SrError("no-provenance", image)
    return {
        "file": str(image),
        "tool": made.tool,
        "factor": made.factor,
        "models": [{"id": m.id, "sha256": m.sha256} for m in made.models],
        "combined": made.combined,
        "adapted": made.adapted,
        "strength": made.strength,
    }


def _describe(name: str, json: bool) -> dict[str, Any]:
    """The description of a network or a checkpoint; torch is imported only for what is known."""
    from sr_cli.registry.ref import Download, is_network, parse_model
    from sr_cli.store.remote import Remote, is_address

    path = Path(name)
    if is_address(name):
        from sr_cli.cli.upscale_report import Reporter
        from sr_cli.upscale.plan import fetch

        remote = Remote(name)
        with Reporter(json=json, quiet=False, verbose=False) as reporter:
            fetch([Download(name, remote)], reporter.on_event)
        path = remote.path
    elif is_network(name):
        from sr_cli.registry.describe import describe_network

        return describe_network(name)
    elif not path.is_file():
        # Refuses an unknown name and a missing file; what is left is a chain.
        raise SrError("chain-not-supported", parse_model(name).name)

    from sr_cli.engine.describe import describe, describe_origin

    try:
        return describe(path)
    except SrError:
        # A file that cannot be used can still be a published one.
        if published := describe_origin(path):
            _print_facts({"file": name, "published": published}, json)
        raise


def _print_facts(facts: dict[str, Any], json: bool) -> None:
    if json:
        print_json(facts, indent=2)
        return
    for line in _lines(facts):
        typer.echo(shown(line))


def _lines(facts: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Facts that are known, line by line; those inside others are indented."""
    for name, value in facts.items():
        if name == "published":
            yield from (f"{name}: {m['id']} ({m['licence']}), {m['page']}" for m in value)
        elif isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from (f"{indent}  {key}: {inner}" for key, inner in value.items())
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}:"
            for inner in value:
                yield from _lines(inner, indent + "  ")
        elif isinstance(value, list) and value:
            yield f"{indent}{name}: {', '.join(map(str, value))}"
        elif value not in (None, "", {}, []):
            yield f"{indent}{name}: {value}"


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
