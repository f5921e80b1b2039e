"""Just enough PNG for Omniglot: greyscale without alpha, not interlaced, 1 or 8 bits deep."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt


def decode_grey(data: bytes) -> npt.NDArray[np.float32]:
    """Decode a greyscale PNG to (height, width) values in [0, 1].

    Raises
    ------
    ValueError
        If it is no PNG, or of a kind that Omniglot does not use.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if colour != 0 or interlaced or depth not in (1, 8):
        raise ValueError(f"unsupported PNG: colour type {colour}, depth {depth}, interlacing {interlaced}")
    packed, at = b"", 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    stride = (width * depth + 7) // 8
    rows = _unfiltered(zlib.decompress(packed), height, stride)
    values = np.unpackbits(rows, axis=1)[:, :width] if depth == 1 else rows
    return values.astype(np.float32) / np.float32(2**depth - 1)


def _unfiltered(raw: bytes, height: int, stride: int) -> npt.NDArray[np.uint8]:
    """Undo the row filters; a pixel is at most a byte, so that the byte to the left is one back."""
    out = np.zeros((height, stride), dtype=np.uint8)
    above = bytes(stride)
    for y in range(height):
        kind, *line = raw[y * (stride + 1) : (y + 1) * (stride + 1)]
        for x in range(stride):
            left = line[x - 1] if x else 0
            corner = above[x - 1] if x else 0
            line[x] = (line[x] + _predicted(kind, left, above[x], corner)) & 255
        above = bytes(line)
        out[y] = line
    return out


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda v: abs(guess - v))
    return (0, left, up, (left + up) // 2)[kind]
