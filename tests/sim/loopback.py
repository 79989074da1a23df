"""A stand-in with the appliance's ports: what comes in on the wire goes out again, registers are plain memory."""

from __future__ import annotations

from dataclasses import replace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.spec import events, xgmii
from hdl.spec.geometry import Geometry
from hdl.spec.registers import RegisterMap

DELAY = 6
"""Clocks from a byte on the receive wire to the same byte on the transmit wire."""

LOOKAHEAD = 1
"""Clocks from a byte on the receive wire to the receive probe."""

READ_LATENCY = 3
"""Clocks from a read to its answer."""

SMALL = Geometry(slots=4, pairs=4, order_rows=16, ladder_ticks=64, book_queue=16, open_orders=16)
SMALL_10G = replace(SMALL, width=8)


def pattern(address: int) -> int:
    """What the register memory holds at a word address after power-up."""
    return (address * 0x9E3779B1 + 0x1234) & 0xFFFFFFFF


class Fault(enum.Enum, shape=2):
    """What goes wrong after a write of its number to `risk.mode`."""

    NONE = 0
    NO_ANSWER = 1
    WRONG_RECORD = 2
    TRANSMIT_ERROR = 3


_GMII = {"rxd": In(8), "rx_dv": In(1), "rx_er": In(1), "txd": Out(8), "tx_en": Out(1), "tx_er": Out(1)}
_XGMII = {"rxd": In(64), "rxc": In(8), "txd": Out(64), "txc": Out(8)}


