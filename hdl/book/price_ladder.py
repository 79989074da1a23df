"""The price ladder: shares at each tick of a moving window, and the best of each side."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.book.price_of_tick import PriceOfTick
from hdl.book.priority_encoder import PriorityEncoder
from hdl.book.quiet_read import quiet_read
from hdl.book.ticks import TICK_BITS
from hdl.book.window import Window
from hdl.interfaces import Side, touch
from hdl.spec.geometry import Geometry

SIDES = (Side.BUY, Side.SELL)
Ports = tuple[Signal, Signal, memory.WritePort]
"""Address and data of the read port, a clock apart, and the write port."""
LevelPorts = tuple[Signal, Signal, Signal, Signal, Signal, memory.WritePort]
"""Address and data of two read ports, where to write, and the write port."""


class Action(enum.Enum, shape=1):
    """What an operation does to a level."""

    ADD = 0
    REMOVE = 1


def weighed() -> data.StructLayout:
    """What a message would do to the best of its side: the order it names, and the one it brings.

    ``new_tick`` and ``shares`` stay until the settlement.
    """
    return data.StructLayout({"side": Side, "old_tick": TICK_BITS, "old_shares": 32, "new_tick": TICK_BITS, "shares": 32})


def settlement() -> data.StructLayout:
    """What it does: the order named ``leaves`` the ladder, all or in part; one ``comes`` on at ``price``."""
    return data.StructLayout({"leaves": 1, "comes": 1, "price": 32})


def operation() -> data.StructLayout:
    """One order's way onto or off its level. ``replay``: the order is counted already, it is only put back on the ladder."""
    return data.StructLayout({"action": Action, "side": Side, "tick": TICK_BITS, "replay": 1})


