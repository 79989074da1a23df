"""The simulated card against a stand-in design: wires, registers, records and clock are what `sim.card` says they are."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hdl.spec.registers import Access, Register, RegisterMap, Table
from sim.card import CardError, SimulatedCard
from tests.sim.loopback import DELAY, LOOKAHEAD, SMALL, SMALL_10G, Fault, Loopback, pattern

PREAMBLE = 8
GAP = 12
CHECK = 4


def open_card(**options: Path | None) -> SimulatedCard:
    return SimulatedCard(SMALL, design=Loopback(SMALL), name="loopback", **options)


@pytest.fixture
def card() -> Iterator[SimulatedCard]:
    with open_card() as opened:
        yield opened


def random_frames(seed: int, count: int) -> list[bytes]:
    source = random.Random(seed)
    lengths = [1, 14, 59, 60, 61, 64, 1513, 1514, 1518] + [source.randint(1, 1518) for _ in range(count)]
    return [source.randbytes(length) for length in lengths]


def padded(frame: bytes) -> bytes:
    return frame.ljust(60, b"\0")


def test_frames_come_back_as_they_were_sent(card: SimulatedCard) -> None:
    sent = random_frames(1, 60)
    assert [card.send(frame) for frame in sent] == list(range(len(sent)))
    card.run_until_idle(limit=200_000)
    frames = card.frames()
    assert [frame.data for frame in frames] == [padded(frame) for frame in sent]
    assert [frame.fcs for frame in frames] == [zlib.crc32(padded(frame)) for frame in sent]
    assert all(frame.fcs_ok and not frame.malformed for frame in frames)
    assert card.frames() == []


def test_back_to_back_frames_keep_exactly_the_gap(card: SimulatedCard) -> None:
    for frame in random_frames(2, 20):
        card.send(frame)
    card.run_until_idle(limit=100_000)
    frames = card.frames()
    assert frames[0].wire_cycle == DELAY
    assert [frame.start_cycle for frame in frames] == card.received_at()["first"].tolist(), "a first byte that waits counts once"
    for earlier, later in zip(frames, frames[1:], strict=False):
        assert later.wire_cycle - earlier.end_cycle == GAP + 1
    for frame in frames:
        assert frame.end_cycle - frame.wire_cycle + 1 == PREAMBLE + len(frame.data) + CHECK


@pytest.fixture
def card_10g() -> Iterator[SimulatedCard]:
    with SimulatedCard(SMALL_10G, design=Loopback(SMALL_10G), name="loopback_10g") as opened:
        yield opened


def test_frames_on_xgmii_come_back_as_they_were_sent_at_line_rate(card_10g: SimulatedCard) -> None:
    sent = random_frames(7, 60)
    for frame in sent:
        card_10g.send(frame)
    card_10g.run_until_idle(limit=100_000)
    frames = card_10g.frames()
    assert [frame.data for frame in frames] == [padded(frame) for frame in sent]
    assert all(frame.fcs_ok and not frame.malformed for frame in frames)
    total = 0
    for frame, returned in zip(sent, frames, strict=True):
        # Never more than the three bytes that deficit idle count may leave out ahead of its time, nor behind it.
        assert abs(8 * (returned.wire_cycle - DELAY) - total) < 8 + 4
        total += PREAMBLE + len(padded(frame)) + CHECK + GAP
    assert frames[0].wire_cycle == DELAY
    received = card_10g.received_at()
    assert received["frame"].tolist() == list(range(len(sent)))
    assert [frame.start_cycle for frame in frames] == received["first"].tolist()
    assert [event["next"] for event in card_10g.events()] == [len(padded(frame)) + CHECK for frame in sent]


def test_frames_on_xgmii_keep_their_order_time_and_gap(card_10g: SimulatedCard) -> None:
    card_10g.send(b"second", at=1000)
    card_10g.send(b"behind second", at=1001)
    card_10g.send(b"first", at=3)
    card_10g.run_until_idle(limit=10_000)
    frames = card_10g.frames()
    assert [frame.data.rstrip(b"\0") for frame in frames] == [b"first", b"second", b"behind second"]
    # 84 bytes a frame with its gap are ten words and a half.
    assert [frame.wire_cycle - DELAY for frame in frames] == [3, 1000, 1010]


def test_a_frame_with_an_error_on_xgmii_is_malformed(card_10g: SimulatedCard) -> None:
    card_10g.write("risk", "mode", Fault.TRANSMIT_ERROR.value)
    card_10g.send(bytes(100))
    card_10g.run_until_idle(limit=1000)
    (frame,) = card_10g.frames()
    assert frame.malformed


def test_frames_start_when_they_are_due_in_order_of_time(card: SimulatedCard) -> None:
    card.send(b"third", at=2000)
    card.send(b"second", at=1000)
    card.send(b"first")
    card.send(b"behind second", at=1001)
    card.run(500)
    card.send(b"too late to be first", at=3)
    card.run_until_idle(limit=10_000)
    frames = card.frames()
    texts = [frame.data.rstrip(b"\0") for frame in frames]
    assert texts == [b"first", b"too late to be first", b"second", b"behind second", b"third"]
    shortest = PREAMBLE + 60 + CHECK + GAP
    assert [frame.wire_cycle - DELAY for frame in frames] == [0, 500, 1000, 1000 + shortest, 2000]
    assert card.received_at()["frame"].tolist() == [2, 4, 1, 3, 0]


def test_receive_probe_tells_the_cycles_of_first_and_last_byte(card: SimulatedCard) -> None:
    card.send(bytes(100), at=50)
    card.run_until_idle(limit=1000)
    assert card.received_at().tolist() == [(0, 50 + PREAMBLE + LOOKAHEAD, 50 + PREAMBLE + LOOKAHEAD + 100 + CHECK - 1)]
    assert card.received_at().size == 0
    assert card.frames()[0].start_cycle == 50 + PREAMBLE + LOOKAHEAD


@pytest.mark.parametrize("fcs", [0, 0xFFFFFFFF, 0x12345678])
def test_a_given_check_sequence_is_sent_as_it_is(card: SimulatedCard, fcs: int) -> None:
    card.send(b"good")
    card.send(b"bad", fcs=fcs)
    card.send(b"told right", fcs=zlib.crc32(padded(b"told right")))
    card.run_until_idle(limit=1000)
    frames = card.frames()
    assert [frame.fcs_ok for frame in frames] == [True, False, True]
    assert frames[1].fcs == fcs
    assert frames[1].data == padded(b"bad")


def test_records_arrive_whole_and_decoded(card: SimulatedCard) -> None:
    sent = random_frames(3, 10)
    for frame in sent:
        card.send(frame)
    card.run_until_idle(limit=100_000)
    ends = card.received_at()["last"].tolist()
    expected = [
        {"kind": "G", "words": 7, "lost": 0, "number": index, "cycle": end, "first": index, "next": max(60, len(frame)) + CHECK}
        for index, (frame, end) in enumerate(zip(sent, ends, strict=True))
    ]
    assert card.events() == expected
    assert card.events_raw() == b""


def test_running_stops_at_output_and_says_when_there_is_none(card: SimulatedCard) -> None:
    assert card.run_until_output(limit=100) is False
    assert card.cycle == 100
    card.send(bytes(60))
    assert card.run_until_output(limit=1000) is True
    stopped = card.cycle
    assert card.run_until_output(limit=1000) is True, "what was not taken yet is output"
    assert card.cycle == stopped
    card.run(20)
    assert len(card.frames()) == len(card.events()) == 1
    assert card.cycle == stopped + 20
    assert card.run_until_output(limit=7) is False


def test_a_limit_names_what_is_outstanding(card: SimulatedCard) -> None:
    for _ in range(3):
        card.send(bytes(1000))
    with pytest.raises(CardError, match="not idle after 1500 clocks, at cycle 1500: 2 frames are not yet in"):
        card.run_until_idle(limit=1500)
    card.run_until_idle(limit=5000)
    assert len(card.frames()) == 3


def test_every_register_lies_where_the_map_says(card: SimulatedCard) -> None:
    for place in RegisterMap(SMALL):
        if isinstance(place.entry, Register):
            words = [pattern(place.address + word) for word in range(place.entry.words)]
            assert card.read(place.block.name, place.entry.name) == sum(word << 32 * at for at, word in enumerate(words))


def test_registers_read_back_what_was_written(card: SimulatedCard) -> None:
    source = random.Random(4)
    registers = [
        (place.block.name, place.entry.name, source.getrandbits(place.entry.bits))
        for place in RegisterMap(SMALL)
        if isinstance(place.entry, Register) and place.entry.access in (Access.RW, Access.LOAD) and place.entry.name != "mode"
    ]
    for block, name, value in registers:
        card.write(block, name, value)
    assert [card.read(block, name) for block, name, _ in registers] == [value for *_, value in registers]
    assert card.write("feed", "session", (1 << 80) - 1) is None
    assert card.read("feed", "session") == (1 << 80) - 1


def test_a_pulse_writes_one(card: SimulatedCard) -> None:
    card.pulse("book", "clear")
    assert card.read("book", "clear") == 1


def test_table_rows_are_packed_column_by_column(card: SimulatedCard) -> None:
    columns = {"enabled": 1, "weight_a": 4096, "weight_b": 8192, "size_a": 100, "size_b": 200}
    columns |= {"upper": -1, "lower": -(1 << 51), "exit_short": (1 << 51) - 1, "exit_long": -5, "max_units": 7, "slippage": 2}
    columns |= {"max_triggers": 9, "adaptive": 1, "alpha_shift": 11, "k_entry": 40, "k_exit": 8, "warmup": 4096}
    columns |= {"policy": 2, "leg_tries": 11, "max_rejects": 200}
    card.write_row("strategy", "pairs", 2, **columns)
    place = RegisterMap(SMALL)["strategy", "pairs"]
    assert isinstance(place.entry, Table)
    fields = [format(columns[column.name] % (1 << column.bits), f"0{column.bits}b") for column in place.entry.columns]
    bits = "".join(reversed(fields))
    row = place.address + 2 * place.entry.stride
    assert card._read(row, place.entry.words) == int(bits, 2)
    assert card._read(row - 1, 1) == pattern(row - 1)
    assert card._read(row + place.entry.words, 1) == pattern(row + place.entry.words)


def test_counters_are_read_by_label(card: SimulatedCard) -> None:
    place = RegisterMap(SMALL)["status", "drop"]
    rows = card.read_rows("status", "drop")
    assert list(rows)[:3] == ["runt", "oversize", "not_ipv4"]
    assert list(rows.values()) == [pattern(place.address + row) for row in range(len(rows))]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda card: card.write("feed", "port", 65536), r"feed\.port: 65536 was given, allowed are 0 to 65535"),
        (lambda card: card.write("feed", "port", -1), r"feed\.port: -1 was given"),
        (lambda card: card.write("feed", "nothing", 1), r"feed\.nothing is not in the register map"),
        (lambda card: card.read("nothing", "port"), r"nothing\.port is not in the register map"),
        (lambda card: card.write("identity", "magic", 1), r"identity\.magic cannot be set, it is ro"),
        (lambda card: card.write("book", "clear", 1), r"book\.clear cannot be set, it is pulse"),
        (lambda card: card.pulse("feed", "port"), r"feed\.port is not a pulse, it is rw"),
        (lambda card: card.read("feed", "bindings"), r"feed\.bindings is a table"),
        (lambda card: card.write_row("feed", "port", 0), r"feed\.port is not a table"),
        (lambda card: card.write_row("feed", "bindings", 4, locate=1, valid=1), r"row: 4 was given, allowed are 0 to 3"),
        (lambda card: card.write_row("feed", "bindings", 0, locate=1 << 16, valid=1), r"locate was 65536"),
        (lambda card: card.write_row("feed", "bindings", 0, locate=1), r"columns given were \['locate'\]"),
        (lambda card: card.write_row("status", "drop", 0, count=1), r"status\.drop cannot be set, it is ro"),
        (lambda card: card.read_rows("feed", "bindings"), r"feed\.bindings is not a table of labelled counters"),
        (lambda card: card.send(b""), r"frame length: 0 was given"),
        (lambda card: card.send(bytes(16_001)), r"frame length: 16001 was given"),
        (lambda card: card.send(b"x", at=-1), r"at: -1 was given"),
        (lambda card: card.send(b"x", fcs=1 << 32), r"fcs: 4294967296 was given"),
        (lambda card: card.run(-1), r"clocks: -1 was given"),
        (lambda card: card.run_until_idle(limit=-1), r"clocks: -1 was given"),
    ],
)
def test_wrong_use_is_told_clearly(card: SimulatedCard, act: Callable[[SimulatedCard], object], message: str) -> None:
    with pytest.raises(CardError, match=message):
        act(card)
    assert card.cycle == 0


def test_a_closed_card_says_so() -> None:
    card = open_card()
    card.close()
    card.close()
    for act in (lambda: card.run(1), lambda: card.send(b"x"), card.frames, card.events, lambda: card.read("feed", "port")):
        with pytest.raises(CardError, match="the card is closed"):
            act()


def test_a_read_without_answer_ends(card: SimulatedCard) -> None:
    card.write("risk", "mode", Fault.NO_ANSWER.value)
    with pytest.raises(CardError, match="no answer to a read at word address"):
        card.read("feed", "port")
    assert card.cycle < 1000


def test_a_record_of_the_wrong_length_is_a_fault(card: SimulatedCard) -> None:
    card.write("risk", "mode", Fault.WRONG_RECORD.value)
    card.send(bytes(60))
    with pytest.raises(CardError, match="an event record claims 8 words and ends with word 7"):
        card.run_until_idle(limit=1000)


def test_a_transmit_error_marks_the_frame(card: SimulatedCard) -> None:
    card.write("risk", "mode", Fault.TRANSMIT_ERROR.value)
    card.send(bytes(60))
    card.run_until_idle(limit=1000)
    assert [frame.malformed for frame in card.frames()] == [True]


def test_two_runs_are_the_same_to_the_cycle() -> None:
    def run() -> tuple[object, ...]:
        with open_card() as card:
            for at, frame in enumerate(random_frames(5, 30)):
                card.send(frame, at=at * 700)
            card.run_until_idle(limit=100_000)
            return card.frames(), card.events_raw(), card.received_at().tolist(), card.read("identity", "cycles"), card.cycle

    assert run() == run()


def test_two_cards_know_nothing_of_each_other() -> None:
    with open_card() as one, open_card() as other:
        one.write("feed", "port", 1)
        other.write("feed", "port", 2)
        one.send(b"one")
        one.run_until_idle(limit=1000)
        assert (one.read("feed", "port"), other.read("feed", "port")) == (1, 2)
        assert other.cycle < one.cycle
        assert len(one.frames()) == 1
        assert other.frames() == []


def test_standard_output_stays_empty_and_speed_is_measured(capfd: pytest.CaptureFixture[str]) -> None:
    with open_card() as card:
        assert card.speed() == 0
        card.run(300_000)
        assert card.speed() > 100_000
    assert capfd.readouterr().out == ""


def hierarchy(fst: bytes) -> bytes:
    """Signal names in an FST file: the blocks are walked to the end of the file, the LZ4 block with the names unpacked."""
    at, names = 0, b""
    while at < len(fst):
        kind, size = fst[at], int.from_bytes(fst[at + 1 : at + 9], "big")
        if kind == 6:
            names = unpack_lz4(fst[at + 17 : at + 1 + size])
            assert len(names) == int.from_bytes(fst[at + 9 : at + 17], "big")
        at += 1 + size
    assert at == len(fst)
    return names


def unpack_lz4(block: bytes) -> bytes:
    out, at = bytearray(), 0

    def length(low: int) -> int:
        nonlocal at
        total = low
        while low == 15:
            total += block[at]
            at += 1
            if block[at - 1] != 255:
                break
        return total

    while at < len(block):
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            break
        offset = int.from_bytes(block[at : at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])
    return bytes(out)


def test_waves_are_written_and_change_nothing(tmp_path: Path, card: SimulatedCard) -> None:
    file = tmp_path / "made" / "loopback.fst"
    design = Loopback(SMALL, one_payload=False)
    frames = random_frames(6, 5)
    with SimulatedCard(SMALL, design=design, name="loopback", wave=file) as traced:
        for each in (card, traced):
            for frame in frames:
                each.send(frame)
            each.run_until_idle(limit=20_000)
        assert traced.frames() == card.frames()
        assert traced.events_raw() == card.events_raw() != b""
        assert traced.cycle == card.cycle
    names = hierarchy(file.read_bytes())
    assert all(name in names for name in (b"rx_dv", b"probe__now", b"control__address", b"events__payload__last"))


def test_a_wave_file_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CardError, match="cannot be written"):
        SimulatedCard(SMALL, design=Loopback(SMALL, one_payload=False), name="loopback", wave=tmp_path / "file" / "x.fst")
