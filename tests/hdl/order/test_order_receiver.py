# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`OrderReceiver`: sequence check, packets, reports (cocotb), and the real captures."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from hdl.order.order_receiver import OrderReceiver
from hdl.spec import ouch, soupbintcp
from hdl.spec.geometry import Geometry
from tests.support import data as market_data
from tests.support import ouch_definitions as judge
from tests.support.bench import run_cocotb
from tests.support.simulation import put, simulate

DEPTH = 512
UNBOOKED = {"quantity": 0, "price": 0, "match_number": 0, "reason": 0, "order_state": 0}


@pytest.mark.parametrize("width", [1, 8])
def test_segments(width: int) -> None:
    run_cocotb(
        OrderReceiver(geometry=Geometry(width=width), depth=DEPTH),
        module="tests.hdl.order.cocotb_order_receiver",
        name=f"order_receiver_{width}",
        parameters={"WIDTH": str(width), "DEPTH": str(DEPTH)},
    )


def captured(name: str) -> tuple[TCP, bytes]:
    """TCP header and payload of a capture. The capture switch's trailer is not part of the IP packet."""
    [frame] = market_data.frames(market_data.require(f"{market_data.OUCH}/{name}.pcap"))
    ip = Ether(frame)[IP]
    whole = IP(bytes(ip)[: ip.len])
    return whole[TCP], bytes(whole[TCP].payload)


def reports_of(tcp: TCP, payload: bytes, width: int) -> tuple[list[dict[str, int]], int]:
    """What the receiver makes of one real segment: reports, and where `receive_next` stands then."""
    receiver = OrderReceiver(geometry=Geometry(width=width))
    reports: list[dict[str, int]] = []
    after = []

    async def bench(ctx):
        await put(ctx, receiver.load_receive_next, tcp.seq)
        header = {"sequence": tcp.seq, "acknowledgment": tcp.ack, "flags": int(tcp.flags), "window": tcp.window,
                  "payload_length": len(payload)}
        ctx.set(receiver.segment_header, header)
        for place in range(0, len(payload), width):
            lanes = list(payload[place : place + width])
            beat = {"data": lanes + [0] * (width - len(lanes)), "count": len(lanes), "first": place == 0,
                    "last": place + width >= len(payload)}
            await put(ctx, receiver.segment, beat)
        await put(ctx, receiver.segment_end, {"ok": 1})
        for _ in range(len(payload) + 30):
            assert ctx.get(receiver.drop) == 0
            assert ctx.get(receiver.session_lost) == 0
            if ctx.get(receiver.report.valid):
                report = ctx.get(receiver.report.payload)
                reports.append({name: report[name] for name in ("type", "user_ref_num", *UNBOOKED)})
            await ctx.tick()
        after.append(ctx.get(receiver.receive_next))

    simulate(receiver, bench)
    return reports, after[0]


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "OrderAcceptedMessage",
            [UNBOOKED | {"type": ord("A"), "user_ref_num": 7682701, "quantity": 40, "price": 477_7800, "order_state": ord("L")}],
        ),
        ("CanceledMessage", [UNBOOKED | {"type": ord("C"), "user_ref_num": 7682701, "quantity": 40, "reason": ord("U")}]),
        ("ServerHeartbeatPacket", []),
    ],
)
def test_real_segments(width: int, name: str, expected: list[dict[str, int]]) -> None:
    tcp, payload = captured(name)
    reports, receive_next = reports_of(tcp, payload, width)
    assert reports == expected
    assert receive_next == (tcp.seq + len(payload)) & 0xFFFFFFFF


def test_real_enter_order_reads_as_the_fact_sheet_says() -> None:
    _, payload = captured("EnterOrderMessage")
    header = soupbintcp.HEADER.unpack(payload)
    assert header == {"packet_length": 54, "packet_type": soupbintcp.UNSEQUENCED_DATA}
    message = payload[soupbintcp.HEADER.size :]
    assert ouch.ENTER_ORDER.unpack(message) == {
        "type": "O", "user_ref_num": 113, "side": "T", "quantity": 225, "symbol": "CVLT", "price": 63_0200, "time_in_force": "0",
        "display": "Y", "capacity": "A", "iso": "N", "cross_type": "N", "clordid": "H8FUB8IV",
    }
    assert ouch.APPENDAGE.unpack(message, ouch.ENTER_ORDER.size) == {"appendage_length": 6}
    theirs = judge.enter_order(message)
    assert (theirs["user_ref_num"], theirs["symbol"], theirs["price"], theirs["clordid"]) == (113, "CVLT", 630200, "H8FUB8IV")


@pytest.mark.parametrize("depth", [0, 32, 100, 1 << 16])
def test_refused_depth(depth: int) -> None:
    with pytest.raises(ValueError, match=f"depth: {depth} was given, allowed are powers of two from 64 to 32768"):
        OrderReceiver(geometry=Geometry(), depth=depth)
