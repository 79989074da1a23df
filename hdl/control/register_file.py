"""The card's registers on the control bus, made from `hdl.spec.registers`."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.control.counter_bank import CounterBank
from hdl.spec.geometry import Geometry
from hdl.spec.registers import BLOCKS, WORD, Access, Block, Place, Register, RegisterMap, Table

ADDRESS_BITS = 20

GAIN = {"refusal": 2, "drop": 2}
"""Most a counter of a table can gain in a clock, where it is not one: both orders of a pair, two stages that see one cause."""

SPACING = {"drop": 3, "refusal": 4, "itch_type": 12}
"""Fewest clocks between two gains of a counter of a table, where it is not one: a message block takes three bytes at least, the
gate five clocks an order pair, and no ITCH message is shorter than twelve bytes. Wider beats bring them closer by as much."""


class ControlBus(wiring.Signature):
    """The host's way to the registers, seen from the card.

    Members
    -------
    address : In(20)
        Word address.
    write : In(1)
        Write `write_data` at `address`. May be high in every clock.
    write_data : In(32)
        Word to write.
    read : In(1)
        Read the word at `address`. One read at a time: the next only after `read_valid`.
    read_data : Out(32)
        Word read.
    read_valid : Out(1)
        `read_data` is valid, in this clock only.
    """

    def __init__(self):
        super().__init__(
            {
                "address": In(ADDRESS_BITS),
                "write": In(1),
                "write_data": In(WORD),
                "read": In(1),
                "read_data": Out(WORD),
                "read_valid": Out(1),
            }
        )


def _load_signature(bits: int) -> wiring.Signature:
    return wiring.Signature({"load": Out(stream.Signature(bits, always_ready=True)), "value": In(bits)})


def _member(entry: Register | Table, geometry: Geometry) -> wiring.Member:
    if isinstance(entry, Table):
        if entry.access is Access.RO:
            gain = GAIN.get(entry.name, 1)
            return In(data.ArrayLayout(range(gain + 1), entry.rows(geometry)))
        return Out(stream.Signature(interfaces.table_write(entry, geometry), always_ready=True))
    match entry.access:
        case Access.RW:
            return Out(entry.bits, init=entry.reset)
        case Access.LOAD:
            return Out(_load_signature(entry.bits))
        case Access.RO:
            return In(entry.bits)
        case Access.PULSE:
            return Out(1)


def block_signature(block: Block, geometry: Geometry) -> wiring.Signature:
    """A block's registers and tables by name.

    RW: Out, the value. LOAD: ``load`` (stream out, a value the host sets) and ``value`` (In). RO: In. PULSE: Out, for one clock.
    RW tables: stream of `interfaces.table_write`. RO tables: In, what each counter gains this clock.
    """
    return wiring.Signature({entry.name: _member(entry, geometry) for entry in block.entries})


class RegisterFile(wiring.Component):
    """Registers, tables and counters behind the control bus.

    A write takes effect three clocks after the bus cycle, in bus order. Values wider than a word are collected and take effect
    with their highest word; a read of a lowest word keeps the upper words as they were for the reads that follow. An address that
    means nothing is not written and reads as 0.

    Parameters
    ----------
    geometry : Geometry
        Decides the map.

    Members
    -------
    bus : In-side of `ControlBus`
        The host.
    identity, feed, book, strategy, risk, session, status : Out(block_signature(block, geometry))
        One bundle a block.

    Latency: ``read_valid`` twelve clocks after ``read``: late enough that a read sees every write before it, also where the value
    is held in a stage behind the register.
    """

    READ_LATENCY = 12

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        self.map = RegisterMap(geometry)
        if self.map.address_bits > ADDRESS_BITS:
            raise ValueError(f"geometry: the map needs {self.map.address_bits} address bits, the bus has {ADDRESS_BITS}")
        super().__init__(
            {"bus": Out(ControlBus())} | {block.name: Out(block_signature(block, geometry)) for block in BLOCKS}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _port(self, place: Place):
        return getattr(getattr(self, place.block.name), place.entry.name)

    def _write(self, m: Module) -> None:
        """Stage 1: bus registered. Stage 2: place known, word collected. Stage 3: effect."""
        bus = self.bus
        address, word, strobe = Signal(ADDRESS_BITS), Signal(WORD), Signal()
        m.d.sync += [address.eq(bus.address), word.eq(bus.write_data), strobe.eq(bus.write)]

        most = max(place.entry.words for place in self.map)
        collected = Signal(WORD * most)
        row = Signal(ADDRESS_BITS)
        m.d.sync += row.eq(address)
        with m.If(strobe):
            # Words come lowest first, so the newest enters at the top and the earlier ones move down.
            m.d.sync += collected.eq(Cat(collected[WORD:], word))

        for place in self.map:
            entry = place.entry
            if entry.access is Access.RO:
                continue
            hit = Signal(name=f"hit_{place.block.name}_{entry.name}")
            m.d.sync += hit.eq(strobe & self._is_highest_word(place, address))
            value = collected[WORD * (most - entry.words) :]
            port = self._port(place)
            if isinstance(entry, Table):
                index = row[_log2(entry.stride) :]
                m.d.sync += [
                    port.valid.eq(hit),
                    port.payload.index.eq(index - (place.address >> _log2(entry.stride))),
                    Value.cast(port.payload.row).eq(value),
                ]
            elif entry.access is Access.PULSE:
                m.d.sync += port.eq(hit & value[0])
            elif entry.access is Access.LOAD:
                m.d.sync += [port.load.valid.eq(hit), port.load.payload.eq(value)]
            else:
                with m.If(hit):
                    m.d.sync += port.eq(value)

    def _is_highest_word(self, place: Place, address: Signal) -> Value:
        entry = place.entry
        if isinstance(entry, Register):
            return address == place.address + entry.words - 1
        within = address - place.address
        inside = (address >= place.address) & (within < place.rows * entry.stride)
        return inside & (within[: _log2(entry.stride)] == entry.words - 1)

    def _read(self, m: Module) -> None:
        """Stage 1: bus registered. 2: word chosen within each block, counters addressed. 3, 4: counters. 5: out.

        The address stands still from one read to the next, so what comes out follows the registers; only `read_valid` waits.
        """
        bus = self.bus
        address = Signal(ADDRESS_BITS)
        pipe = Signal(self.READ_LATENCY)
        with m.If(bus.read):
            m.d.sync += address.eq(bus.address)
        m.d.sync += pipe.eq(Cat(bus.read, pipe))

        most = max(place.entry.words for place in self.map)
        upper = Signal(WORD * (most - 1))
        # The word that leaves with `read_valid` is taken from its register three clocks before.
        sampling = pipe[self.READ_LATENCY - 4]
        found = [self._read_block(m, block, address, upper, sampling) for block in BLOCKS]
        counts = [self._read_counters(m, place, address) for place in self.map if self._is_counters(place)]
        settled = Signal(WORD)
        m.d.sync += settled.eq(_any_of(found))
        m.d.sync += bus.read_data.eq(settled | _any_of(counts))
        m.d.comb += bus.read_valid.eq(pipe[-1])

    @staticmethod
    def _is_counters(place: Place) -> bool:
        return isinstance(place.entry, Table) and place.entry.access is Access.RO

    def _read_block(self, m: Module, block: Block, address: Signal, upper: Signal, now: Value) -> Value:
        """Word of one block's registers, 0 where the address is not one of them."""
        word = Signal(WORD, name=f"word_{block.name}")
        m.d.sync += word.eq(0)
        with m.Switch(address):
            for entry in block.registers:
                place = self.map[block.name, entry.name]
                value = self._value(place)
                for index in range(entry.words):
                    with m.Case(place.address + index):
                        if index == 0:
                            m.d.sync += word.eq(value[:WORD])
                            if entry.words > 1:
                                with m.If(now):
                                    m.d.sync += upper.eq(value[WORD:])
                        else:
                            m.d.sync += word.eq(upper.word_select(index - 1, WORD))
        return word

    def _value(self, place: Place) -> Value:
        port = self._port(place)
        match place.entry.access:
            case Access.LOAD:
                return Value.cast(port.value)
            case Access.PULSE:
                return Const(0, 1)
            case _:
                return Value.cast(port)

    def _read_counters(self, m: Module, place: Place, address: Signal) -> Value:
        """Count of one counter table, 0 where the address is not in it; three clocks after `address`."""
        bank = CounterBank(
            counters=place.rows,
            step=GAIN.get(place.entry.name, 1),
            spacing=max(1, SPACING.get(place.entry.name, 1) // self._geometry.width),
        )
        m.submodules[f"counters_{place.entry.name}"] = bank
        inside, inside_next = Signal(), Signal()
        row = Signal.like(bank.address)
        m.d.sync += [
            inside.eq((address >= place.address) & (address < place.address + place.rows)),
            inside_next.eq(inside),
            row.eq(address - place.address),
        ]
        m.d.comb += [bank.gain.eq(self._port(place)), bank.address.eq(row)]
        return Mux(inside_next, bank.count, 0)


def _log2(power: int) -> int:
    return power.bit_length() - 1


def _any_of(words: list[Value]) -> Value:
    total: Value = Const(0, WORD)
    for word in words:
        total = total | word
    return total
