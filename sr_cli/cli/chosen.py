"""What `-m` has named: public weights fetched, and the factor that a checkpoint is for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sr_cli.cli.bars import Bars
from sr_cli.cli.console import say
from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.registry.manifest import Choice


def fetch_addresses(names: Iterable[str | None]) -> None:
    """Say what is fetched from addresses among models' names, and what is pinned."""
    from sr_cli.store.address import is_address, is_here, obtain
    from sr_cli.store.pins import pinned

    for name in names:
        for part in (name or "").split("+"):
            if is_address(part) and not is_here(part):
                say(f"fetching {part}")
                with Bars({part: None}) as bars:
                    obtain(part, on_bytes=partial(bars.update, part))
                say(f"{part}: sha256 {pinned(part)}, pinned")


def fetch_missing(choices: list[Choice], factor: float) -> None:
    """Fetch what is chosen and not here. Raises RefusedError for a licence to be accepted first."""
    from sr_cli.registry.manifest import remote_of
    from sr_cli.store.download import fetch

    for choice in [part for c in choices for part in (c.chain or (c,))]:
        reaching = [e for e in choice.entries if e.scale >= factor] or list(choice.entries)[-1:]
        for entry in reaching[:1]:
            if entry.is_here:
                continue
            if entry.accept:
                raise RefusedError(
                    f"{entry.id} is under {entry.licence}",
                    f"sr download-weights {entry.id} --accept-license",
                )
            say(f"fetching {entry.id} ({entry.licence})")
            with Bars({entry.id: entry.bytes}) as bars:
                on_bytes = partial(bars.update, entry.id)
                fetch(remote_of(entry), entry.path, verify=True, on_bytes=on_bytes)


def own_factor(choice: Choice) -> float | None:
    """The factor of a public or foreign checkpoint; our networks have the usual default."""
    last = choice.chain[-1] if choice.chain else choice
    if last.entries and all(e.url for e in last.entries):
        return float(max(e.scale for e in last.entries))
    if last.file is None:
        return None
    from sr_cli.registry.load import scales_of

    return float(max(scales_of(last)))
