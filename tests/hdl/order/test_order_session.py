# amaranth: UnusedElaboratable=no -- the bench reads constants of a component it does not elaborate
"""`OrderSession` behind the real MAC and frame filter, judged by scapy, zlib and the exchange's library; alone at both widths."""

from __future__ import annotations

import zlib

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from hdl import interfaces
from hdl.interfaces import Side
from hdl.mac.gmii_receiver import GmiiReceiver
from hdl.mac.gmii_transmitter import GmiiTransmitter
from hdl.net.frame_filter import FrameFilter
from hdl.order.order_session import OrderSession
from hdl.spec.geometry import Geometry
from tests.support import ouch_definitions as judge
from tests.support.simulation import put, simulate

DELAY = 300
LOCAL_MAC, PEER_MAC = "02:00:00:00:00:01", "02:aa:bb:cc:dd:ee"
LOCAL, PEER = "10.49.247.1", "206.200.121.231"
PORTS = (42277, 8003)
PREAMBLE = b"\x55" * 7 + b"\xd5"
ADDRESSES = ("local_mac", "local_address", "local_port", "peer_address", "peer_port")
LEGS = [
    {"slot": 3, "side": Side.SELL, "short": 1, "quantity": 100, "price": 1_234_500, "user_ref_num": 41},
    {"slot": 7, "side": Side.BUY, "short": 0, "quantity": 200, "price": 567_800, "user_ref_num": 42},
]
ORDER = {"pair": 10, "action": 0, "legs": LEGS, "type": ord("A"), "sequence": 5, "som": 0, "eot": 0}
ACCEPTED = judge.encode(
    judge.OrderAccepted, timestamp=1, user_ref_num=41, side="T", quantity=100, symbol="AAPL", price=1_234_500, time_in_force="3",
    display="Y", order_ref=9, capacity="P", iso="N", cross_type="N", order_state="L",
    clordid="P000AA", appendage_length=0,
)  # fmt: skip
EXECUTED = judge.encode(
    judge.OrderExecuted, timestamp=2, user_ref_num=42, quantity=200, price=567_700, liquidity_flag="R", match_number=1 << 60,
    appendage_length=0,
)  # fmt: skip


