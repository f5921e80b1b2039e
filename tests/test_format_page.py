"""The page on the file format names every table, mark and file that the code writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from retrieval import indexfile, pathindex, schema, watermark
from retrieval.compat import mapfile
from vsa import state

PAGE = (Path(__file__).parent.parent / "docs" / "format.md").read_text(encoding="utf-8")
TABLES = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", schema._TABLES + pathindex._TABLE)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_told_of(table: str) -> None:
    assert re.search(rf"^\|.*`{table}`", PAGE, re.MULTILINE)


def test_marks_are_those_of_the_code() -> None:
    assert len(TABLES) == len(set(TABLES)) > 10
    assert f"0x{schema.APPLICATION_ID:08X}" in PAGE
    assert f"page size {schema._PAGE_SIZE:,}" in PAGE
    assert f"Files of a gallery, format {schema.FORMAT}\n" in PAGE
    for magic in (indexfile._MAGIC, watermark._MAGIC, mapfile.MAGIC):
        written = magic.decode("latin-1").encode("unicode_escape").decode()
        assert f'"{written}"' in PAGE, written
    for kind in (state.KIND, state.MEMORY):
        assert f'"{kind}"' in PAGE
    assert f"`{schema.FILE_NAME}`" in PAGE
