"""The card's registers on the control bus, made from `hdl.spec.registers`."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.control.counter_bank import CounterBank
from hdl.spec.events import RECORDS
from hdl.spec.geometry import Geometry
from hdl.spec.registers import (
    ADDRESS_BITS,
    BLOCKS,
    CARD_LIMITS,
    CHECKSUM_TAPS,
    RISK,
    STATUS,
    WORD,
    Access,
    Block,
    Place,
    Register,
    RegisterMap,
    Table,
)

GAIN = {"refusal": 2, "drop": 2, "orders_passed": 2, "orders_refused": 2, "events_lost": len(RECORDS), "samples_lost": 2}
"""Most a counter can gain in a clock, where it is not one: both orders of a pair, two stages that see one cause, every kind, a
sample without room and one whose row was written."""

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


def _member(block: Block, entry: Register | Table, geometry: Geometry) -> wiring.Member:
    if block is STATUS and isinstance(entry, Register):
        return In(range(GAIN.get(entry.name, 1) + 1))
    if isinstance(entry, Table):
        if entry.access is Access.RO:
            gain = GAIN.get(entry.name, 1)
            return In(data.ArrayLayout(range(gain + 1), entry.rows(geometry)))
        return Out(stream.Signature(interfaces.table_write(entry, geometry), always_ready=True))
    match entry.access:
        case Access.RW | Access.SET:
            return Out(entry.bits, init=entry.reset)
        case Access.LOAD:
            return Out(_load_signature(entry.bits))
        case Access.RO:
            return In(entry.bits)
        case Access.PULSE:
            return Out(1)


def block_signature(block: Block, geometry: Geometry) -> wiring.Signature:
    """A block's registers and tables by name.

    RW: Out, the value. SET: Out, the value in force. LOAD: ``load`` (stream out, a value the host sets) and ``value`` (In). RO:
    In. PULSE: Out, for one clock. RW and SET tables: stream of `interfaces.table_write`. RO tables and the registers of `STATUS`:
    In, what each counter gains this clock.
    """
    return wiring.Signature({entry.name: _member(block, entry, geometry) for entry in block.entries})


class RegisterFile(wiring.Component):
    """Registers, tables and counters behind the control bus.

    A write takes effect three clocks after the bus cycle, in bus order. Values wider than a word are collected and take effect
    with their highest word; a read of a lowest word keeps the upper words as they were for the reads that follow. An address that
    means nothing is not written and reads as 0. A SET register is written beside the value in force, and read back there.

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
    swap : In(1)
        What SET registers were written is in force from the next clock on.
    frozen : In(1)
        What SET registers were written stands as it is; `refused` tells that one was written all the same.
    refused : Out(1)
    staged : Out(interfaces.card_limits())
        Some SET registers as they were written.
    checksum : Out(32)
        See `hdl.spec.registers.checksum`.

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
            {
                "bus": Out(ControlBus()),
                "swap": In(1),
                "frozen": In(1),
                "refused": Out(1),
                "staged": Out(interfaces.card_limits()),
                "checksum": Out(WORD),
                **{block.name: Out(block_signature(block, geometry)) for block in BLOCKS},
            }
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
            fed_back = Const(CHECKSUM_TAPS, WORD) & self.checksum[-1].replicate(WORD)
            m.d.sync += self.checksum.eq(
                Cat(Const(0, 1), self.checksum) ^ fed_back ^ word ^ Cat(Const(0, WORD - ADDRESS_BITS), address)
            )

        self._staged: dict[tuple[str, str], Signal] = {}
        staging: list[Signal] = []
        for place in self.map:
            entry = place.entry
            if entry.access is Access.RO:
                continue
            hit = Signal(name=f"hit_{place.block.name}_{entry.name}")
            m.d.sync += hit.eq(strobe & self._is_highest_word(place, address))
            value = collected[WORD * (most - entry.words) :]
            port = self._port(place)
            if isinstance(entry, Table):
                # A table begins at a multiple of its size, so its rows are plain address bits.
                low = _log2(entry.stride)
                m.d.sync += [
                    port.valid.eq(hit),
                    port.payload.index.eq(row[low : low + (place.rows - 1).bit_length()]),
                    Value.cast(port.payload.row).eq(value),
                ]
            elif entry.access is Access.PULSE:
                m.d.sync += port.eq(hit & value[0])
            elif entry.access is Access.SET:
                staging.append(hit)
                staged = Signal(entry.bits, init=entry.reset, name=f"staged_{place.block.name}_{entry.name}")
                self._staged[place.block.name, entry.name] = staged
                with m.If(hit & ~self.frozen):
                    m.d.sync += staged.eq(value)
                with m.If(self.swap):
                    m.d.sync += port.eq(staged)
            elif entry.access is Access.LOAD:
                m.d.sync += [port.load.valid.eq(hit), port.load.payload.eq(value)]
            else:
                with m.If(hit):
                    m.d.sync += port.eq(value)
        m.d.comb += self.refused.eq(self.frozen & Cat(staging).any())
        m.d.comb += [self.staged[name].eq(self._staged[RISK.name, name]) for name in CARD_LIMITS]

    def _is_highest_word(self, place: Place, address: Signal) -> Value:
        entry = place.entry
        if isinstance(entry, Register):
            return address == place.address + entry.words - 1
        return self._inside(place, address) & (address[: _log2(entry.stride)] == entry.words - 1)

    @staticmethod
    def _inside(place: Place, address: Signal) -> Value:
        """Whether an address is one of a table's, which begins at a multiple of its size."""
        span = place.rows * place.entry.stride
        bits = (span - 1).bit_length()
        return (address[bits:] == place.address >> bits) & (address[:bits] < span)

    def _read(self, m: Module) -> None:
        """Stage 1: bus registered. 2: word and counter addressed. 3: word chosen within each block. 3, 4: counters. 5: out.

        The address stands still from one read to the next, so what comes out follows the registers; only `read_valid` waits.
        """
        bus = self.bus
        address = Signal(ADDRESS_BITS)
        pipe = Signal(self.READ_LATENCY)
        with m.If(bus.read):
            m.d.sync += address.eq(bus.address)
        m.d.sync += pipe.eq(Cat(bus.read, pipe))

        # The word that leaves with `read_valid` is taken from its register three clocks before.
        sampling = pipe[self.READ_LATENCY - 4]
        found = [self._read_block(m, block, address, sampling) for block in BLOCKS if block is not STATUS]
        tables = [place for place in self.map if isinstance(place.entry, Table) and place.entry.access is Access.RO]
        counts = [self._read_counters(m, place.entry.name, [place.entry.name] * place.rows, place, address) for place in tables]
        totals = [register.name for register in STATUS.registers]
        counts.append(self._read_counters(m, "totals", totals, self.map[STATUS.name, totals[0]], address))
        settled = Signal(WORD)
        m.d.sync += settled.eq(_any_of(found))
        m.d.sync += bus.read_data.eq(settled | _any_of(counts))
        m.d.comb += bus.read_valid.eq(pipe[-1])

    def _read_block(self, m: Module, block: Block, address: Signal, now: Value) -> Value:
        """Word of one block's registers, 0 where the address is not one of them."""
        word = Signal(WORD, name=f"word_{block.name}")
        chosen: Value = Const(0, WORD)
        for entry in block.registers:
            place = self.map[block.name, entry.name]
            value = self._value(place)
            for index in range(entry.words):
                here = Signal(name=f"read_{block.name}_{entry.name}_{index}")
                m.d.sync += here.eq(address == place.address + index)
                part = value[WORD * index : WORD * (index + 1)]
                if index == 0 and entry.words > 1 and entry.access not in (Access.RW, Access.SET):
                    # Gateware may change it between the reads of its words; the host alone changes the others.
                    upper = Signal(len(value) - WORD, name=f"upper_{block.name}_{entry.name}")
                    with m.If(here & now):
                        m.d.sync += upper.eq(value[WORD:])
                    value = Cat(part, upper)
                chosen = chosen | (part & here.replicate(len(part)))
        m.d.sync += word.eq(chosen)
        return word

    def _value(self, place: Place) -> Value:
        port = self._port(place)
        match place.entry.access:
            case Access.SET:
                return self._staged[place.block.name, place.entry.name]
            case Access.LOAD:
                return Value.cast(port.value)
            case Access.PULSE:
                return Const(0, 1)
            case _:
                return Value.cast(port)

    def _read_counters(self, m: Module, name: str, kinds: list[str], first: Place, address: Signal) -> Value:
        """Count of one of the counters from `first` on, 0 where the address is none of theirs; three clocks after `address`."""
        bank = CounterBank(
            steps=[GAIN.get(kind, 1) for kind in kinds],
            spacing=max(1, SPACING.get(name, 1) // self._geometry.width),
        )
        m.submodules[f"counters_{name}"] = bank
        inside, inside_next = Signal(), Signal()
        row = Signal.like(bank.address)
        m.d.sync += [
            inside.eq((address >= first.address) & (address < first.address + len(kinds))),
            inside_next.eq(inside),
            row.eq(address - first.address),
        ]
        if isinstance(first.entry, Table):
            gains = list(self._port(first))
        else:
            gains = [getattr(self.status, kind) for kind in kinds]
        m.d.comb += [gain.eq(source) for gain, source in zip(bank.gain, gains, strict=True)]
        m.d.comb += bank.address.eq(row)
        return bank.count & inside_next.replicate(WORD)


def _log2(power: int) -> int:
    return power.bit_length() - 1


def _any_of(words: list[Value]) -> Value:
    total: Value = Const(0, WORD)
    for word in words:
        total = total | word
    return total
