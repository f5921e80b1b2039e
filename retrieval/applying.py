"""Switching a gallery to another model without encoding anything again, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from retrieval.carrying import Carrier, digest_of, keep_upgrade, saved_upgrade
from retrieval.errors import ModelMismatchError, UpgradeError
from retrieval.lineage import (
    REWRITES,
    Lineage,
    Mapping,
    Step,
    StepState,
    dropped_key,
    read_lineage,
    write_mapping,
    write_step,
)
from retrieval.progress import Progress
from retrieval.rows import Model
from retrieval.schema import translated
from retrieval.snapshot import Snapshot
from retrieval.store import Store
from retrieval.upgrade import Upgrade
from retrieval.writing import Writer

# Vectors mapped and committed at a time: what a kill can cost, and what memory holds a few times over.
_ROWS = 1 << 15


def apply(
    store: Store,
    upgrade: Upgrade,
    *,
    new: str,
    encoder: bytes | None,
    direct: Sequence[Upgrade],
    report: Progress,
) -> Step:
    """Write the mapped vectors beside the state in use, batch by batch, then switch in one transaction.

    A call that was cut off goes on where it stopped when it is made again. Parameters as `Gallery.apply`.
    """
    with store.write() as writer, translated(store.folder):
        step = _registered(writer, upgrade, new, is_direct=False)
        if encoder is not None:
            writer.set_encoder(step.new, encoder)
        by_number = {step.upgrade: upgrade}
        shortcuts = []
        for one in direct:
            shortcut = _registered(writer, one, new, is_direct=True)
            shortcuts.append(shortcut)
            by_number[shortcut.upgrade] = one
        mappings = _mappings(writer, step, {one.old: one.upgrade for one in shortcuts if one.kind in REWRITES})
    carriers = [Carrier(mapping, by_number[mapping.via[-1]], _ROWS) for mapping in mappings]
    done = 0
    while True:
        for carrier in carriers:
            done = _carried(store, carrier, done, report)
        with store.write() as writer, translated(store.folder):
            # What was written since the last look is few as a rule; if it is many, it is mapped without the lock.
            snapshot = Snapshot(store.folder, writer.connection)
            late = []
            for carrier in carriers:
                carrier.again()
                batch = carrier.next(snapshot)
                if batch is not None:
                    late.append((carrier, batch))
            if all(len(batch.items) < _ROWS for _, batch in late):
                for carrier, batch in late:
                    carrier.store(writer, batch, carrier.mapped(batch))
                return _switched(writer, step, shortcuts)
        for carrier in carriers:
            carrier.again()


def _carried(store: Store, carrier: Carrier, done: int, report: Progress) -> int:
    """Map and store whatever a mapping lacks; how many rows were done by then."""
    while True:
        with store.snapshot() as snapshot:
            batch = carrier.next(snapshot)
        if batch is None:
            return done
        made = carrier.mapped(batch)
        with store.write() as writer, translated(store.folder):
            done += carrier.store(writer, batch, made)
        report(done)


def _switched(writer: Writer, step: Step, direct: Sequence[Step]) -> Step:
    turn = max((one.turn for one in read_lineage(writer.folder, writer.connection).steps), default=0) + 1
    step = replace(step, state=StepState.APPLIED.value, turn=turn, before=writer.state.active)
    for one in (step, *(replace(one, state=StepState.APPLIED.value) for one in direct)):
        write_step(writer.connection, one)
    writer.activate(step.new)
    return step


def _registered(writer: Writer, upgrade: Upgrade, new: str, *, is_direct: bool) -> Step:
    """The row of an upgrade, from an earlier call or made now, and that of its new model."""
    lineage = read_lineage(writer.folder, writer.connection)
    old = _model(writer, upgrade.old_model)
    if old is None or old.dim != upgrade.old_dim:
        there = ", ".join(f"{model.name!r} (dim {model.dim})" for model in _natives(writer, lineage))
        raise ModelMismatchError(
            f"the upgrade starts from {upgrade.old_model!r} with dim {upgrade.old_dim}; the gallery holds {there}"
        )
    if not is_direct and old.model != writer.state.active:
        raise ModelMismatchError(
            f"the upgrade starts from {old.name!r}, but the gallery searches with {writer.active.name!r}; "
            f"apply one that starts there, or give this one as direct= beside it"
        )
    target = _model(writer, new)
    if target is not None and (target.dim != upgrade.new_dim or target.model == old.model):
        raise ModelMismatchError(
            f"the gallery knows a model {new!r} already, with dim {target.dim}; name the new one otherwise"
        )
    if target is None:
        target = writer.new_model(new, upgrade.new_dim, old.dtype)
    data = saved_upgrade(upgrade)
    digest = digest_of(data)
    for step in lineage.steps:
        if (step.old, step.new, step.digest) == (old.model, target.model, digest):
            return step
    number = max((step.upgrade for step in lineage.steps), default=0) + 1
    step = Step(number, old.model, target.model, upgrade.kind, digest, StepState.PREPARING.value, old.model, 0)
    write_step(writer.connection, step)
    keep_upgrade(writer, number, data)
    writer.touch()
    return step


def _model(writer: Writer, name: str) -> Model | None:
    return next((model for model in writer.models.values() if model.name == name), None)


def _natives(writer: Writer, lineage: Lineage) -> list[Model]:
    made = {mapping.model for mapping in lineage.mappings}
    return [model for model in writer.models.values() if model.model not in made]


def _mappings(writer: Writer, step: Step, direct: dict[int, int]) -> list[Mapping]:
    """What has to be mapped for a step, newest model first: its old model's rows, and those older still."""
    lineage = read_lineage(writer.folder, writer.connection)
    if step.kind not in REWRITES:
        return []
    wanted: dict[int, tuple[int, ...]] = {step.old: (step.upgrade,)}
    for leg in lineage.legs(step.old)[1:]:
        if leg.origin in direct:
            wanted[leg.origin] = (direct[leg.origin],)
            continue
        source = lineage.mapping(leg.origin, step.old)
        if source is None:
            name, there = writer.models[leg.origin].name, writer.models[step.old].name
            raise UpgradeError(
                f"rows of {name!r} are reached by a query map from {there!r} and have no vector there to map; "
                f"give direct=[an upgrade from {name!r}], or backfill them first"
            )
        wanted[leg.origin] = (*source.via, step.upgrade)
    mappings = []
    for origin, via in sorted(wanted.items(), reverse=True):
        known = lineage.mapping(origin, step.new)
        if known is not None and known.via != via:
            # Mapped by another upgrade that was rolled back: these vectors are of no more use.
            writer.clear(known.model)
            known = replace(known, via=via)
            write_mapping(writer.connection, known)
        if known is None:
            target = writer.models[step.new]
            name = f"{writer.models[origin].name} → {target.name}"
            model = writer.new_model(name, target.dim, target.dtype)
            known = Mapping(model.model, origin, step.new, via)
            write_mapping(writer.connection, known)
        mappings.append(known)
    return mappings


def rollback(store: Store) -> Step:
    """Undo the upgrade applied last: searches use what they used before; what was encoded since is kept.

    Raises
    ------
    UpgradeError
        If no upgrade is applied, or the vectors of the model before were dropped.
    """
    with store.write() as writer, translated(store.folder):
        lineage = read_lineage(store.folder, writer.connection)
        step = lineage.last
        if step is None:
            raise UpgradeError(f"{store.folder}: no upgrade is applied, so there is none to roll back")
        dropped = Snapshot(store.folder, writer.connection).setting(dropped_key(step.before))
        if dropped is not None:
            name = writer.models[step.before].name
            raise UpgradeError(
                f"{store.folder}: {dropped} vectors of {name!r} were dropped; there is no way back to it"
            )
        for one in lineage.steps:
            if one.applied and one.new == step.new:
                write_step(writer.connection, replace(one, state=StepState.ROLLED_BACK.value))
        writer.activate(step.before)
    return step
