from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard
from itch.parser import MessageParser

from host.inputs.itch_file import ItchFile, looks_like_itch
from host.inputs.source import InputError, Source
from tests.host.records import add, delete, framed
from tests.support.data import AAPL, records, require

MESSAGES = [add("AAPL", 13, number, "B", 100, 10_000) for number in range(1, 6)] + [delete(13, 1)]


def read(path: Path) -> tuple[list[bytes], ItchFile, InputError | None]:
    found: list[bytes] = []
    with Source(path) as source:
        file = ItchFile(source)
        try:
            for message in file:
                found.append(message)  # noqa: PERF402
        except InputError as error:
            return found, file, error
    return found, file, None


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_the_real_file_reads_the_same_in_every_form(tmp_path: Path, pack) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(pack(require(AAPL).read_bytes()))
    found, file, error = read(path)
    assert error is None
    assert found == list(records(require(AAPL)))
    assert (len(found), file.odd_records) == (10_000, 0)


def test_itchfeed_takes_every_message_of_the_real_file() -> None:
    found, _, _ = read(require(AAPL))
    parser = MessageParser()
    assert all(parser.get_message_type(message).message_type == message[:1] for message in found[:500])


def test_several_zstd_frames_and_gzip_members_are_one_file(tmp_path: Path) -> None:
    for name, pack in (("a", gzip.compress), ("b", zstandard.compress)):
        path = tmp_path / name
        path.write_bytes(pack(framed(MESSAGES[:2])) + pack(framed(MESSAGES[2:])))
        assert read(path)[0] == MESSAGES


@pytest.mark.parametrize("cut", [1, 2, 20, 37])
def test_a_cut_record_is_named_with_its_offset(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut"
    path.write_bytes(framed(MESSAGES[:3])[: 2 * 38 + cut])
    found, _, error = read(path)
    assert found == MESSAGES[:2]
    assert error is not None
    assert error.offset == 2 * 38
    assert str(error).startswith("byte 76: the file ends inside a record")


def test_an_absurd_length_is_named_with_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "absurd"
    path.write_bytes(framed(MESSAGES[:2]) + b"\xff\xff" + framed(MESSAGES[2:]))
    found, _, error = read(path)
    assert found == MESSAGES[:2]
    assert str(error) == "byte 76: record length 65535: allowed are 1 to 1450"


def test_a_length_of_zero_ends_the_session(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    path.write_bytes(framed(MESSAGES[:2]) + b"\0\0" + b"left over")
    found, file, error = read(path)
    assert (found, file.ended, file.goes_on, error) == (MESSAGES[:2], True, 76, None)


def test_zeros_behind_the_end_of_the_session_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    for padding in (0, 1, 4096):
        path.write_bytes(framed(MESSAGES[:2]) + b"\0\0" + bytes(padding))
        found, file, error = read(path)
        assert (found, file.ended, file.goes_on, error) == (MESSAGES[:2], True, None, None)


def test_an_empty_file_has_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert read(path)[0] == []


def test_records_that_are_not_itch_are_given_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    odd = [b"Zebra", MESSAGES[0] + b"!"]
    path.write_bytes(framed([MESSAGES[0], *odd, MESSAGES[1]]))
    found, file, error = read(path)
    assert found == [MESSAGES[0], *odd, MESSAGES[1]]
    assert (file.odd_records, file.first_odd, error) == (2, 38, None)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_cut_and_damaged_compressed_files_are_errors_after_what_is_whole(tmp_path: Path, pack) -> None:
    # Different references everywhere, or the whole file would sit in the last compressed block.
    whole = pack(framed([add("AAPL", 13, number * 0x9E3779B97F4A7C15 % 2**64, "B", 100, 10_000) for number in range(40_000)]))
    path = tmp_path / "cut"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    found, _, error = read(path)
    assert found
    assert error is not None
    assert error.offset is not None


def test_what_a_file_is_shows_in_its_first_bytes() -> None:
    assert looks_like_itch(framed(MESSAGES)[:4])
    assert looks_like_itch(b"\x00\x0cS\x00")
    assert not looks_like_itch(b"Time,Type")
    assert not looks_like_itch(b"\x00")
