"""Opening an input: what it is and how it is compressed are told by its first bytes, never by its name."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import zstandard

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BUFFER = 1 << 20


class InputError(Exception):
    """The input cannot be read from here on.

    Parameters
    ----------
    reason : str
        What is wrong.
    offset : int, optional
        Byte of the (decompressed) input at which it is wrong.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"byte {offset}: {reason}")
        self.reason = reason
        self.offset = offset


class Source:
    """A file's bytes in order, decompressed on the way, with the count of those read.

    Parameters
    ----------
    path : Path
        File: plain, gzip or zstd.
    """

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._file = io.BufferedReader(io.FileIO(path), _BUFFER)
        magic = self._file.read(4)
        self._file.seek(0)
        self._stream: io.BufferedReader[Any] = self._file
        if magic.startswith(_GZIP):
            self._stream = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=self._file)), _BUFFER)
        elif magic == _ZSTD:
            plain = zstandard.ZstdDecompressor().stream_reader(self._file, read_across_frames=True)
            self._stream = io.BufferedReader(cast(io.RawIOBase, plain), _BUFFER)
        self.offset = 0
        """Bytes read so far, decompressed."""

    def read(self, size: int) -> bytes:
        """Next `size` bytes, fewer only at the end. `InputError` where the compressed data is damaged or cut."""
        try:
            raw = self._stream.read(size)
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            raise InputError(f"compressed data is damaged or cut: {error}", self.offset) from error
        self.offset += len(raw)
        return raw

    def peek(self, size: int) -> bytes:
        """The bytes that come next, without taking them."""
        try:
            return self._stream.peek(size)[:size]
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            raise InputError(f"compressed data is damaged or cut: {error}", self.offset) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def position(self) -> int:
        """Bytes of the file itself that were taken, for progress against `size`."""
        return self.offset if self._stream is self._file else self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()
