"""The price ladder at line rate: an operation every second clock, and the best of its side found anew behind each."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.book.price_ladder import SIDES, Action
from hdl.book.price_of_tick import PriceOfTick
from hdl.book.priority_encoder import PriorityEncoder
from hdl.book.quiet_read import quiet_read
from hdl.book.ticks import TICK_BITS
from hdl.book.window import Window
from hdl.interfaces import Side, touch
from hdl.spec.geometry import Geometry


def step(geometry: Geometry) -> data.StructLayout:
    """What a message does to a ladder. Nothing unless it ``acts``: an order of ``shares`` comes on (ADD, as a ``replay`` one that
    is counted already), or ``shares`` of the ``stored`` ones of an order go (REMOVE), all of them if it then `closes`. If it
    ``settles``, the best of its side counts from it on."""
    return data.StructLayout(
        {
            "slot": geometry.slot_bits,
            "side": Side,
            "acts": 1,
            "action": Action,
            "replay": 1,
            "settles": 1,
            "tick": TICK_BITS,
            "shares": 32,
            "stored": 32,
        }
    )


class LadderPipeline(wiring.Component):
    """Shares per tick in a window that moves with the price, and the best bid and offer of every slot, step after step.

    Windows, keys, words and the rules of an ADD and a REMOVE are those of `PriceLadder`. What differs: nothing is looked for
    ahead. Each step changes level, word and summary in turn, and the best of its side is then read off them: the highest word of
    the summary, its highest bit, that level. What a step has changed and not yet written the next ones get from its registers, so
    they may all be of one level; and each memory is written so far behind its reads that a step finds there what those before it
    left, and nothing of those behind it.

    All memories are read in clocks of one parity and written in those of the other: steps come an even number of clocks apart
    while `busy`.

    ======  ===================================================================================
    clock   what happens
    ======  ===================================================================================
    0       state, word and level are read
    1       placed in the window
    2       new state, word and level
    3       state and word are written; `overflow` and `hollow` are known
    4       the highest word is read
    5       level is written (its highest bit is found)
    6       the best level is read
    8       compared with the best so far
    9       `touch`, `changed`
    ======  ===================================================================================

    Parameters
    ----------
    geometry : Geometry
        `slots`, `ladder_ticks`, `order_capacity`.

    Members
    -------
    step : In(stream.Signature(step(geometry), always_ready=True))
        At most every second clock.
    closes : In(1)
        The order of a REMOVE leaves the table; two clocks behind its step.
    overflow : Out(1)
        An ADD is not done because its level would come to 2**32 shares or more; in clock `known`.
    hollow : Out(1)
        The window of the step's side is empty, but orders are live (below it); in clock `known`.
    hold : In(1)
        The step in its clock `known` does not settle.
    cancel : In(1)
        The step behind the one in its clock `known` does nothing and leaves no trace.
    touch : Out(touch())
        Best bid and offer of the slot; `latency` clocks behind a step that settles.
    changed : Out(1)
        They differ from those before it.
    forget : In(stream.Signature({slot}, always_ready=True))
        A slot has no orders any more; not while `busy`.
    busy : Out(1)
        Something is under way.
    clear : In(1)
        Forgets all orders; takes a clock a slot.
    ready : Out(1)
        Low during a clear, which is also made after reset.
    """

    known = 3
    latency = 9

    def __init__(self, *, geometry: Geometry) -> None:
        self._slots, self._slot_bits = geometry.slots, geometry.slot_bits
        self._window = window = Window.of(geometry)
        self._state = data.StructLayout(
            {"live": geometry.order_capacity.bit_length(), "base": window.number_bits, "summary": window.words}
        )
        self._best = data.StructLayout({"price": 32, "shares": 32})
        self._where = {"slot": geometry.slot_bits, "side": Side}
        super().__init__(
            {
                "step": In(stream.Signature(step(geometry), always_ready=True)),
                "closes": In(1),
                "overflow": Out(1),
                "hollow": Out(1),
                "hold": In(1),
                "cancel": In(1),
                "touch": Out(touch()),
                "changed": Out(1),
                "forget": In(stream.Signature(data.StructLayout({"slot": geometry.slot_bits}), always_ready=True)),
                "busy": Out(1),
                "clear": In(1),
                "ready": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        clearing, clear_slot = Signal(init=1), Signal(range(self._slots))
        with m.If(clearing):
            m.d.sync += [clear_slot.eq(clear_slot + 1), clearing.eq(clear_slot != self._slots - 1)]
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), clear_slot.eq(0)]
        m.d.comb += self.ready.eq(~clearing)
        wipes, wiped = clearing | self.forget.valid, Mux(clearing, clear_slot, self.forget.p.slot)

        placed, done = self._change(m, wipes, wiped)
        highest = self._search(m, done)
        settled = self._settle(m, highest, wipes, wiped)
        m.d.comb += self.busy.eq(placed | done.valid | highest.valid | settled)
        return m

    def _at(self, where: data.View, within: Value) -> Value:
        """Address in the memory of words or levels."""
        return Cat(within, where.side, where.slot)

    def _word_of(self, key: Value) -> Value:
        return self._window.number(key)[: self._window.word_bits]

    def _change(self, m: Module, wipes: Value, wiped: Value) -> tuple[Value, data.View]:
        """Clocks 0 to 3. Gives whether a step is in clocks 1 or 2, and what the one in clock 3 has done."""
        window, given = self._window, self.step.p
        word_size, high = window.word_size, window.high
        slots_and_sides = self._slots * len(SIDES)
        m.submodules.words = words = memory.Memory(shape=unsigned(word_size), depth=slots_and_sides << window.word_bits, init=[])
        m.submodules.levels = levels = memory.Memory(shape=unsigned(32), depth=slots_and_sides << window.ticks_bits, init=[])
        self._word_write, self._level_write = word_write, level_write = words.write_port(), levels.write_port()
        # A second read shares the port of the write.
        self._best_word_at, self._best_level_at = Signal.like(word_write.addr), Signal.like(level_write.addr)
        word_at, level_at = Signal.like(word_write.addr), Signal.like(level_write.addr)
        self._best_word = quiet_read(m, words, word_write, address=word_write.addr, name="best_word")
        self._best_level = quiet_read(m, levels, level_write, address=level_write.addr, name="best_level")
        read_word = quiet_read(m, words, word_write, address=word_at, name="word")
        read_level = quiet_read(m, levels, level_write, address=level_at, name="level")

        operation = self._where | {"valid": 1, "acts": 1, "adds": 1, "replay": 1, "settles": 1, "key": TICK_BITS}
        amounts = {"shares": 32, "stored": 32}
        one = Signal(
            data.StructLayout(
                operation | amounts | {"state": self._state, "near": 1, "same_word": 1, "same_level": 1, "same_level_before": 1}
            )
        )
        two = Signal(
            data.StructLayout(
                operation
                | {"state": self._state, "word": word_size, "shares": 32}
                | {"inside": 1, "above": 1, "place": window.word_bits}
                | {"new_base": window.number_bits, "new_place": window.word_bits, "shift": window.word_bits, "shift_all": 1}
                | {"total": 33, "less": 33, "rest": 33}
            )
        )
        three = Signal(
            data.StructLayout(
                operation | {"state": self._state, "word": word_size, "level": 32, "writes": 1, "overflow": 1, "hollow": 1}
            )
        )
        four, five = (Signal(data.StructLayout(operation | {"level": 32, "writes": 1}), name=name) for name in ("four", "five"))

        # 0: read
        key = Signal(TICK_BITS)
        stored = self._keep_states(m, three, wipes, wiped)

        def near(other: data.View) -> Value:
            """A step before this one is of the same slot and side."""
            return other.valid & (other.slot == given.slot) & (Value.cast(other.side) == Value.cast(given.side))

        m.d.comb += [
            key.eq(window.key(given.tick, given.side)),
            word_at.eq(self._at(given, self._word_of(key))),
            level_at.eq(self._at(given, key[: window.ticks_bits])),
        ]
        m.d.sync += [
            one.valid.eq(self.step.valid),
            *(one[name].eq(given[name]) for name in ("slot", "side", "acts", "replay", "settles", "shares", "stored")),
            one.adds.eq(given.action == Action.ADD),
            one.key.eq(key),
            one.state.eq(stored),
            one.near.eq(near(two)),
            one.same_word.eq(near(two) & (window.number(two.key) == window.number(key))),
            one.same_level.eq(near(two) & (two.key == key)),
            one.same_level_before.eq(near(four) & four.writes & (four.key == key)),
        ]

        # 1: what the step before has not yet written; where it lies in the window, and would in a moved one
        state, word, level = Signal(self._state), Signal(word_size), Signal(32)
        m.d.comb += [
            state.eq(Mux(one.near, three.state, one.state)),
            word.eq(Mux(one.same_word & three.writes, three.word, read_word)),
            level.eq(Mux(one.same_level & three.writes, three.level, Mux(one.same_level_before, five.level, read_level))),
        ]
        number = window.number(one.key)
        distance = Signal(signed(window.number_bits + 1))
        low = distance[: window.word_bits]
        at_bottom = number < high
        m.d.comb += distance.eq(number - state.base)
        m.d.sync += [
            two.valid.eq(one.valid & ~self.cancel),
            *(Value.cast(two[name]).eq(Value.cast(one[name])) for name in operation if name != "valid"),
            two.shares.eq(one.shares),
            two.state.eq(state),
            two.word.eq(word),
            two.above.eq(distance >= window.words),
            two.inside.eq((distance >= 0) & (distance < window.words)),
            two.place.eq(low),
            two.new_base.eq(Mux(at_bottom, 0, number - high)),
            two.new_place.eq(Mux(at_bottom, number, high)),
            two.shift.eq(low - high),
            two.shift_all.eq(distance >= window.words + high),
            two.total.eq(level + one.shares),
            two.less.eq(level - one.shares),
            two.rest.eq(level - one.stored),
        ]

        # 2: the new state, word and level
        (mask, here, others), was_set = (Signal(word_size, name=name) for name in ("mask", "here", "others")), Signal()
        fresh, moves, takes, overflow, emptied = (
            Signal(name=name) for name in ("fresh", "moves", "takes", "overflow", "emptied")
        )
        adds, removes = two.valid & two.acts & two.adds, two.valid & two.acts & ~two.adds
        old, vacant = two.state, two.state.summary == 0
        left, place = Signal(33), Signal(window.word_bits)
        bit, kept = (Signal(window.words, name=name) for name in ("bit", "kept"))
        new = Signal(self._state)
        m.d.comb += [
            mask.eq(Const(1, word_size) << window.bit(two.key)),
            here.eq(Mux(two.inside & old.summary.bit_select(two.place, 1), two.word, 0)),
            was_set.eq((here & mask).any()),
            fresh.eq(vacant & ((old.live == 0) | two.replay)),
            moves.eq(adds & (fresh | (~vacant & two.above))),
            overflow.eq(adds & was_set & two.total[32]),
            takes.eq((moves | (adds & ~vacant & two.inside) | (removes & was_set)) & ~overflow),
            left.eq(Mux(self.closes, two.rest, two.less)),
            emptied.eq(removes & (left[32] | (left == 0))),
            place.eq(Mux(moves, two.new_place, two.place)),
            bit.eq(Const(1, window.words) << place),
            others.eq(here & ~mask),
            kept.eq(Mux(moves, Mux(fresh | two.shift_all, 0, old.summary >> two.shift), old.summary)),
            new.eq(old),
            new.live.eq(old.live + (adds & ~two.replay & ~overflow) - (removes & self.closes)),
        ]
        with m.If(takes):
            m.d.comb += new.summary.eq(Mux(adds, kept | bit, Mux(emptied & ~others.any(), kept & ~bit, kept)))
        with m.If(takes & moves):
            m.d.comb += new.base.eq(two.new_base)
        m.d.sync += [
            *(Value.cast(three[name]).eq(Value.cast(two[name])) for name in operation),
            three.state.eq(new),
            three.word.eq(others | Mux(emptied, 0, mask)),
            three.level.eq(Mux(two.adds, Mux(was_set, two.total, two.shares), left)),
            three.writes.eq(takes),
            three.overflow.eq(overflow),
        ]

        # 3: state and word; 5: level
        m.d.comb += [
            self.overflow.eq(three.overflow),
            self.hollow.eq(three.valid & (three.state.summary == 0) & (three.state.live != 0)),
            word_write.addr.eq(Mux(three.writes, self._at(three, self._word_of(three.key)), self._best_word_at)),
            word_write.data.eq(three.word),
            word_write.en.eq(three.writes),
            level_write.addr.eq(Mux(five.writes, self._at(five, five.key[: window.ticks_bits]), self._best_level_at)),
            level_write.data.eq(five.level),
            level_write.en.eq(five.writes),
        ]
        for early, late in ((three, four), (four, five)):
            m.d.sync += [Value.cast(late[name]).eq(Value.cast(early[name])) for name in late.shape().members]
        return one.valid | two.valid, three

    def _keep_states(self, m: Module, done: data.View, wipes: Value, wiped: Value) -> data.View:
        """Memory of the states of all slots; gives the one of the step that is given."""
        stored = []
        for side in SIDES:
            ram = memory.Memory(shape=unsigned(self._state.size), depth=self._slots, init=[])
            m.submodules[f"states_{side.name}"] = ram
            read, write = ram.read_port(domain="comb"), ram.write_port()
            m.d.comb += [
                read.addr.eq(self.step.p.slot),
                write.addr.eq(Mux(wipes, wiped, done.slot)),
                write.data.eq(Mux(wipes, 0, done.state.as_value())),
                write.en.eq(wipes | (done.valid & (done.side == side))),
            ]
            stored.append(read.data)
        return self._state(Mux(self.step.p.side == Side.SELL, stored[1], stored[0]))

    def _search(self, m: Module, done: data.View) -> data.View:
        """Clocks 3 to 6: the key of the best level."""
        window = self._window
        layout = data.StructLayout(self._where | {"valid": 1, "settles": 1, "some": 1, "number": window.number_bits})
        four, five = Signal(layout, name="searched_4"), Signal(layout, name="searched_5")
        six = Signal(data.StructLayout(self._where | {"valid": 1, "settles": 1, "some": 1, "key": TICK_BITS}))
        m.submodules.highest_word = word = PriorityEncoder(width=window.words)
        m.submodules.highest_bit = bit = PriorityEncoder(width=window.word_size)
        m.d.comb += [
            word.bits.eq(done.state.summary),
            self._best_word_at.eq(self._at(four, four.number[: window.word_bits])),
            bit.bits.eq(self._best_word),
        ]
        m.d.sync += [
            four.slot.eq(done.slot),
            four.side.eq(done.side),
            four.valid.eq(done.valid),
            four.settles.eq(done.settles & ~self.hold),
            four.some.eq(word.some),
            four.number.eq(done.state.base + word.index),
            five.eq(four),
            *(Value.cast(six[name]).eq(Value.cast(five[name])) for name in ("slot", "side", "valid", "settles", "some")),
            six.key.eq(Cat(bit.index, five.number)),
        ]
        m.d.comb += self._best_level_at.eq(self._at(six, six.key[: window.ticks_bits]))
        self._searching = four.valid | five.valid
        return six

    def _settle(self, m: Module, found: data.View, wipes: Value, wiped: Value) -> Value:
        """Clocks 6 to 9: its price and shares, against those before. Gives whether a step is in one of them."""
        m.submodules.price = price = PriceOfTick()
        layout = data.StructLayout(self._where | {"valid": 1, "settles": 1, "some": 1})
        seven, eight, nine = (Signal(layout, name=f"settled_{clock}") for clock in (7, 8, 9))
        shares, best = Signal(32), Signal(self._best)
        m.d.comb += price.tick.eq(self._window.key(found.key, found.side))
        m.d.sync += [
            *(Value.cast(seven[name]).eq(Value.cast(found[name])) for name in layout.members),
            eight.eq(seven),
            nine.eq(eight),
            shares.eq(self._best_level),
        ]
        with m.If(eight.some):
            m.d.comb += [best.price.eq(price.price), best.shares.eq(shares)]
        given, before = [], []
        for side in SIDES:
            ram = memory.Memory(shape=unsigned(self._best.size), depth=self._slots, init=[])
            m.submodules[f"bests_{side.name}"] = ram
            read, write = ram.read_port(domain="comb"), ram.write_port()
            new = Signal(self._best, name=f"best_{side.name}")
            m.d.comb += [
                read.addr.eq(eight.slot),
                write.addr.eq(Mux(wipes, wiped, nine.slot)),
                write.data.eq(Mux(wipes, 0, new.as_value())),
                write.en.eq(wipes | (nine.valid & nine.settles & (nine.side == side))),
            ]
            m.d.sync += new.eq(Mux((eight.side == side) & eight.settles, best.as_value(), read.data))
            given.append(new)
            before.append(read.data)
        old = Mux(eight.side == Side.SELL, before[1], before[0])
        m.d.sync += self.changed.eq(eight.valid & eight.settles & (best.as_value() != old))
        bid, ask = given
        m.d.comb += [
            self.touch.bid_price.eq(bid.price),
            self.touch.bid_shares.eq(bid.shares),
            self.touch.ask_price.eq(ask.price),
            self.touch.ask_shares.eq(ask.shares),
        ]
        return self._searching | seven.valid | eight.valid | nine.valid
