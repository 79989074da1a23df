"""`t2t synth`: the tools run on a small design with the appliance's ports; the committed figures are those of this tree."""

import json
import re
from pathlib import Path

import pytest
import typer
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from typer.testing import CliRunner

from hdl.control.register_file import ControlBus
from hdl.datapath import EventPort
from host import synth

BOARD = "versa_ecp5_5g"
APP = typer.Typer()
APP.command()(synth.synth)


class Echo(wiring.Component):
    """Sends what it receives, with a product of it as event: every kind of cell the flow must count."""

    def __init__(self):
        gmii = {"rxd": In(8), "rx_dv": In(1), "rx_er": In(1), "txd": Out(8), "tx_en": Out(1), "tx_er": Out(1)}
        events = EventPort()
        super().__init__(gmii | {"control": Out(ControlBus()), "events": Out(events)})

    def elaborate(self, platform):
        m = Module()
        total = Signal(32)
        m.d.sync += [
            self.txd.eq(self.rxd),
            self.tx_en.eq(self.rx_dv),
            self.tx_er.eq(self.rx_er),
            total.eq(total + self.rxd * self.control.write_data[:10]),
            self.control.read_data.eq(total ^ self.control.address),
            self.control.read_valid.eq(self.control.read),
        ]
        m.d.comb += [self.events.valid.eq(total[0]), self.events.payload.data.eq(total)]
        return m


@pytest.fixture(scope="module")
def sources():
    return synth.Sources.of(synth.versa_files(Echo()))


@pytest.fixture(scope="module")
def report(sources):
    return synth.route(synth.BOARDS[BOARD], sources, 1)


def test_committed_figures_are_of_this_tree():
    # Elaborated once: all parts are on the same pins.
    found = synth.Sources.of(synth.BOARDS[BOARD].plan("versa"))
    problems = [problem for board in synth.BOARDS if (problem := synth.is_current(board, "versa", found))]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("board", synth.BOARDS)
def test_committed_figures_tell_every_kind_and_clock(board):
    figures = json.loads(synth.figures_path(board).read_text())
    assert figures["device"] == synth.BOARDS[board].device
    assert set(figures["used"]) == set(synth.CELLS)
    assert all(0 < entry["used"] <= entry["available"] for entry in figures["used"].values())
    assert set(figures["clocks"]) == {"sync", "phy", "rx", "board"}
    assert figures["clocks"]["sync"]["constraint_mhz"] == 125
    assert figures["critical_path"]["ns"] > 0 and figures["critical_path"]["parts"]


def test_elaboration_gives_the_same_digest_every_time(sources):
    assert synth.Sources.of(synth.versa_files(Echo())).digest("versa") == sources.digest("versa")


@pytest.mark.parametrize("part", ["rtlil", "script", "pins"])
def test_digest_depends_on_every_part(sources, part):
    changed = synth.Sources(**{**vars(sources), part: getattr(sources, part) + "\n"})
    assert changed.digest("versa") != sources.digest("versa")
    assert sources.digest("large") != sources.digest("versa")


def test_figures_of_another_design_are_refused(sources, report, tmp_path, monkeypatch):
    monkeypatch.setattr(synth, "CONSTRAINTS", tmp_path)
    assert synth.is_current(BOARD, "versa", sources) == f"{BOARD}.json is missing; run: t2t synth {BOARD}"
    figures = synth.figures(BOARD, "versa", sources, {1: report})
    synth.figures_path(BOARD).write_text(json.dumps(figures))
    assert synth.is_current(BOARD, "versa", sources) == ""
    other = synth.Sources(sources.rtlil + "#", sources.script, sources.pins)
    problem = synth.is_current(BOARD, "versa", other)
    assert figures["digest"] in problem
    assert problem.endswith(f"run: t2t synth {BOARD}")


def test_flow_counts_cells_and_clocks(sources, report):
    figures = synth.figures(BOARD, "versa", sources, {1: report})
    assert figures["used"]["DSP"]["used"] == 1
    assert figures["used"]["FF"]["used"] > 100
    assert figures["used"]["block RAM"] == {"used": 0, "available": 108}
    asked = {name: clock["constraint_mhz"] for name, clock in figures["clocks"].items()}
    assert asked == {"sync": 125, "phy": 125, "rx": 125, "board": 100}
    assert synth.met(figures)
    figures["clocks"]["sync"]["achieved_mhz"]["2"] = 124.9
    assert not synth.met(figures)


def test_blocks_hold_every_cell(sources, report):
    blocks = synth.by_block(synth.synthesise(sources))
    assert {"core", "link", "link.receiver", "link.transmitter", "port.elastic"} <= set(blocks)
    assert blocks["core"]["DSP"] == 1
    used = synth.figures(BOARD, "versa", sources, {1: report})["used"]
    # Placement moves the registers of the six output enables into the pins.
    assert sum(counts["FF"] for counts in blocks.values()) == used["FF"]["used"] + 6
    assert sum(counts["LUT4"] for counts in blocks.values()) == pytest.approx(used["LUT4"]["used"], rel=0.1)


def test_critical_path_is_whole(report):
    path = synth.critical_path(synth.BOARDS[BOARD], report)
    assert path["ns"] == pytest.approx(path["logic_ns"] + path["routing_ns"], abs=0.02)
    assert path["slack_ns"] == pytest.approx(8 - path["ns"], abs=0.02)
    (achieved,) = [entry["achieved"] for net, entry in report["fmax"].items() if synth.BOARDS[BOARD].clock(net) == "sync"]
    assert 1000 / achieved == pytest.approx(path["ns"], abs=0.02)
    delays = [float(re.match(r"[\w-]+ ([\d.]+) ns", part)[1]) for part in path["parts"]]
    assert sum(delays) == pytest.approx(path["ns"], abs=0.01 * len(delays))


def test_bitstream_is_made(sources, report, capfd):
    synth.route(synth.BOARDS[BOARD], sources, 1)
    path = Path(re.search(r"bitstream (.*\.bit)", capfd.readouterr().err)[1])
    # The preamble every ECP5 bitstream has behind its comment.
    assert b"\xff\xff\xbd\xb3" in path.read_bytes()[:1000]


def test_placed_figures_are_estimates(sources, report):
    placed = synth.place(synth.BOARDS[BOARD], sources, 1)
    figures = synth.figures(BOARD, "versa", sources, {1: placed}, stage="placed")
    routed = synth.figures(BOARD, "versa", sources, {1: report})
    assert figures["used"] == routed["used"] and figures["clocks"].keys() == routed["clocks"].keys()
    for name, clock in figures["clocks"].items():
        assert clock["constraint_mhz"] == routed["clocks"][name]["constraint_mhz"]
        assert clock["achieved_mhz"]["1"] > 0
    assert figures["stage"] == "placed"
    path, sync = figures["critical_path"], figures["clocks"]["sync"]["achieved_mhz"]["1"]
    assert path["clock"] == "sync"
    # nextpnr tells its estimate before the last cells have moved.
    assert 1000 / path["ns"] == pytest.approx(sync, rel=0.03)


def test_unknown_board_and_preset_are_named():
    result = CliRunner().invoke(APP, ["nowhere"])
    assert result.exit_code == 2
    assert "nowhere was given" in result.output
    result = CliRunner().invoke(APP, [BOARD, "--preset", "tiny"])
    assert result.exit_code == 2
    assert "tiny was given" in result.output