class Loopback(wiring.Component):
    """Sends every frame back as it came and makes one `events.GAP` record a frame.

    Parameters
    ----------
    geometry : Geometry
        Decides the size of the register memory, and whether the wire is GMII or XGMII.
    one_payload : bool
        Event data and last bit are one port, as in a stream of Amaranth, or a port each.

    Members
    -------
    The ports of the appliance. Records hold the count of frames before this one as ``first`` and the bytes of this one, check
    sequence included, as ``next``.
    """

    def __init__(self, geometry: Geometry, *, one_payload: bool = True) -> None:
        places = RegisterMap(geometry)
        self._width = geometry.width
        self._words = 1 << places.address_bits
        self._fault_address = places["risk", "mode"].address
        record = data.StructLayout({"data": 32, "last": 1})
        fields = wiring.Signature({"data": Out(32), "last": Out(1)})
        ports = wiring.Signature({"payload": Out(fields), "valid": Out(1), "ready": In(1)})
        flags = ("rx_valid", "rx_first", "rx_last", "tx_valid", "tx_first")
        super().__init__(
            {
                **(_GMII if geometry.width == 1 else _XGMII),
                "control": In(
                    wiring.Signature(
                        {
                            "address": Out(20),
                            "write": Out(1),
                            "write_data": Out(32),
                            "read": Out(1),
                            "read_data": In(32),
                            "read_valid": In(1),
                        }
                    )
                ),
                "events": Out(stream.Signature(record) if one_payload else ports),
                "probe": Out(wiring.Signature({flag: Out(1) for flag in flags} | {"now": Out(32)})),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._fault = Signal(Fault)
        with m.If(self.control.write & (self.control.address == self._fault_address)):
            m.d.sync += self._fault.eq(self.control.write_data)
        m.d.sync += self.probe.now.eq(self.probe.now + 1)
        self._registers(m)
        if self._width == 1:
            self._loop(m)
            self._events(m, *self._receive(m))
        else:
            self._loop_words(m)
            self._events(m, *self._receive_words(m))
        return m

    def _loop(self, m: Module) -> None:
        wire = Cat(self.rxd, self.rx_dv, self.rx_er)
        for _ in range(DELAY):
            stage = Signal(10)
            m.d.sync += stage.eq(wire)
            wire = stage
        m.d.comb += Cat(self.txd, self.tx_en, self.tx_er).eq(wire)
        with m.If(self._fault == Fault.TRANSMIT_ERROR):
            m.d.comb += self.tx_er.eq(self.tx_en)

    def _loop_words(self, m: Module) -> None:
        wire = Cat(self.rxd, self.rxc)
        for _ in range(DELAY):
            stage = Signal(72, init=int.from_bytes(bytes([xgmii.IDLE] * 8 + [0xFF]), "little"))
            m.d.sync += stage.eq(wire)
            wire = stage
        m.d.comb += Cat(self.txd, self.txc).eq(wire)
        with m.If((self._fault == Fault.TRANSMIT_ERROR) & (wire[64:] == 0)):
            m.d.comb += [self.txd[:8].eq(xgmii.ERROR), self.txc[0].eq(1)]

    def _receive_words(self, m: Module) -> tuple[Signal, Signal]:
        """As `_receive`, by words."""
        probe = self.probe
        inside, opens, ends, count = Signal(), Signal(), Signal(), Signal(16)

        def has(character: int) -> Value:
            return Cat(self.rxc[lane] & (self.rxd.word_select(lane, 8) == character) for lane in range(8)).any()

        data = sum((~bit for bit in self.rxc), Const(0, 1))
        m.d.comb += [opens.eq(has(xgmii.START)), ends.eq(has(xgmii.TERMINATE))]
        with m.If(opens):
            # Of the preamble the start character is not counted.
            m.d.sync += [inside.eq(1), count.eq(data - 7)]
        with m.Elif(inside):
            m.d.sync += [inside.eq(~ends), count.eq(count + data)]
        done = Signal()
        m.d.sync += done.eq(inside & ends)
        m.d.comb += [
            probe.rx_valid.eq(opens | inside),
            probe.rx_first.eq(opens),
            probe.rx_last.eq(inside & ends),
            probe.tx_valid.eq(opens | inside),
            probe.tx_first.eq(opens),
        ]
        return count, done

    def _receive(self, m: Module) -> tuple[Signal, Signal]:
        """Receive probe with one byte of lookahead; returns the byte count and a pulse at the end of a frame."""
        inside, held, first, count = Signal(), Signal(), Signal(), Signal(16)
        done = Signal()
        probe = self.probe
        with m.If(~self.rx_dv):
            m.d.sync += [inside.eq(0), held.eq(0)]
        with m.Elif(inside):
            m.d.sync += [held.eq(1), first.eq(~held), count.eq(Mux(held, count + 1, 1))]
        with m.Elif(self.rxd == 0xD5):
            m.d.sync += inside.eq(1)
        m.d.comb += [
            done.eq(held & ~self.rx_dv),
            probe.rx_valid.eq(held),
            probe.rx_first.eq(held & first),
            probe.rx_last.eq(done),
            probe.tx_valid.eq(held),
            probe.tx_first.eq(held & (count <= 3)),  # as where the transmitter lets the first byte wait
        ]
        return count, done

    def _registers(self, m: Module) -> None:
        m.submodules.words = words = memory.Memory(
            shape=32, depth=self._words, init=[pattern(address) for address in range(self._words)]
        )
        write, read = words.write_port(), words.read_port()
        valid = Signal(READ_LATENCY)
        held = Signal(32)
        m.d.comb += [
            write.addr.eq(self.control.address),
            write.data.eq(self.control.write_data),
            write.en.eq(self.control.write),
            read.addr.eq(self.control.address),
            read.en.eq(self.control.read),
            self.control.read_data.eq(held),
            self.control.read_valid.eq(valid[-1] & (self._fault != Fault.NO_ANSWER)),
        ]
        m.d.sync += [valid.eq(Cat(self.control.read, valid)), held.eq(read.data)]

    def _events(self, m: Module, count: Signal, done: Signal) -> None:
        layout = events.GAP
        words = layout.size // 4
        frames, position, record = Signal(32), Signal(range(words)), Signal(8 * layout.size)
        values = {
            "kind": Const(ord(layout.code), 8),
            "words": words + (self._fault == Fault.WRONG_RECORD),
            "number": frames,
            "cycle": self.probe.now,
            "first": frames,
            "next": count,
        }
        packed = []
        for field in layout:
            value = Signal(8 * field.size)
            m.d.comb += value.eq(values.get(field.name, Const(0)))
            packed.append(value)
        busy = Signal()
        m.d.comb += [
            self.events.valid.eq(busy),
            self.events.payload.data.eq(record[-32:]),
            self.events.payload.last.eq(position == words - 1),
        ]
        with m.If(busy & self.events.ready):
            m.d.sync += [record.eq(record << 32), position.eq(position + 1)]
            with m.If(self.events.payload.last):
                m.d.sync += [busy.eq(0), position.eq(0)]
        with m.If(done):
            m.d.sync += [record.eq(Cat(*reversed(packed))), busy.eq(1), frames.eq(frames + 1)]