def amount() -> data.StructLayout:
    """What goes with an operation, given two clocks after it. ``price`` is of use to a replay, ``closes`` (the order leaves the
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
    below it: one pass makes the rule hold again. The pass may be made in parts, with other slots at work in between.

    An ADD that would bring a level to 2**32 shares or more is not done: ``overflow``, and the order must not be stored.

    The best of a side is kept apart from the levels: what comes or goes above all others needs no level to be read, only the
    second best, which is looked for from the load on. So a message is first weighed and settled, which gives the touch, and the
    levels follow by operations of their own. Only replays set the best by their operation.

    Parameters
    ----------
    geometry : Geometry
        `slots`, `ladder_ticks`, `order_capacity`.

    Members
    -------
    load : In(stream.Signature({slot}, always_ready=True))
        The slot that may be worked on next; in every clock without work. The state left by the last one must have been stored.
    begin : In(1)
        The work on the slot that is loaded begins.
    early : Out(1)
        From the next clock on: that slot was loaded or stored in the clock before, so the second best is known a clock sooner.
    weigh : In(stream.Signature(weighed(), always_ready=True))
        `begin_latency` clocks after the beginning.
    part : In(1)
        Only ``shares`` of the order named leave; one clock after `weigh`.
    settle : In(stream.Signature(settlement(), always_ready=True))
        One clock after `weigh` or later where nothing leaves, otherwise three clocks after it, or two if it began `early`.
    operation : In(stream.Signature(operation(), always_ready=True))
        First one with or after `weigh` and on its side, each `latency` clocks after the one before. Replays, all of one side,
        need no `weigh`.
    amount : In(amount())
        Of the operation given two clocks before.
    touch : Out(touch())
        Best bid and offer of the slot, a clock after `settle`, `latency` after a replay.
    changed : Out(1)
        The settlement changes ``touch``, or will have when the ladder is rebuilt; with `settle`.
    rebuild : Out(1)
        The settlement empties the window, but orders are live; with `settle`.
    overflows : Out(1)
        An ADD is not done because its level would overflow; 3 clocks after it.
    overflow : Out(1)
        The same, from the next clock until after the store.
    forget : In(1)
        The slot at work has no orders any more; no operation is under way, and `store` comes two clocks later or more.
    store : In(1)
        Keeps the state of the slot; a load may come in the next clock.
    clear : In(1)
        Forgets all orders; takes a clock a slot.
    ready : Out(1)
        Low during a clear, which is also made after reset.
    """

    begin_latency = 4
    latency = 4

    def __init__(self, *, geometry: Geometry) -> None:
        self._slots, self._slot_bits = geometry.slots, geometry.slot_bits
        self._window = Window.of(geometry)
        self._best = data.StructLayout({"key": TICK_BITS, "price": 32, "shares": 32})
        self._state = data.StructLayout(
            {
                "live": geometry.order_capacity.bit_length(),
                "base": self._window.number_bits,
                "summary": self._window.words,
                "best": self._best,
            }
        )
        super().__init__(
            {
                "load": In(stream.Signature(data.StructLayout({"slot": geometry.slot_bits}), always_ready=True)),
                "begin": In(1),
                "early": Out(1),
                "weigh": In(stream.Signature(weighed(), always_ready=True)),
                "part": In(1),
                "settle": In(stream.Signature(settlement(), always_ready=True)),
                "operation": In(stream.Signature(operation(), always_ready=True)),
                "amount": In(amount()),
                "touch": Out(touch()),
                "changed": Out(1),
                "rebuild": Out(1),
                "overflows": Out(1),
                "overflow": Out(1),
                "forget": In(1),
                "store": In(1),
                "clear": In(1),
                "ready": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        slot = Signal(self._slot_bits)
        state = [Signal(self._state, name=f"state_{side.name}") for side in SIDES]
        stored = self._keep_states(m, slot, state)
        with m.If(self.load.valid):
            m.d.sync += [slot.eq(self.load.p.slot), *(state[side].eq(stored[side]) for side in range(2))]
        fresh, stands, late = (Signal(name=name) for name in ("fresh", "stands", "late"))
        steps = Signal(6)  # bit n: step n of the search for the second best
        m.d.sync += [
            fresh.eq((self.load.valid | self.store) & self.ready),
            late.eq(self.begin & ~stands),
            steps.eq(Cat(0, (self.begin & stands) | late, steps[1:])),
        ]
        m.d.comb += stands.eq(fresh & (slot == self.load.p.slot))
        with m.If(self.begin):
            m.d.sync += self.early.eq(stands)

        side = Signal(Side)
        with m.If(self.weigh.valid):
            m.d.sync += side.eq(self.weigh.p.side)
        with m.Elif(self.operation.valid & self.operation.p.replay):
            m.d.sync += side.eq(self.operation.p.side)
        key = Signal(TICK_BITS)
        m.d.comb += key.eq(Window.key(self.operation.p.tick, self.operation.p.side))

        words, levels = self._words_memory(m), self._levels_memory(m)
        second = self._second_best(m, slot, state, steps, late, side, key, words, levels)
        self._operate(m, slot, state, side, key, words, levels)
        self._settle(m, state, side, second)

        with m.If(self.forget):
            m.d.sync += [one.eq(0) for one in state]

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
        return self._memories(m, "words", self._window.word_size, self._window.word_bits)

    def _levels_memory(self, m: Module) -> list[LevelPorts]:
        """Two reads at once, as nothing is read in a clock with a write: the memory needs no third port for it."""
        ports = []
        for side in SIDES:
            ram = memory.Memory(shape=unsigned(32), depth=self._slots << self._window.ticks_bits, init=[])
            m.submodules[f"levels_{side.name}"] = ram
            write = ram.write_port()
            one, two, written = (Signal.like(write.addr, name=f"levels_{name}_{side.name}") for name in ("one", "two", "written"))
            m.d.comb += write.addr.eq(Mux(write.en, written, two))
            answers = [
                quiet_read(m, ram, write, address=address, name=f"levels_data_{number}_{side.name}")
                for number, address in enumerate((one, write.addr))
            ]
            ports.append((one, answers[0], two, answers[1], written, write))
        return ports

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
        steps: Signal,
        late: Signal,
        side: Signal,
        key: Signal,
        words: list[Ports],
        levels: list[LevelPorts],
    ) -> data.View:
        """Finds, while the order is looked up, what is best when the best level goes; drives the read addresses.

        Steps, from the clock of the beginning on, or from the next one: 0 look for the next word, read that of the best; 1 find
        and read the next word; 2 take the best out of its word; 3 highest bit of what is left, or of the next word; 4 read the
        level (the side is known); 6 all known. Step 0 is made anew until work begins.
        """
        word_size = self._window.word_size
        candidates = []
        for number, one in enumerate(state):
            name = SIDES[number].name
            best = one.best.key
            place = Signal(self._window.word_bits, name=f"place_{name}")  # of the best's word in the window
            others = Signal(self._window.words, name=f"others_{name}")
            m.d.comb += [
                place.eq(self._window.number(best) - one.base),
                others.eq(one.summary & ~(Const(1, self._window.words) << place)[: self._window.words]),
            ]
            next_place, next_some = self._next_word(m, others, name)
            next_number = Signal(self._window.number_bits, name=f"next_number_{name}")
            m.d.comb += next_number.eq(one.base + next_place)

            address, content, _ = words[number]
            within = Signal(self._window.word_bits, name=f"word_address_{name}")
            with m.If(self.load.valid | late):
                m.d.comb += within.eq(self._window.number(best))
            with m.Elif(steps[1]):
                m.d.comb += within.eq(next_number)
            with m.Else():
                m.d.comb += within.eq(self._window.number(key))
            m.d.comb += address.eq(Cat(within, slot))

            best_word, in_word, in_next = (
                Signal(word_size, name=f"{word}_{name}") for word in ("best_word", "in_word", "in_next")
            )
            in_some, in_some_before = (Signal(name=f"in_some_{which}_{name}") for which in ("now", "before"))
            other_number, other_before = (
                Signal(self._window.number_bits, name=f"number_{which}_{name}") for which in ("now", "before")
            )
            m.d.sync += [
                best_word.eq(content),
                in_word.eq(best_word & ~(Const(1, word_size) << self._window.bit(best))[:word_size]),
                in_next.eq(content),
                in_some_before.eq(next_some),
                in_some.eq(in_some_before),
                other_before.eq(next_number),
                other_number.eq(other_before),
            ]
            m.submodules[f"in_word_{name}"] = first = PriorityEncoder(width=word_size)
            m.submodules[f"in_next_{name}"] = other = PriorityEncoder(width=word_size)
            m.d.comb += [first.bits.eq(in_word), other.bits.eq(in_next)]
            rest_key, rest_some = Signal(TICK_BITS, name=f"rest_key_{name}"), Signal(name=f"rest_some_{name}")
            with m.If(steps[3]):
                m.d.sync += [
                    rest_key.eq(Mux(first.some, Cat(first.index, self._window.number(best)), Cat(other.index, other_number))),
                    rest_some.eq(first.some | in_some),
                ]
            candidates.append((rest_key, rest_some))
            one, _, two, _, _, _ = levels[number]
            m.d.comb += [
                one.eq(Cat(key[: self._window.ticks_bits], slot)),
                two.eq(Cat(rest_key[: self._window.ticks_bits], slot)),
            ]

        # its shares and price
        (bid_key, bid_some), (ask_key, ask_some) = candidates
        side_now = Signal(Side)
        m.submodules.price = price = PriceOfTick()
        m.d.comb += [
            side_now.eq(Mux(self.weigh.valid, self.weigh.p.side, side)),
            price.tick.eq(Window.key(Mux(side_now == Side.SELL, ask_key, bid_key), side_now)),
        ]
        sell = side == Side.SELL
        second_shares = Signal(32)
        with m.If(steps[5]):
            m.d.sync += second_shares.eq(Mux(sell, levels[1][3], levels[0][3]))
        second = Signal(data.StructLayout({"some": 1, "best": self._best}))
        m.d.comb += [
            second.some.eq(Mux(sell, ask_some, bid_some)),
            second.best.key.eq(Mux(sell, ask_key, bid_key)),
            second.best.price.eq(price.price),
            second.best.shares.eq(second_shares),
        ]
        return second

    def _next_word(self, m: Module, others: Signal, name: str) -> tuple[Value, Value]:
        """Place of the highest of these words, and whether there is one, a clock later: the highest of each group, then of the
        groups."""
        group = 1 << (self._window.word_bits // 2)
        places, somes = [], []
        for at in range(0, self._window.words, group):
            m.submodules[f"in_group_{at}_{name}"] = inside = PriorityEncoder(width=group)
            place, some = Signal(range(group), name=f"place_{at}_{name}"), Signal(name=f"some_{at}_{name}")
            m.d.comb += inside.bits.eq(others[at : at + group])
            m.d.sync += [place.eq(inside.index), some.eq(inside.some)]
            places.append(place)
            somes.append(some)
        m.submodules[f"groups_{name}"] = groups = PriorityEncoder(width=len(somes))
        m.d.comb += groups.bits.eq(Cat(somes))
        return Cat(Array(places)[groups.index], groups.index), groups.some

    def _operate(
        self,
        m: Module,
        slot: Signal,
        state: list[data.View],
        side: Signal,
        key: Signal,
        words: list[Ports],
        levels: list[LevelPorts],
    ) -> None:
        """An operation's stages: 0 read level and word, 1 and 2 place it in the window, 2 new level, 3 write."""
        word_size = self._window.word_size
        high = self._window.high
        active = Signal(4)  # bit n: an operation is in stage n + 1
        m.d.sync += active.eq(Cat(self.operation.valid, active))
        given = self.operation.p
        common = {"action": Action, "replay": 1, "key": TICK_BITS, "better": 1, "equal": 1}

        # 0: where it lies against window and best
        one = Signal(data.StructLayout(common | {"distance": signed(self._window.number_bits + 1)}))
        sell = given.side == Side.SELL
        best_key = Mux(sell, state[1].best.key, state[0].best.key)
        m.d.sync += [
            one.action.eq(given.action),
            one.replay.eq(given.replay),
            one.key.eq(key),
            one.better.eq(key > best_key),
            one.equal.eq(key == best_key),
            one.distance.eq(self._window.number(key) - Mux(sell, state[1].base, state[0].base)),
        ]

        # 1: where it would lie in a moved window
        window = {"inside": 1, "above": 1, "place": self._window.word_bits}
        moved = {
            "new_base": self._window.number_bits,
            "new_place": self._window.word_bits,
            "shift": self._window.word_bits,
            "shift_all": 1,
        }
        two = Signal(
            data.StructLayout(common | window | moved | {"word_counts": 1, "mask": word_size, "level": 32, "word": word_size})
        )
        summary = Mux(side == Side.SELL, state[1].summary, state[0].summary)
        low = one.distance[: self._window.word_bits]
        above = one.distance >= self._window.words
        inside = (one.distance >= 0) & ~above
        at_bottom = self._window.number(one.key) < high
        m.d.sync += [
            two.action.eq(one.action),
            two.replay.eq(one.replay),
            two.key.eq(one.key),
            two.better.eq(one.better),
            two.equal.eq(one.equal),
            two.inside.eq(inside),
            two.above.eq(above),
            two.place.eq(low),
            two.new_base.eq(Mux(at_bottom, 0, self._window.number(one.key) - high)),
            two.new_place.eq(Mux(at_bottom, self._window.number(one.key), high)),
            two.shift.eq(low - high),
            two.shift_all.eq(one.distance >= self._window.words + high),
            two.word_counts.eq(inside & summary.bit_select(low, 1)),
            two.mask.eq(Const(1, word_size) << self._window.bit(one.key)),
            two.level.eq(Mux(side == Side.SELL, levels[1][1], levels[0][1])),
            two.word.eq(Mux(side == Side.SELL, words[1][1], words[0][1])),
        ]

        # 2: new level, and the rest of its word
        three = Signal(
            data.StructLayout(
                common
                | window
                | moved
                | {"mask": word_size, "rest": word_size, "rest_some": 1}
                | {"was_set": 1, "shares": 32, "carry": 1, "emptied": 1, "closes": 1, "price": 32}
                | {"vacant": 1, "alone": 1}
            )
        )
        live = Mux(side == Side.SELL, state[1].live, state[0].live)
        word_after = Signal(word_size)
        word = Signal(word_size)
        was_set = Signal()
        total, left = Signal(33), Signal(33)
        m.d.comb += [
            word.eq(Mux(two.word_counts, two.word, 0)),
            was_set.eq((word & two.mask).any()),
            total.eq(two.level + self.amount.shares),
            left.eq(two.level - self.amount.shares),
        ]
        for name in (*common, *window, *moved, "mask"):
            m.d.sync += Value.cast(three[name]).eq(Value.cast(two[name]))
        m.d.sync += [
            three.rest.eq(word & ~two.mask),
            three.rest_some.eq((word & ~two.mask).any()),
            three.was_set.eq(was_set),
            three.shares.eq(Mux(two.action == Action.REMOVE, left, Mux(was_set, total, self.amount.shares))),
            three.carry.eq(total[32]),
            three.emptied.eq(left[32] | (two.level == self.amount.shares)),
            three.closes.eq(self.amount.closes),
            three.price.eq(self.amount.price),
            three.vacant.eq(summary == 0),
            three.alone.eq(live == 0),
        ]

        # 3: write
        adds, removes = (Signal(name=name) for name in ("adds", "removes"))
        fresh, takes, overflow = (Signal(name=name) for name in ("fresh", "takes", "overflow"))
        now, moved_up, cleared = (Signal(self._window.words, name=name) for name in ("summary_now", "moved_up", "cleared"))
        place = Signal(self._window.word_bits)
        stays = ~three.vacant & (three.inside | three.above)
        m.d.comb += [
            adds.eq(active[2] & (three.action == Action.ADD)),
            removes.eq(active[2] & (three.action == Action.REMOVE)),
            fresh.eq(three.vacant & (three.alone | three.replay)),
            overflow.eq(adds & three.was_set & three.carry),
            takes.eq((adds & (fresh | stays) & ~overflow) | (removes & three.inside & three.was_set)),
            word_after.eq(three.rest | Mux((three.action == Action.ADD) | ~three.emptied, three.mask, 0)),
            moved_up.eq(Mux(fresh | three.shift_all, 0, summary >> three.shift)),
            place.eq(Mux(adds & (fresh | three.above), three.new_place, three.place)),
            cleared.eq(Mux(removes & three.emptied & ~three.rest_some, Const(1, self._window.words) << place, 0)),
            now.eq(
                (Mux(adds & (fresh | three.above), moved_up, summary) | Mux(adds, Const(1, self._window.words) << place, 0))
                & ~cleared
            ),
        ]
        for number, kept in enumerate(state):
            here = Value.cast(side) == number
            _, _, word_write = words[number]
            *_, level_place, level_write = levels[number]
            m.d.comb += [
                word_write.addr.eq(Cat(three.key[self._window.bit_bits : self._window.ticks_bits], slot)),
                level_place.eq(Cat(three.key[: self._window.ticks_bits], slot)),
                word_write.data.eq(word_after),
                level_write.data.eq(three.shares),
                word_write.en.eq(takes & here),
                level_write.en.eq(takes & here),
            ]
            with m.If(here & takes):
                m.d.sync += kept.summary.eq(now)
                with m.If(adds & (fresh | three.above)):
                    m.d.sync += kept.base.eq(three.new_base)
            with m.If(here & adds & ~three.replay & ~overflow):
                m.d.sync += kept.live.eq(kept.live + 1)
            with m.If(here & removes & three.closes):
                m.d.sync += kept.live.eq(kept.live - 1)
            with m.If(here & adds & three.replay & takes & (fresh | three.better | three.equal)):
                m.d.sync += [kept.best.key.eq(three.key), kept.best.price.eq(three.price), kept.best.shares.eq(three.shares)]
        m.d.comb += self.overflows.eq(overflow)
        with m.If(overflow):
            m.d.sync += self.overflow.eq(1)
        with m.Elif(self.load.valid):
            m.d.sync += self.overflow.eq(0)

    def _settle(self, m: Module, state: list[data.View], side: Signal, second: data.View) -> None:
        """The best of the side from what was weighed."""
        given, settled = self.weigh.p, self.settle.p
        sell = side == Side.SELL

        # with the weighing, against the best
        sell_given = given.side == Side.SELL
        best = self._best(Mux(sell_given, state[1].best, state[0].best))
        summary = Mux(sell_given, state[1].summary, state[0].summary)
        old, new = Window.key(given.old_tick, given.side), Window.key(given.new_tick, given.side)
        same, above, equal, unchanged = (Signal(name=name) for name in ("same", "above", "equal", "unchanged"))
        whole_left, part_left, joined = Signal(32), Signal(32), Signal(33)
        with m.If(self.weigh.valid):
            m.d.sync += [
                same.eq(old == best.key),
                above.eq((new > best.key) | (summary == 0)),
                equal.eq(new == best.key),
                unchanged.eq(given.old_shares == given.shares),
                whole_left.eq(best.shares - given.old_shares),
                part_left.eq(best.shares - given.shares),
                joined.eq(best.shares + given.shares),
            ]

        # a clock later: what is left of the best; then against the second best
        left, emptied, lessened, rejoined = Signal(32), Signal(), Signal(), Signal(33)
        above_second, equal_second, alone = Signal(), Signal(), Signal()
        newest = Window.key(given.new_tick, side)
        m.d.sync += [
            left.eq(Mux(self.part, part_left, whole_left)),
            emptied.eq(~self.part & (whole_left == 0)),
            lessened.eq(~self.part | (given.shares != 0)),
            rejoined.eq(whole_left + given.shares),
            above_second.eq(~second.some | (newest > second.best.key)),
            equal_second.eq(second.some & (newest == second.best.key)),
            alone.eq(Mux(sell, state[1].live, state[0].live) == 1),
        ]

        # two or three clocks later: which of them it is
        hit, gone, leads, joins = (Signal(name=name) for name in ("hit", "gone", "leads", "joins"))
        total = Signal(33)
        m.d.comb += [
            hit.eq(settled.leaves & same),
            gone.eq(hit & emptied),
            leads.eq(settled.comes & Mux(gone, above_second, above)),
            total.eq(Mux(gone, second.best.shares + given.shares, Mux(hit, rejoined, joined))),
            joins.eq(settled.comes & Mux(gone, equal_second, equal) & ~total[32]),
            self.changed.eq(Mux(hit & lessened, ~(settled.comes & equal & unchanged), leads | joins)),
            self.rebuild.eq(gone & ~second.some & ~alone),
        ]
        for number, kept in enumerate(state):
            with m.If(self.settle.valid & (Value.cast(side) == number)):
                with m.If(leads):
                    m.d.sync += [kept.best.key.eq(newest), kept.best.price.eq(settled.price), kept.best.shares.eq(given.shares)]
                with m.Else():
                    with m.If(gone):
                        m.d.sync += kept.best.eq(Mux(second.some, second.best, 0))
                    with m.Elif(hit):
                        m.d.sync += kept.best.shares.eq(left)
                    with m.If(joins):
                        m.d.sync += kept.best.shares.eq(total)
