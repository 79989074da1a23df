"""Drives `OrderTransmitter` clock by clock; scapy and the exchange's library judge what leaves."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from hdl import interfaces
from hdl.interfaces import Side
from hdl.order.order_transmitter import CANCEL_BYTES, LEG_BYTES, PAYLOAD_BYTES, SYMBOLS
from hdl.spec import events
from hdl.spec.geometry import Geometry
from tests.support import ouch_definitions as judge

WIDTH = int(os.environ["WIDTH"])
DELAY = int(os.environ["DELAY"])
GEOMETRY = Geometry(width=WIDTH)
PAIR = interfaces.order_pair(GEOMETRY)
BEAT = interfaces.beat(WIDTH)
EVENT = interfaces.event(events.ORDER_SENT)
CANCEL_EVENT = interfaces.event(events.CANCEL_SENT)
SYMBOL_WRITE = interfaces.table_write(SYMBOLS, GEOMETRY)

MACS = ("02:00:00:00:00:01", "02:aa:bb:cc:dd:ee")
ADDRESSES = ("10.49.247.1", "206.200.121.231")
PORTS = (42277, 8003)


def number(address: str, base: int, separator: str) -> int:
    """Integer of a written address, first part most significant."""
    return int.from_bytes(bytes(int(part, base) for part in address.split(separator)), "big")


@dataclass
class Sent:
    """One frame that left."""

    start: int
    octets: bytes = b""
    end: int = -1


@dataclass
class Bench:
    """The transmitter and what stands around it."""

    dut: object
    rng: random.Random
    cycle: int = 0
    frames: list[Sent] = field(default_factory=list)
    sent_events: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    cancel_events: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    lost: int = 0
    frames_sent: int = 0
    wait: callable = lambda since: False
    """Whether the MAC lets the frame wait, so many clocks after its first."""
    symbols: dict[int, str] = field(default_factory=dict)
    inside: bool = False

    async def start(self) -> None:
        """Reset, set the session and every symbol."""
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk, 8, unit="ns").start())
        for signal in (
            "order__valid", "reserve", "symbols__valid", "load_send_next__valid", "load_send_next__payload", "acknowledge",
            "frame__ready", "now", "order__payload", "symbols__payload", "receive_next", "cancel__valid", "cancel__payload",
            "hold_cancels",
        ):
            getattr(dut, signal).value = 0
        dut.mac_idle.value = 1
        self.session(MACS, ADDRESSES, PORTS)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        for slot in range(GEOMETRY.slots):
            text = "".join(self.rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ.=") for _ in range(self.rng.randint(1, 8)))
            await self.write_symbol(slot, text)
        await self.idle(6)

    def session(self, macs: tuple[str, str], addresses: tuple[str, str], ports: tuple[int, int]) -> None:
        """Set the session registers, ours first."""
        for side, mac, address, port in zip(("local", "peer"), macs, addresses, ports, strict=True):
            getattr(self.dut, f"{side}_mac").value = number(mac, 16, ":")
            getattr(self.dut, f"{side}_address").value = number(address, 10, ".")
            getattr(self.dut, f"{side}_port").value = port

    async def write_symbol(self, slot: int, text: str) -> None:
        """Write one row of the symbol table."""
        self.symbols[slot] = text
        row = {"index": slot, "row": {"symbol": int.from_bytes(text.ljust(8).encode(), "big")}}
        self.dut.symbols__payload.value = SYMBOL_WRITE.const(row).as_value().value
        self.dut.symbols__valid.value = 1
        await self.clock()
        self.dut.symbols__valid.value = 0

    async def clock(self) -> None:
        """One clock with the inputs as they stand; looks at every output."""
        dut = self.dut
        since = self.cycle - self.frames[-1].start if self.inside else 0
        dut.frame__ready.value = int(not self.wait(since))
        dut.now.value = self.cycle & 0xFFFFFFFF
        await Timer(1, "ns")
        self.lost += int(dut.order_lost.value)
        self.frames_sent += int(dut.frames_sent.value)
        if dut.frame__valid.value:
            beat = BEAT.from_bits(int(dut.frame__payload.value))
            assert beat.first == (not self.inside) or self.frames[-1].octets == b""
            if not self.inside:
                self.frames.append(Sent(self.cycle))
                self.inside = True
            assert not dut.ready.value, "ready while a frame leaves"
            if dut.frame__ready.value:
                sent = self.frames[-1]
                sent.octets += bytes(beat.data[lane] for lane in range(beat.count))
                assert beat.count == WIDTH or beat.last
                if beat.last:
                    sent.end = self.cycle
                    self.inside = False
        else:
            assert not self.inside, "the frame starved"
        if dut.sent_event__valid.value:
            event = EVENT.from_bits(int(dut.sent_event__payload.value))
            self.sent_events.append((self.cycle, {name: event[name] for name in EVENT.members}))
        if dut.cancel_event__valid.value:
            event = CANCEL_EVENT.from_bits(int(dut.cancel_event__payload.value))
            self.cancel_events.append((self.cycle, {name: event[name] for name in CANCEL_EVENT.members}))
        taken = int(dut.cancel__valid.value) and int(dut.cancel__ready.value)
        await FallingEdge(dut.clk)
        self.cycle += 1
        if taken:
            # Behind the clock in which it is taken it may be anything.
            dut.cancel__valid.value = 0
            dut.cancel__payload.value = self.rng.getrandbits(32)

    async def idle(self, cycles: int) -> None:
        """So many clocks without anything new."""
        for _ in range(cycles):
            await self.clock()

    async def order(self, pair: dict) -> int:
        """Give an order; returns the clock it was given in."""
        given = self.cycle
        self.dut.order__payload.value = PAIR.const(pair).as_value().value
        self.dut.order__valid.value = 1
        await self.clock()
        self.dut.order__valid.value = 0
        return given

    async def until_sent(self) -> Sent:
        """Until the frame that is leaving has left."""
        for _ in range(3000):
            if self.frames and not self.inside:
                return self.frames[-1]
            await self.clock()
        raise AssertionError("the frame never ended")

    async def acknowledge(self) -> int:
        """Ask for an acknowledgment; returns the clock."""
        self.dut.acknowledge.value = 1
        given = self.cycle
        await self.clock()
        self.dut.acknowledge.value = 0
        return given

    async def load_send_next(self, value: int) -> None:
        """Set the next sequence number."""
        self.dut.load_send_next__payload.value = value
        self.dut.load_send_next__valid.value = 1
        await self.clock()
        self.dut.load_send_next__valid.value = 0

    def random_pair(self, **fixed: int) -> dict:
        """An order of two random legs; some values are the extremes."""
        rng = self.rng

        def value(bits: int) -> int:
            return rng.choice((0, 1, (1 << bits) - 1, rng.getrandbits(bits)))

        legs = [
            {
                "slot": rng.randrange(GEOMETRY.slots), "side": rng.choice(list(Side)), "short": rng.randrange(2),
                "quantity": value(32), "price": value(32), "user_ref_num": value(32),
            }
            for _ in range(2)
        ]
        return {
            "pair": rng.randrange(GEOMETRY.pairs), "action": 0, "epoch": rng.getrandbits(8), "legs": legs,
            "type": ord(rng.choice("AFECXDUP")), "sequence": value(64),
            "som": (self.cycle - 60) & 0xFFFFFFFF, "eot": (self.cycle - 17) & 0xFFFFFFFF, **fixed,
        }


def headers(
    octets: bytes, *, flags: str, sequence: int, acknowledgment: int, macs=MACS, addresses=ADDRESSES, ports=PORTS
) -> bytes:
    """Check everything up to the payload, which is returned. scapy works out lengths and checksums itself."""
    frame = Ether(octets)
    assert (frame.src, frame.dst) == tuple(macs)
    ip, tcp = frame[IP], frame[TCP]
    assert (ip.src, ip.dst) == tuple(addresses)
    assert (ip.version, ip.ihl, ip.tos, ip.id, str(ip.flags), ip.frag, ip.ttl) == (4, 5, 0, 0, "DF", 0, 64)
    assert (tcp.sport, tcp.dport) == tuple(ports)
    assert (tcp.seq, tcp.ack, str(tcp.flags)) == (sequence, acknowledgment, flags)
    assert (tcp.window, tcp.urgptr, tcp.options) == (4096, 0, [])
    again = Ether(octets)
    del again[IP].len, again[IP].chksum, again[IP].ihl, again[TCP].chksum, again[TCP].dataofs
    assert bytes(again) == octets
    return bytes(tcp.payload)


def check_orders(bench: Bench, pair: dict, payload: bytes) -> None:
    """The exchange's library reads the two legs back."""
    packets = judge.packets(payload)
    single = pair.get("single", 0)
    assert len(packets) == 2 - single
    repair = pair.get("repair", 0)
    number = events.NO_PAIR if single and not repair else pair["pair"]
    names = [f"P{'AB'[pair['leg']]}{number:03X}A"] if repair else [f"P{number:04X}{leg}" for leg in "AB"]
    for index, (packet, leg) in enumerate(zip(packets, pair["legs"], strict=not single)):
        assert type(packet).__name__ == "UnSequencedData"
        side = "B" if leg["side"] is Side.BUY else "T" if leg["short"] else "S"
        assert judge.enter_order(packet.data) == {
            "user_ref_num": leg["user_ref_num"],
            "side": side,
            "quantity": leg["quantity"],
            "symbol": bench.symbols[leg["slot"]],
            "price": leg["price"],
            "time_in_force": "3",
            "display": "Y",
            "capacity": "P",
            "iso": "N",
            "cross_type": "N",
            "clordid": names[index],
            "appendage_length": 0,
        }


