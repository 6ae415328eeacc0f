"""Tell by a file's first bytes whether it is a picture that a browser may be shown, and how large it is. Pure.

Only formats that hold nothing but pixels: what is text (SVG, HTML) can run scripts. What a file says of itself, its
name and its content type, is not looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of a JPEG that begin a frame, which says how large the picture is."""
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers that nothing belongs to."""

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Raster:
    """A picture: its true content type, and its pixels."""

    content_type: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height


def sniff(head: bytes) -> Raster | None:
    """Return what picture begins with these bytes, None for anything else, or when they do not tell its size."""
    for content_type, begins, measure in _FORMATS:
        if begins(head):
            try:
                width, height = measure(head)
            except (struct.error, IndexError):
                return None
            return Raster(content_type=content_type, width=width, height=height) if width and height else None
    return None


def _png(head: bytes) -> Size:
    if head[12:16] != b"IHDR":
        return (0, 0)
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _gif(head: bytes) -> Size:
    width, height = struct.unpack("<HH", head[6:10])
    return width, height


def _jpeg(head: bytes) -> Size:
    place = 2
    while head[place] == 0xFF:
        marker = head[place + 1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker in ALONE:
            place += 2
        elif marker in FRAMES:
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return width, height
        else:
            place += 2 + struct.unpack(">H", head[place + 2 : place + 4])[0]
    return (0, 0)


def _webp(head: bytes) -> Size:
    kind = head[12:16]
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and head[20:21] == b"\x2f":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    return (0, 0)


_FORMATS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], Size]], ...] = (
    ("image/png", lambda head: head.startswith(PNG), _png),
    ("image/jpeg", lambda head: head.startswith(JPEG), _jpeg),
    ("image/gif", lambda head: head[:6] in (b"GIF87a", b"GIF89a"), _gif),
    ("image/webp", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp),
)
