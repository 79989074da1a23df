"""Frames of every kind into `FrameFilter`; scapy builds them, a plain reading of the standards says what must come of them."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from scapy.packet import Raw

from hdl.net.frame_filter import FrameFilter
from hdl.spec.reasons import Drop
from tests.support import frames
from tests.support.frames import datagram, ethernet, segment
from tests.support.stepper import Stepper

WIDTH = int(os.environ["WIDTH"])
COMPONENT = FrameFilter(width=WIDTH)
TAIL = COMPONENT.verdict + 4


def stepper(dut: Any) -> Stepper:
    return Stepper(
        dut,
        COMPONENT,
        collect=("feed", "feed_end", "segment", "segment_end"),
        pulses=("drop", "received"),
        levels=("segment_header",),
    )


async def started(dut: Any) -> Stepper:
    bench = stepper(dut)
    await bench.reset()
    for name, value in frames.configuration().items():
        bench.set(name, value)
    return bench


async def run(bench: Stepper, given: list[bytes], *, rng: random.Random, idle: float = 0.0, gap: int = 0,
              flagged: bool = False) -> list[Drop | None]:
    """Drive frames and check all that came of them; returns the causes."""
    clocks = []
    for frame in given:
        reading = frames.read(frame)
        error = int(flagged or frame[-4:] != frames.fcs(frame[:-4]))
        clocks.append(await frames.drive(bench, "frame", frame, width=WIDTH, rng=rng, idle=idle, error=error))
        await bench.step(gap)
    await bench.step(TAIL)
    seen = {name: bench.taken(name) for name in bench.seen}
    assert len(seen["received"]) == len(given)
    before = -1
    causes = []
    for frame, at, (verdict, _) in zip(given, clocks, seen["received"], strict=True):
        reading = frames.read(frame, error=flagged or None)
        causes.append(reading.cause)
        assert verdict == at[-1] + COMPONENT.verdict

        def here(name: str, low: int = before, high: int = verdict) -> list[tuple[int, Any]]:
            return [item for item in seen[name] if low < item[0] <= high]

        drops = here("drop")
        expected = [] if reading.cause is None else [(verdict, 1 << reading.cause)]
        assert drops == expected, f"{frame.hex()}: {drops}, expected {reading.cause!r}"
        session = reading.session or (reading.cause is Drop.RUNT and bool(here("segment")))
        mine, other = ("segment", "feed") if session else ("feed", "segment")
        assert not here(other) and not here(f"{other}_end")
        beats = here(mine)
        got = frames.collected(beats)
        if reading.cause is Drop.RUNT:
            # Of a frame that ends inside its own check sequence it is too late to know.
            assert len(got) < 4 and frame.endswith(got)
        else:
            assert reading.payload.startswith(got), f"{frame.hex()}"
            assert len(got) <= 1522
        ends = here(f"{mine}_end")
        if reading.cause is None:
            assert got == reading.payload and len(got) == reading.promised
            assert ends == [(verdict, {"ok": 1})]
        elif reading.session and not ends:
            assert not got and reading.cause in (Drop.RUNT, Drop.OVERSIZE)
        else:
            assert ends == ([(verdict, {"ok": 0})] if got or (reading.session and ends) else [])
        if reading.cause is Drop.RUNT:
            before = verdict
            continue
        begin = at_offset(frame, reading) if got else 0
        position = 0
        for index, (cycle, beat) in enumerate(beats):
            position += beat["count"]
            assert beat["first"] == (index == 0)
            assert beat["last"] == (position == reading.promised)
            assert beat["count"] == WIDTH or beat["last"]
            byte = begin + position - 1
            late = 0 if WIDTH == 1 else int(byte % 8 >= begin % 8)
            assert cycle == at[byte] + COMPONENT.latency + late
        before = verdict
    return causes


def at_offset(frame: bytes, reading: frames.Reading) -> int:
    """Where the payload begins."""
    start = 18 if frame[12:14] == b"\x81\x00" else 14
    transport = start + 4 * (frame[start] & 15)
    return transport + (4 * (frame[transport + 12] >> 4) if reading.session else 8)


def noise(rng: random.Random, size: int) -> bytes:
    return rng.randbytes(size)


@cocotb.test()
async def payloads_of_every_length(dut: Any) -> None:
    rng = random.Random(1)
    bench = await started(dut)
    for vlan in (False, True):
        for options in (0, 1, 10):
            sizes = [*range(40), 1000, 1472 - 4 * options]
            given = [ethernet(datagram(noise(rng, size), options=options), vlan=vlan) for size in sizes]
            causes = await run(bench, given, rng=rng, gap=rng.choice((0, 1, 12)))
            assert causes == [Drop.MOLD_HEADER] + [None] * (len(given) - 1)


@cocotb.test()
async def two_lines(dut: Any) -> None:
    """What is true of line A is true of line B; the address of one does not go with the port of the other."""
    rng = random.Random(20)
    bench = await started(dut)
    other, port = "233.54.12.1", frames.FEED_PORT + 1
    ours = [ethernet(datagram(noise(rng, rng.randrange(1, 90)))) for _ in range(6)]
    mixed = [ethernet(datagram(noise(rng, 40), port=port)), *ours]
    # The reading knows one group: first it is line A, then line B, then none of the two.
    bench.set("feed_b_address", frames.number(other))
    bench.set("feed_b_port", port)
    assert await run(bench, mixed, rng=rng) == [Drop.PORT] + [None] * len(ours)
    bench.set("feed_address", frames.number(other))
    bench.set("feed_port", port)
    bench.set("feed_b_address", frames.number(frames.GROUP))
    bench.set("feed_b_port", frames.FEED_PORT)
    await bench.step(2)
    assert await run(bench, mixed, rng=rng) == [Drop.PORT] + [None] * len(ours)
    bench.set("feed_b_address", 0)
    await bench.step(2)
    for frame in [*ours, ethernet(datagram(noise(rng, 40), dst="0.0.0.0"))]:
        await frames.drive(bench, "frame", frame, width=WIDTH, rng=rng)
        await bench.step(TAIL)
    assert [drop for _, drop in bench.taken("drop")] == [1 << Drop.ADDRESS] * (len(ours) + 1)
    assert not bench.taken("feed") and not bench.taken("feed_end")


@cocotb.test()
async def idle_between_beats(dut: Any) -> None:
    rng = random.Random(2)
    bench = await started(dut)
    for idle in (0.2, 0.7):
        given = [ethernet(datagram(noise(rng, rng.randrange(1, 90))), vlan=rng.random() < 0.5) for _ in range(20)]
        given += [ethernet(segment(noise(rng, rng.randrange(0, 90)), tcp_options=rng.randrange(3))) for _ in range(20)]
        rng.shuffle(given)
        assert set(await run(bench, given, rng=rng, idle=idle, gap=rng.randrange(3))) == {None}


@cocotb.test()
async def unpadded_and_trailers(dut: Any) -> None:
    rng = random.Random(3)
    bench = await started(dut)
    given = []
    for size in range(1, 30):
        given.append(ethernet(datagram(noise(rng, size)), pad=False))
        given.append(ethernet(datagram(noise(rng, size)), trailer=noise(rng, rng.randrange(30))))
    assert set(await run(bench, given, rng=rng)) == {None}


@cocotb.test()
async def checksums(dut: Any) -> None:
    rng = random.Random(4)
    bench = await started(dut)
    for size in (1, 2, 33, 500):
        payload = noise(rng, size)
        good = ethernet(datagram(payload))
        unused = ethernet(datagram(payload, udp={"chksum": 0}))
        wrong = ethernet(datagram(payload, udp={"chksum": 0x1234}))
        header = ethernet(datagram(payload, ip={"chksum": 0x1234}))
        broken = good[:-6] + bytes([good[-6] ^ 1]) + good[-5:]
        causes = await run(bench, [good, unused, wrong, header, broken, good], rng=rng, gap=rng.randrange(4))
        assert causes == [None, None, Drop.UDP_CHECKSUM, Drop.IP_CHECKSUM, Drop.FCS, None]
        assert await run(bench, [good], rng=rng, flagged=True) == [Drop.FCS]
    # Payloads whose sum is 0 or all ones.
    for filler in (b"\0" * 64, b"\xff" * 64):
        assert await run(bench, [ethernet(datagram(filler))], rng=rng) == [None]


@cocotb.test()
async def every_cause(dut: Any) -> None:
    rng = random.Random(5)
    bench = await started(dut)
    payload = noise(rng, 60)
    cases = {
        Drop.NOT_IPV4: [ethernet(Raw(payload))],
        Drop.FRAGMENT: [ethernet(datagram(payload, ip={"flags": "MF"})), ethernet(datagram(payload, ip={"frag": 3}))],
        Drop.ADDRESS: [ethernet(datagram(payload, dst=f"233.54.12.{110}")), ethernet(datagram(payload, dst="232.54.12.111")),
                       ethernet(segment(payload, ip={"src": "192.0.2.34"})), ethernet(segment(payload, ip={"dst": "10.9.8.6"}))],
        Drop.PORT: [ethernet(datagram(payload, port=26478)), ethernet(segment(payload, dport=LOW)),
                    ethernet(segment(payload, sport=LOW)), ethernet(datagram(payload, dst=frames.LOCAL, ip={"src": frames.PEER})),
                    ethernet(segment(payload, ip={"dst": frames.GROUP}))],
        Drop.UDP_LENGTH: [ethernet(datagram(payload, udp={"len": length})) for length in (0, 7, 67, 69, 0x0144)],
        Drop.IP_HEADER: [ethernet(datagram(payload, ip={"version": 5})), ethernet(datagram(payload, ip={"ihl": 4})),
                         ethernet(datagram(payload, ip={"len": 19}))],
        Drop.TCP_HEADER: [ethernet(segment(payload, dataofs=4)), ethernet(segment(b"", dataofs=6))],
        Drop.TCP_CHECKSUM: [ethernet(segment(payload, chksum=0x1234)), ethernet(segment(b"", chksum=1))],
    }  # fmt: skip
    for cause, given in cases.items():
        for vlan in (False, True):
            if vlan:
                given = [retag(frame) for frame in given]
            assert await run(bench, given, rng=rng, gap=rng.randrange(3)) == [cause] * len(given)
    other = bytearray(ethernet(segment(payload)))
    other[3] ^= 1
    assert await run(bench, [bytes(other[:-4]) + frames.fcs(bytes(other[:-4]))], rng=rng) == [Drop.ADDRESS]
    double = retag(retag(ethernet(datagram(payload))))
    assert await run(bench, [double], rng=rng) == [Drop.NOT_IPV4]


LOW = 40122


def retag(frame: bytes) -> bytes:
    """The frame with a VLAN tag more."""
    tagged = frame[:12] + b"\x81\x00\x20\x07" + frame[12:-4]
    return tagged + frames.fcs(tagged)


@cocotb.test()
async def cut_at_every_byte(dut: Any) -> None:
    rng = random.Random(6)
    bench = await started(dut)
    for whole in (
        ethernet(datagram(noise(rng, 50)), vlan=True, pad=False),
        ethernet(datagram(noise(rng, 50), options=3), pad=False),
        ethernet(segment(noise(rng, 30), tcp_options=1), pad=False),
    ):
        for reseal in (False, True):
            given = []
            for size in range(1, len(whole)):
                cut = whole[:size]
                given.append(cut[:-4] + frames.fcs(cut[:-4]) if reseal and size > 4 else cut)
            causes = await run(bench, given, rng=rng, gap=rng.choice((0, 5)))
            assert set(causes) == {Drop.RUNT, Drop.TRUNCATED}


@cocotb.test()
async def oversize(dut: Any) -> None:
    rng = random.Random(7)
    bench = await started(dut)
    largest = ethernet(datagram(noise(rng, 1472)), vlan=True)
    assert len(largest) == 1522
    given = [largest]
    for extra in (1, 8, 3000):
        given.append(ethernet(datagram(noise(rng, 1472)), vlan=True, trailer=noise(rng, extra)))
    given += [ethernet(datagram(noise(rng, 3000))), noise(rng, 12) + b"\x08\x06" + noise(rng, 5000), largest]
    causes = await run(bench, given, rng=rng, gap=1)
    assert causes == [None] + [Drop.OVERSIZE] * 5 + [None]


@cocotb.test()
async def segments(dut: Any) -> None:
    rng = random.Random(8)
    bench = await started(dut)
    for vlan in (False, True):
        for options, tcp_options in ((0, 0), (0, 3), (2, 1), (10, 10)):
            for size in (0, 1, 2, 7, 8, 9, 76, 1000):
                # Which flags mean what is for the order session to say: RST and FIN above all have to reach it.
                flags = rng.choice([0x18, 0x10, 0x04, 0x11, 0x02, 0x1FF])
                fields = {"seq": rng.getrandbits(32), "ack": rng.getrandbits(32), "window": rng.getrandbits(16), "flags": flags}
                given = ethernet(segment(noise(rng, size), options=options, tcp_options=tcp_options, **fields), vlan=vlan)
                clocks = await frames.drive(bench, "frame", given, width=WIDTH, rng=rng, error=0)
                # The header holds from the first beat to the end: another frame follows at once.
                held = []
                other = ethernet(datagram(b"x" * 30))
                for at in range(0, len(other), WIDTH):
                    lanes = list(other[at : at + WIDTH])
                    bench.offer("frame", {"data": lanes + [0] * (WIDTH - len(lanes)), "count": len(lanes), "first": int(at == 0),
                                          "last": int(at + WIDTH >= len(other))})
                    await bench.step()
                    held.append(bench.get("segment_header"))
                await bench.step(TAIL)
                expected = {"sequence": fields["seq"], "acknowledgment": fields["ack"], "flags": flags,
                            "window": fields["window"], "payload_length": size}
                assert frames.collected(bench.taken("segment")) == frames.read(given).payload
                assert bench.taken("segment_end") == [(clocks[-1] + COMPONENT.verdict, {"ok": 1})]
                late = COMPONENT.latency
                assert all(header == expected for header in held[late : COMPONENT.verdict + 1])
                assert frames.collected(bench.taken("feed")) == b"x" * 30
                for name in ("drop", "received", "feed_end"):
                    bench.taken(name)


@cocotb.test()
async def garbage(dut: Any) -> None:
    """Nothing of it may pass as good, and every frame has exactly one cause; good frames between are not hurt."""
    rng = random.Random(9)
    bench = await started(dut)
    total = int(os.environ["GARBAGE"])
    for _ in range(total // 100):
        given = [spoiled(rng) for _ in range(99)] + [ethernet(datagram(noise(rng, 40)))]
        causes = await run(bench, given, rng=rng, idle=rng.choice((0, 0, 0.3)), gap=rng.choice((0, 0, 1, 12)))
        assert None not in causes[:-1] and causes[-1] is None


def spoiled(rng: random.Random) -> bytes:
    """A frame that must not be used."""
    while True:
        base = rng.choice((
            lambda: ethernet(datagram(noise(rng, rng.randrange(80)), options=rng.choice((0, 0, 2))), vlan=rng.random() < 0.5),
            lambda: ethernet(segment(noise(rng, rng.randrange(80))), vlan=rng.random() < 0.5),
            lambda: noise(rng, rng.randrange(1, 200)),
        ))()  # fmt: skip
        kind = rng.randrange(4)
        frame = bytearray(base)
        if kind == 0:
            frame = frame[: rng.randrange(1, len(frame) + 1)]
        elif kind == 1:
            for _ in range(rng.randrange(1, 4)):
                frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        elif kind == 2 and len(frame) > 40:
            # Wrong, but with a good check sequence.
            frame[rng.randrange(12, min(60, len(frame) - 4))] = rng.randrange(256)
            frame[-4:] = frames.fcs(bytes(frame[:-4]))
        else:
            frame += noise(rng, rng.choice((1, 9, 1600)))
        if frames.read(bytes(frame)).cause is not None:
            return bytes(frame)
