"""Text to words, and words to character n-grams."""

from __future__ import annotations

import re
import unicodedata
from enum import IntEnum

GRAM_SIZES = (3, 4)
WHOLE = "#"
"""Stands before a word that is not spelled: the digits of numbers, which would make far numbers alike."""

LONGEST_SPELLED = 64
"""Longer words (Base64, hashes in full) keep the n-grams of their first and last 32 characters."""

_WORD = re.compile(r"[^\W_]+")
_ASCII = [chr(byte).lower() if byte < 128 else " " for byte in range(256)]
_WORDS = "".join(c if c.isalnum() else " " for c in _ASCII).encode()
"""What each byte of an ASCII text is in its words, with spaces between."""
_CHAINS = "".join(c if c.isalnum() or c == "_" else "-" if c in "-/." else " " for c in _ASCII).encode()
"""The same with words that one of ``-/.`` joins, and those that an underscore joins."""
_DIGIT = re.compile("[0-9]")
_JOINED = re.compile(r"[^\W_]+(?:[-/.][^\W_]+){1,2}(?![-/.\w])")
_OPAQUE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{24,128}"
)
_UUID = re.compile(r"(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])")
_SCHEME = re.compile(r"(?:https?|ftp)://(?:www\.)?")
_IDEOGRAPHS = re.compile(
    "[\u2e80-\u2fdf\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
# Accents and strokes above and below letters; not the vowel signs and voicing marks of other scripts.
_FIRST_ACCENT = 200


def fold(text: str) -> str:
    """Lower case without accents, in one form for one look (NFKC).

    Marks that make another letter in their script (Japanese voicing, Indic vowels) stay.

    Examples
    --------
    >>> fold("Élan VITAL, ﬁn")
    'elan vital, fin'
    """
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join([c for c in spread if unicodedata.combining(c) < _FIRST_ACCENT])
    return unicodedata.normalize("NFC", kept)


def words(text: str) -> list[str]:
    """Folded words in order, with repetitions.

    Words are runs of letters and digits. A code broken by up to two of ``-/.`` and holding a digit is given
    joined as well (``KX-TG9321`` also as ``kxtg9321``). Runs of Chinese characters and kana, which no spaces
    part, come as characters and pairs. A UUID, alone or inside, and a long hexadecimal number are one word.

    Examples
    --------
    >>> words("Sony Turntable - PS-LX350H")
    ['sony', 'turntable', 'ps', 'lx350h', 'pslx350h']
    >>> words("東京都")
    ['東', '京', '都', '東京', '京都']
    """
    folded = fold(text)
    if is_opaque(folded):
        return [folded.replace("-", "")]
    folded = _SCHEME.sub("", folded) if "://" in folded else folded
    identifiers: list[str] = []
    if len(folded) > 36 and folded.count("-") >= 4:
        identifiers = [found.replace("-", "") for found in _UUID.findall(folded)]
        folded = _UUID.sub(" ", folded) if identifiers else folded
    # The longer searches only where what they look for can be.
    joined = "-" in folded or "." in folded or "/" in folded
    if folded.isascii():
        found = folded.encode().translate(_WORDS).decode().split() + identifiers
        return found + _ascii_codes(folded) if joined and _DIGIT.search(folded) else found
    found = _WORD.findall(folded) + identifiers
    if joined:
        for code in _JOINED.findall(folded):
            if len(code) <= LONGEST_SPELLED and any(map(str.isdigit, code)):
                found.append(code.translate(_NO_JOINTS))
    if _IDEOGRAPHS.search(folded):
        found = [piece for word in found for piece in _pieces(word)]
    return found


_NO_JOINTS = str.maketrans("", "", "-/.")


def _ascii_codes(folded: str) -> list[str]:
    """What `_JOINED` finds and is a code, joined: the last words of a chain that white space or a sign ends."""
    found = []
    for chain in folded.encode().translate(_CHAINS).decode().split():
        if "-" not in chain:
            continue
        parts = chain.rpartition("_")[2].split("-")[-3:]
        while "" in parts:
            del parts[: parts.index("") + 1]
        code = "".join(parts)
        if len(parts) > 1 and len(code) + len(parts) - 1 <= LONGEST_SPELLED and _DIGIT.search(code):
            found.append(code)
    return found


def _pieces(word: str) -> list[str]:
    """A word with its runs of ideographs given as characters and pairs."""
    pieces: list[str] = []
    last = 0
    for run in _IDEOGRAPHS.finditer(word):
        if run.start() > last:
            pieces.append(word[last : run.start()])
        signs = run.group()
        pieces.extend(signs)
        pieces.extend(signs[i : i + 2] for i in range(len(signs) - 1))
        last = run.end()
    if last < len(word):
        pieces.append(word[last:])
    return pieces


def grams(word: str) -> list[str]:
    """Character 3- and 4-grams of a folded word between word marks, with repetitions.

    Examples
    --------
    >>> grams("sony")
    ['<so', 'son', 'ony', 'ny>', '<son', 'sony', 'ony>']
    """
    if word[0] == WHOLE or is_opaque(word):
        return []
    if len(word) > LONGEST_SPELLED:
        half = LONGEST_SPELLED // 2
        return _grams("<" + word[:half]) + _grams(word[-half:] + ">")
    return _grams("<" + word + ">")


def _grams(spelling: str) -> list[str]:
    return [spelling[i : i + n] for n in GRAM_SIZES for i in range(len(spelling) - n + 1)]


def word_name(word: str) -> bytes:
    """Name of a word's own atom, spelled or not."""
    return b"w" + word.lstrip(WHOLE).encode()


class Kind(IntEnum):
    """What a folded word looks like."""

    PLAIN = 0
    CODE = 1
    """It holds a digit."""
    OPAQUE = 2
    """A UUID or hash, which has no n-grams."""


def kind(word: str) -> Kind:
    """What a folded word looks like."""
    if is_opaque(word):
        return Kind.OPAQUE
    return Kind.CODE if any(map(str.isdigit, word)) else Kind.PLAIN


def is_opaque(word: str) -> bool:
    """Whether a folded word is a UUID or hash, whose spelling means nothing."""
    return len(word) >= 24 and _OPAQUE.fullmatch(word) is not None
