"""Vectors of flags, one bit a slot or a pair."""

from amaranth.hdl import Module, Signal, Value


def one_hot(m: Module, index: Value, width: int, enable: Value) -> Signal:
    """Vector with only the bit `index` set, or none unless `enable`.

    To be ORed into flags or masked out of them: a write by a dynamic index is a choice between `width` whole vectors instead, in
    the netlist and in the simulation.
    """
    bits = Signal(width)
    m.d.comb += bits.eq(enable << index)
    return bits
