"""A serial line as control port: registers in, answers and events out."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from hdl.boards.serial_receiver import SerialReceiver
from hdl.boards.serial_transmitter import SerialTransmitter
from hdl.control.register_file import ControlBus
from hdl.datapath import EventPort
from hdl.spec.registers import WORD


class Command(enum.Enum, shape=8):
    """First byte of what the host sends."""

    WRITE = ord("W")
    """Three bytes of address, four of data, most significant first."""
    READ = ord("R")
    """Three bytes of address."""


class Answer(enum.Enum, shape=8):
    """First byte of what the card sends; four bytes of data follow, most significant first."""

    DATA = ord("D")
    """Word that was read."""
    EVENT = ord("E")
    """Word of an event record."""
    LAST = ord("L")
    """Last word of an event record."""


class ByteLink(wiring.Component):
    """The control bus and the event words over two wires.

    What the host sends is one `Command` after the other. A byte that is none is skipped, and a command whose next byte does not
    come is forgotten, so a pause brings both sides back in step. What the card sends is one `Answer` after the other; answers to
    reads go before events.

    Latency: eight bytes on the line for a write, four and five for a read.

    Under overload: events wait, and are then lost and counted where they are made (`events_lost`). The host must not send a
    second command before a read was answered.

    Parameters
    ----------
    divisor : int
        Clocks a bit, from 4 on.
    patience : int
        Clocks after which a command without its next byte is forgotten; more than a byte takes.

    Members
    -------
    rx : In(1)
        Line from the host.
    tx : Out(1)
        Line to the host.
    control : In(ControlBus)
        To the card's registers.
    events : In(EventPort)
        Words of event records.
    """

    def __init__(self, *, divisor: int, patience: int = 1 << 20) -> None:
        if patience <= 10 * divisor:
            raise ValueError(f"patience: {patience} was given, allowed are more than the {10 * divisor} clocks of a byte")
        self._receiver = SerialReceiver(divisor=divisor)
        self._transmitter = SerialTransmitter(divisor=divisor)
        self._patience = patience
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "control": In(ControlBus()),
                "events": In(EventPort()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.d.comb += [receiver.line.eq(self.rx), self.tx.eq(transmitter.line)]

        # Every byte of a command enters at the low end of one shift register: address above data.
        shift = Signal(24 + WORD)
        wanted = Signal(3)
        command = Signal(Command, init=Command.READ)
        silence = Signal(range(self._patience))
        m.d.sync += [self.control.write.eq(0), self.control.read.eq(0), silence.eq(silence + 1)]
        with m.If(receiver.byte.valid):
            m.d.sync += silence.eq(0)
            with m.If(wanted != 0):
                m.d.sync += [shift.eq(Cat(receiver.byte.payload, shift)), wanted.eq(wanted - 1)]
                with m.If(wanted == 1):
                    m.d.sync += [self.control.write.eq(command == Command.WRITE), self.control.read.eq(command == Command.READ)]
            with m.Else():
                with m.Switch(receiver.byte.payload):
                    with m.Case(Command.WRITE.value):
                        m.d.sync += [command.eq(Command.WRITE), wanted.eq(7)]
                    with m.Case(Command.READ.value):
                        m.d.sync += [command.eq(Command.READ), wanted.eq(3)]
        with m.Elif(silence == self._patience - 1):
            m.d.sync += [wanted.eq(0), silence.eq(0)]
        m.d.comb += self.control.write_data.eq(shift[:WORD])
        with m.If(command == Command.WRITE):
            m.d.comb += self.control.address.eq(shift[WORD:])
        with m.Else():
            m.d.comb += self.control.address.eq(shift)

        answered = Signal()
        answer = Signal(WORD)
        with m.If(self.control.read_valid):
            m.d.sync += [answered.eq(1), answer.eq(self.control.read_data)]

        # Events come from a block RAM; a register takes them before anything is chosen.
        taken = Signal()
        event, event_last = Signal(WORD), Signal()
        out = Signal(8 + WORD)
        left = Signal(range(6))
        m.d.comb += [transmitter.byte.payload.eq(out[-8:]), transmitter.byte.valid.eq(left != 0)]
        with m.If(left != 0):
            with m.If(transmitter.byte.ready):
                m.d.sync += [out.eq(out << 8), left.eq(left - 1)]
        with m.Elif(answered):
            m.d.sync += [out.eq(Cat(answer, Answer.DATA)), left.eq(5), answered.eq(0)]
        with m.Elif(taken):
            m.d.sync += [out.eq(Cat(event, Mux(event_last, Answer.LAST, Answer.EVENT))), left.eq(5), taken.eq(0)]
        with m.Else():
            m.d.comb += self.events.ready.eq(1)
            m.d.sync += [taken.eq(self.events.valid), event.eq(self.events.payload.data), event_last.eq(self.events.payload.last)]
        return m
