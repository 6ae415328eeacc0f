"""Say what a file is by its first bytes. What its sender calls it counts for texts alone, where nothing shows.

A type that a browser would run or render as a page (HTML, SVG, scripts) is never given: those are plain text here.
"""

from __future__ import annotations

import mimetypes

HEAD = 4096
"""How many bytes are looked at."""
BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
TEXTS = frozenset({"text/csv", "text/markdown", "text/x-diff", "text/x-patch", "text/tab-separated-values"})
"""Kinds of text that a file's name is believed about."""

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (257, b"ustar", "application/x-tar"),
    (4, b"ftyp", "video/mp4"),
    (0, b"OggS", "application/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
)
"""Where which bytes stand, and what that says."""


def content_type(content: bytes, name: str) -> str:
    """Return the content type of a file."""
    for place, mark, kind in SIGNATURES:
        if content[place : place + len(mark)] == mark:
            return kind
    head = content[:HEAD]
    if not _is_text(head, whole=len(content) <= HEAD):
        return BYTES
    if head.lstrip()[:1] in (b"{", b"[") and name.lower().endswith((".json", ".ipynb")):
        return "application/json"
    guessed = mimetypes.guess_type(name)[0]
    return f"{guessed}; charset=utf-8" if guessed in TEXTS else TEXT


def _is_text(head: bytes, *, whole: bool) -> bool:
    """Say whether the bytes are UTF-8 without control characters; the last character may be cut off."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if whole or error.start < len(head) - 3 or error.reason != "unexpected end of data":
            return False
        text = head[: error.start].decode()
    return all(char.isprintable() or char in "\t\n\r\f\x1b\ufeff" or ord(char) > 0x9F for char in text)
