"""`sr download-weights`: list, download, verify and remove public checkpoints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr_cli.cli.console import print_json, print_table, report_error, say, shown
from sr_cli.cli.options import takes
from sr_cli.cli.progress import DownloadBars
from sr_cli.errors import ExitCode, RefusedError, SrError

if TYPE_CHECKING:
    from sr_cli.registry.manifest import Entry
    from sr_cli.registry.published import FoundModel
    from sr_cli.registry.ref import Download
    from sr_cli.store.remote import Remote


@dataclass(frozen=True)
class Options:
    """The command line of `sr download-weights`."""

    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="Ids, addresses or names that --search shows. Without any, list all ids.",
        ),
    ] = None
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="WORDS",
            help="Find published models by name, architecture, scale (x4) and licence.",
        ),
    ] = None
    all: Annotated[bool, typer.Option("--all", help="Download all ids.")] = False
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify cached files and download damaged ones again.")
    ] = False
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove cached files: all, or those named.")
    ] = False
    accept_license: Annotated[
        bool,
        typer.Option(
            "--accept-license", "--accept-licence", help="Accept licences that forbid some uses."
        ),
    ] = False
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", help="Use this manifest instead of the built-in one."),
    ] = None
    mirror: Annotated[
        str | None,
        typer.Option(
            "--mirror",
            help="Download from MIRROR/host/path (SR_MIRROR). For hf://, set HF_ENDPOINT.",
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors.")] = False


@takes(Options)
def download_weights(options: Options) -> None:
    """List and download public checkpoints for -m.

    Each file is verified by its full sha256 and kept in the cache
    (SR_CACHE). Interrupted downloads are resumed. SR_OFFLINE or
    HF_HUB_OFFLINE forbid downloads. Proxies are taken from the environment.

    --search finds the models that OpenModelDB lists. Those with a direct
    address are downloaded by their name; for the others, their page is named.

    Exit codes: 0 all done; 1 a download failed; 2 refused;
    130 interrupted; 141 stdout closed; 143 terminated.
    """
    from sr_cli.registry import downloads

    _check(options)
    if options.mirror is not None:
        os.environ["SR_MIRROR"] = options.mirror
    entries = _entries(options)
    if options.search is not None:
        _search(entries, options.search, options.json)
        return
    names = options.names or []
    chosen = downloads.resolve_downloads(entries, names)
    all_good = True
    if options.prune:
        _prune(entries, chosen if names else None, options.quiet)
    elif options.verify:
        downloads.check_cached(chosen)
        all_good = _fetch(chosen if names else _all_cached(entries), options.quiet)
    elif chosen or options.all:
        chosen = [downloads.as_download(e) for e in entries] if options.all else chosen
        if not options.accept_license:
            downloads.check_licences(chosen)
        all_good = _fetch(chosen, options.quiet)
    if options.json:
        print_json(_rows(entries, chosen), indent=1)
    elif not (names or options.all or options.prune or options.verify):
        _list(entries)
    if not all_good:
        raise typer.Exit(ExitCode.FAILED)


def _check(o: Options) -> None:
    modes = {
        "--prune": o.prune,
        "--verify": o.verify,
        "--all": o.all,
        "--search": o.search is not None,
    }
    given = [name for name, value in modes.items() if value]
    if len(given) > 1:
        raise RefusedError("conflicting-options", given[0], other=given[1])
    if o.names and given and given[0] in ("--all", "--search"):
        raise RefusedError("conflicting-options", given[0], other="names")


def _entries(options: Options) -> Sequence[Entry]:
    """The public entries of the requested manifest."""
    from sr_cli.registry.manifest import check_file_names, load_manifest, read_manifest

    known = load_manifest()
    if options.manifest is not None:
        own = read_manifest(options.manifest)
        check_file_names(own, known)
        known = own
    return known.public


def _all_cached(entries: Sequence[Entry]) -> list[Download]:
    """Every entry, published model and pinned address that is in the cache."""
    from sr_cli.registry.downloads import as_download
    from sr_cli.registry.published import cached_published
    from sr_cli.registry.ref import Download
    from sr_cli.store import store
    from sr_cli.store.remote import is_address

    cached = [as_download(e) for e in [*entries, *cached_published()] if e.is_available]
    addresses = [r for r in store.cached_addresses() if is_address(r.address)]
    return cached + [Download(r.address, r) for r in addresses]


def _fetch(chosen: Sequence[Download], quiet: bool) -> bool:
    """Download and report each result; return whether all succeeded."""
    from sr_cli.registry.downloads import fetch_all
    from sr_cli.store.pins import pinned

    with DownloadBars(quiet) as bars:
        results = fetch_all(chosen, lambda d, done, total: bars.update(d.name, done, total))
    for result in results:
        if result.error is not None:
            report_error(result.error.about(result.download.name))
        elif not quiet:
            name, remote = result.download.name, result.download.remote
            sha256 = None if remote.sha256 else pinned(remote.address)
            pin = f" (sha256 {sha256}, pinned)" if sha256 else ""
            say(f"{name}: {shown(result.path or '')}{pin}")
    return all(result.error is None for result in results)


def _prune(entries: Sequence[Entry], chosen: Sequence[Download] | None, quiet: bool) -> None:
    """Remove the chosen downloads and their pins, or all downloads."""
    from sr_cli.registry.published import cached_published
    from sr_cli.store import store

    remotes: list[Remote]
    if chosen is None:
        known = [*entries, *cached_published()]
        remotes = [*(e.remote for e in known), *store.cached_addresses()]
        removed = [path for remote in remotes for path in store.remove(remote)]
    else:
        removed = [path for d in chosen for path in store.forget(d.remote)]
    for path in removed:
        if not quiet:
            say(f"removed {shown(path)}")


def _rows(entries: Sequence[Entry], chosen: Sequence[Download]) -> list[dict[str, Any]]:
    from sr_cli.registry.published import cached_published

    if not chosen:
        return [_entry_row(e) for e in entries]
    by_id = {e.id: e for e in [*cached_published(), *entries]}
    known = [by_id[d.name] for d in chosen if d.name in by_id]
    addresses = [d.remote for d in chosen if d.name not in by_id]
    return [_entry_row(e) for e in known] + [_address_row(r) for r in addresses]


def _address_row(remote: Remote) -> dict[str, Any]:
    from sr_cli.store import store
    from sr_cli.store.pins import pinned

    return {
        "id": remote.address,
        "sha256": pinned(remote.address),
        "cached": store.is_cached(remote),
        "file": str(remote.path),
    }


def _entry_row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "architecture": entry.architecture,
        "scale": entry.scale,
        "licence": entry.licence,
        "must_be_accepted": entry.accept,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "url": entry.url,
        "cached": entry.is_available,
        "file": str(entry.path),
        "note": entry.note,
    }


def _list(entries: Sequence[Entry]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("id", "MB", "cached", "licence", "for"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", no_wrap=True)
    for entry in entries:
        size = f"{entry.bytes / 1e6:.1f}" if entry.bytes else "?"
        licence = entry.licence + (" (to be accepted)" if entry.accept else "")
        cached = "yes" if entry.is_available else ""
        table.add_row(entry.id, size, cached, escape(licence), escape(entry.note))
    print_table(table)
    say("sr download-weights ID downloads one, sr upscale -m ID uses it")


def _search(entries: Sequence[Entry], words: str, json: bool) -> None:
    """Print the models that match, and how to get each."""
    from sr_cli.registry.published import search_models

    found = search_models(entries, words.split())
    if json:
        print_json([asdict(model) for model in found], indent=1)
    elif found:
        _print_found(found)
    if not found:
        raise SrError("nothing-matches", words)


def _print_found(found: Sequence[FoundModel]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "architecture", "scale", "MB", "licence", "where"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", no_wrap=True)
    for model in found:
        where = "direct" if model.url else model.page
        if not model.supported:
            where = f"not supported ({model.format}), {model.page}"
        table.add_row(
            escape(model.id),
            escape(model.architecture),
            f"x{model.scale}",
            f"{model.bytes / 1e6:.1f}" if model.bytes else "?",
            escape(model.licence) + (" (to be accepted)" if model.must_be_accepted else ""),
            escape(where),
        )
    print_table(table)
    if any(model.url and model.supported for model in found):
        say("sr download-weights NAME downloads one with a direct address")
