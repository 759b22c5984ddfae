"""Networks by name. A network is one file here, named as the network; nothing else lists it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.models.base import SRModel

_NOT_NETWORKS = {"base", "fusion", "initial", "rewrites", "shuffle"}

SCALES = (2, 3, 4)
"""The factors that networks may have."""


def model_names() -> list[str]:
    """Every network's name, read from the folder: torch is not imported."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_NETWORKS)


def model_class(name: str) -> type[SRModel]:
    """The class of the network `name`.

    Raises RefusedError for an unknown name, listing the known ones.
    """
    if name not in model_names():
        raise RefusedError(
            f"unknown network '{name}'", f"known networks: {', '.join(model_names())}"
        )
    module = importlib.import_module(f"{__name__}.{name}")
    found: type[SRModel] = module.MODEL
    return found


def create_model(name: str, *, scale: int, **config: Any) -> SRModel:
    """A network with fresh random weights: for training, or for weights to be loaded into.

    Raises RefusedError for an unknown name, a scale it has not, or an unknown config key.
    """
    cls = model_class(name)
    known = [p for p in inspect.signature(cls).parameters if p != "scale"]
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise RefusedError(
            f"{name} has no setting {', '.join(unknown)}",
            f"its settings: {', '.join(known) or 'none'}",
        )
    try:
        return cls(scale=scale, **config)
    except (TypeError, ValueError) as error:
        raise RefusedError(str(error)) from error
