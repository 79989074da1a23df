"""The price ladder: shares at each tick of a moving window, and the best of each side."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.book.price_of_tick import PriceOfTick
from hdl.book.priority_encoder import PriorityEncoder
from hdl.book.quiet_read import quiet_read
from hdl.book.ticks import TICK_BITS
from hdl.interfaces import Side, touch
from hdl.spec.geometry import Geometry

SIDES = (Side.BUY, Side.SELL)
Ports = tuple[Signal, Signal, memory.WritePort]
"""Address and data of the read port, a clock apart, and the write port."""


class Action(enum.Enum, shape=1):
    """What an operation does to a level."""

    ADD = 0
    REMOVE = 1


def operation() -> data.StructLayout:
    """One order's way onto or off the ladder.

    ``follows``: the ADD comes one clock after a REMOVE of the same side, and is judged together with it. ``replay``: the order is
    counted already, it is only put back on the ladder.
    """
    return data.StructLayout({"action": Action, "side": Side, "tick": TICK_BITS, "follows": 1, "replay": 1})


def amount() -> data.StructLayout:
    """What goes with an operation, given two clocks after it. ``price`` is of use to an ADD, ``closes`` (the order leaves the
    table) to a REMOVE."""
    return data.StructLayout({"shares": 32, "price": 32, "closes": 1})


class PriceLadder(wiring.Component):
    """Shares per tick in a window that moves with the price, and the best bid and offer of a slot.

    Both sides use keys of which the highest is the best: the tick for bids, its complement for offers. For each slot and side
    there is a window of `ladder_ticks` keys from ``base`` on. A level lies at the address key modulo `ladder_ticks`, so
    nothing is moved when the window does. The bits that say which levels hold shares come in words; a ``summary`` bit says
    whether a word does. A word counts only if its summary bit is set, a level only if its bit is: memories need no clearing.

    For each slot and side holds, after every message: no live order lies above the window; every live order inside it is on
    the ladder; those below are only in the order table. An ADD above the window moves the window up so that its key comes to
    lie at three quarters; words that fall out are forgotten. If a REMOVE empties the window while orders are live (below it),
    ``rebuild`` rises: every live order of that slot and side must then be given again as ADD with ``replay``, in any order,
    from the empty window on. As the window only moves up while that goes on, an order left out or dropped as below it stays
    below it: one pass makes the rule hold again.

    An ADD that would bring a level to 2**32 shares or more is not done: ``overflow``, and the order must not be stored.

    Parameters
    ----------
    geometry : Geometry
        `slots`, `ladder_ticks`, `order_capacity`.

    Members
    -------
    load : In(stream.Signature({slot}, always_ready=True))
        Begins the work on a slot; the state left by the last one must have been stored.
    operation : In(stream.Signature(operation(), always_ready=True))
        First one `load_latency` clocks after the load. ADD alone, REMOVE alone, or REMOVE and a clock later ADD with `follows`.
        With `replay` ADDs at least `remove_latency` clocks apart.
    amount : In(amount())
        Of the operation given two clocks before.
    touch : Out(touch())
        Best bid and offer of the slot, `add_latency` clocks after a lone ADD, `remove_latency` after a REMOVE, followed or not.
    changed : Out(1)
        ``touch`` will differ from what it was when the slot was loaded; valid the clock before ``touch`` is.
    rebuild : Out(1)
        The window will be empty, but orders are live; valid with ``changed``, which then tells what it will be after the rebuild.
    overflows : Out(1)
        An ADD is not done because its level would overflow; the clock before ``touch`` is valid.
    overflow : Out(1)
        The same, from the next clock to the next load.
    store : In(1)
        Keeps the state of the slot; a load may come in the next clock.
    clear : In(1)
        Forgets all orders; takes a clock a slot.
    ready : Out(1)
        Low during a clear, which is also made after reset.
    """

    load_latency = 4
    add_latency = 4
    remove_latency = 5

    def __init__(self, *, geometry: Geometry) -> None:
        self._slots, self._slot_bits = geometry.slots, geometry.slot_bits
        self._ticks_bits = (geometry.ladder_ticks - 1).bit_length()
        self._bit_bits = max(4, -(-self._ticks_bits // 2))
        self._word_bits = self._ticks_bits - self._bit_bits
        self._words = 1 << self._word_bits
        self._number_bits = TICK_BITS - self._bit_bits
        self._best = data.StructLayout({"key": TICK_BITS, "price": 32, "shares": 32})
        self._state = data.StructLayout(
            {
                "live": geometry.order_capacity.bit_length(),
                "base": self._number_bits,
                "summary": self._words,
                "best": self._best,
            }
        )
        super().__init__(
            {
                "load": In(stream.Signature(data.StructLayout({"slot": geometry.slot_bits}), always_ready=True)),
                "operation": In(stream.Signature(operation(), always_ready=True)),
                "amount": In(amount()),
                "touch": Out(touch()),
                "changed": Out(1),
                "rebuild": Out(1),
                "overflows": Out(1),
                "overflow": Out(1),
                "store": In(1),
                "clear": In(1),
                "ready": Out(1),
            }
        )

    # parts of a key
    def _number(self, key: Value) -> Value:
        """Number of the word a key lies in."""
        return key[self._bit_bits :]

    def _bit(self, key: Value) -> Value:
        """Bit of a key in its word."""
        return key[: self._bit_bits]

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        slot = Signal(self._slot_bits)
        state = [Signal(self._state, name=f"state_{side.name}") for side in SIDES]
        loaded = Signal(8)  # bit n: the load was n + 1 clocks ago
        stored = self._keep_states(m, slot, state)
        with m.If(self.load.valid):
            m.d.sync += [slot.eq(self.load.p.slot), *(state[side].eq(stored[side]) for side in range(2))]
        m.d.sync += loaded.eq(Cat(self.load.valid, loaded))

        side = Signal(Side)
        with m.If(self.operation.valid):
            m.d.sync += side.eq(self.operation.p.side)
        key = Signal(TICK_BITS)
        m.d.comb += key.eq(self.operation.p.tick ^ Value.cast(self.operation.p.side).replicate(TICK_BITS))

        words, levels = self._words_memory(m), self._levels_memory(m)
        second = self._second_best(m, slot, state, loaded, side, key, words, levels)
        self._operate(m, slot, state, side, key, words, levels, second)

        bid, ask = (one.best for one in state)
        m.d.comb += [
            self.touch.bid_price.eq(bid.price),
            self.touch.bid_shares.eq(bid.shares),
            self.touch.ask_price.eq(ask.price),
            self.touch.ask_shares.eq(ask.shares),
        ]
        return m

    def _keep_states(self, m: Module, slot: Signal, state: list[data.View]) -> list[data.View]:
        """Memory of the states of all slots, and its clearing."""
        clearing = Signal(init=1)
        clear_slot = Signal(range(self._slots))
        with m.If(clearing):
            m.d.sync += [clear_slot.eq(clear_slot + 1), clearing.eq(clear_slot != self._slots - 1)]
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), clear_slot.eq(0)]
        m.d.comb += self.ready.eq(~clearing)
        stored = []
        for number, one in enumerate(state):
            ram = memory.Memory(shape=unsigned(self._state.size), depth=self._slots, init=[])
            m.submodules[f"states_{SIDES[number].name}"] = ram
            read, write = ram.read_port(domain="comb"), ram.write_port()
            m.d.comb += [
                read.addr.eq(self.load.p.slot),
                write.addr.eq(Mux(clearing, clear_slot, slot)),
                write.data.eq(Mux(clearing, 0, one.as_value())),
                write.en.eq(clearing | self.store),
            ]
            stored.append(self._state(read.data))
        return stored

    def _words_memory(self, m: Module) -> list[Ports]:
        return self._memories(m, "words", 1 << self._bit_bits, self._word_bits)

    def _levels_memory(self, m: Module) -> list[Ports]:
        return self._memories(m, "levels", 32, self._ticks_bits)

    def _memories(self, m: Module, name: str, width: int, bits: int) -> list[Ports]:
        """One memory a side, `2**bits` rows a slot."""
        ports = []
        for side in SIDES:
            ram = memory.Memory(shape=unsigned(width), depth=self._slots << bits, init=[])
            m.submodules[f"{name}_{side.name}"] = ram
            write = ram.write_port()
            address = Signal.like(write.addr, name=f"{name}_address_{side.name}")
            ports.append((address, quiet_read(m, ram, write, address=address, name=f"{name}_data_{side.name}"), write))
        return ports

    def _second_best(
        self,
        m: Module,
        slot: Signal,
        state: list[data.View],
        loaded: Signal,
        side_of_message: Signal,
        key: Signal,
        words: list[Ports],
        levels: list[Ports],
    ) -> data.View:
        """Finds, while the order is looked up, what is best when the best level goes; drives the read addresses.

        Clocks after the load: 1 take the word of the best out of the summary; 2 find the next word, read that of the best; 3 read
        the next word; 4 take the best out of its word; 5 highest bit of what is left, or of the next word (the side is known);
        6 read the level; 8 all known.
        """
        sell = side_of_message == Side.SELL
        rest_key = Signal(TICK_BITS)  # of the second best
        word_size = 1 << self._bit_bits
        candidates = []
        for number, one in enumerate(state):
            name = SIDES[number].name
            best = one.best.key
            place = Signal(self._word_bits, name=f"place_{name}")  # of the best's word in the window
            others = Signal(self._words, name=f"others_{name}")
            m.d.comb += place.eq(self._number(best) - one.base)
            m.d.sync += others.eq(one.summary & ~(Const(1, self._words) << place)[: self._words])

            m.submodules[f"next_word_{name}"] = next_word = PriorityEncoder(width=self._words)
            next_place = Signal(self._word_bits, name=f"next_place_{name}")
            next_some = Signal(name=f"next_some_{name}")
            next_number = Signal(self._number_bits, name=f"next_number_{name}")
            m.d.comb += [next_word.bits.eq(others), next_number.eq(one.base + next_place)]
            m.d.sync += [next_place.eq(next_word.index), next_some.eq(next_word.some)]

            address, content, _ = words[number]
            within = Signal(self._word_bits, name=f"word_address_{name}")
            with m.If(loaded[1]):
                m.d.comb += within.eq(self._number(best))
            with m.Elif(loaded[2]):
                m.d.comb += within.eq(next_number)
            with m.Else():
                m.d.comb += within.eq(self._number(key))
            m.d.comb += address.eq(Cat(within, slot))

            best_word, in_word, in_next = (
                Signal(word_size, name=f"{word}_{name}") for word in ("best_word", "in_word", "in_next")
            )
            in_some = Signal(name=f"in_some_{name}")
            word_number, other_number = (Signal(self._number_bits, name=f"{which}_number_{name}") for which in ("word", "other"))
            m.d.sync += best_word.eq(content)
            with m.If(loaded[3]):
                m.d.sync += [
                    in_word.eq(best_word & ~(Const(1, word_size) << self._bit(best))[:word_size]),
                    in_next.eq(content),
                    in_some.eq(next_some),
                    word_number.eq(self._number(best)),
                    other_number.eq(next_number),
                ]
            candidates.append((in_word, in_next, in_some, word_number, other_number))

        # 5: the side of the operation
        in_word, in_next, in_some, word_number, other_number = (
            Mux(sell, ask, bid) for bid, ask in zip(*candidates, strict=True)
        )
        m.submodules.in_word = first = PriorityEncoder(width=word_size)
        m.submodules.in_next = other = PriorityEncoder(width=word_size)
        m.d.comb += [first.bits.eq(in_word), other.bits.eq(in_next)]
        second_some = Signal()
        second = Signal(data.StructLayout({"some": 1, "best": self._best}))
        with m.If(loaded[4]):
            m.d.sync += [
                second_some.eq(first.some | in_some),
                rest_key.eq(Mux(first.some, Cat(first.index, word_number), Cat(other.index, other_number))),
            ]

        # 6 to 8: its shares and price
        m.submodules.price = price = PriceOfTick()
        m.d.comb += price.tick.eq(rest_key ^ side_of_message.as_value().replicate(TICK_BITS))
        for address, _, _ in levels:
            place = Mux(loaded[5], rest_key[: self._ticks_bits], key[: self._ticks_bits])
            m.d.comb += address.eq(Cat(place, slot))
        second_shares = Signal(32)
        with m.If(loaded[6]):
            m.d.sync += second_shares.eq(Mux(sell, levels[1][1], levels[0][1]))
        m.d.comb += [
            second.some.eq(second_some),
            second.best.key.eq(rest_key),
            second.best.price.eq(price.price),
            second.best.shares.eq(second_shares),
        ]
        return second

    def _operate(
        self,
        m: Module,
        slot: Signal,
        state: list[data.View],
        side: Signal,
        key: Signal,
        words: list[Ports],
        levels: list[Ports],
        second: data.View,
    ) -> None:
        """An operation's stages: 0 read level and word, 1 and 2 place it in the window, 2 new level, 3 write; then the best."""
        word_size = 1 << self._bit_bits
        high = 3 * self._words // 4  # place of the word of a key that moved the window
        active = Signal(4)  # bit n: an operation is in stage n + 1
        m.d.sync += active.eq(Cat(self.operation.valid, active))
        given = self.operation.p
        common = {"action": Action, "replay": 1, "key": TICK_BITS, "better": 1, "equal": 1}

        # 0: where it lies against window and best
        one = Signal(
            data.StructLayout(common | {"follows": 1, "distance": signed(self._number_bits + 1), "same_key": 1, "same_word": 1})
        )
        sell = given.side == Side.SELL
        best_key = Mux(sell, state[1].best.key, state[0].best.key)
        m.d.sync += [
            one.action.eq(given.action),
            one.replay.eq(given.replay),
            one.key.eq(key),
            one.better.eq(key > best_key),
            one.equal.eq(key == best_key),
            one.follows.eq(given.follows),
            one.distance.eq(self._number(key) - Mux(sell, state[1].base, state[0].base)),
            one.same_key.eq(key == one.key),
            one.same_word.eq(self._number(key) == self._number(one.key)),
        ]

        # 1: where it would lie in a moved window
        window = {"inside": 1, "above": 1, "place": self._word_bits}
        moved = {"new_base": self._number_bits, "new_place": self._word_bits, "shift": self._word_bits, "shift_all": 1}
        two = Signal(
            data.StructLayout(
                common
                | window
                | moved
                | {"word_counts": 1, "mask": word_size, "level": 32, "word": word_size}
                | {"level_before": 1, "word_before": 1, "better_second": 1, "equal_second": 1}
            )
        )
        summary = Mux(side == Side.SELL, state[1].summary, state[0].summary)
        low = one.distance[: self._word_bits]
        above = one.distance >= self._words
        inside = (one.distance >= 0) & ~above
        at_bottom = self._number(one.key) < high
        m.d.sync += [
            two.action.eq(one.action),
            two.replay.eq(one.replay),
            two.key.eq(one.key),
            two.better.eq(one.better),
            two.equal.eq(one.equal),
            two.inside.eq(inside),
            two.above.eq(above),
            two.place.eq(low),
            two.new_base.eq(Mux(at_bottom, 0, self._number(one.key) - high)),
            two.new_place.eq(Mux(at_bottom, self._number(one.key), high)),
            two.shift.eq(low - high),
            two.shift_all.eq(one.distance >= self._words + high),
            two.word_counts.eq(inside & summary.bit_select(low, 1)),
            two.mask.eq(Const(1, word_size) << self._bit(one.key)),
            two.level.eq(Mux(side == Side.SELL, levels[1][1], levels[0][1])),
            two.word.eq(Mux(side == Side.SELL, words[1][1], words[0][1])),
            two.level_before.eq(one.follows & one.same_key),
            two.word_before.eq(one.follows & one.same_word),
            two.better_second.eq(~second.some | (one.key > second.best.key)),
            two.equal_second.eq(second.some & (one.key == second.best.key)),
        ]

        # 2: new level, and the rest of its word
        three = Signal(
            data.StructLayout(
                common
                | window
                | moved
                | {"better_second": 1, "equal_second": 1, "mask": word_size, "rest": word_size, "rest_some": 1}
                | {"was_set": 1, "shares": 32, "carry": 1, "emptied": 1, "closes": 1, "price": 32}
                | {"vacant": 1, "last": 1, "alone": 1, "nothing": 1}
            )
        )
        live = Mux(side == Side.SELL, state[1].live, state[0].live)
        word_after = Signal(word_size)
        level, word = Signal(32), Signal(word_size)
        was_set = Signal()
        total, left = Signal(33), Signal(33)
        m.d.comb += [
            level.eq(Mux(two.level_before & three.inside, three.shares, two.level)),
            word.eq(
                Mux(two.word_before & three.inside, word_after, Mux(two.word_counts, two.word, 0)),
            ),
            was_set.eq((word & two.mask).any()),
            total.eq(level + self.amount.shares),
            left.eq(level - self.amount.shares),
        ]
        for name in (*common, *window, *moved, "better_second", "equal_second", "mask"):
            m.d.sync += Value.cast(three[name]).eq(Value.cast(two[name]))
        m.d.sync += [
            three.rest.eq(word & ~two.mask),
            three.rest_some.eq((word & ~two.mask).any()),
            three.was_set.eq(was_set),
            three.shares.eq(Mux(two.action == Action.REMOVE, left, Mux(was_set, total, self.amount.shares))),
            three.carry.eq(total[32]),
            three.emptied.eq(left[32] | (level == self.amount.shares)),
            three.closes.eq(self.amount.closes),
            three.price.eq(self.amount.price),
            three.vacant.eq(summary == 0),
            three.alone.eq(live == 0),
            three.last.eq(live == 1),
            three.nothing.eq(self.amount.shares == 0),
        ]

        # 3: write
        gone, closed, vacated = Signal(), Signal(), Signal()  # of the REMOVE one stage on
        adds, removes = (Signal(name=name) for name in ("adds", "removes"))
        empty, fresh, takes, overflow = (Signal(name=name) for name in ("empty", "fresh", "takes", "overflow"))
        now, moved_up, cleared = (Signal(self._words, name=name) for name in ("summary_now", "moved_up", "cleared"))
        place = Signal(self._word_bits)
        m.d.comb += [
            adds.eq(active[2] & (three.action == Action.ADD)),
            removes.eq(active[2] & (three.action == Action.REMOVE)),
            # a follower looked at the state a clock before the REMOVE changed it
            empty.eq(three.vacant | vacated),
            fresh.eq(empty & (Mux(closed, three.last, three.alone) | three.replay)),
            overflow.eq(adds & three.was_set & three.carry),
            takes.eq(
                (adds & (fresh | (~empty & (three.inside | three.above))) & ~overflow) | (removes & three.inside & three.was_set)
            ),
            word_after.eq(three.rest | Mux((three.action == Action.ADD) | ~three.emptied, three.mask, 0)),
            moved_up.eq(Mux(fresh | three.shift_all, 0, summary >> three.shift)),
            place.eq(Mux(adds & (fresh | three.above), three.new_place, three.place)),
            cleared.eq(Mux(removes & three.emptied & ~three.rest_some, Const(1, self._words) << place, 0)),
            now.eq(
                (Mux(adds & (fresh | three.above), moved_up, summary) | Mux(adds, Const(1, self._words) << place, 0)) & ~cleared
            ),
        ]
        for number, kept in enumerate(state):
            here = Value.cast(side) == number
            for write, value in ((words[number][2], word_after), (levels[number][2], three.shares)):
                bits = len(write.addr) - self._slot_bits
                first = self._ticks_bits - bits
                m.d.comb += [
                    write.addr.eq(Cat(three.key[first : self._ticks_bits], slot)),
                    write.data.eq(value),
                    write.en.eq(takes & here),
                ]
            with m.If(here & takes):
                m.d.sync += kept.summary.eq(now)
                with m.If(adds & (fresh | three.above)):
                    m.d.sync += kept.base.eq(three.new_base)
            with m.If(here & adds & ~three.replay & ~overflow):
                m.d.sync += kept.live.eq(kept.live + 1)
            with m.If(here & removes & three.closes):
                m.d.sync += kept.live.eq(kept.live - 1)
        m.d.comb += self.overflows.eq(overflow)
        with m.If(overflow):
            m.d.sync += self.overflow.eq(1)
        with m.Elif(self.load.valid):
            m.d.sync += self.overflow.eq(0)

        # the best after a lone ADD, or after a REMOVE one stage on, with the ADD that followed it
        reduced, lessened = Signal(), Signal()
        shares_left = Signal(32)
        m.d.sync += [
            closed.eq(removes & three.closes),
            reduced.eq(removes & takes & three.equal),
            lessened.eq(removes & takes & three.equal & ~three.nothing),
            gone.eq(removes & takes & three.equal & three.emptied),
            shares_left.eq(three.shares),
        ]
        leads, restored = Signal(), Signal()
        best_shares = Mux(side == Side.SELL, state[1].best.shares, state[0].best.shares)
        m.d.comb += [
            vacated.eq(gone & ~second.some),
            leads.eq(Mux(gone, three.better_second | three.equal_second, three.better | three.equal)),
            restored.eq(adds & three.equal & (three.shares == best_shares)),
            self.changed.eq(Mux(lessened, ~restored, adds & takes & (fresh | leads))),
            self.rebuild.eq(vacated & (live != 0)),
        ]
        for number, kept in enumerate(state):
            with m.If(Value.cast(side) == number):
                with m.If(adds & takes & (fresh | leads)):
                    m.d.sync += [kept.best.key.eq(three.key), kept.best.price.eq(three.price), kept.best.shares.eq(three.shares)]
                with m.Elif(gone):
                    m.d.sync += kept.best.eq(Mux(second.some, second.best, 0))
                with m.Elif(reduced):
                    m.d.sync += kept.best.shares.eq(shares_left)
