"""What every book of the watched symbols has: its members, and the integrity of each slot."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import Integrity, bbo, decoded, event
from hdl.spec import events, itch
from hdl.spec.geometry import Geometry
from hdl.spec.layout import Layout
from hdl.spec.reasons import Drop, IntegrityCause

ALL_SLOTS = 0xFFFF
ADDS = (itch.ADD_ORDER_NO_MPID, itch.ADD_ORDER_WITH_MPID)
TAKES_SHARES = (itch.ORDER_EXECUTED, itch.ORDER_EXECUTED_WITH_PRICE, itch.ORDER_CANCEL)
TAKES_ORDER = (itch.ORDER_DELETE, itch.ORDER_REPLACE)
KEPT = ("type", "slot", "timestamp", "sequence", "som", "eot", "mark")
"""What its best bid and offer needs of a message whose window is filled while others are at work."""
SETTLED = 6
"""Clocks from a best bid and offer to the one in which everyone who looks at it has it."""
USED = (
    "type", "slot", "timestamp", "order_ref", "new_order_ref", "side", "shares", "price", "code", "sequence", "som", "eot",
    "mark", "watched", "malformed",
)  # fmt: skip
"""What a book wants of a message."""
_ON_THE_WAY = 8
"""Clocks that a message may need from the resequencer to the book."""


def is_type(code: Value, *layouts: Layout) -> Value:
    """The type is one of these."""
    return Cat(code == ord(layout.code) for layout in layouts).any()


class Book(wiring.Component):
    """Order by order book with exact best bid and offer after every message, and the integrity of each slot.

    What all books have in common; `OrderBook` answers soonest, `LineRateBook` keeps up with any line.

    Parameters
    ----------
    geometry : Geometry
        Sizes of table, ladder and queue.

    Members
    -------
    message : In(stream.Signature(decoded(geometry), always_ready=True))
        Decoded messages; those that are watched and of a book type or a trade are used, and those that are malformed.
    clear : In(1)
        Empties the book once the message at work is applied, and makes every slot DEAD. What waits then or comes meanwhile is
        applied to the empty book; an ATTACH that waits ends DEAD.
    ready : Out(1)
        Low from ``clear`` (or reset) until the book is empty.
    declare_exact : In(1)
        Every slot becomes EXACT.
    suspect : In(stream.Signature({cause}, always_ready=True))
        Every EXACT slot becomes SUSPECT.
    recovered : In(1)
        Nothing is missing any more: slots that are SUSPECT by GAP alone become EXACT once all that came before is applied.
    given_up : In(1)
        What is missing will not come: no slot that is SUSPECT by now, a `suspect` of this clock counted in, becomes EXACT by
        `recovered`.
    detached : In(slots)
        The slot that is detached, one bit: it is not declared exact.
    now : In(32)
        Clock count.
    accept : Out(stream.Signature({slot}, always_ready=True))
        A message entered the book, or a window is worked on; `bbo` follows 5 clocks or more later, if it does.
    bbo : Out(stream.Signature(bbo(geometry), always_ready=True))
        Best bid and offer of the slot after a message that changed them.
    trade : Out(stream.Signature({slot, price}, always_ready=True))
        Last sale: E at the order's price, C where printable and P at their own.
    integrity : Out(data.ArrayLayout(Integrity, slots))
        State of each slot. After reset all are DEAD. While a window of a slot is filled an EXACT one shows SUSPECT.
    integrity_event : Out(stream.Signature(event(events.INTEGRITY), always_ready=True))
        One record for each lowering of a slot, one with slot 0xFFFF for all lowered or restored at once: with cause RECOVERED
        these are all that were SUSPECT, with CLEARED all that were not DEAD. With cause RELOADED and a slot: what it is from an
        ATTACH on. WINDOW and REFILLED, of every slot whose window ran empty, are about that alone: in between the others' records
        say what the slot is beside it.
    drop : Out(len(Drop))
        Pulse BOOK_OVERRUN, a clock after the message: it was lost because the queue was full.
    lost_private : Out(1)
        Pulse with BOOK_OVERRUN: it was a message with a mark.
    unreadable : Out(1)
        Pulse: a message that may be of any slot had its turn, or was lost because the queue was full. Every slot is doubtful.
    live_orders : Out(32)
        Orders in the table.
    table_peak : Out(32)
        Most orders the table held since the last clear.
    """

    _close = False
    """Messages may follow each other every second clock."""

    def __init__(self, *, geometry: Geometry) -> None:
        self._geometry = geometry
        slot = data.StructLayout({"slot": geometry.slot_bits})
        cause = data.StructLayout({"cause": range(len(IntegrityCause))})
        super().__init__(
            {
                "message": In(stream.Signature(decoded(geometry), always_ready=True)),
                "clear": In(1),
                "ready": Out(1),
                "declare_exact": In(1),
                "suspect": In(stream.Signature(cause, always_ready=True)),
                "recovered": In(1),
                "given_up": In(1),
                "detached": In(geometry.slots),
                "now": In(32),
                "accept": Out(stream.Signature(slot, always_ready=True)),
                "bbo": Out(stream.Signature(bbo(geometry), always_ready=True)),
                "trade": Out(stream.Signature(data.StructLayout({"slot": geometry.slot_bits, "price": 32}), always_ready=True)),
                "integrity": Out(
                    data.ArrayLayout(Integrity, geometry.slots), init=[Integrity.DEAD for _ in range(geometry.slots)]
                ),
                "integrity_event": Out(stream.Signature(event(events.INTEGRITY), always_ready=True)),
                "drop": Out(len(Drop)),
                "lost_private": Out(1),
                "unreadable": Out(1),
                "live_orders": Out(32),
                "table_peak": Out(32),
            }
        )

    def _restore(self, m: Module, at_rest: Value) -> Value:
        """When what was `recovered` is applied. A message given a clock before that needs as long as the decoder to get here."""
        waits, passing, rested = Signal(), Signal(_ON_THE_WAY), Signal()
        # A message that begins in this very clock comes behind all that was recovered.
        now, doubt = Signal(), self.suspect.valid | self.given_up
        m.d.comb += now.eq(waits & ~passing.any() & rested)
        m.d.sync += rested.eq(at_rest)
        m.d.sync += passing.eq(Cat(self.recovered, passing))
        with m.If(doubt | self.declare_exact | self.clear | now):
            m.d.sync += waits.eq(0)
        with m.Elif(self.recovered):
            m.d.sync += waits.eq(1)
        # A clock later: every slot looks at it.
        applied = Signal()
        m.d.sync += applied.eq(now & ~doubt)
        return applied & ~doubt

    def _keep_integrity(
        self,
        m: Module,
        message: data.View,
        fault: Value,
        cause: Signal,
        order_ref: Value,
        overrun: Value,
        restore: Value,
        command: tuple[Value, Value],
        window: tuple[Signal, Signal],
        lossy: Signal,
        emptied: Signal,
    ) -> None:
        """States, and the records of their changes: a lost message's at once, the others when none of a higher rank is left."""
        record = self.integrity_event.payload.shape()
        names = ("slot", "sequence", "order_ref", "mark")
        (detach, attach), (opened, closed) = command, window
        states = Signal(self.integrity.shape(), init=[Integrity.DEAD] * self._geometry.slots, name="states")
        filling = Signal(self._geometry.slots)
        lost = Signal(data.StructLayout({name: self.message.p.shape()[name].shape for name in names}), name="lost")
        m.d.sync += [lost[name].eq(self.message.p[name]) for name in names]
        with m.If(self.message.p.malformed):
            m.d.sync += lost.order_ref.eq(0)
        m.d.comb += self.lost_private.eq(overrun & lost.mark.any())
        exact = Cat(one == Integrity.EXACT for one in states)
        # Nothing but gaps being filled has made slots SUSPECT. As all fall together and rise together, they share the bit.
        mendable, doubted, in_doubt = Signal(), Signal(), Signal()
        by_gap = self.suspect.valid & (self.suspect.p.cause == IntegrityCause.GAP)
        # What is missing for the others is missing for a slot that is attached meanwhile too.
        m.d.comb += in_doubt.eq(self.suspect.valid | (doubted & ~self.declare_exact & ~emptied & ~(restore & mendable)))
        m.d.sync += doubted.eq(in_doubt)
        anew, spoiled = Signal.like(message.slot), Signal()  # the slot detached last, and whether a message was in error since
        with m.If(detach):
            m.d.sync += [anew.eq(message.slot), spoiled.eq(0)]
        with m.Elif(emptied | (fault & (message.slot == anew))):
            m.d.sync += spoiled.eq(1)
        attached = Signal(Integrity)
        m.d.comb += attached.eq(Mux(spoiled | lossy | overrun, Integrity.DEAD, Mux(in_doubt, Integrity.SUSPECT, Integrity.EXACT)))
        for number in range(self._geometry.slots):
            state, declares = states[number], self.declare_exact & ~self.detached[number]
            m.d.comb += self.integrity[number].eq(Mux(filling[number] & exact[number], Integrity.SUSPECT, state))
            with m.If((opened | closed) & (message.slot == number)):
                m.d.sync += filling[number].eq(opened)
            with m.If(emptied | (overrun & (lost.slot == number)) | ((fault | detach) & (message.slot == number))):
                m.d.sync += state.eq(Integrity.DEAD)
            with m.Elif(attach & (message.slot == number)):
                m.d.sync += state.eq(attached)
            with m.Elif(self.suspect.valid & (exact[number] | declares)):
                m.d.sync += state.eq(Integrity.SUSPECT)
            with m.Elif(declares):
                m.d.sync += state.eq(Integrity.EXACT)
            with m.Elif(restore & mendable & (state == Integrity.SUSPECT)):
                m.d.sync += state.eq(Integrity.EXACT)
        with m.If(self.suspect.valid & (~doubted | self.declare_exact | emptied)):
            m.d.sync += mendable.eq(by_gap & ~self.given_up)
        with m.Elif(self.declare_exact | self.given_up | restore | (self.suspect.valid & ~by_gap)):
            m.d.sync += mendable.eq(0)

        names_of_records = ("declared", "mended", "doubted", "lowered", "cleared", "windowed")
        declared, mended, doubted, lowered, cleared, windowed = (Signal(record, name=name) for name in names_of_records)
        wait = Signal(6)  # records that wait, in the order of their names
        given = self.integrity_event
        m.d.sync += given.valid.eq(0)
        at_once = overrun & ((states[lost.slot] != Integrity.DEAD) | self.declare_exact)
        with m.If(at_once):
            m.d.sync += [
                given.valid.eq(1),
                given.p.sequence.eq(lost.sequence),
                given.p.order_ref.eq(lost.order_ref),
                given.p.cycle.eq(self.now),
                given.p.slot.eq(lost.slot),
                given.p.integrity.eq(Integrity.DEAD),
                given.p.cause.eq(IntegrityCause.OVERRUN),
            ]
        with m.Else():
            for number, one in reversed(list(enumerate((declared, mended, doubted, lowered, cleared, windowed)))):
                with m.If(wait[number] & ~wait[:number].any() if number else wait[0]):
                    m.d.sync += [given.valid.eq(1), given.p.eq(one), wait[number].eq(0)]

        with m.If(self.declare_exact):
            m.d.sync += [
                wait[0].eq(1),
                declared.cycle.eq(self.now),
                declared.slot.eq(ALL_SLOTS),
                declared.integrity.eq(Integrity.EXACT),
                declared.cause.eq(IntegrityCause.RELOADED),
            ]
        with m.If(restore & mendable & Cat(one == Integrity.SUSPECT for one in states).any()):
            m.d.sync += [
                wait[1].eq(1),
                mended.cycle.eq(self.now),
                mended.slot.eq(ALL_SLOTS),
                mended.integrity.eq(Integrity.EXACT),
                mended.cause.eq(IntegrityCause.RECOVERED),
            ]
        with m.If(self.suspect.valid & (exact.any() | self.declare_exact)):
            m.d.sync += [
                wait[2].eq(1),
                doubted.cycle.eq(self.now),
                doubted.slot.eq(ALL_SLOTS),
                doubted.integrity.eq(Integrity.SUSPECT),
                doubted.cause.eq(self.suspect.p.cause),
            ]
        with m.If(emptied & (self.declare_exact | Cat(one != Integrity.DEAD for one in states).any())):
            m.d.sync += [
                wait[4].eq(1),
                cleared.cycle.eq(self.now),
                cleared.slot.eq(ALL_SLOTS),
                cleared.integrity.eq(Integrity.DEAD),
                cleared.cause.eq(IntegrityCause.CLEARED),
            ]
        # Which slot a message is of is known long before its fault is, so what its slot was is looked up a clock ahead.
        was_dead, was_declared = Signal(), Signal()
        m.d.sync += [
            was_dead.eq((states[message.slot] == Integrity.DEAD) | (overrun & (lost.slot == message.slot))),
            was_declared.eq(self.declare_exact),
        ]
        # The first error of a slot that is given its orders anew is told: no ATTACH will make it EXACT.
        spoils = (message.slot == anew) & message.mark.any() & ~spoiled
        tells = fault & (~was_dead | self.declare_exact | was_declared | spoils)
        lowers = tells | detach | attach
        lowering = {
            "sequence": message.sequence,
            "order_ref": order_ref,
            "cycle": self.now,
            "slot": message.slot,
            "integrity": Mux(attach, attached, Integrity.DEAD),
            "cause": Mux(attach, IntegrityCause.RELOADED, Mux(detach, IntegrityCause.DETACHED, cause)),
        }
        if self._close:
            # The next error may come while this one's record waits behind those of all slots.
            second, two = Signal(record, name="second"), Signal()
            with m.If(lowers):
                m.d.sync += [second[name].eq(value) for name, value in lowering.items()]
            with m.If(~wait[3] | (~wait[:3].any() & ~at_once)):
                m.d.sync += [wait[3].eq(two | lowers), two.eq(two & lowers)]
                for name, value in lowering.items():
                    m.d.sync += Value.cast(lowered[name]).eq(Mux(two, Value.cast(second[name]), value))
            with m.Elif(lowers):
                m.d.sync += two.eq(1)
        else:
            with m.If(lowers):
                m.d.sync += [wait[3].eq(1), *(lowered[name].eq(value) for name, value in lowering.items())]
        was = Signal(Integrity)
        m.d.sync += was.eq(states[message.slot])
        with m.If(opened | closed):
            m.d.sync += [
                wait[5].eq(1),
                windowed.sequence.eq(message.sequence),
                windowed.cycle.eq(self.now),
                windowed.slot.eq(message.slot),
                windowed.integrity.eq(Mux(opened & (was == Integrity.EXACT), Integrity.SUSPECT, was)),
                windowed.cause.eq(Mux(opened, IntegrityCause.WINDOW, IntegrityCause.REFILLED)),
            ]