async def bench_of(dut, seed: int) -> Bench:
    """A bench after reset."""
    bench = Bench(dut, random.Random(seed))
    await bench.start()
    return bench


async def one_order(bench: Bench, sequence: int, **fixed: int) -> int:
    """Send one random order, or two, check frame, latency and event; returns the next sequence number."""
    pair = bench.random_pair(**fixed)
    single = pair.get("single", 0)
    if single:
        # As the gate gives it: of the host, or for a leg of a pair.
        pair["repair"] = bench.rng.getrandbits(1)
        pair["leg"] = pair["repair"] & bench.rng.getrandbits(1)
        pair["pair"] = pair["pair"] if pair["repair"] else (1 << GEOMETRY.pair_bits) - 1
    acknowledgment = bench.rng.getrandbits(32)
    bench.dut.receive_next.value = acknowledgment
    given = await bench.order(pair)
    bench.dut.receive_next.value = bench.rng.getrandbits(32)
    bench.dut.order__payload.value = bench.rng.getrandbits(len(PAIR.const(pair).as_value()))
    await bench.clock()
    sent = await bench.until_sent()
    await bench.idle(2)
    assert sent.start == given + 1, "SOF is one clock after the order"
    payload = headers(sent.octets, flags="PA", sequence=sequence, acknowledgment=acknowledgment)
    check_orders(bench, pair, payload)
    at, event = bench.sent_events[-1]
    assert at == given + 2
    assert event == {
        "sequence": pair["sequence"],
        "cycle": sent.start,
        "user_ref_num": pair["legs"][0]["user_ref_num"],
        "eot_to_sof": 0 if single else (sent.start - pair["eot"]) & 0xFFFFFFFF,
        "som_to_sof": 0 if single else (sent.start - pair["som"]) & 0xFFFFFFFF,
        "pair": events.NO_PAIR if single and not pair["repair"] else pair["pair"],
        "trigger_type": pair["type"],
        "epoch": pair["epoch"],
    }
    assert len(payload) == (LEG_BYTES if single else PAYLOAD_BYTES)
    following = (sequence + len(payload)) & 0xFFFFFFFF
    assert int(bench.dut.send_next.value) == following
    return following


