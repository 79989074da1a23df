"""Segments of every kind into `OrderReceiver`; a plain model says what must come of them."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from hdl import interfaces
from hdl.spec.reasons import Drop
from tests.support import ouch_definitions as judge
from tests.support import ouch_reports
from tests.support.stepper import Fields

WIDTH = int(os.environ["WIDTH"])
DEPTH = int(os.environ["DEPTH"])
BEAT, HEADER = Fields(interfaces.beat(WIDTH)), Fields(interfaces.TcpHeader)
ACK, PSH, FIN, SYN, RST, URG = 0x10, 0x08, 0x01, 0x02, 0x04, 0x20
MODULO = 1 << 32


@dataclass
class Bench:
    """The receiver and what came out of it."""

    dut: object
    rng: random.Random
    cycle: int = 0
    reports: list[tuple[int, ouch_reports.Report]] = field(default_factory=list)
    drops: Counter = field(default_factory=Counter)
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    lost: int = 0
    overflows: int = 0
    ended: int = 0
    stream: bytes = b""
    """Payload that was to be used."""
    sequence: int = 0

    async def start(self, sequence: int) -> None:
        """Reset and set `receive_next`."""
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk, 8, unit="ns").start())
        for signal in (
            "segment__valid", "segment__payload", "segment_header", "segment_end__valid", "segment_end__payload", "send_next",
            "load_receive_next__valid", "load_send_next__valid", "load_receive_next__payload", "load_send_next__payload",
        ):  # fmt: skip
            getattr(dut, signal).value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await self.load(sequence)

    async def load(self, sequence: int) -> None:
        """A new session: nothing of the old one is left."""
        self.dut.load_receive_next__payload.value = sequence
        self.dut.load_receive_next__valid.value = 1
        await self.clock()
        self.dut.load_receive_next__valid.value = 0
        self.sequence = sequence
        self.stream = b""
        self.reports.clear()
        self.drops.clear()
        self.acknowledged.clear()
        self.lost = self.overflows = 0

    async def clock(self) -> None:
        """One clock; every output of this one is a register or follows from registers."""
        dut = self.dut
        await FallingEdge(dut.clk)
        self.cycle += 1
        if dut.report__valid.value:
            report = interfaces.OrderReport.from_bits(int(dut.report__payload.value))
            names = ("type", "user_ref_num", "quantity", "price", "match_number", "reason", "order_state")
            self.reports.append((self.cycle, {name: getattr(report, name) for name in names}))
        if pulses := int(dut.drop.value):
            self.drops.update(reason for reason in Drop if pulses >> reason & 1)
        if dut.acknowledge.value:
            self.acknowledged.append((self.cycle, int(dut.receive_next.value)))
        self.lost += int(dut.session_lost.value)
        self.overflows += int(dut.overflow.value)

    async def idle(self, cycles: int) -> None:
        """So many clocks without anything new."""
        for _ in range(cycles):
            await self.clock()

    async def send(self, payload: bytes, *, sequence: int | None = None, ok: bool = True, flags: int = ACK | PSH,
                   acknowledgment: int = 0, gaps: float = 0.0, pause: int | None = None, cut: int = 0) -> None:
        """One segment as `FrameFilter` gives it. Where a frame was cut, so many bytes of it never come."""
        dut, rng = self.dut, self.rng
        sequence = self.sequence if sequence is None else sequence
        header = {"sequence": sequence, "acknowledgment": acknowledgment, "flags": flags, "window": rng.getrandbits(16),
                  "payload_length": len(payload)}
        dut.segment_header.value = HEADER.pack(header)
        given = payload[: len(payload) - cut]
        for place in range(0, len(given), WIDTH):
            while rng.random() < gaps:
                await self.clock()
            lanes = list(given[place : place + WIDTH])
            beat = {"data": lanes + [rng.randrange(256)] * (WIDTH - len(lanes)), "count": len(lanes), "first": place == 0,
                    "last": place + WIDTH >= len(payload)}
            dut.segment__payload.value = BEAT.pack(beat)
            dut.segment__valid.value = 1
            await self.clock()
            dut.segment__valid.value = 0
        for _ in range(rng.randrange(6) if gaps else 0):
            await self.clock()
        dut.segment_end__valid.value = 1
        dut.segment_end__payload.value = int(ok)
        self.ended = self.cycle
        await self.clock()
        dut.segment_end__valid.value = 0
        dut.segment_header.value = rng.getrandbits(105)
        dut.segment_end__payload.value = 1
        await self.idle(3 if pause is None else pause)

    async def use(self, payload: bytes, **how) -> None:
        """One segment that must be used."""
        before = len(self.acknowledged)
        await self.send(payload, **how)
        await self.idle(3)
        self.stream += payload
        self.sequence = (self.sequence + len(payload)) % MODULO
        assert int(self.dut.receive_next.value) == self.sequence
        if payload:
            assert self.acknowledged[before:] == [(self.ended + 2, self.sequence)]
        if WIDTH == 8:
            # A row takes eight clocks to read, however little it holds.
            await self.idle(8 * -(-len(payload) // 8))

    async def check(self, **drops: int) -> None:
        """What came out is what the model says of the stream; drops of TCP are given."""
        # A row of eight bytes may hold one only.
        await self.idle(WIDTH * len(self.stream) + 40 if len(self.stream) < DEPTH else 8 * DEPTH)
        expected = ouch_reports.parse(self.stream)
        assert [report for _, report in self.reports] == expected.reports
        wanted = {"SOUP_TYPE": expected.soup_type, "OUCH_TYPE": expected.ouch_type} | drops
        assert {reason.name: count for reason, count in self.drops.items()} == {k: v for k, v in wanted.items() if v}
        assert self.lost == expected.session_lost


async def bench_of(dut, seed: int, sequence: int = 1) -> Bench:
    """A bench after reset."""
    bench = Bench(dut, random.Random(seed))
    await bench.start(sequence)
    return bench


def packet(kind: bytes, payload: bytes = b"") -> bytes:
    """A SoupBinTCP packet, put together by hand."""
    return (len(payload) + 1).to_bytes(2, "big") + kind + payload


def executed(number: int) -> bytes:
    """A packet with a fill, by the exchange's library."""
    return judge.sequenced(
        judge.encode(judge.OrderExecuted, timestamp=1 << 40, user_ref_num=number, quantity=100 + number, price=1_234_500 + number,
                     liquidity_flag="R", match_number=(7 << 40) + number, appendage_length=0)
    )


