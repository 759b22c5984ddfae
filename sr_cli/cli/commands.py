"""The commands of `sr`: each is imported when it is asked for, and converts only what needs it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from sr_cli.errors import RefusedError

COMMANDS = ("upscale", "train", "benchmark", "download-weights", "export", "models")

SETTINGS: dict[str, Any] = {
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""Of the application and of each command, for Typer."""

_MAY_BE_EMPTY = {"suffix", "licence"}
"""Parameters whose empty value says something."""

_TEXT = (str, str | None, list[str], list[str] | None)
"""Annotations of parameters whose values are not converted."""


def load_command(name: str) -> Callable[..., None]:
    """The function of a command: `upscale` in `sr_cli/cli/upscale.py`."""
    module = import_module(f"sr_cli.cli.{name.replace('-', '_')}")
    function: Callable[..., None] = getattr(module, name.replace("-", "_"))
    return function


class _Sparing:
    """A command that spares the conversion of text and of defaults.

    Typer converts with pydantic, which takes as long to import as NumPy.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        annotations = inspect.signature(self.callback).parameters  # type: ignore[attr-defined]
        for parameter in parameters:
            if "process_value" in vars(parameter):
                continue
            found = annotations.get(parameter.name)
            is_text = found is not None and get_args(found.annotation)[:1] in {(t,) for t in _TEXT}
            parameter.process_value = partial(
                _process_value, parameter, parameter.process_value, is_text=is_text
            )
        return parameters

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from sr_cli.cli.console import raise_broken_pipes

        raise_broken_pipes()
        super().format_help(ctx, formatter)  # type: ignore[misc]


def _process_value(
    parameter: Any,
    convert: Callable[[Any, Any], Any],
    ctx: Any,
    value: Any,
    *,
    is_text: bool,
) -> Any:
    """A parameter's value for its command, as Typer gives it."""
    is_absent = value is parameter.default and not parameter.required
    if not is_absent and not (value and is_text):
        return convert(ctx, value)
    return parameter.callback(ctx, parameter, value) if parameter.callback else value


class Command(_Sparing, TyperCommand):
    """Refuses empty values, which a shell makes of variables that are not set.

    An empty path would be the current folder.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in self.params:
            value = given.get(parameter.name or "")
            values = value if isinstance(value, list | tuple) else [value]
            if "" in values and parameter.name not in _MAY_BE_EMPTY:
                is_option = parameter.param_type_name == "option"
                name = parameter.opts[-1] if is_option else parameter.metavar
                raise RefusedError("empty-value", name or "")
        return super().parse_args(ctx, args)


class Commands(_Sparing, TyperGroup):
    """The group of all commands, which builds only those that it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # An unknown name is compared with all.
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                alone = typer.Typer(add_completion=False, **SETTINGS)
                alone.command(name, cls=Command)(load_command(name))
                self.commands[name] = typer.main.get_command(alone)
        return self.commands.get(cmd_name)
