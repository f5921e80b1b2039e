"""`retrieval upgrade`: from one embedding model to the next, and back."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.cli_read import UsageError
from retrieval.encoding import Encoder
from retrieval.gallery import Gallery
from retrieval.table import facts_table

if TYPE_CHECKING:
    from retrieval.upgrade import Queries
    from retrieval.upgrade_status import UpgradeStatus

_ENCODER = "module:function, from a list of payloads to vectors (n, dim), or module:object, an encoder"


def add_commands(parser: argparse.ArgumentParser, positive: Callable[[str], int]) -> None:
    """Put the five commands into the parser of `upgrade`."""
    commands = parser.add_subparsers(metavar="step", required=True)

    def command(name: str, about: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=run)
        made.add_argument("gallery", metavar="DIR", help="folder of the gallery")
        made.add_argument("--json", action="store_true", help="write JSON for machines")
        return made

    made = command("plan", "Fit an upgrade on paired vectors, report what it is worth, and save it.", plan)
    made.add_argument("--out", required=True, metavar="FILE", help="where to save the upgrade")
    made.add_argument("--encoder", metavar="M:F", help=f"the new model: {_ENCODER}; encodes a sample")
    made.add_argument("--sample", type=positive, default=20_000, help="items to encode with it (default 20,000)")
    made.add_argument("--new", metavar="NPY", help="instead of an encoder: vectors of the new model, row by row")
    made.add_argument("--ids", metavar="FILE", help="with --new: whose they are, one id a line")
    made.add_argument("--old", metavar="NPY", help="with --new: the same items under the old model, instead of --ids")
    made.add_argument("--model", metavar="NAME", help="name of the new model (default: the encoder's)")
    made.add_argument(
        "--queries",
        metavar="FILE",
        help='what users ask, a hundred or more: with --encoder a record a line, or {"query": record, "wanted": id}',
    )
    made.add_argument("--queries-old", metavar="NPY", help="with --new: queries under the old model, row by row,")
    made.add_argument("--queries-new", metavar="NPY", help="and under the new model,")
    made.add_argument("--wanted", metavar="FILE", help="and, of those in --ids, the id that each wants, one a line")
    made.add_argument("--rate", type=float, metavar="N", help="items a second of the new encoder, for the cost")
    made.add_argument("--figure", metavar="FILE", help="also draw the report, as .png, .svg or .pdf")
    made.add_argument("--seed", type=int, default=0)
    made = command("apply", "Switch searches to the new model; nothing is encoded again.", apply)
    made.add_argument("upgrade", metavar="FILE", help="what plan saved")
    made.add_argument("--encoder", metavar="M:F", help="the new model, for records: module:object")
    command("status", "Show how far the gallery is on its way.", status)
    made = command("backfill", "Encode items anew, the least surely mapped first.", backfill)
    made.add_argument("--encoder", metavar="M:F", help=f"{_ENCODER}; by default the one in the gallery")
    made.add_argument("--new", metavar="NPY", help="instead of an encoder: vectors of the new model, row by row")
    made.add_argument("--ids", metavar="FILE", help="with --new: whose they are, one id a line")
    made.add_argument("--budget", type=positive, metavar="N", help="most items to encode (default: all)")
    made.add_argument("--order", choices=["uncertain", "random", "insertion"], default="uncertain")
    made.add_argument("--batch-size", type=positive, default=256, metavar="N", help="items a batch (default 256)")
    made.add_argument("--rate", type=float, metavar="N", help="most items a second")
    made.add_argument("--retry-failed", action="store_true", help="try items again that failed before")
    command("rollback", "Undo the last upgrade: searches give what they gave before.", rollback)


def plan(arguments: argparse.Namespace) -> int:
    """Fit, report and save."""
    from retrieval.upgrade import Upgrade

    if arguments.queries is not None and arguments.encoder is None:
        raise UsageError("--queries goes with --encoder; with --new give --queries-old and --queries-new")
    if (arguments.encoder is None) == (arguments.new is None):
        raise UsageError("give the new model as --encoder module:function, or its vectors as --new with --ids or --old")
    with Gallery.open(arguments.gallery) as gallery:
        if arguments.encoder is not None:
            encode = _named(arguments.encoder)
            if not isinstance(encode, Encoder) and arguments.model is None:
                raise UsageError("--model NAME is needed: a function does not tell the name of its model")
            upgrade = Upgrade.from_gallery(
                gallery,
                encode,
                sample=arguments.sample,
                new_model=arguments.model,
                queries=None if arguments.queries is None else asked_records(arguments.queries),
                seed=arguments.seed,
            )
        else:
            if arguments.model is None or (arguments.ids is None) == (arguments.old is None):
                raise UsageError("--new goes with --model NAME, and with --ids FILE or --old NPY")
            new = _array(arguments.new)
            ids = None if arguments.ids is None else _ids(arguments.ids)
            old = _array(arguments.old) if ids is None else np.stack([gallery.vector(one) for one in ids])
            upgrade = Upgrade.fit(
                old,
                new,
                old_model=gallery.model,
                new_model=arguments.model,
                queries=_asked_vectors(arguments, old, new, ids),
                seed=arguments.seed,
            )
        # By the seed that drew the pairs the sample would be the pairs, and all of it covered.
        report = upgrade.report(
            gallery_vectors=gallery.sample(20_000, seed=arguments.seed + 1).X if len(gallery) else None,
            n_items=len(gallery),
            encoder_rate=arguments.rate,
        )
    upgrade.save(arguments.out)
    if arguments.figure:
        report.figure().savefig(arguments.figure, bbox_inches="tight")
    print(json.dumps(report.to_dict()) if arguments.json else str(report))
    print(f"{arguments.out}: {upgrade.name} ({upgrade.kind}), not applied yet", file=sys.stderr)
    return 0


def apply(arguments: argparse.Namespace) -> int:
    """Switch."""
    from retrieval.upgrade import Upgrade

    encoder = None if arguments.encoder is None else _named(arguments.encoder)
    if encoder is not None and not isinstance(encoder, Encoder):
        raise UsageError(f"--encoder {arguments.encoder}: expected an encoder object with encode, dim and name")
    with Gallery.open(arguments.gallery) as gallery:
        return _show(gallery.apply(Upgrade.load(arguments.upgrade), encoder=encoder), arguments.json)


def status(arguments: argparse.Namespace) -> int:
    """Show the state of the upgrade, and what `Gallery.health` finds."""
    with Gallery.open(arguments.gallery) as gallery:
        found, health, failed = gallery.upgrade_status(), gallery.health(), gallery.failures()
    if arguments.json:
        print(json.dumps({**asdict(found), "problems": health.problems, "failures": failed}))
        return 0
    _show(found, False)
    print(health)
    for name, error in list(failed.items())[:20]:
        print(f"failed: {name}: {error}")
    return 0


def backfill(arguments: argparse.Namespace) -> int:
    """Encode items anew."""
    encode: Any = None
    if arguments.new is not None:
        if arguments.ids is None or arguments.encoder is not None:
            raise UsageError("--new goes with --ids FILE, and not with --encoder")
        names, X = _ids(arguments.ids), _array(arguments.new)
        if len(names) != len(X):
            raise UsageError(f"{arguments.ids} has {len(names):,} ids, and {arguments.new} {len(X):,} rows")
        encode = _Given(dict(zip(names, X, strict=True)))
    elif arguments.encoder is not None:
        encode = _named(arguments.encoder)
    with Gallery.open(arguments.gallery) as gallery:
        done = gallery.backfill(
            encode,
            budget=arguments.budget,
            order=arguments.order,
            batch_size=arguments.batch_size,
            rate=arguments.rate,
            attempts=1 if arguments.new else 3,
            retry_failed=arguments.retry_failed,
            by_id=arguments.new is not None,
        )
    if arguments.json:
        print(json.dumps(asdict(done)))
    else:
        print(
            f"{done.encoded:,} encoded in {done.seconds:.1f} s, {len(done.failed):,} failed, {done.waiting:,} waiting"
        )
    for name, error in list(done.failed.items())[:20]:
        print(f"retrieval: {name}: {error}", file=sys.stderr)
    return 1 if done.failed else 0


def rollback(arguments: argparse.Namespace) -> int:
    """Go back."""
    with Gallery.open(arguments.gallery) as gallery:
        return _show(gallery.rollback(), arguments.json)


class _Given:
    """Vectors that were computed elsewhere, by id."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known

    def __call__(self, ids: list[str]) -> Any:
        missing = [name for name in ids if name not in self._known]
        if missing:
            raise KeyError(f"no vector given for {missing[0]!r}")
        return np.stack([self._known[name] for name in ids])