@cocotb.test()
async def reports_by_the_library(dut) -> None:
    """One message of each booked type, and the latency to the clock."""
    bench = await bench_of(dut, 1)
    messages = [
        judge.encode(judge.OrderAccepted, timestamp=3, user_ref_num=0xFFFFFFFF, side="T", quantity=999_999, symbol="BRK.B",
                     price=0x7735939C, time_in_force="3", display="Y", order_ref=(1 << 64) - 1, capacity="P",
                     iso="N", cross_type="N", order_state="D", clordid="P0001A", appendage_length=0),
        judge.encode(judge.OrderExecuted, timestamp=4, user_ref_num=2, quantity=3, price=4_777_800, liquidity_flag="R",
                     match_number=(1 << 64) - 2, appendage_length=0),
        judge.encode(judge.OrderCanceled, timestamp=5, user_ref_num=3, quantity=40, reason="I"),
        judge.encode(judge.Rejected, timestamp=6, user_ref_num=4, reason=0x2D, clordid="P0001B"),
    ]
    wanted = [
        {"type": ord("A"), "user_ref_num": 0xFFFFFFFF, "quantity": 999_999, "price": 0x7735939C, "order_state": ord("D")},
        {"type": ord("E"), "user_ref_num": 2, "quantity": 3, "price": 4_777_800, "match_number": (1 << 64) - 2},
        {"type": ord("C"), "user_ref_num": 3, "quantity": 40, "reason": ord("I")},
        {"type": ord("J"), "user_ref_num": 4, "reason": 0x2D},
    ]
    blank = dict.fromkeys(("type", "user_ref_num", "quantity", "price", "match_number", "reason", "order_state"), 0)
    for message, report in zip(messages, wanted, strict=True):
        await bench.use(judge.sequenced(message))
        await bench.idle(200)
        at, got = bench.reports[-1]
        assert got == blank | report
        latency = at - bench.ended
        assert 9 + len(message) <= latency <= 9 + len(message) + WIDTH - 1, latency
    assert len(bench.reports) == 4
    await bench.check()


