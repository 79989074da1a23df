"""Opening an input: what it is and how it is compressed are told by its first bytes, never by its name."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zstandard

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BUFFER = 1 << 20
_PIECE = 1 << 16


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


class _Inflated(io.RawIOBase):
    """What a gzip file holds, given out as far as it comes: where the file is cut, nothing before the cut is held back."""

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        self._gzip = gzip.GzipFile(fileobj=file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raw = self._gzip.read1(len(buffer))
        buffer[: len(raw)] = raw
        return len(raw)


class _Expanded(io.RawIOBase):
    """What a zstd file holds, frame after frame. A file that ends inside a frame is an error: the package's own reader takes
    that for its end."""

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        self._file = file
        self._frame: Any = None
        self._packed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain and self._more():
            pass
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size

    def _more(self) -> bool:
        """Expand a piece; False at the end of the file."""
        packed = self._packed or self._file.read(_PIECE)
        if not packed:
            if self._frame is not None:
                raise zstandard.ZstdError("the file ends inside a frame")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._plain, self._packed = memoryview(self._frame.decompress(packed)), b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None
        return True


class Source:
    """A file's bytes in order, decompressed on the way, with the count of those read.

    Parameters
    ----------
    path : Path
        File or pipe: plain, gzip or zstd.
    """

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._file = io.BufferedReader(io.FileIO(path), _BUFFER)
        magic = self._file.peek(4)[:4]
        self._stream: io.BufferedReader[Any] = self._file
        if magic.startswith(_GZIP):
            self._stream = io.BufferedReader(_Inflated(self._file), _BUFFER)
        elif magic == _ZSTD:
            self._stream = io.BufferedReader(_Expanded(self._file), _BUFFER)
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

    def some(self, size: int) -> bytes:
        """Next bytes, at most `size`, as many as are at hand; none only at the end. `InputError` as from `read`."""
        try:
            raw = self._stream.read1(size)
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
        return self._file.tell() if self._file.seekable() else self.offset

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()