@cocotb.test()
async def orders_at_full_speed(dut) -> None:
    """The MAC never waits: the tightest case for the checksum. Sequence numbers wrap on the way."""
    bench = await bench_of(dut, 1)
    sequence = (1 << 32) - 5 * PAYLOAD_BYTES + 1
    await bench.load_send_next(sequence)
    for _ in range(60):
        sequence = await one_order(bench, sequence)
        sent = bench.frames[-1]
        assert sent.end - sent.start + 1 == -(-len(sent.octets) // WIDTH), "a beat every clock"
        await bench.idle(bench.rng.randrange(3))
    assert len(bench.frames) == len(bench.sent_events) == bench.frames_sent == 60
    assert bench.lost == 0


@cocotb.test()
async def single_orders_between_pairs(dut) -> None:
    """Lengths, both checksums and the sequence number of frames with one order; the leg that is not there is not in them."""
    bench = await bench_of(dut, 11)
    sequence = (1 << 32) - 7 * LEG_BYTES
    await bench.load_send_next(sequence)
    for turn in range(60):
        sequence = await one_order(bench, sequence, single=int(turn % 3 != 0))
        sent = bench.frames[-1]
        assert sent.end - sent.start + 1 == -(-len(sent.octets) // WIDTH), "a beat every clock"
        await bench.idle(bench.rng.randrange(3))
        if turn % 10 == 9:
            # An acknowledgment in between is bare, whatever the last order was.
            bench.dut.receive_next.value = turn
            await bench.acknowledge()
            await bench.idle(DELAY + 100)
            assert headers(bench.frames[-1].octets, flags="A", sequence=sequence, acknowledgment=turn) == b""
    bench.wait = lambda since: since < 8 or bench.rng.random() < 0.5
    for _ in range(4):
        sequence = await one_order(bench, sequence, single=1)


@cocotb.test()
async def back_to_back(dut) -> None:
    """An order in the very clock after a frame has left starts as fast as any."""
    bench = await bench_of(dut, 2)
    sequence = 0
    for _ in range(8):
        pair = bench.random_pair()
        given = await bench.order(pair)
        await bench.clock()
        sent = await bench.until_sent()
        assert sent.start == given + 1
        check_orders(bench, pair, headers(sent.octets, flags="PA", sequence=sequence, acknowledgment=0))
        sequence += PAYLOAD_BYTES
        assert bench.cycle == sent.end + 1


@cocotb.test()
async def orders_behind_a_preamble_and_stalls(dut) -> None:
    """The MAC takes the first beat eight clocks late, or stops now and then."""
    bench = await bench_of(dut, 3)
    sequence = 0
    for share in (0, 0.1, 0.5, 0.9):
        bench.wait = lambda since, share=share: since < 8 or bench.rng.random() < share
        for _ in range(6):
            sequence = await one_order(bench, sequence)


@cocotb.test()
async def extremes(dut) -> None:
    """All zeros, all ones, every pair, and the largest legal order."""
    bench = await bench_of(dut, 4)
    sequence = 0
    for slot, text in ((0, "A"), (1, "ZZZZZZZZ"), (2, "BRK.B"), (3, "        ")):
        await bench.write_symbol(slot, text)
        bench.symbols[slot] = text.strip()
    await bench.idle(4)
    corners = [
        {"slot": slot, "side": side, "short": short, "quantity": value, "price": value, "user_ref_num": value}
        for slot, side, short, value in (
            (0, Side.BUY, 0, 0), (1, Side.SELL, 1, (1 << 32) - 1), (2, Side.SELL, 0, 999_999), (3, Side.BUY, 1, 0x7735939C),
        )
    ]
    for pair in range(GEOMETRY.pairs):
        legs = [corners[pair % 4], corners[pair // 4 % 4]]
        sequence = await one_order(bench, sequence, pair=pair, legs=legs)


@cocotb.test()
async def other_sessions(dut) -> None:
    """Addresses and ports as they come, so that carries of every size fold into the checksums."""
    bench = await bench_of(dut, 5)
    rng = bench.rng
    await bench.load_send_next(0)
    for index in range(30):
        octet = (lambda: rng.choice((0, 255))) if index < 10 else (lambda: rng.randrange(256))
        macs = tuple(":".join(f"{octet():02x}" for _ in range(6)) for _ in range(2))
        addresses = tuple(".".join(str(octet()) for _ in range(4)) for _ in range(2))
        ports = tuple(rng.choice((0, 65535, rng.randrange(65536))) for _ in range(2))
        bench.session(macs, addresses, ports)
        await bench.idle(6)
        bench.dut.receive_next.value = index
        pair = bench.random_pair()
        await bench.order(pair)
        await bench.clock()
        sent = await bench.until_sent()
        session = {"macs": macs, "addresses": addresses, "ports": ports}
        sequence = index * PAYLOAD_BYTES
        check_orders(bench, pair, headers(sent.octets, flags="PA", sequence=sequence, acknowledgment=index, **session))


@cocotb.test()
async def last_carries(dut) -> None:
    """Both checksums where folding the sum once leaves one more carry, which chance alone hardly finds."""
    bench = await bench_of(dut, 10)
    pair = bench.random_pair()

    async def send(acknowledgment: int, address: str) -> Ether:
        bench.session(MACS, (address, ADDRESSES[1]), PORTS)
        dut.receive_next.value = acknowledgment
        await bench.load_send_next(0)
        await bench.idle(6)
        await bench.order(pair)
        await bench.clock()
        sent = await bench.until_sent()
        session = {"addresses": (address, ADDRESSES[1])}
        payload = headers(sent.octets, flags="PA", sequence=0, acknowledgment=acknowledgment, **session)
        check_orders(bench, pair, payload)
        return Ether(sent.octets)

    plain = await send(0, "10.49.0.0")
    # The folded sum is what the checksum is the complement of; what is added makes it wrap to these small numbers.
    for folded in range(1, 40):
        tcp = await send((folded + plain[TCP].chksum) & 0xFFFFFFFF, "10.49.0.0")
        assert tcp[TCP].chksum ^ 0xFFFF == folded
    for folded in range(1, 12):
        low = folded + plain[IP].chksum
        ip = await send(0, f"10.{49 + (low >> 16)}.{low >> 8 & 255}.{low & 255}")
        assert ip[IP].chksum ^ 0xFFFF == folded


@cocotb.test()
async def acknowledgment_waits_and_leaves(dut) -> None:
    """Requests within the delay are answered by one bare segment with the newest number."""
    bench = await bench_of(dut, 6)
    await bench.load_send_next(0x01020304)
    dut.receive_next.value = 1000
    asked = await bench.acknowledge()
    await bench.idle(5)
    dut.receive_next.value = 2000
    await bench.acknowledge()
    await bench.idle(DELAY + 20 + 80)
    [sent] = bench.frames
    assert sent.start == asked + DELAY + 2
    assert len(sent.octets) == 54
    assert headers(sent.octets, flags="A", sequence=0x01020304, acknowledgment=2000) == b""
    assert bench.sent_events == []
    assert bench.frames_sent == 1
    assert int(dut.send_next.value) == 0x01020304
    await bench.idle(3 * DELAY)
    assert len(bench.frames) == 1, "answered once"
    await one_order(bench, 0x01020304)


@cocotb.test()
async def order_carries_the_acknowledgment(dut) -> None:
    """An order before the delay is over takes it along; one wanted while it leaves is answered later."""
    bench = await bench_of(dut, 7)
    await bench.acknowledge()
    await bench.idle(DELAY // 2)
    sequence = await one_order(bench, 0)
    await bench.idle(3 * DELAY)
    assert len(bench.frames) == 1
    await bench.order(bench.random_pair())
    await bench.acknowledge()
    dut.receive_next.value = 77
    await bench.idle(2 * DELAY + 300)
    assert len(bench.frames) == 3
    assert headers(bench.frames[-1].octets, flags="A", sequence=sequence + PAYLOAD_BYTES, acknowledgment=77) == b""


@cocotb.test()
async def nothing_starts_where_it_must_not(dut) -> None:
    """A reserved clock, a busy MAC and a leaving frame each hold acknowledgments; an order is then lost, not kept."""
    bench = await bench_of(dut, 8)
    dut.reserve.value = 1
    await bench.acknowledge()
    await bench.idle(2 * DELAY)
    assert bench.frames == []
    assert int(dut.ready.value) == 1
    sequence = await one_order(bench, 0)
    dut.reserve.value = 0
    await bench.idle(2 * DELAY)
    assert len(bench.frames) == 1, "the order answered it"

    dut.mac_idle.value = 0
    await bench.acknowledge()
    await bench.idle(2 * DELAY)
    assert int(dut.ready.value) == 0
    await bench.order(bench.random_pair())
    await bench.idle(300)
    assert (len(bench.frames), bench.lost) == (1, 1)
    dut.mac_idle.value = 1
    await bench.idle(3)
    assert bench.inside, "the acknowledgment leaves as soon as it may"
    await bench.order(bench.random_pair())
    await bench.idle(300)
    assert (len(bench.frames), bench.lost, len(bench.sent_events)) == (2, 2, 1)
    assert int(dut.send_next.value) == sequence
    assert headers(bench.frames[-1].octets, flags="A", sequence=sequence, acknowledgment=int(dut.receive_next.value)) == b""


@cocotb.test()
async def order_and_due_acknowledgment_together(dut) -> None:
    """In every clock around the end of the delay an order starts at once or finds `ready` low."""
    bench = await bench_of(dut, 9)
    sequence = 0
    for offset in range(DELAY - 3, DELAY + 6):
        before = len(bench.frames)
        await bench.acknowledge()
        await bench.idle(offset)
        await Timer(1, "ns")
        if dut.ready.value:
            sequence = await one_order(bench, sequence)
        await bench.idle(DELAY + 200)
        assert len(bench.frames) == before + 1
    assert bench.lost == 0


def ask_cancel(bench: Bench, number: int) -> None:
    """Offer a cancel until it is taken."""
    bench.dut.cancel__payload.value = number
    bench.dut.cancel__valid.value = 1


def check_cancel(payload: bytes, number: int) -> None:
    """The exchange's library reads it back."""
    [packet] = judge.packets(payload)
    assert type(packet).__name__ == "UnSequencedData"
    assert judge.cancel_order(packet.data) == {"user_ref_num": number, "quantity": 0}
    assert len(payload) == CANCEL_BYTES


@cocotb.test()
async def cancels_between_orders(dut) -> None:
    """Whatever the order before was: lengths, checksums, sequence number, record, and the clock it starts in."""
    bench = await bench_of(dut, 12)
    sequence = (1 << 32) - 3 * CANCEL_BYTES - LEG_BYTES
    await bench.load_send_next(sequence)
    # What the gate's registers hold while no order comes must not matter.
    rng = bench.rng
    for turn in range(60):
        number = rng.choice((0, 1, (1 << 32) - 1, rng.getrandbits(32)))
        bench.dut.order__payload.value = rng.getrandbits(len(PAIR.const(bench.random_pair()).as_value()))
        bench.dut.receive_next.value = turn
        if turn % 4 == 0:
            # It tells the exchange what was received, so that no acknowledgment is due any more.
            await bench.acknowledge()
        given = bench.cycle
        ask_cancel(bench, number)
        await bench.clock()
        bench.dut.receive_next.value = rng.getrandbits(32)
        await bench.clock()
        sent = await bench.until_sent()
        assert sent.start == given + 1, "SOF is one clock after the cancel was offered"
        assert sent.end - sent.start + 1 == -(-len(sent.octets) // WIDTH), "a beat every clock"
        check_cancel(headers(sent.octets, flags="PA", sequence=sequence, acknowledgment=turn), number)
        sequence = (sequence + CANCEL_BYTES) & 0xFFFFFFFF
        assert bench.cancel_events == [(given + 2, {"cycle": sent.start, "user_ref_num": number})]
        bench.cancel_events.clear()
        await bench.idle(rng.choice((0, 1, DELAY + 5)))
        assert not bench.inside and int(dut.send_next.value) == sequence and not bench.sent_events
        if turn % 3 == 0:
            sequence = await one_order(bench, sequence, single=int(turn % 2))
            bench.sent_events.clear()
        if turn % 10 == 9:
            bench.dut.receive_next.value = turn
            await bench.acknowledge()
            await bench.idle(DELAY + 100)
            assert headers(bench.frames[-1].octets, flags="A", sequence=sequence, acknowledgment=turn) == b""
    bench.wait = lambda since: since < 8 or rng.random() < 0.5
    for _ in range(4):
        ask_cancel(bench, 77)
        await bench.idle(2)
        octets = (await bench.until_sent()).octets
        check_cancel(headers(octets, flags="PA", sequence=sequence, acknowledgment=int(dut.receive_next.value)), 77)
        sequence = (sequence + CANCEL_BYTES) & 0xFFFFFFFF
    assert bench.lost == 0


@cocotb.test()
async def an_order_goes_before_a_cancel(dut) -> None:
    """In the clock of both; the cancel leaves at once behind it. Where a cancel leaves, `ready` is low, and a busy MAC, a
    reserved clock and `hold_cancels` each hold it."""
    bench = await bench_of(dut, 13)
    pair = bench.random_pair()
    bench.dut.order__payload.value = PAIR.const(pair).as_value().value
    bench.dut.order__valid.value = 1
    ask_cancel(bench, 5)
    given = bench.cycle
    await bench.clock()
    bench.dut.order__valid.value = 0
    await bench.clock()
    sent = await bench.until_sent()
    assert sent.start == given + 1
    check_orders(bench, pair, headers(sent.octets, flags="PA", sequence=0, acknowledgment=0))
    await bench.idle(3)
    first, second = bench.frames
    assert second.start == first.end + 2
    await bench.until_sent()
    check_cancel(headers(second.octets, flags="PA", sequence=PAYLOAD_BYTES, acknowledgment=0), 5)
    sequence = PAYLOAD_BYTES + CANCEL_BYTES
    for name, held, free in (("mac_idle", 0, 1), ("reserve", 1, 0), ("hold_cancels", 1, 0)):
        getattr(dut, name).value = held
        ask_cancel(bench, 6)
        await bench.idle(3 * DELAY)
        before = len(bench.frames)
        assert not bench.inside
        if name == "hold_cancels":
            # Nothing else is held by it.
            sequence = await one_order(bench, sequence)
            bench.dut.receive_next.value = 9
            await bench.acknowledge()
            await bench.idle(DELAY + 100)
            assert headers(bench.frames[-1].octets, flags="A", sequence=sequence, acknowledgment=9) == b""
            before = len(bench.frames)
        getattr(dut, name).value = free
        freed = bench.cycle
        await bench.idle(2)
        assert len(bench.frames) == before + 1 and bench.frames[-1].start == freed + 1
        await bench.order(bench.random_pair())
        assert bench.lost == 1
        bench.lost = 0
        sent = await bench.until_sent()
        check_cancel(headers(sent.octets, flags="PA", sequence=sequence, acknowledgment=int(dut.receive_next.value)), 6)
        sequence += CANCEL_BYTES
