"""Poking: values set from Python reach the component, values read are those of the component."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from sim import poke, tools
from tests.sim.test_card import hierarchy


class Accumulator(wiring.Component):
    """Sums what is given, in widths on both sides of 32 and 64 bits."""

    def __init__(self) -> None:
        bus = wiring.Signature({"add": Out(40), "enable": Out(1)})
        super().__init__({"bus": In(bus), "total": Out(80), "twice": Out(41), "inside": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = Inner()
        with m.If(self.bus.enable):
            m.d.sync += self.total.eq(self.total + self.bus.add)
        m.d.comb += [self.twice.eq(self.bus.add << 1), inner.value.eq(self.bus.add[:8]), self.inside.eq(inner.plus_one)]
        return m


class Inner(wiring.Component):
    """Has something to be seen inside."""

    def __init__(self) -> None:
        super().__init__({"value": In(8), "plus_one": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = Signal(8)
        m.submodules.words = words = memory.Memory(shape=100, depth=16, init=[3 << 90 | index for index in range(16)])
        write = words.write_port()
        m.d.comb += [write.en.eq(1), write.addr.eq(15), write.data.eq(last), self.plus_one.eq(last + 1)]
        m.d.sync += last.eq(self.value)
        return m


@pytest.fixture(scope="module")
def library() -> None:
    with poke.build(Accumulator(), name="accumulator"):
        pass


@pytest.mark.usefixtures("library")
def test_values_set_and_read_follow_the_component() -> None:
    source, total = random.Random(1), 0
    with poke.build(Accumulator(), name="accumulator") as dut:
        assert (dut.cycle, dut.total) == (0, 0)
        for _ in range(200):
            value, enable = source.getrandbits(40), source.getrandbits(1)
            dut.bus__add = value
            dut["bus__enable"] = enable
            assert dut.twice == dut["twice"] == 2 * value, "without a clock"
            assert dut.bus__add == value
            dut.step(3)
            total += 3 * value * enable
            assert dut.total == total
        assert dut.cycle == 600
        assert total > 1 << 43
        dut.reset()
        assert (dut.cycle, dut.total) == (0, 0)


@pytest.mark.usefixtures("library")
def test_signals_and_memories_inside_are_read_and_set() -> None:
    with poke.build(Accumulator(), name="accumulator") as dut, poke.build(Accumulator(), name="accumulator") as other:
        assert dut.signals["inner.last"] == (8, 1)
        assert dut.signals["inner.words"] == (100, 16)
        assert [dut["inner.words", word] for word in range(15)] == [3 << 90 | word for word in range(15)]
        dut.bus__add = 0xAB
        dut.step()
        assert (dut["inner.last"], dut.inside) == (0xAB, 0xAC)
        dut["inner.last"] = 0x10
        assert dut.inside == 0x11
        dut.step()
        assert (dut["inner.words", 15], dut["inner.last"]) == (0x10, 0xAB)
        dut["inner.words", 3] = 7
        assert (dut["inner.words", 3], dut["inner.words", 4]) == (7, 3 << 90 | 4)
        assert (other["inner.last"], other["inner.words", 3]) == (0, 3 << 90 | 3)
        with pytest.raises(poke.PokeError, match=r"inner\.words: word 16 was asked for, there are 16"):
            _ = dut["inner.words", 16]
        with pytest.raises(poke.PokeError, match=r"inner\.last: 256 was given, allowed are 0 to 255"):
            dut["inner.last"] = 256


@pytest.mark.usefixtures("library")
def test_a_wave_is_written(tmp_path: Path) -> None:
    file = tmp_path / "new" / "accumulator.fst"
    with poke.build(Accumulator(), name="accumulator") as dut:
        dut.wave(file)
        dut.bus__add = 5
        dut.step(10)
    assert file.stat().st_size > 500


def test_without_what_is_inside_a_wave_has_the_ports(tmp_path: Path) -> None:
    with poke.build(Accumulator(), name="accumulator", inside=False) as dut:
        assert "inner.last" not in dut.signals
        dut.wave(tmp_path / "ports.fst")
        dut.bus__add = dut.bus__enable = 1
        dut.step(3)
        assert (dut.total, dut.inside) == (3, 2)
    names = hierarchy((tmp_path / "ports.fst").read_bytes())
    assert b"bus__add" in names and b"inside" in names and b"last" not in names


@pytest.mark.usefixtures("library")
def test_wrong_names_and_values_are_told() -> None:
    with poke.build(Accumulator(), name="accumulator") as dut:
        with pytest.raises(poke.PokeError, match="bus__enable: 2 was given, allowed are 0 to 1"):
            dut.bus__enable = 2
        with pytest.raises(poke.PokeError, match="total cannot be set; inputs are"):
            dut.total = 2
        with pytest.raises(poke.PokeError, match="there is no signal nothing; ports are"):
            dut["nothing"]
        with pytest.raises(AttributeError, match="there is no signal nothing"):
            _ = dut.nothing
        assert {"bus__add", "total", "step"} <= set(dir(dut))


@pytest.mark.usefixtures("library")
def test_nothing_is_built_or_printed_twice(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with poke.build(Accumulator(), name="accumulator", progress=told.append) as dut:
        dut.step()
    assert told == []
    assert capfd.readouterr() == ("", "")


def test_a_failing_build_is_told_and_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, "BUILD", tmp_path)
    monkeypatch.setattr(poke.verilated, "MAKE", {"CXX": "false"})
    for _ in range(2):
        with pytest.raises(tools.ToolError, match="make failed"):
            poke.build(Accumulator(), name="accumulator", progress=lambda _: None)
