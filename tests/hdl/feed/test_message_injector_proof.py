"""What the host writes never meets what a frame brings: proved by k-induction for every order of frames, packets held and words.

What is abstract: the bytes that are read are arbitrary, of a length the component lets in (`test_message_injector` tests that it
lets no other in). Where a beat is a byte, the longest message and the headers are both shorter by `SHORTER` bytes: what is proved
is that the one is given while the others pass.

What is assumed of the stages in front: a message of a frame comes no earlier than its headers take, and not later than `settle`
clocks after the frame, or while `PacketHold` says that something waits and as long after it; and a frame does not pause for
longer than `PAUSE` clocks, so that what is older than the proof looks back is over.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.feed.message_injector import LINE, MessageInjector
from hdl.feed.moldudp64_receiver import MoldUdp64Receiver
from hdl.feed.resequencer import Resequencer
from hdl.net.frame_filter import FrameFilter
from hdl.spec import injection
from hdl.spec.moldudp64 import BLOCK, HEADER
from hdl.spec.network import ETHERNET, IPV4, UDP
from tests.support.proofs import judge, mutant, out_of_reset

HEADERS = sum(layout.size for layout in (ETHERNET, IPV4, UDP, HEADER, BLOCK))
"""Bytes of a frame before its first message, at least."""


PAUSE = 3
SHORTER = {1: 44, 8: 0}


def since(m: Module, event: Any, most: int, name: str) -> Signal:
    """Clocks before this one in which `event` was not, up to `most`; so many where it never was."""
    count = Signal(range(most + 1), init=most, name=name)
    m.d.sync += count.eq(Mux(event, 0, Mux(count < most, count + 1, most)))
    return count


class Harness(wiring.Component):
    """The component, with the frames and packets there can be around it."""

    def __init__(self, injector: Any, width: int) -> None:
        behind = Resequencer(width=width).latency
        self.settle = FrameFilter(width=width).verdict + MoldUdp64Receiver(width=width).verdict + behind
        # `busy` comes a clock before the first beat where a beat is a byte.
        self.headers = (HEADERS - SHORTER[width]) // width - (width == 1)
        row = self.row = Signal(32 if width == 1 else 128)

        class Abstract(injector):  # type: ignore[misc]
            @staticmethod
            def _read(m: Module, ram: Any, write: Any) -> tuple[Signal, Signal]:
                return Signal.like(write.addr), row

        self.injector = Abstract(width=width, settle=self.settle + 1, tail=behind, messages=2)
        inputs = {"frame": 2, "waiting": 1, "live": 1, "word": 32, "word_valid": 1, "clear": 1, "bytes": len(row)}
        super().__init__({name: In(bits) for name, bits in inputs.items()})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.injector = dut = self.injector
        length = self.row[-32:]
        m.d.comb += [
            self.row.eq(self.bytes), Assume((length != 0) & (length <= injection.LONGEST)),
            dut.frame.eq(self.frame), dut.waiting.eq(self.waiting), dut.message.valid.eq(self.live), dut.busy.eq(self.live),
            dut.word.valid.eq(self.word_valid), dut.word.payload.eq(self.word), dut.clear.eq(self.clear),
        ]  # fmt: skip
        valid, last = self.frame[0], self.frame[1]
        under_way, first, waited = Signal(), Signal(), Signal()
        with m.If(valid):
            m.d.sync += under_way.eq(~last)
        m.d.sync += waited.eq(self.waiting)
        m.d.comb += first.eq(valid & ~under_way)
        m.d.comb += Assume(valid | ~under_way | (since(m, valid, PAUSE, "pause") < PAUSE))
        age = Mux(first, 0, since(m, first, self.headers, "age") + 1)
        of_frame = (age >= self.headers) & (valid | under_way | (since(m, valid | under_way, self.settle, "quiet") < self.settle))
        held = self.waiting | (since(m, self.waiting, self.settle, "empty") < self.settle)
        m.d.comb += [Assume(~(self.waiting & ~waited) | of_frame), Assume(~self.live | of_frame | held)]

        # Beats that can be counted; in the induction a message may have as many.
        most = 1 + (1 << injection.LONGEST.bit_length()) // dut.lanes + dut.tail
        giving, given = dut.line_out == LINE, Signal(range(most + 2))
        m.d.sync += given.eq(Mux(giving, given + 1, 0))
        m.d.comb += [Assert(~(giving & self.live)), Assert(~giving | (given < most))]
        return m


@pytest.mark.parametrize("width", [1, 8])
def test_a_message_of_the_host_never_meets_one_of_a_frame(width: int) -> None:
    with mock.patch.object(injection, "LONGEST", injection.LONGEST - SHORTER[width]):
        assert judge(Harness(MessageInjector, width), depth=36) == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("with m.If(self.frame.valid | under_way | self.waiting):", "with m.If(self.waiting):"),
        ("with m.If(self.frame.valid | under_way | self.waiting):", "with m.If(self.frame.valid | under_way):"),
        ("        return rest == 0", "        return rest < 5"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(old: str, new: str) -> None:
    assert judge(Harness(mutant(MessageInjector, old, new), 8), depth=45, mode="bmc") == "FAIL"
