"""`sr download-weights`: public checkpoints, verified."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr_cli.cli.console import print_json, print_table, report_error, say, shown, talk
from sr_cli.errors import ExitCode, RefusedError, SrError

if TYPE_CHECKING:
    from sr_cli.weights.manifest import Entry

_AT_ONCE = 3


def download_weights(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids; none lists what there is.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
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
        Path | None, typer.Option("--manifest", help="A manifest of your own.")
    ] = None,
    mirror: Annotated[
        str | None, typer.Option("--mirror", help="Fetch MIRROR/host/path instead (SR_MIRROR).")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only errors.")] = False,
) -> None:
    """List and fetch public checkpoints for -m. Each is checked by its full sha256.

    They lie in the cache (SR_CACHE) and are resumed where a download broke off. SR_OFFLINE or
    HF_HUB_OFFLINE forbid it; proxies are taken from the environment.

    Exit codes: 0 all there; 1 one could not be had; 2 refused; 130 interrupted.
    """
    from sr_cli.weights.manifest import load_manifest, parse_manifest

    if (prune and (all_ or verify)) or (verify and all_):
        raise RefusedError("--prune, --verify and --all exclude each other")
    if mirror is not None:
        os.environ["SR_MIRROR"] = mirror
    if manifest is None:
        known = load_manifest()
    else:
        try:
            known = parse_manifest(manifest.read_text(encoding="utf-8"), str(manifest))
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(f"{manifest}: cannot be read ({error})") from error
    entries = [e for e in known.entries if e.url]
    chosen = _chosen(entries, names or [], all_)
    if prune:
        _prune(chosen if names else entries, quiet)
    elif verify:
        cached = [e for e in (chosen if names else entries) if e.is_here]
        _fetch(cached, verify=True, quiet=quiet)
    elif chosen:
        refused = [e for e in chosen if e.accept and not accept_license and not e.is_here]
        if refused:
            raise RefusedError(
                f"{refused[0].id} is under {refused[0].licence}", "--accept-license accepts it"
            )
        _fetch(chosen, verify=False, quiet=quiet)
    if json_:
        print_json([_row(e) for e in (chosen or entries)], indent=1)
    elif not (chosen or prune or verify):
        _list(entries)


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


def _fetch(entries: list[Entry], *, verify: bool, quiet: bool) -> None:
    """Several at once; one that fails does not keep the others from being fetched."""
    from sr_cli.download import fetch
    from sr_cli.weights.manifest import remote_of

    failed: list[SrError] = []
    with _Bars(entries, quiet) as bars, ThreadPoolExecutor(_AT_ONCE) as pool:

        def one(entry: Entry) -> None:
            def tell(there: int, total: int | None) -> None:
                bars.update(entry.id, there, total)

            try:
                fetch(remote_of(entry), entry.path, on_bytes=tell, verify=verify)
            except SrError as error:
                failed.append(SrError(f"{entry.id}: {error.message}", error.hint))

        list(pool.map(one, entries))
    for error in failed:
        report_error(error)
    if not quiet:
        for entry in entries:
            if entry.is_here:
                say(f"{entry.id}: {shown(entry.path)}")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _prune(entries: list[Entry], quiet: bool) -> None:
    for entry in entries:
        for path in (entry.path, entry.path.with_name(f"{entry.path.name}.part")):
            if path.exists():
                path.unlink()
                if not quiet:
                    say(f"removed {shown(path)}")


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


class _Bars:
    """A bar for each download, on a terminal."""

    def __init__(self, entries: list[Entry], quiet: bool) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        if talk().is_terminal and not quiet and entries:
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=talk(), transient=True)
            for entry in entries:
                self._tasks[entry.id] = self._progress.add_task(entry.id, total=entry.bytes)
        self._shown: AbstractContextManager[Any] = self._progress or nullcontext()

    def __enter__(self) -> _Bars:
        self._shown.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self._shown.__exit__(*details)

    def update(self, name: str, there: int, total: int | None) -> None:
        """So many bytes are there."""
        if self._progress is not None:
            self._progress.update(self._tasks[name], completed=there, total=total)
