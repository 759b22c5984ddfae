"""Commands whose options are the fields of a dataclass, so that they travel as one typed value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

OptionsT = TypeVar("OptionsT")


def takes(options: type[OptionsT]) -> Callable[[Callable[[OptionsT], None]], Callable[..., None]]:
    """Turn a function of one dataclass into a function that Typer can make a command of.

    Args:
        options: A dataclass whose fields are annotated as Typer wants its parameters:
            `Annotated[int, typer.Option(...)]`, with the option's default as the field's.

    Returns:
        A decorator. What it gives has a parameter for every field and the docstring of the
        function, which it calls with an instance of `options`.
    """

    def decorate(run: Callable[[OptionsT], None]) -> Callable[..., None]:
        @functools.wraps(run)
        def command(**values: Any) -> None:
            run(options(**values))

        hints = get_type_hints(options, include_extras=True)
        parameters = [
            inspect.Parameter(
                f.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if f.default is MISSING else f.default,
                annotation=hints[f.name],
            )
            # The dataclass is only known as a type variable here.
            for f in fields(options)  # type: ignore[arg-type]
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {f: hints[f] for f in hints}
        return command

    return decorate
