"""How far a model restores: weights between its faithful and its strong ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sr_cli.errors import RefusedError
from sr_cli.registry.manifest import load_manifest
from sr_cli.registry.ref import ChainRef, FamilyRef, ModelRef


def with_strength(ref: ModelRef, strength: float | None) -> ModelRef:
    """The model with weights between its faithful and its strong ones.

    Args:
        ref: The model; in a chain, each step that has both sets of weights is meant.
        strength: From 0, the faithful weights, to 1, the strong ones; None changes nothing.

    Raises:
        RefusedError: `out-of-range`; `strength-not-available` for a model with one set of weights.
    """
    if strength is None:
        return ref
    if not 0 <= strength <= 1:
        raise RefusedError("out-of-range", "strength", value=strength, allowed="0 to 1")
    steps = tuple(_step_with_strength(step, strength) for step in ref.steps)
    if not any(steps):
        known = sorted({e.family for e in load_manifest().weights if e.faithful})
        raise RefusedError("strength-not-available", ref.name, known=known)
    if isinstance(ref, ChainRef):
        parts = (new or old for new, old in zip(steps, ref.parts, strict=True))
        return replace(ref, parts=tuple(parts))
    return steps[0] or ref


def has_strength(ref: ModelRef) -> bool:
    """Whether `with_strength` can change the weights of a model."""
    return any(
        isinstance(s, FamilyRef) and all(entry.faithful for entry in s.entries) for s in ref.steps
    )


def strength_of(refs: Iterable[ModelRef]) -> float:
    """The strength of the models whose weights are mixed; 1 if none are."""
    steps = (step for ref in refs for step in ref.steps)
    return min((step.strength for step in steps if isinstance(step, FamilyRef)), default=1.0)


def _step_with_strength(ref: ModelRef, strength: float) -> ModelRef | None:
    """One model with other weights; None if it has only one set of them."""
    if not isinstance(ref, FamilyRef) or not has_strength(ref):
        return None
    if strength == 1:
        return replace(ref, faithful=(), strength=1.0)
    manifest = load_manifest()
    named = [manifest.by_id(entry.faithful) for entry in ref.entries]
    return replace(ref, faithful=tuple(e for e in named if e is not None), strength=strength)
