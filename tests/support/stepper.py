"""Steps a component under cocotb clock by clock: ports by name, payloads as dictionaries, streams collected with their clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Shape, unsigned
from amaranth.lib import data, wiring
from cocotb.handle import _GPISetAction
from cocotb.triggers import Timer

Payload = int | dict[str, Any] | list[Any]


class Fields:
    """Bits of a shape to plain integers, dictionaries and lists, and back."""

    def __init__(self, shape: Any):
        while not isinstance(shape, (Shape, data.Layout)):
            shape = shape.as_shape() if hasattr(shape, "as_shape") else Shape.cast(shape)
        self.bits: int = Shape.cast(shape).width
        self.signed = isinstance(shape, Shape) and shape.signed
        self.is_list = isinstance(shape, data.ArrayLayout)
        self.is_bytes = isinstance(shape, data.ArrayLayout) and Shape.cast(shape.elem_shape) == unsigned(8)
        self.members: list[tuple[Any, int, Fields]] | None = None
        if isinstance(shape, data.Layout):
            self.members = [(key, field.offset, Fields(field.shape)) for key, field in shape]

    def pack(self, value: Payload) -> int:
        """Bits of a value; members that are not given are 0."""
        if isinstance(value, int):
            low, high = (-(1 << self.bits - 1), 1 << self.bits - 1) if self.signed else (0, 1 << self.bits)
            assert low <= value < high, f"{value} does not fit {self.bits} bits"
            return value & ((1 << self.bits) - 1)
        if self.is_bytes and isinstance(value, list):
            assert 8 * len(value) <= self.bits, f"{len(value)} bytes do not fit {self.bits} bits"
            return int.from_bytes(bytes(value), "little")
        members = self.members or []
        named: dict[Any, Any] = dict(enumerate(value)) if isinstance(value, list) else value
        unknown = named.keys() - {key for key, _, _ in members}
        assert not unknown, f"no members {unknown}"
        return sum(fields.pack(named[key]) << offset for key, offset, fields in members if key in named)

    def unpack(self, bits: int) -> Any:
        """Value of bits."""
        bits &= (1 << self.bits) - 1
        if self.members is None:
            return bits - (1 << self.bits) if self.signed and bits >> (self.bits - 1) else bits
        if self.is_bytes:
            return list(bits.to_bytes(self.bits // 8, "little"))
        values = {key: fields.unpack(bits >> offset) for key, offset, fields in self.members}
        return list(values.values()) if self.is_list else values


_NOW = _GPISetAction.NO_DELAY.value
_WORD = 31
"""Bits that the simulator gives and takes as a number, without a sign."""


def _reader(signal: Any, bits: int) -> Callable[[], int]:
    """Past `value`, which makes objects of every bit: most of a run's time went there."""
    if bits <= _WORD:
        return signal._handle.get_signal_val_long
    read = signal._handle.get_signal_val_binstr
    return lambda: int(read(), 2)


def _writer(signal: Any, bits: int) -> Callable[[int], None]:
    """Past `value` too, which waits for a phase of its own: who writes here does so before the model is evaluated anyway."""
    if bits <= _WORD:
        write_int = signal._handle.set_signal_val_int
        return lambda value: write_int(_NOW, value)
    write = signal._handle.set_signal_val_binstr
    return lambda value: write(_NOW, f"{value:0{bits}b}")


class Stepper:
    """Drives the clock itself: inputs are set, settle, are sampled with the outputs, and only then the clock rises.

    Parameters
    ----------
    dut : cocotb handle
        Top module.
    component : wiring.Component
        What it was made from; its signature names the ports.
    collect : tuple of str
        Output streams whose transfers are kept, each with its clock.
    pulses : tuple of str
        Outputs kept with their clock whenever they are not 0.
    levels : tuple of str
        Outputs that `get` gives.
    """

    def __init__(
        self,
        dut: Any,
        component: wiring.Component,
        *,
        collect: tuple[str, ...] = (),
        pulses: tuple[str, ...] = (),
        levels: tuple[str, ...] = (),
    ):
        self.dut = dut
        self.cycle = 0
        self.shapes: dict[str, Fields] = {}
        self.seen: dict[str, list[tuple[int, Any]]] = {name: [] for name in collect + pulses}
        self._level: dict[str, int] = {}
        self._offered: list[Callable[[int], None]] = []
        self._write: dict[str, Callable[[int], None]] = {}
        read: dict[str, Callable[[], int]] = {}
        for path, member, _ in component.signature.flatten(component):
            name = "__".join(map(str, path))
            if hasattr(dut, name):
                self.shapes[name] = shape = Fields(member.shape)
                read[name] = _reader(getattr(dut, name), shape.bits)
                if member.flow is wiring.In:
                    self._write[name] = _writer(getattr(dut, name), shape.bits)
        self._clock, self._reset = _writer(dut.clk, 1), _writer(dut.rst, 1)
        kept = [(read[f"{name}__valid"], name, f"{name}__payload") for name in collect]
        kept += [(read[name], name, name) for name in pulses]
        self._kept = [(valid, self.seen[name], self.shapes[port].unpack, read[port]) for valid, name, port in kept]
        self._levels = [(name, read[name]) for name in levels]
        self._half = Timer(4, "ns")

    def set(self, name: str, value: Payload) -> None:
        """Set an input from the next clock on."""
        self._write[name](self.shapes[name].pack(value))

    def get(self, name: str) -> Any:
        """Value of an output as it stood when the last clock rose."""
        return self.shapes[name].unpack(self._level[name])

    def offer(self, stream: str, payload: Payload) -> None:
        """Valid in the next clock only."""
        self.set(f"{stream}__payload", payload)
        valid = self._write[f"{stream}__valid"]
        valid(1)
        self._offered.append(valid)

    async def reset(self) -> None:
        """All inputs 0, two clocks in reset."""
        for write in self._write.values():
            write(0)
        self._reset(1)
        self._clock(0)
        await self.step(2)
        self._reset(0)
        self.cycle = 0
        for seen in self.seen.values():
            seen.clear()

    async def step(self, clocks: int = 1) -> None:
        """Go on by some clocks."""
        now = self._write.get("now")
        for _ in range(clocks):
            if now is not None:
                now(self.cycle & 0xFFFFFFFF)
            await self._half
            for valid, seen, unpack, read in self._kept:
                if valid():
                    seen.append((self.cycle, unpack(read())))
            for name, read in self._levels:
                self._level[name] = read()
            self._clock(1)
            await self._half
            self._clock(0)
            for valid in self._offered:
                valid(0)
            self._offered.clear()
            self.cycle += 1

    def taken(self, name: str) -> list[tuple[int, Any]]:
        """What was collected since the last call."""
        found = list(self.seen[name])
        self.seen[name].clear()
        return found