class Wire(wiring.Component):
    """The session between receiver and transmitter of a GMII port, wired as in the appliance."""

    def __init__(self) -> None:
        self.session = OrderSession(geometry=Geometry(), acknowledge_delay=DELAY)
        self.filter = FrameFilter(width=1)
        self.transmitter = GmiiTransmitter()
        super().__init__({"rxd": In(8), "rx_dv": In(1), "txd": Out(8), "tx_en": Out(1), "tx_er": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = GmiiReceiver()
        m.submodules.filter = frames = self.filter
        m.submodules.session = session = self.session
        m.submodules.transmitter = transmitter = self.transmitter
        wiring.connect(m, receiver.frame, frames.frame)
        wiring.connect(m, frames.segment, session.segment)
        wiring.connect(m, frames.segment_end, session.segment_end)
        wiring.connect(m, session.frame, transmitter.frame)
        m.d.comb += [
            receiver.rxd.eq(self.rxd),
            receiver.rx_dv.eq(self.rx_dv),
            session.segment_header.eq(frames.segment_header),
            session.mac_idle.eq(transmitter.idle),
            self.txd.eq(transmitter.txd),
            self.tx_en.eq(transmitter.tx_en),
            self.tx_er.eq(transmitter.tx_er),
            *(getattr(frames, name).eq(getattr(session, name)) for name in ADDRESSES),
        ]
        return m


def number(address: str) -> int:
    """Integer of a written MAC or IPv4 address."""
    parts = [int(part, 16) for part in address.split(":")] if ":" in address else [int(part) for part in address.split(".")]
    return int.from_bytes(bytes(parts), "big")


async def set_up(ctx, session: OrderSession, sequence: int, acknowledgment: int) -> None:
    """Addresses, numbers and two symbols."""
    for side, mac, address, port in (("local", LOCAL_MAC, LOCAL, PORTS[0]), ("peer", PEER_MAC, PEER, PORTS[1])):
        ctx.set(getattr(session, f"{side}_mac"), number(mac))
        ctx.set(getattr(session, f"{side}_address"), number(address))
        ctx.set(getattr(session, f"{side}_port"), port)
    for slot, text in ((3, b"AAPL    "), (7, b"BRK.B   ")):
        await put(ctx, session.symbols, {"index": slot, "row": {"symbol": int.from_bytes(text, "big")}})
    await put(ctx, session.load_send_next, sequence)
    await put(ctx, session.load_receive_next, acknowledgment)
    await ctx.tick().repeat(8)


def server(payload: bytes, *, sequence: int, acknowledgment: int, flags: str = "PA") -> bytes:
    """A frame of the exchange, by scapy, with its check sequence by zlib."""
    tcp = TCP(sport=PORTS[1], dport=PORTS[0], seq=sequence, ack=acknowledgment, flags=flags, window=32850)
    frame = bytes(Ether(src=PEER_MAC, dst=LOCAL_MAC) / IP(src=PEER, dst=LOCAL, flags="DF", id=0) / tcp / payload)
    frame = frame.ljust(60, b"\0")
    return frame + zlib.crc32(frame).to_bytes(4, "little")


def check(frame: bytes, *, flags: str, sequence: int, acknowledgment: int) -> bytes:
    """Payload of a frame of ours, after scapy has worked its lengths and checksums out again."""
    assert zlib.crc32(frame[:-4]) == int.from_bytes(frame[-4:], "little")
    frame = frame[:-4]
    ip = Ether(frame)[IP]
    whole = frame[: 14 + ip.len]
    assert len(frame) == max(60, len(whole))
    again = Ether(whole)
    del again[IP].len, again[IP].chksum, again[TCP].chksum
    assert bytes(again) == whole
    tcp = again[TCP]
    assert (tcp.seq, tcp.ack, str(tcp.flags), tcp.window) == (sequence, acknowledgment, flags, 4096)
    return bytes(tcp.payload)


def test_on_the_wire() -> None:
    wire = Wire()
    session = wire.session
    frames: list[tuple[int, bytes]] = []
    reports: list[tuple[int, int, int]] = []
    given: list[int] = []
    clock = [0]

    async def watch(ctx):
        raw = b""
        while True:
            if ctx.get(wire.tx_en):
                raw += bytes([ctx.get(wire.txd)])
            elif raw:
                assert raw.startswith(PREAMBLE)
                frames.append((clock[0] - len(raw), raw[len(PREAMBLE) :]))
                raw = b""
            assert not ctx.get(wire.tx_er)
            assert not ctx.get(wire.transmitter.underrun)
            if ctx.get(session.order.valid):
                given.append(clock[0])
            if ctx.get(session.report.valid):
                report = ctx.get(session.report.payload)
                reports.append((report.type, report.user_ref_num, report.quantity))
            await ctx.tick()
            clock[0] += 1

    async def receive(ctx, frame: bytes):
        for byte in PREAMBLE + frame:
            ctx.set(wire.rxd, byte)
            ctx.set(wire.rx_dv, 1)
            await ctx.tick()
        ctx.set(wire.rx_dv, 0)
        await ctx.tick().repeat(12)

    async def bench(ctx):
        await set_up(ctx, session, 1000, 5000)
        assert ctx.get(session.ready)
        await put(ctx, session.order, ORDER)
        assert ctx.get(session.frame.valid)
        await ctx.tick().repeat(200)
        [(start, frame)] = frames
        assert start - given[0] == 2, "order to first preamble byte: SOF one clock after the order, the MAC's register"
        packets = judge.packets(check(frame, flags="PA", sequence=1000, acknowledgment=5000))
        assert [judge.enter_order(packet.data)["symbol"] for packet in packets] == ["AAPL", "BRK.B"]
        assert [judge.enter_order(packet.data)["side"] for packet in packets] == ["T", "B"]
        assert [judge.enter_order(packet.data)["clordid"] for packet in packets] == ["P000AA", "P000AB"]

        payload = judge.sequenced(ACCEPTED) + b"\0\1H" + judge.sequenced(EXECUTED)
        good = server(payload, sequence=5000, acknowledgment=1100)
        await receive(ctx, good[:-1] + bytes([good[-1] ^ 1]))
        await ctx.tick().repeat(20)
        assert (ctx.get(session.receive_next), ctx.get(session.send_acknowledged), reports) == (5000, 1000, [])
        await receive(ctx, good)
        await ctx.tick().repeat(DELAY + 200)
        assert reports == [(ord("A"), 41, 100), (ord("E"), 42, 200)]
        assert ctx.get(session.receive_next) == 5000 + len(payload)
        assert ctx.get(session.send_acknowledged) == 1100
        assert len(frames) == 2
        assert check(frames[1][1], flags="A", sequence=1100, acknowledgment=5000 + len(payload)) == b""

        await receive(ctx, good)
        await receive(ctx, server(b"\0\1H", sequence=5000 + len(payload), acknowledgment=1100))
        assert len(reports) == 2
        await put(ctx, session.order, ORDER)
        await ctx.tick().repeat(DELAY + 300)
        assert len(frames) == 3, "the order answered both, the repeated segment and the new one"
        assert len(check(frames[2][1], flags="PA", sequence=1100, acknowledgment=5003 + len(payload))) == 100

        await receive(ctx, server(b"", sequence=5003 + len(payload), acknowledgment=1200, flags="A"))
        await ctx.tick().repeat(DELAY + 200)
        assert ctx.get(session.send_acknowledged) == 1200
        assert len(frames) == 3, "a bare acknowledgment is not answered"

    simulate(wire, bench, background=(watch,))


@pytest.mark.parametrize("width", [1, 8])
def test_alone(width: int) -> None:
    """A report asks for an acknowledgment, which leaves with the right numbers at either width."""
    session = OrderSession(geometry=Geometry(width=width), acknowledge_delay=DELAY)
    octets = bytearray()
    reports = []

    async def watch(ctx):
        while True:
            if ctx.get(session.frame.valid):
                beat = ctx.get(session.frame.payload)
                octets.extend(beat.data[lane] for lane in range(beat.count))
            if ctx.get(session.report.valid):
                reports.append(ctx.get(session.report.payload).user_ref_num)
            await ctx.tick()

    async def bench(ctx):
        ctx.set(session.frame.ready, 1)
        ctx.set(session.mac_idle, 1)
        await set_up(ctx, session, (1 << 32) - 1, 7)
        await put(ctx, session.order, ORDER)
        await ctx.tick().repeat(160)
        assert len(octets) == 154
        octets.clear()
        payload = judge.sequenced(EXECUTED)
        ctx.set(session.segment_header, {"sequence": 7, "acknowledgment": 99, "flags": 0x18, "window": 0, "payload_length": 39})
        for place in range(0, len(payload), width):
            lanes = list(payload[place : place + width])
            beat = {"data": lanes + [0] * (width - len(lanes)), "count": len(lanes), "first": place == 0,
                    "last": place + width >= len(payload)}  # fmt: skip
            await put(ctx, session.segment, beat)
        await put(ctx, session.segment_end, {"ok": 1})
        await ctx.tick().repeat(DELAY + 100)
        assert reports == [42]
        tcp = Ether(bytes(octets))[TCP]
        assert (len(octets), tcp.seq, tcp.ack, str(tcp.flags)) == (54, 99, 7 + len(payload), "A")
        assert (ctx.get(session.send_next), ctx.get(session.receive_next), ctx.get(session.send_acknowledged)) == (99, 46, 99)
        assert not ctx.get(session.session_lost)
        ctx.set(session.segment_header, {"sequence": 46, "acknowledgment": 99, "flags": 0x14, "window": 0, "payload_length": 0})
        await put(ctx, session.segment_end, {"ok": 1})
        await ctx.tick()
        assert ctx.get(session.session_lost), "a reset ends the session"

    simulate(session, bench, background=(watch,))


def test_ports_are_those_of_the_parts() -> None:
    session = OrderSession(geometry=Geometry())
    names = set(session.signature.members)
    assert "acknowledge" not in names
    assert {"segment", "report", "order", "frame", "ready", "send_next", "receive_next", "drop", "session_lost"} <= names
    assert session.signature.members["receive_next"].flow is Out
    assert session.signature.members["segment_header"].shape is interfaces.TcpHeader