def _show(found: UpgradeStatus, as_json: bool) -> int:
    if as_json:
        print(json.dumps(asdict(found)))
        return 0
    facts = asdict(found)
    facts["upgrades"] = "; ".join(found.upgrades) or "none"
    facts["by_origin"] = ", ".join(f"{name}: {count:,}" for name, count in found.by_origin.items())
    facts["expected_cosine"] = "unknown" if found.expected_cosine is None else f"{found.expected_cosine:.3f}"
    print(facts_table(facts))
    return 0


def _named(text: str) -> Any:
    """What `module:name` stands for; modules of the working directory count."""
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise UsageError(f"--encoder {text}: write module:function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise UsageError(f"--encoder {text}: {error}") from error
    except AttributeError as error:
        raise UsageError(f"--encoder {text}: {error}") from error
    finally:
        sys.path.pop(0)
    if not (callable(found) or isinstance(found, Encoder)):
        raise UsageError(f"--encoder {text}: neither a function nor an encoder, but {type(found).__name__}")
    return found


def _array(name: str) -> Any:
    try:
        X = np.load(name, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UsageError(f"{name}: no such file") from error
    except ValueError as error:
        raise UsageError(f"{name}: not a .npy file of numbers ({error})") from error
    if X.ndim != 2:
        raise UsageError(f"{name}: expected one vector a row, got an array of shape {X.shape}")
    return X


def _ids(name: str) -> list[str]:
    try:
        lines = Path(name).read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: {error}") from error
    return lines if lines[-1] else lines[:-1]


def _asked_vectors(arguments: argparse.Namespace, old: Any, new: Any, ids: list[str] | None) -> Queries | None:
    """Queries given as vectors, and the items that they want out of the pairs."""
    from retrieval.upgrade import Queries

    if arguments.queries_old is None and arguments.queries_new is None:
        if arguments.wanted is not None:
            raise UsageError("--wanted goes with --queries-old and --queries-new")
        return None
    if arguments.queries_old is None or arguments.queries_new is None:
        raise UsageError("--queries-old and --queries-new go together: the same queries under both models")
    sides = _array(arguments.queries_old), _array(arguments.queries_new)
    if arguments.wanted is None:
        return Queries.of(*sides)
    if ids is None:
        raise UsageError("--wanted goes with --ids: it names items among them")
    row_of = {name: row for row, name in enumerate(ids)}
    wanted = _ids(arguments.wanted)
    missing = [name for name in wanted if name not in row_of]
    if missing:
        raise UsageError(f"{arguments.wanted}: id {missing[0]!r} is not in {arguments.ids}")
    rows = [row_of[name] for name in wanted]
    return Queries.of(*sides, wanted_old=old[rows], wanted_new=new[rows])


def asked_records(name: str) -> list[Any]:
    """Records of a JSON Lines file, or (record, id) pairs where a line is {"query": record, "wanted": id}."""
    import vsa

    found = []
    for _, line in vsa.iter_json(name):
        paired = isinstance(line, dict) and line.keys() == {"query", "wanted"}
        found.append((line["query"], str(line["wanted"])) if paired else line)
    if not found:
        raise UsageError(f"{name}: no queries in it")
    return found
