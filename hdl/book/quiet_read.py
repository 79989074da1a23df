"""A read port for memories that are never read and written in one clock."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import memory


def quiet_read(
    m: Module, ram: memory.Memory, write: memory.WritePort, *, address: Value, name: str, hold: Value | int = 0
) -> Signal:
    """What lies at ``address``, a clock later; in a clock with a write or ``hold`` nothing is read and the last answer stays.

    As both never happen at once, block RAM needs no registers and comparators to look as if a read came before a write: written
    so that the synthesiser can prove it.
    """
    port = ram.read_port(domain="comb")
    answer = Signal(port.data.shape(), name=name, reset_less=True)
    m.d.comb += port.addr.eq(address)
    with m.If(~write.en & ~Value.cast(hold)):
        m.d.sync += answer.eq(port.data)
    return answer
