"""What a disk may hold after a power loss, told from the system calls that a process made (by `strace`).

The model is the strict one: a write lasts from the next fsync or fdatasync of its file on, a new, renamed or removed
name from the next sync of its folder on. What was not synced may be there or not, each write on its own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = "openat,close,lseek,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir"

_LINE = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+=\s+(-?\d+)")
_UNFINISHED = re.compile(r"^(\d+)\s+(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+)\s+<\.\.\. \w+ resumed>(.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


@dataclass
class Inode:
    """A file: what is surely on disk, and the changes since, each (offset, bytes) or (size, None) for a cut."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def whole(self) -> bytes:
        """What a reader sees who asks the system, not the disk."""
        data = bytearray(self.durable)
        for change in self.pending:
            _apply(data, change)
        return bytes(data)

    def after(self, chosen: random.Random | None) -> bytes:
        """The durable bytes, and those pending changes that happened to reach the disk."""
        data = bytearray(self.durable)
        for change in self.pending if chosen else ():
            if chosen is not None and chosen.random() < 0.5:
                _apply(data, change)
        return bytes(data)


def _apply(data: bytearray, change: tuple[int, bytes | None]) -> None:
    at, written = change
    if written is None:
        del data[at:]
        data.extend(bytes(max(0, at - len(data))))
        return
    data.extend(bytes(max(0, at - len(data))))
    data[at : at + len(written)] = written


class Disk:
    """Files of one folder, as a process changes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Inode] = {}
        self.durable_names: dict[str, Inode] = {}
        self.made = False
        self.durably_made = False
        self.renamed_unsynced: list[str] = []
        self._open: dict[int, tuple[str, Inode | None, int]] = {}

    def image(self, target: Path, chosen: random.Random | None = None) -> None:
        """Write what is left after a power loss now into a new folder; without `chosen` only what is certain."""
        target.mkdir()
        names = self.names if chosen is not None and chosen.random() < 0.5 else self.durable_names
        for name, inode in names.items():
            # SQLite makes this one anew when the first process opens the database.
            if not name.endswith("-shm"):
                (target / name).write_bytes(inode.after(chosen))

    def replay(self, trace: Path) -> Iterator[str]:
        """Follow the calls of a trace; yields "sync" after each sync and what the process wrote to its output."""
        for call, arguments, result in calls(trace):
            event = self._follow(call, arguments, result)
            if event:
                yield event

    def _name(self, text: str) -> str | None:
        path = Path(text)
        return path.name if path.parent == self.folder else None

    def _follow(self, call: str, arguments: str, result: int) -> str | None:
        texts = [bytes.fromhex(text.replace("\\x", "")) for text, cut in _TEXT.findall(arguments) if not cut]
        if result < 0:
            return None
        first = arguments.split(",")[0].strip()
        if call == "openat":
            path = texts[0].decode()
            name = self._name(path)
            inode = None
            if name is not None:
                if name not in self.names and "O_CREAT" in arguments:
                    self.names[name] = Inode()
                inode = self.names.get(name)
                if inode is not None and "O_TRUNC" in arguments:
                    inode.pending.append((0, None))
            self._open[result] = (path, inode, 0)
        elif call == "close":
            self._open.pop(int(first), None)
        elif call == "mkdir":
            self.made = self.made or texts[0].decode() == str(self.folder)
        elif call.startswith("rename"):
            old, new = self._name(texts[0].decode()), self._name(texts[1].decode())
            if old is not None and new is not None:
                moved = self.names.pop(old)
                if moved.pending:
                    self.renamed_unsynced.append(new)
                self.names[new] = moved
        elif call.startswith("unlink"):
            self.names.pop(self._name(texts[0].decode()) or "", None)
        elif first.isdigit():
            return self._change(call, int(first), arguments, texts, result)
        return None

    def _change(self, call: str, file: int, arguments: str, texts: list[bytes], result: int) -> str | None:
        if call == "write" and file == 1:
            return texts[0].decode()
        path, inode, position = self._open.get(file, ("", None, 0))
        if call in ("fsync", "fdatasync"):
            if path == str(self.folder):
                self.durable_names = dict(self.names)
            elif path == str(self.folder.parent):
                self.durably_made = self.made
            elif inode is not None:
                inode.sync()
            else:
                return None
            return "sync"
        if inode is None:
            return None
        if call == "lseek":
            position = result
        elif call == "ftruncate":
            inode.pending.append((int(arguments.split(",")[1]), None))
        elif call == "pwrite64":
            inode.pending.append((int(arguments.rsplit(",", 1)[1]), texts[0][:result]))
        elif call == "write":
            inode.pending.append((position, texts[0][:result]))
            position += result
        self._open[file] = (path, inode, position)
        return None


def calls(trace: Path) -> Iterator[tuple[str, str, int]]:
    """(name, arguments, result) of the calls in a trace made with ``strace -f -xx``."""
    waiting: dict[str, str] = {}
    with trace.open() as lines:
        for line in lines:
            line = line.rstrip("\n")
            if half := _UNFINISHED.match(line):
                waiting[half[1]] = line.removesuffix(" <unfinished ...>")
                continue
            if rest := _RESUMED.match(line):
                line = waiting.pop(rest[1], "") + rest[2]
            if found := _LINE.match(line):
                yield found[1], found[2], int(found[3])
