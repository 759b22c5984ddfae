"""`sr download-weights`: public checkpoints, verified."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr_cli.cli.bars import Bars
from sr_cli.cli.console import print_json, print_table, report_error, say, shown
from sr_cli.errors import ExitCode, RefusedError, SrError

if TYPE_CHECKING:
    from sr_cli.registry.manifest import Entry

_AT_ONCE = 3


def download_weights(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Ids or addresses; none lists all ids."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Fetch all there are.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check what is cached by its sha256; refetch bad ones.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove the cached ones (all, or those named).")
    ] = False,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept licences that forbid some uses.")
    ] = False,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="A manifest of your own (SR_MANIFEST).")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            "--mirror", help="Fetch MIRROR/host/path instead (SR_MIRROR). For hf://: HF_ENDPOINT."
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only errors.")] = False,
) -> None:
    """List and fetch public checkpoints for -m. Each is checked by its full sha256.

    They lie in the cache (SR_CACHE) and are resumed where a download broke off. SR_OFFLINE or
    HF_HUB_OFFLINE forbid it; proxies are taken from the environment.

    Exit codes: 0 all there; 1 one could not be had; 2 refused; 130 interrupted.
    """
    from sr_cli.registry.manifest import check_files_apart, load_manifest, read_manifest
    from sr_cli.store.address import is_address, is_here, kept_addresses, place_of
    from sr_cli.store.pins import forget_pin, pins

    if (prune and (all_ or verify)) or (verify and all_) or (all_ and names):
        raise RefusedError("names, --prune or --verify, and --all exclude each other")
    if mirror is not None:
        os.environ["SR_MIRROR"] = mirror
    known = load_manifest()
    if manifest:
        own = read_manifest(manifest)
        check_files_apart(own, known)
        known = own
    entries = [e for e in known.entries if e.url]
    addresses = [n for n in names or [] if is_address(n)]
    address_places = [place_of(a) for a in addresses]
    chosen = _chosen(entries, [n for n in names or [] if n not in addresses], all_)
    good = True
    if prune:
        _prune([e.path for e in (chosen if names else entries)], quiet)
        _prune(address_places if names else kept_addresses(), quiet)
        for address in addresses:
            forget_pin(address)
    elif verify:
        for entry in chosen:
            if not entry.is_here:
                raise RefusedError(f"{entry.id} is not cached", f"sr download-weights {entry.id}")
        for address in addresses:
            if not is_here(address):
                raise RefusedError(f"{address} is not cached", f"sr download-weights {address}")
        cached = [e for e in (chosen if names else entries) if e.is_here]
        seen = addresses if names else [a for a in pins() if is_address(a) and is_here(a)]
        good = _fetch(cached, seen, quiet)
    elif chosen or addresses:
        refused = [e for e in chosen if e.accept and not accept_license and not e.is_here]
        if refused:
            raise RefusedError(
                f"{refused[0].id} is under {refused[0].licence}", "--accept-license accepts it"
            )
        good = _fetch(chosen, addresses, quiet)
    if json_:
        rows = [_row(e) for e in chosen] + [_address_row(a) for a in addresses]
        print_json(rows or [_row(e) for e in entries], indent=1)
    elif not (names or all_ or prune or verify):
        _list(entries)
    if not good:
        raise typer.Exit(ExitCode.FAILED)


def _chosen(entries: list[Entry], names: list[str], all_: bool) -> list[Entry]:
    if all_:
        return entries
    chosen = []
    for name in names:
        found = [e for e in entries if name in (e.id, e.family)]
        if not found:
            known = ", ".join(e.id for e in entries)
            raise RefusedError(f"no public weights '{name}'", f"there are: {known}")
        chosen += found
    return list({e.id: e for e in chosen}.values())


def _fetch(entries: list[Entry], addresses: list[str], quiet: bool) -> bool:
    """Several at once, each verified; one that fails does not keep the others from being fetched.

    Whether all are there.
    """
    from sr_cli.registry.manifest import remote_of
    from sr_cli.store.address import obtain
    from sr_cli.store.download import fetch
    from sr_cli.store.pins import pinned

    sizes = {e.id: e.bytes for e in entries} | dict.fromkeys(addresses)
    jobs: dict[str, Callable[..., Path]] = {}
    for entry in entries:
        jobs[entry.id] = partial(fetch, remote_of(entry), entry.path, verify=True)
    for address in addresses:
        jobs[address] = partial(obtain, address)
    failed: list[SrError] = []
    places: dict[str, Path] = {}
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in jobs:
        waiting.put(name)
    with Bars(sizes, quiet) as bars:

        def work() -> None:
            while not waiting.empty():
                try:
                    name = waiting.get_nowait()
                except Empty:
                    return
                try:
                    places[name] = jobs[name](on_bytes=partial(bars.update, name))
                except SrError as error:
                    said = error.message.removeprefix(f"{name}: ")
                    failed.append(SrError(f"{name}: {said}", error.hint))
                except Exception as error:
                    # Nothing may end a worker unheard.
                    failed.append(SrError(f"{name}: {type(error).__name__}: {error}"))

        # Daemons, which Ctrl-C does not wait for: what they leave is gone on with the next time.
        workers = [Thread(target=work, daemon=True) for _ in range(_AT_ONCE)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    for error in failed:
        report_error(error)
    if not quiet:
        for name in (n for n in jobs if n in places):
            pin = f" (sha256 {pinned(name)}, pinned)" if name in addresses else ""
            say(f"{name}: {shown(places[name])}{pin}")
    return not failed


def _prune(paths: list[Path], quiet: bool) -> None:
    for kept in paths:
        for path in (kept, kept.with_name(f"{kept.name}.part")):
            if path.is_file():
                path.unlink()
                if not quiet:
                    say(f"removed {shown(path)}")


def _address_row(address: str) -> dict[str, Any]:
    from sr_cli.store.address import is_here, place_of
    from sr_cli.store.pins import pinned

    return {
        "id": address,
        "sha256": pinned(address),
        "cached": is_here(address),
        "file": str(place_of(address)),
    }


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "architecture": entry.architecture,
        "scale": entry.scale,
        "licence": entry.licence,
        "must_be_accepted": entry.accept,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "url": entry.url,
        "cached": entry.is_here,
        "file": str(entry.path),
        "note": entry.note,
    }


def _list(entries: list[Entry]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("id", "MB", "cached", "licence", "for"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", no_wrap=True)
    for entry in entries:
        size = f"{entry.bytes / 1e6:.1f}" if entry.bytes else "?"
        licence = entry.licence + (" (to be accepted)" if entry.accept else "")
        cached = "yes" if entry.is_here else ""
        table.add_row(entry.id, size, cached, escape(licence), escape(entry.note))
    print_table(table)
    say("sr download-weights ID fetches one, -m ID uses it")
