"""An upgrade as one file: its maps, calibration, fingerprints and held-out pairs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from retrieval.compat import mapfile
from retrieval.compat.calibration import Calibration
from retrieval.compat.isometry import Isometry
from retrieval.compat.local_linear import LocalLinearMap
from retrieval.upgrade.evidence import Evidence, arrays_of
from retrieval.upgrade.fingerprint import Fingerprint, Fingerprints
from retrieval.upgrade.truncation import Truncation

if TYPE_CHECKING:
    from retrieval.upgrade.bridge import Bridge

T = TypeVar("T", bound="Bridge")

_KIND = "upgrade"
_STEPS: dict[str, Any] = {"isometry": Isometry, "local-linear": LocalLinearMap, "truncation": Truncation}


def write(upgrade: Bridge, path: str | os.PathLike[str]) -> None:
    """Write an upgrade; see `Upgrade.save`."""
    fields: dict[str, Any] = {
        name: getattr(upgrade, name) for name in ("kind", "old_model", "new_model", "old_dim", "new_dim")
    }
    arrays: dict[str, npt.NDArray[Any]] = {}
    members: dict[str, Any] = {
        "calibration": upgrade.calibration,
        "old": upgrade.fingerprints.old,
        "new": upgrade.fingerprints.new,
        **{f"step{i}": step for i, step in enumerate(upgrade.steps)},
    }
    if upgrade.evidence is not None:
        members["evidence"] = upgrade.evidence
    fields["steps"] = [name for step in upgrade.steps for name, of in _STEPS.items() if isinstance(step, of)]
    for name, member in members.items():
        fields[name], own = member.parts()
        arrays |= {f"{name}.{key}": array for key, array in own.items()}
    mapfile.write(path, _KIND, fields, arrays)


def read(kind: type[T], path: str | os.PathLike[str]) -> T:
    """Read what `write` wrote; see `Upgrade.load`."""
    fields, arrays = mapfile.read(path, _KIND)

    def part(of: Any, name: str) -> Any:
        return of.of_parts(fields[name], arrays_of(name, arrays))

    return kind(
        fields["kind"],
        tuple(part(_STEPS[name], f"step{i}") for i, name in enumerate(fields["steps"])),
        part(Calibration, "calibration"),
        fields["old_model"],
        fields["new_model"],
        fields["old_dim"],
        fields["new_dim"],
        Fingerprints(part(Fingerprint, "old"), part(Fingerprint, "new")),
        part(Evidence, "evidence") if "evidence" in fields else None,
    )
