"""The `retrieval` command."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from retrieval import cli_exchange, cli_index, cli_read, cli_upgrade
from retrieval.device import checked_device
from retrieval.errors import (
    FilterError,
    GalleryExistsError,
    GalleryNotFoundError,
    GalleryPathError,
    ModelMismatchError,
    NotAGalleryError,
    RetrievalError,
)
from retrieval.interrupt import orderly_interrupts
from vsa.errors import VSAError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

_WRONG_CALL = (
    FilterError,
    GalleryExistsError,
    GalleryNotFoundError,
    GalleryPathError,
    NotAGalleryError,
    ModelMismatchError,
)


_UPGRADE = "Change the embedding model without encoding everything again, and go back."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of the process.

    Returns
    -------
    int
        0 done, 1 failed, 2 called wrongly, 130 interrupted.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    with contextlib.suppress(AttributeError):
        # Half a surrogate pair in data becomes its JSON escape instead of a traceback.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
        sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with orderly_interrupts():
            code: int = arguments.run(arguments)
            sys.stdout.flush()
        return code
    except cli_read.UsageError as error:
        return _complain(str(error), USAGE)
    except (RetrievalError, VSAError) as error:
        return _complain(str(error), USAGE if isinstance(error, _WRONG_CALL) else FAILED)
    except BrokenPipeError:
        # Whoever read the output has enough; the interpreter must not flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _complain(f"{name}{error.strerror or error}", FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)


def _complain(message: str, code: int) -> int:
    print("retrieval: " + " ".join(message.split()), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="retrieval",
        description="Find the records most like a record. Data goes to standard output, talk to standard "
        "error; the exit status is 0 (done), 1 (failed) or 2 (called wrongly).",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, about: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=run)
        return made

    _add_index(command("index", "Read JSON Lines (or one JSON array) into a gallery.", cli_index.index))
    search = command("search", "Find the records most like a query.", cli_read.search)
    _gallery(search)
    search.add_argument(
        "query",
        help='a JSON object such as \'{"title": "sunset"}\', an array of numbers '
        "for a vector, or - to read it from stdin",
    )
    search.add_argument("-k", type=positive, default=10, help="how many to find (default 10)")
    search.add_argument("--where", metavar="JSON", help="a filter on the records, as a JSON object")
    search.add_argument("--model", metavar="NAME", help="whose query it is, where not of the model that searches use")
    _device(search)
    _json(search)
    explain = command("explain", "Say which fields make an item match a query.", cli_read.explain)
    _gallery(explain)
    explain.add_argument("id")
    explain.add_argument("query", help="a JSON object, or - to read it from stdin")
    _json(explain)
    info = command("info", "Show what a gallery holds and what runs where.", cli_read.info)
    _gallery(info)
    _device(info)
    _json(info)
    delete = command("delete", "Delete items by id, all or none.", cli_read.delete)
    _gallery(delete)
    delete.add_argument("ids", nargs="+", metavar="id")
    cli_exchange.add_commands(command)
    duplicates = command("duplicates", "List pairs of items that are nearly the same.", cli_read.duplicates)
    _gallery(duplicates)
    duplicates.add_argument("--min-score", type=float, default=0.95, help="least cosine (default 0.95)")
    _json(duplicates)
    optimize = command("optimize", "Measure indexes and use the fastest that reaches a recall.", cli_read.optimize)
    _gallery(optimize)
    optimize.add_argument("--recall", type=float, default=0.95, help="wanted recall@k (default 0.95)")
    optimize.add_argument("-k", type=positive, default=10, help="the k of the recall (default 10)")
    optimize.add_argument("--memory", type=positive, metavar="BYTES", help="most that the index may take")
    optimize.add_argument("--seconds", type=float, default=300.0, help="try nothing new after so long (default 300)")
    optimize.add_argument("--index", metavar="FACTORY", help="a FAISS factory string; Flat for exact search")
    _device(optimize)
    _json(optimize)
    compact = command("compact", "Give the space of deleted and replaced items back.", cli_read.compact)
    _gallery(compact)
    compact.add_argument("--drop", metavar="MODEL", help="also drop the vectors of a model before an upgrade")
    upgrade = commands.add_parser("upgrade", help=_UPGRADE, description=_UPGRADE)
    cli_upgrade.add_commands(upgrade, positive)
    check = command("check", "Read everything and say what is damaged and what can be saved.", cli_read.check)
    _gallery(check)
    _json(check)
    demo = command("demo", "Index the Python packages installed here and ask what is like numpy.", _demo)
    _json(demo)
    return parser


class _Version(argparse.Action):
    """Looks the version up when it is asked for, which takes longer than to make the parser."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"vsa-retrieval {version('vsa-retrieval')}")
        parser.exit()


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="JSON Lines or a JSON array, plain or gzip; - for standard input")
    parser.add_argument("--id", required=True, metavar="FIELD", help="field with the id; meta.id for a nested one")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the gallery")
    parser.add_argument("--append", action="store_true", help="add to the gallery in DIR, replacing known ids")
    parser.add_argument("--dim", type=positive, help="width of the vectors (default 1024)")
    parser.add_argument("--seed", type=int, help="seed of the encoder (default 0)")
    parser.add_argument(
        "--fit",
        action=argparse.BooleanOptionalAction,
        help="read the file once more beforehand and learn from a sample of 10,000 records how rare words are and "
        "how numbers spread (default: where the input is a file)",
    )
    parser.add_argument("--skip-bad", action="store_true", help="count lines that cannot be read, and go on")
    parser.add_argument("--format", choices=["auto", "jsonl", "array"], default="auto")
    parser.add_argument("--max-string", type=positive, metavar="N", help="longest string, in characters")
    parser.add_argument("--max-depth", type=positive, metavar="N", help="deepest nesting")
    parser.add_argument("--max-line", type=positive, metavar="N", help="longest line, in bytes")
    _json(parser)


def _gallery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gallery", metavar="DIR", help="folder of the gallery")


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", type=_device_name, default="auto", help="auto (default), cpu, cuda, cuda:1, or cuda:0,1 for shards"
    )


def _device_name(text: str) -> str:
    try:
        return checked_device(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for machines")


def positive(text: str) -> int:
    """An argument that must be a positive integer."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return value


def _demo(arguments: Any) -> int:
    from retrieval import demo

    return demo.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
