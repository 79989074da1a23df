"""Steps a component under cocotb clock by clock: ports by name, payloads as dictionaries, streams collected with their clock."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Shape, unsigned
from amaranth.lib import data, wiring
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
        self._collect, self._pulses, self._levels = collect, pulses, levels
        self._level: dict[str, int] = {}
        self._offered: list[Any] = []
        self._inputs: list[str] = []
        for path, member, _ in component.signature.flatten(component):
            name = "__".join(map(str, path))
            if hasattr(dut, name):
                self.shapes[name] = Fields(member.shape)
                if member.flow is wiring.In:
                    self._inputs.append(name)
        self._handles = {name: getattr(dut, name) for name in self.shapes}
        # Through `value` each read makes objects of every bit: most of a run's time went there.
        self._bits = {name: handle._handle.get_signal_val_binstr for name, handle in self._handles.items()}
        self._half = Timer(4, "ns")

    def set(self, name: str, value: Payload) -> None:
        """Set an input from the next clock on."""
        self._handles[name].value = self.shapes[name].pack(value)

    def get(self, name: str) -> Any:
        """Value of an output as it stood when the last clock rose."""
        return self.shapes[name].unpack(self._level[name])

    def _read(self, name: str) -> int:
        return int(self._bits[name](), 2)

    def offer(self, stream: str, payload: Payload) -> None:
        """Valid in the next clock only."""
        self.set(f"{stream}__payload", payload)
        self.set(f"{stream}__valid", 1)
        self._offered.append(f"{stream}__valid")

    async def reset(self) -> None:
        """All inputs 0, two clocks in reset."""
        for name in self._inputs:
            self.set(name, 0)
        self.dut.rst.value = 1
        self.dut.clk.value = 0
        await self.step(2)
        self.dut.rst.value = 0
        self.cycle = 0
        for seen in self.seen.values():
            seen.clear()

    async def step(self, clocks: int = 1) -> None:
        """Go on by some clocks."""
        for _ in range(clocks):
            if "now" in self._handles:
                self._handles["now"].value = self.cycle & 0xFFFFFFFF
            await self._half
            for name in self._collect:
                if self._read(f"{name}__valid"):
                    self._keep(name, f"{name}__payload")
            for name in self._pulses:
                if self._read(name):
                    self._keep(name, name)
            for name in self._levels:
                self._level[name] = self._read(name)
            self.dut.clk.value = 1
            await self._half
            self.dut.clk.value = 0
            for name in self._offered:
                self.set(name, 0)
            self._offered.clear()
            self.cycle += 1

    def _keep(self, name: str, port: str) -> None:
        self.seen[name].append((self.cycle, self.shapes[port].unpack(self._read(port))))

    def taken(self, name: str) -> list[tuple[int, Any]]:
        """What was collected since the last call."""
        found = list(self.seen[name])
        self.seen[name].clear()
        return found
