"""`t2t doctor`: says what is there, and what to run when something is not."""

import importlib.metadata
import json

import pytest
import typer
from typer.testing import CliRunner

from host import doctor, system

APP = typer.Typer()
APP.command()(doctor.doctor)


@pytest.fixture
def whole(monkeypatch):
    """A machine on which everything is as the lock says."""
    locked = doctor.locked()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: locked[doctor._canonical(name)])
    monkeypatch.setattr(doctor, "declared", lambda: {"amaranth": "runtime", "cocotb": "test"})
    monkeypatch.setattr(system, "needs", lambda: (system.Need("g++", "compiles", "g++", "here"),))
    monkeypatch.setattr(doctor.tools, "program", lambda name: f"here/{name}")


def test_whole(whole):
    result = CliRunner().invoke(APP, [])
    assert result.exit_code == 0
    assert "nothing is missing" in result.stdout


def test_json_lists_every_locked_package(whole):
    result = CliRunner().invoke(APP, ["--json"])
    report = json.loads(result.stdout)
    assert report["ok"]
    assert {finding["name"] for finding in report["findings"]} >= set(doctor.locked())


def test_missing_program_of_the_system(whole, monkeypatch):
    gone = system.Need("perl", "runs Verilator", "perl", None)
    monkeypatch.setattr(system, "needs", lambda: (system.Need("g++", "compiles", "g++", "here"), gone))
    result = CliRunner().invoke(APP, [])
    assert result.exit_code == 1
    assert "missing or of another version: perl" in result.stdout
    assert "apt-get install -y perl" in result.stdout


def test_missing_and_other_packages(whole, monkeypatch):
    locked = doctor.locked()

    def version(name):
        if name == "amaranth":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.0.1" if name == "numpy" else locked[doctor._canonical(name)]

    monkeypatch.setattr(importlib.metadata, "version", version)
    result = CliRunner().invoke(APP, ["--json"])
    assert result.exit_code == 1
    bad = [finding for finding in json.loads(result.stdout)["findings"] if finding["remedy"]]
    assert {finding["name"]: (finding["status"], finding["remedy"]) for finding in bad} == {
        "amaranth": ("missing", "make setup"),
        "numpy": ("other version", "make setup"),
    }


def test_market_data_is_told_but_not_needed(whole, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "DATA", tmp_path / "nowhere")
    result = CliRunner().invoke(APP, ["--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["findings"][-1]["status"] == "absent"
