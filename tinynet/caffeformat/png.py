"""Writes PNG files byte for byte as OpenCV does through libpng.

OpenCV chooses the filter Sub, the strategy Z_RLE and the fastest level.  libpng narrows zlib's
window for small data, and splits the stream into chunks of 8192 bytes.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

_CHUNK = 8192
_SUB = 1  # the number of the filter: each byte minus the one of the pixel to the left
_LEVEL, _MEMORY = 1, 8
_COLOUR_TYPES = {1: 0, 3: 2}  # channels: gray, RGB


def encode(pixels: np.ndarray) -> bytes:
    """Encode an image, uint8 C×H×W, with one channel, or three in the order blue, green, red."""
    channels, height, width = pixels.shape
    rows = np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0))
    filtered = rows.copy()
    filtered[:, 1:] -= rows[:, :-1]  # modulo 256
    marked = np.full((height, 1 + width * channels), _SUB, np.uint8)
    marked[:, 1:] = filtered.reshape(height, -1)
    data = marked.tobytes()
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _window(len(data)), _MEMORY, zlib.Z_RLE)
    stream = _with_least_window(compressor.compress(data) + compressor.flush(), len(data))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = [stream[at : at + _CHUNK] for at in range(0, len(stream), _CHUNK)]
    chunks = [(b"IHDR", header), *((b"IDAT", part) for part in parts), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _window(size: int) -> int:
    """The window bits that zlib needs for ``size`` bytes and its lookahead."""
    bits = 15
    while bits > 8 and size <= 1 << 14 and size + 262 <= 1 << (bits - 1):
        bits -= 1
    return bits


def _with_least_window(stream: bytes, size: int) -> bytes:
    """The zlib stream of ``size`` bytes with the smallest sufficient window in its header."""
    bits = (stream[0] >> 4) + 8
    while bits > 8 and size <= 1 << 14 and size <= 1 << (bits - 1):
        bits -= 1
    first = (bits - 8) << 4 | stream[0] & 15
    second = stream[1] & 0xE0
    second += 31 - (first * 256 + second) % 31  # makes the header a multiple of 31
    return bytes((first, second)) + stream[2:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
