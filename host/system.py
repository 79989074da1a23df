"""What the machine itself must have before any package can be installed.

Standard library only, and readable for Python 3.9: `make` runs this file with the system's Python before there is a virtual
environment, so it has to be able to say that this Python is too old.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 11)


class Need(NamedTuple):
    """One thing the machine must have.

    Parameters
    ----------
    name : str
        What it is called.
    reason : str
        Who needs it.
    package : str
        Debian package that brings it.
    found : str, optional
        Where or which one it is; none where it is missing.
    """

    name: str
    reason: str
    package: str
    found: str | None


def _shared_python() -> str | None:
    """Python as a shared library, which Verilated tests load; Debian packs it apart from the program."""
    name = "libpython{}.{}.so.1.0".format(*sys.version_info[:2])
    for candidate in (str(Path(sysconfig.get_config_var("LIBDIR") or "/") / name), name):
        try:
            ctypes.CDLL(candidate)
        except OSError:
            continue
        return candidate
    return None


def needs() -> tuple[Need, ...]:
    """Everything the machine must have, found or not."""
    version = "{}.{}".format(*sys.version_info[:2])
    new_enough = sys.version_info[:2] >= OLDEST
    of_python = version if new_enough else "{}.{}".format(*OLDEST)
    has_venv = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
    return (
        Need("python", "runs everything; 3.11 or later", "python3", sys.version.split()[0] if new_enough else None),
        Need("venv", "makes the virtual environment", f"python{of_python}-venv", "of Python " + version if has_venv else None),
        Need("libpython", "cocotb loads it into the simulation", f"libpython{of_python}", _shared_python()),
        Need("g++", "compiles the Verilated gateware", "g++", shutil.which("g++")),
        Need("make", "runs that compilation", "make", shutil.which("make")),
        Need("perl", "runs Verilator's own start script", "perl", shutil.which("perl")),
    )


def install_command(missing: Sequence[Need]) -> str:
    """The one command that installs what is missing, for Debian."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get update && {sudo}apt-get install -y " + " ".join(need.package for need in missing)


def main() -> int:
    """Say what is missing; exit code 1 where something is."""
    missing = [need for need in needs() if need.found is None]
    for need in missing:
        print(f"missing: {need.name} ({need.reason})", file=sys.stderr)
    if missing:
        print(f"this installs it:\n  {install_command(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