@cocotb.test()
async def split_at_every_byte(dut) -> None:
    """Two packets and what may stand between them, cut in two at every place."""
    bench = await bench_of(dut, 2, sequence=MODULO - 4000)
    whole = executed(1) + packet(b"H") + executed(2)
    for place in range(len(whole) + 1):
        await bench.use(whole[:place])
        await bench.use(whole[place:])
    await bench.check()
    assert len(bench.reports) == 2 * (len(whole) + 1)


@cocotb.test()
async def every_byte_its_own_segment(dut) -> None:
    """The smallest segments there are."""
    bench = await bench_of(dut, 3)
    for octet in executed(1) + packet(b"+", b"debug") + executed(2) + packet(b"A", bytes(30)):
        await bench.use(bytes([octet]))
    await bench.check()
    assert len(bench.reports) == 2


@cocotb.test()
async def every_type(dut) -> None:
    """All outbound messages at their shortest, one byte less, with options and with unknown letters; all packet types."""
    bench = await bench_of(dut, 4)
    for kind, size in ouch_reports.FIXED.items():
        for message in (ouch_reports.random_message(bench.rng, kind), ouch_reports.random_message(bench.rng, kind)[:size]):
            await bench.use(packet(b"S", message) + packet(b"S", message[: size - 1]))
    for code in range(256):
        rest = 80 if chr(code) in ouch_reports.FIXED else 2
        await bench.use(packet(b"S", bytes([code]) + bytes(rest)))
        await bench.idle(WIDTH * 30)
    await bench.check()
    await bench.load(77)
    for code in range(256):
        await bench.use(packet(bytes([code])) + packet(bytes([code]), b"S") + packet(b"S"))
    await bench.use(bytes(6) + executed(9))
    await bench.check()
    assert bench.lost == 4


@cocotb.test()
async def random_traffic(dut) -> None:
    """Good, bad, early, late, repeated, cut and empty segments, with gaps; the bad ones change nothing."""
    bench = await bench_of(dut, 5, sequence=MODULO - 700)
    rng = bench.rng
    early = 0
    for _ in range(150):
        stream = b"".join(judge.sequenced(ouch_reports.random_message(rng)) for _ in range(rng.randint(1, 4)))
        while stream:
            size = min(len(stream), rng.choice((1, 2, 3, rng.randint(1, 200), 300)))
            payload, stream = stream[:size], stream[size:]
            noise = rng.randbytes(rng.randint(1, 100))
            gaps = rng.choice((0, 0, 0.3))
            while rng.random() < 0.5:
                before = int(dut.receive_next.value)
                asked = len(bench.acknowledged)
                match rng.randrange(5):
                    case 0:
                        await bench.send(noise, ok=False, gaps=gaps)
                    case 1:
                        await bench.send(noise, ok=False, gaps=gaps, cut=rng.randrange(len(noise)))
                    case 2:
                        away = rng.choice((1, -1, 1 << 31, rng.randint(-1000, 1000) or 5))
                        await bench.send(rng.choice((b"", noise)), sequence=(bench.sequence + away) % MODULO, gaps=gaps)
                        await bench.idle(2)
                        early += 1
                        assert bench.acknowledged[asked:] == [(bench.ended + 2, bench.sequence)]
                        asked += 1
                    case 3:
                        await bench.send(b"", flags=ACK)
                    case 4:
                        await bench.send(noise, ok=False, sequence=bench.sequence + 9, gaps=gaps)
                await bench.idle(2)
                assert int(dut.receive_next.value) == before
                assert len(bench.acknowledged) == asked
            await bench.use(payload, gaps=gaps, flags=rng.choice((ACK, ACK | PSH)))
    await bench.check(TCP_ORDER=early)
    assert bench.overflows == 0
    assert len(bench.reports) > 100


