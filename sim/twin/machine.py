"""Instructions that Python has no word for."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def pointer(typing_context: Any, array: Any) -> Any:
    """Where the elements of an array lie. Indexing it counts no references and checks nothing, which is most of the speed."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, values[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def load_big(typing_context: Any, data: Any, at: Any) -> Any:
    """The eight bytes from `at` on as a big-endian number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.bitcast(builder.gep(values[0], [values[1]]), ir.IntType(64).as_pointer())
        return builder.bswap(builder.load(place, align=1))

    return types.uint64(data, types.uint64), generate


def _counting(instruction: str, doc: str) -> Any:
    """An instruction that counts bits of a number."""

    def count(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            flags = [] if instruction == "ctpop" else [ir.Constant(ir.IntType(1), 0)]
            return getattr(builder, instruction)(values[0], *flags)

        return types.uint64(types.uint64), generate

    count.__name__ = count.__qualname__ = instruction
    count.__doc__ = doc
    return intrinsic(count)


leading_zeros = _counting("ctlz", "Zeros in front of the highest bit that is set, 64 where none is.")
trailing_zeros = _counting("cttz", "Zeros behind the lowest bit that is set, 64 where none is.")
ones = _counting("ctpop", "Bits that are set.")


@intrinsic
def equal_of_four(typing_context: Any, data: Any, at: Any, value: Any) -> Any:
    """A bit for each of the four elements from `at` on, set where the element is the value."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer, place, wanted = values
        four = ir.VectorType(wanted.type, 4)
        start = builder.bitcast(builder.gep(pointer, [place]), four.as_pointer())
        spread = ir.Constant(four, ir.Undefined)
        for lane in range(4):
            spread = builder.insert_element(spread, wanted, ir.Constant(ir.IntType(32), lane))
        same = builder.icmp_unsigned("==", builder.load(start, align=8), spread)
        return builder.zext(builder.bitcast(same, ir.IntType(4)), ir.IntType(64))

    return types.uint64(data, types.uint64, types.uint64), generate


@intrinsic
def prefetch(typing_context: Any, data: Any, at: Any) -> Any:
    """Have element `at` brought near."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.bitcast(builder.gep(values[0], [values[1]]), ir.IntType(8).as_pointer())
        integer = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, integer, integer, integer])
        function = builder.module.declare_intrinsic("llvm.prefetch", (place.type,), fnty=kind)
        builder.call(function, [place, *(ir.Constant(integer, number) for number in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(data, types.uint64), generate
