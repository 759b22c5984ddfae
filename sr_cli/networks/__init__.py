"""Networks by name. Each network is a module here; there is no other list of them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.networks.base import SRModel

_NOT_NETWORKS = {"base"}

SCALES = (2, 3, 4)
"""The scales that networks may have."""


def model_names() -> list[str]:
    """The names of all networks, from the folder, without importing torch."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_NETWORKS)


def model_class(name: str) -> type[SRModel]:
    """The class of the network `name`.

    Raises:
        RefusedError: `unknown-value`, with the known ones.
    """
    if name not in model_names():
        raise RefusedError("unknown-value", "network", value=name, known=model_names())
    module = importlib.import_module(f"{__name__}.{name}")
    found: type[SRModel] = module.MODEL
    return found


def create_model(name: str, *, scale: int, **config: Any) -> SRModel:
    """Create a network with initial weights, for training or for loading weights.

    Args:
        name: The network's name.
        scale: One of its scales.
        config: Its settings, as its class takes them.

    Raises:
        RefusedError: `unknown-value` for an unknown name, `unknown-setting` and `wrong-type`
            for its settings, `network-cannot-be-built` for an unsupported scale or impossible size.
    """
    cls = model_class(name)
    known = [p for p in inspect.signature(cls).parameters if p != "scale"]
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise RefusedError("unknown-setting", name, unknown=unknown, known=known)
    defaults = {n: p.default for n, p in inspect.signature(cls).parameters.items()}
    for key, value in config.items():
        _check_setting(key, value, defaults[key])
    try:
        return cls(scale=scale, **config)
    except Exception as error:
        # PyTorch raises errors of any type for layers of impossible sizes.
        raise RefusedError("network-cannot-be-built", name, reason=str(error)) from error


def _check_setting(key: str, value: Any, default: Any) -> None:
    """Check that a setting has its default's type: an integer, a number, text, a list, a bool."""
    if isinstance(default, tuple | list):
        good = isinstance(value, tuple | list) and len(value) == len(default)
        good = good and all(_is_whole(v) for v in value)
        wanted = f"{len(default)} whole numbers above 0"
    elif isinstance(default, bool):
        good, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, float):
        good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e3
        wanted = "a number above 0"
    elif isinstance(default, str):
        good, wanted = isinstance(value, str), "text"
    else:
        good, wanted = _is_whole(value), "a whole number above 0"
    if not good:
        raise RefusedError("wrong-type", f"config.{key}", value=repr(value), wanted=wanted)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 4096