@cocotb.test()
async def flags(dut) -> None:
    """Only ACK with or without PSH is used. RST and FIN lose the session."""
    bench = await bench_of(dut, 6)
    dropped = 0
    for value in range(512):
        if value & ~PSH == ACK:
            continue
        before = bench.lost
        await bench.send(b"junk", flags=value)
        await bench.idle(2)
        dropped += 1
        assert bench.lost - before == (value & (RST | FIN) != 0), value
    assert bench.drops == {Drop.TCP_HEADER: dropped}
    assert bench.acknowledged == []
    assert int(dut.receive_next.value) == 1
    bench.lost, bench.drops = 0, Counter()
    await bench.use(executed(1))
    await bench.check()


@cocotb.test()
async def acknowledgments_of_ours(dut) -> None:
    """`send_acknowledged` moves forward only, up to what was sent, and only by segments that are used."""
    bench = await bench_of(dut, 7)
    start = MODULO - 150
    dut.load_send_next__payload.value = start
    dut.load_send_next__valid.value = 1
    await bench.clock()
    dut.load_send_next__valid.value = 0
    assert int(dut.send_acknowledged.value) == start
    dut.send_next.value = (start + 300) % MODULO
    acknowledged = start
    for _ in range(300):
        number = (start + bench.rng.randint(-50, 400)) % MODULO
        good, in_order = bench.rng.random() < 0.8, bench.rng.random() < 0.8
        await bench.send(b"", acknowledgment=number, ok=good, flags=ACK, sequence=bench.sequence + (not in_order))
        await bench.idle(4)
        if good and in_order and 0 <= (number - start) % MODULO <= 300:
            acknowledged = (start + max((acknowledged - start) % MODULO, (number - start) % MODULO)) % MODULO
        assert int(dut.send_acknowledged.value) == acknowledged
    assert (acknowledged - start) % MODULO > 200


@cocotb.test()
async def garbage(dut) -> None:
    """Random bytes never hang it: the model follows them, and after a reload all is well."""
    bench = await bench_of(dut, 8)
    rng = bench.rng
    for _ in range(25):
        await bench.load(rng.getrandbits(32))
        for _ in range(rng.randint(1, 8)):
            match rng.randrange(3):
                case 0:
                    noise = rng.randbytes(rng.randint(1, 60))
                case 1:
                    noise = b"".join(bytes([0, rng.randrange(5), rng.choice(b"SSSHZJA+?AECJ")]) for _ in range(20))
                case _:
                    noise = packet(b"S", bytes([rng.choice(b"AECJUDQS?")]) + rng.randbytes(rng.randrange(70)))
            await bench.use(noise)
        await bench.check()
    await bench.load(5)
    await bench.use(executed(1))
    await bench.check()
    assert len(bench.reports) == 1


@cocotb.test()
async def a_full_buffer_loses_nothing(dut) -> None:
    """What finds no room is not acknowledged; sent again later it is used."""
    bench = await bench_of(dut, 9)
    large = b"".join(executed(number) for number in range(DEPTH // 39 + 2))
    await bench.send(large, pause=6)
    assert (bench.overflows, bench.acknowledged, int(dut.receive_next.value)) == (1, [], 1)
    await bench.idle(50)
    size = 39 * (DEPTH // 39)
    await bench.use(large[:size])
    if WIDTH == 8:
        await bench.send(large[size:] * 9, pause=6)
        assert bench.overflows == 2
        assert int(dut.receive_next.value) == 1 + size
    await bench.check()
    await bench.use(large[size:])
    await bench.check()
    assert len(bench.reports) == DEPTH // 39 + 2


@cocotb.test()
async def next_segment_at_once(dut) -> None:
    """The first beat of a segment may come in the clock after the end of the one before."""
    bench = await bench_of(dut, 10)
    for number in range(30):
        piece = executed(number)
        await bench.send(b"bad", ok=False, pause=0)
        await bench.send(piece, pause=0)
        bench.stream += piece
        bench.sequence += len(piece)
        if WIDTH == 8:
            await bench.idle(40)
    await bench.check()
    assert len(bench.reports) == 30
