from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.reasons import LegPolicy, Mode
from host import config
from host.config import ConfigError

LARGE = PRESETS["large"]

PAIR = """
[[pairs]]
leg_a = "AAPL"
leg_b = "MSFT"
weight_a = 1
weight_b = 1.5
upper_usd = 1.25
lower_usd = -0.5
exit_short_usd = 0.25
exit_long_usd = 0.125
size_a_shares = 100
size_b_shares = 150
"""


def load(tmp_path: Path, text: str, *, geometry: Geometry = LARGE, **options: object) -> config.Configuration:
    file = tmp_path / "some.toml"
    file.write_text(text)
    return config.load([file], geometry, **options)  # type: ignore[arg-type]


def problems(tmp_path: Path, text: str, *, geometry: Geometry = LARGE, **options: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, geometry=geometry, **options)
    assert all(str(tmp_path / "some.toml") in each or each.startswith("--symbol") for each in caught.value.problems)
    return [each.replace(f"{tmp_path / 'some.toml'}: ", "") for each in caught.value.problems]


def test_nothing_given_watches_everything_and_trades_nothing() -> None:
    loaded = config.load([], LARGE)
    assert loaded.slots == ()
    assert loaded.mode is Mode.OFF


def test_pair_becomes_device_integers(tmp_path: Path) -> None:
    loaded = load(tmp_path, PAIR)
    assert [slot.symbol for slot in loaded.slots] == ["AAPL", "MSFT"]
    assert config.legs_row(loaded.pairs[0], {"AAPL": 3, "MSFT": 7}) == {"slot_a": 3, "slot_b": 7}
    row = config.pair_row(loaded.pairs[0])
    # Weights in 1/4096; spreads in 1/10000 dollar with 12 more bits: 1.25 * 10000 * 4096.
    assert row == {
        "enabled": 1, "weight_a": 4096, "weight_b": 6144,
        "upper": 51_200_000, "lower": -20_480_000, "exit_short": 10_240_000, "exit_long": 5_120_000,
        "size_a": 100, "size_b": 150, "max_units": 1, "slippage": 0, "max_triggers": 0, "max_rejects": 0,
        "adaptive": 0, "alpha_shift": 0, "k_entry": 0, "k_exit": 0, "warmup": 0, "policy": 0, "leg_tries": 3,
    }  # fmt: skip
    assert loaded.mode is Mode.LIVE
    assert set(loaded.limits) == {"AAPL", "MSFT"}


_STATIC = ("upper_usd", "lower_usd", "exit_short_usd", "exit_long_usd")
ADAPTIVE = "\n".join(
    [
        *(line for line in PAIR.splitlines() if not line.startswith(_STATIC)),
        'thresholds = "adaptive"',
        "alpha_shift = 8",
        "k_entry = 2.5",
        "k_exit = 0.5",
        "warmup_samples = 512",
        "max_triggers = 40",
    ]
)


def test_adaptive_pair_becomes_device_integers(tmp_path: Path) -> None:
    [pair] = load(tmp_path, ADAPTIVE).pairs
    row = config.pair_row(pair)
    # Factors in 1/16.
    wanted = {"adaptive": 1, "alpha_shift": 8, "k_entry": 40, "k_exit": 8, "warmup": 512, "max_triggers": 40}
    assert row | wanted == row
    assert [row[name.removesuffix("_usd")] for name in _STATIC] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("k_entry = 2.5", "k_entry = 2.51", ["k_entry: 2.51 was given; allowed are 0 to 15.9375 in steps of 0.0625"]),
        ("k_entry = 2.5", "k_entry = 16", ["k_entry: 16 was given; allowed are 0 to 15.9375 in steps of 0.0625"]),
        ("k_exit = 0.5", "k_exit = 2.5", ["k_exit: 2.5 was given; allowed is anything below k_entry (2.5)"]),
        ("alpha_shift = 8", "alpha_shift = 16", ["alpha_shift: 16 was given; allowed are 1 to 15"]),
        ("alpha_shift = 8\n", "", ["alpha_shift: missing; allowed are 1 to 15"]),
        ("= 512", "= 255", ["warmup_samples: 255 was given; allowed is anything from 2**alpha_shift (256)"]),
        ("= 512", "= 65536", ["warmup_samples: 65536 was given; allowed are 1 to 65535"]),
        ("max_triggers = 40", "max_triggers = -1", ["max_triggers: -1 was given; allowed are 0 to 65535"]),
        ('"adaptive"', '"moving"', ['thresholds: "moving" was given; allowed are "static" or "adaptive"']),
        (
            "alpha_shift = 8",
            "alpha_shift = 8\nupper_usd = 1",
            ['upper_usd: 1 was given; allowed only with thresholds = "static"'],
        ),
        (
            '"adaptive"',
            '"static"',
            [f"{key}: missing; allowed are -54975581.38 to 54975581.38" for key in _STATIC]
            + [
                f'{key}: {value} was given; allowed only with thresholds = "adaptive"'
                for key, value in (("alpha_shift", 8), ("k_entry", 2.5), ("k_exit", 0.5), ("warmup_samples", 512))
            ],
        ),
    ],
)
def test_keys_of_the_thresholds_belong_together(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert problems(tmp_path, ADAPTIVE.replace(old, new)) == [f"pairs[0].{each}" for each in expected]


def test_a_card_with_static_pairs_only_is_given_no_others(tmp_path: Path) -> None:
    wanted = 'pairs[0].thresholds: "adaptive" was given; allowed is "static" on this card'
    assert wanted in problems(tmp_path, ADAPTIVE, geometry=replace(LARGE, adaptive=False))


def test_the_sample_interval_is_a_power_of_two(tmp_path: Path) -> None:
    loaded = load(tmp_path, "[strategy]\nsample_interval_log2_ns = 30\ncooldown_us = 2")
    assert config.strategy_registers(loaded.strategy, LARGE) == {"cooldown": 250, "sample_interval": 30}
    wanted = ["strategy.sample_interval_log2_ns: 41 was given; allowed are 10 to 40"]
    assert problems(tmp_path, "[strategy]\nsample_interval_log2_ns = 41") == wanted


def test_limit_becomes_device_integers() -> None:
    values = {"max_notional_usd": Decimal("1234.5678"), "collar_usd": Decimal("0.5")}
    limit = config.Limit(symbol="X", **values)
    row = config.limit_row(limit)
    assert (row["max_notional"], row["collar"], row["enabled"]) == (12_345_678, 5_000, 1)


@pytest.mark.parametrize(("microseconds", "clocks"), [("0", 0), ("1", 125), ("0.02", 2), ("1000", 125_000)])
def test_time_becomes_clocks(microseconds: str, clocks: int) -> None:
    assert config.clocks(Decimal(microseconds), LARGE) == clocks


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("weight_a = 64", "pairs[0].weight_a: 64 was given; allowed are 0.000244140625 to 63.999755859375"),
        ("weight_a = 0", "pairs[0].weight_a: 0 was given; allowed are 0.000244140625 to 63.999755859375"),
        ('upper_usd = "1"', 'pairs[0].upper_usd: "1" was given; allowed are -54975581.38 to 54975581.38, written as a number'),
        ("weight_a = nan", "pairs[0].weight_a: NaN was given; allowed are 0.000244140625 to 63.999755859375"),
        ("upper_usd = inf", "pairs[0].upper_usd: Infinity was given; allowed are -54975581.38 to 54975581.38"),
        ("upper_usd = true", "pairs[0].upper_usd: true was given; allowed are -54975581.38 to 54975581.38, written as a number"),
        ("size_a_shares = 1.0", "pairs[0].size_a_shares: 1.0 was given; allowed are 1 to 999999, written as a whole number"),
        ("max_units = 256", "pairs[0].max_units: 256 was given; allowed are 1 to 255"),
        ("slippage_ticks = -1", "pairs[0].slippage_ticks: -1 was given; allowed are 0 to 255"),
        ('policy = "hope"', 'pairs[0].policy: "hope" was given; allowed are "stop", "complete" or "unwind"'),
        ("leg_tries = 0", "pairs[0].leg_tries: 0 was given; allowed are 1 to 15"),
        ("leg_tries = 16", "pairs[0].leg_tries: 16 was given; allowed are 1 to 15"),
        ("enabled = 1", "pairs[0].enabled: 1 was given; allowed are true or false"),
        ('leg_a = ""', 'pairs[0].leg_a: "" was given; allowed are 1 to 8 printable ASCII characters without a space'),
        (
            "colour = 3",
            (
                "pairs[0].colour: unknown key; allowed are name, leg_a, leg_b, enabled, weight_a, weight_b, upper_usd, "
                "lower_usd, exit_short_usd, exit_long_usd, size_a_shares, size_b_shares, max_units, slippage_ticks, "
                "max_triggers, max_rejects, policy, leg_tries, thresholds, alpha_shift, k_entry, k_exit, warmup_samples"
            ),
        ),
    ],
)
def test_a_wrong_value_is_named_with_file_key_and_range(tmp_path: Path, line: str, expected: str) -> None:
    kept = [each for each in PAIR.splitlines() if not each.startswith(line.split(" ")[0])]
    assert problems(tmp_path, "\n".join([*kept, line])) == [expected]


def test_a_card_that_repairs_no_pairs_takes_none_that_wants_it(tmp_path: Path) -> None:
    text = PAIR + 'policy = "unwind"\n'
    assert problems(tmp_path, text, geometry=replace(LARGE, repair=False)) == [
        'pairs[0].policy: "unwind" was given; allowed is "stop" on this card'
    ]
    assert config.pair_row(load(tmp_path, text).pairs[0])["policy"] == LegPolicy.UNWIND


def test_a_missing_value_is_named_with_its_range(tmp_path: Path) -> None:
    text = PAIR.replace("size_b_shares = 150\n", "")
    assert problems(tmp_path, text) == ["pairs[0].size_b_shares: missing; allowed are 1 to 999999"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("upper_usd = 1.25", "upper_usd = -0.5", "lower_usd: -0.5 was given; allowed is anything below upper_usd (-0.5)"),
        ("exit_short_usd = 0.25", "exit_short_usd = 2", "exit_short_usd: 2 was given; allowed is anything below upper_usd"),
        ("exit_long_usd = 0.125", "exit_long_usd = -1", "exit_long_usd: -1 was given; allowed is anything above lower_usd"),
        ('leg_b = "MSFT"', 'leg_b = "AAPL"', "leg_b: \"AAPL\" was given; allowed is any slot but leg_a's"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert problems(tmp_path, PAIR.replace(old, new))[0].startswith(f"pairs[0].{expected}")


def test_legs_and_limits_must_be_slots(tmp_path: Path) -> None:
    text = '[[slots]]\nsymbol = "AAPL"\n' + PAIR + '[[limits]]\nsymbol = "IBM"\n'
    assert problems(tmp_path, text) == [
        'pairs[0].leg_b: "MSFT" was given; allowed are the slots AAPL',
        'limits[0].symbol: "IBM" was given; allowed are the slots AAPL',
    ]


def test_slots_are_unique(tmp_path: Path) -> None:
    text = '[[slots]]\nsymbol = "A"\nlocate = 3\n[[slots]]\nsymbol = "B"\nlocate = 3\n[[slots]]\nsymbol = "A"\n'
    assert problems(tmp_path, text) == [
        "slots[1].locate: 3 is A's already; allowed is one symbol a locate",
        'slots[2].symbol: "A" was given twice; allowed is one slot a symbol',
    ]


def test_more_slots_than_the_card_has_are_refused(tmp_path: Path) -> None:
    text = "\n".join(f'[[slots]]\nsymbol = "S{number}"' for number in range(LARGE.slots + 1))
    assert problems(tmp_path, text) == ["slots[128]: slot 129; allowed are at most 128 on this card"]


def test_every_problem_of_every_file_is_reported_at_once(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a.toml", tmp_path / "b.toml", tmp_path / "c.toml"
    first.write_text("nonsense = 1\n[risk]\nrate_tokens = 65536\n")
    second.write_text("pairs = 3\nslots = [")
    with pytest.raises(ConfigError) as caught:
        config.load([first, second, third], LARGE, symbols=["A=x", "B=0", "toolongname"])
    text = "\n".join(caught.value.problems)
    allowed = "slots, pairs, limits, line_b, feed, recovery, risk, ceilings, strategy"
    assert f"{first}: nonsense: unknown key; allowed are {allowed}" in text
    assert f"{first}: risk.rate_tokens: 65536 was given; allowed are 0 to 65535" in text
    assert f"{second}: not TOML" in text
    assert f"{third}: cannot be read" in text
    assert '--symbol A=x: locate: "x" was given; allowed are 1 to 65535' in text
    assert "--symbol B=0: locate: 0 was given; allowed are 1 to 65535" in text
    assert "--symbol toolongname: symbol:" in text


def test_one_risk_table_of_all_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text("[risk]\nrate_tokens = 1\n")
    second.write_text("[risk]\nrate_tokens = 2\n")
    with pytest.raises(ConfigError, match=r"b\.toml: risk: given twice"):
        config.load([first, second], LARGE)


def test_symbols_of_the_command_line_become_slots() -> None:
    loaded = config.load([], LARGE, symbols=["AAPL=13", "MSFT"])
    assert [(slot.symbol, slot.locate) for slot in loaded.slots] == [("AAPL", 13), ("MSFT", None)]


CEILINGS = """
[ceilings]
max_quantity_shares = 1_000
max_notional_usd = 500_000
max_long_shares = 10_000
max_short_shares = 10_000
collar_usd = 10
collar_bps = 300
max_gross_usd = 2_000_000
max_net_usd = 1_000_000
max_loss_usd = 5_000
max_open_orders = 8
rate_tokens = 50
"""
BELOW = """
[risk]
max_gross_usd = 2_000_000
max_net_usd = 1_000_000
max_loss_usd = 5_000
max_open_orders = 8
rate_tokens = 50
"""


def test_ceilings_and_what_they_are_held_against_are_the_same_columns(tmp_path: Path) -> None:
    loaded = load(tmp_path, PAIR + CEILINGS + BELOW)
    assert loaded.ceilings is not None
    row = config.ceilings_row(loaded.ceilings)
    # Every default of a symbol is just allowed, and what the file says of the whole card.
    assert row == {
        "max_quantity": 1_000, "max_notional": 5_000_000_000, "max_long": 10_000, "max_short": 10_000,
        "collar": 100_000, "collar_bps": 300,
        "max_gross": 20_000_000_000, "max_net": 10_000_000_000, "max_loss": 50_000_000, "max_open_orders": 8, "rate_tokens": 50,
    }  # fmt: skip
    held = config.limit_row(loaded.limits["AAPL"]) | config.risk_registers(loaded.risk, LARGE)
    assert row == {name: held[name] for name in row}
    assert load(tmp_path, PAIR).ceilings is None


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("max_quantity_shares", "1001", "1 to 1000"),
        ("max_notional_usd", "500000.0001", "0.0001 to 500000"),
        ("max_long_shares", "10001", "0 to 10000"),
        ("max_short_shares", "10001", "0 to 10000"),
        ("collar_usd", "10.5", "0 to 10"),
        ("collar_bps", "301", "0 to 300"),
    ],
)
def test_a_limit_above_its_ceiling_is_refused_with_both(tmp_path: Path, key: str, value: str, allowed: str) -> None:
    text = f'{PAIR}{CEILINGS}{BELOW}[[limits]]\nsymbol = "MSFT"\n[[limits]]\nsymbol = "AAPL"\n{key} = {value}\n'
    assert problems(tmp_path, text) == [
        f"limits[1].{key}: {value} was given; allowed are {allowed}, its ceiling in ceilings.{key}"
    ]


def test_a_default_above_its_ceiling_is_refused_too(tmp_path: Path) -> None:
    text = PAIR + BELOW + CEILINGS.replace("collar_bps = 300", "collar_bps = 200")
    text += '[[limits]]\nsymbol = "MSFT"\ncollar_bps = 200\n'
    [problem] = problems(tmp_path, text)
    assert problem.startswith('pairs[0].leg_a: "AAPL" has no limits of its own; of the default collar_bps: 300 was given; ')
    assert problem.endswith("allowed are 0 to 200, its ceiling in ceilings.collar_bps")


@pytest.mark.parametrize(
    ("key", "value", "ceiling"),
    [
        ("max_gross_usd", "2000000.0001", "2000000"),
        ("max_net_usd", "1000001", "1000000"),
        ("max_loss_usd", "5001", "5000"),
        ("max_open_orders", "9", "8"),
        ("rate_tokens", "51", "50"),
    ],
)
def test_a_limit_of_the_whole_card_above_its_ceiling_is_refused(tmp_path: Path, key: str, value: str, ceiling: str) -> None:
    lines = [line for line in BELOW.splitlines() if not line.startswith(key)]
    text = PAIR + CEILINGS + "\n".join([*lines, f"{key} = {value}"]) + "\n"
    assert problems(tmp_path, text) == [
        f"risk.{key}: {value} was given; allowed are 0 to {ceiling}, its ceiling in ceilings.{key}"
    ]


def test_without_a_risk_table_the_defaults_are_held_against_ceilings(tmp_path: Path) -> None:
    found = problems(tmp_path, PAIR + CEILINGS)
    assert len(found) == 5 and all(problem.startswith("[risk] is missing; of the default ") for problem in found)


def test_ceilings_are_given_whole(tmp_path: Path) -> None:
    text = CEILINGS.replace("max_long_shares = 10_000\n", "")
    assert problems(tmp_path, text) == ["ceilings.max_long_shares: missing; allowed are 0 to 2147483647"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("watchdog_ms = -1", "watchdog_ms: -1 was given; allowed are 0 to 27487"),
        ("watchdog_ms = 0.5", "watchdog_ms: 0.5 was given; allowed are 0 to 27487, written as a whole number"),
        ("watchdog_ms = 27488", "watchdog_ms: 27488 was given; allowed are 0 to 27487"),
        ("stale_after_ms = 27488", "stale_after_ms: 27488 was given; allowed are 0 to 27487 in steps of 0.001"),
        ("stale_after_ms = 0.0001", "stale_after_ms: 0.0001 was given; allowed are 0 to 27487 in steps of 0.001"),
        ("duplicate_window_us = 0.01", "duplicate_window_us: 0.01 was given; allowed are 0 to 27487790 in steps of 0.1"),
        ("slot_rate_window_us = -1", "slot_rate_window_us: -1 was given; allowed are 0 to 27487790 in steps of 0.1"),
        ("slot_rate_orders = 65536", "slot_rate_orders: 65536 was given; allowed are 0 to 65535"),
        ("max_open_orders = -1", "max_open_orders: -1 was given; allowed are 0 to 65535"),
        ("reject_rate_orders = 4096", "reject_rate_orders: 4096 was given; allowed are 0 to 4095"),
        ("cancel_rate_orders = -1", "cancel_rate_orders: -1 was given; allowed are 0 to 4095"),
        ("report_rate_window_us = 0.05", "report_rate_window_us: 0.05 was given; allowed are 0 to 27487790 in steps of 0.1"),
        ("canary_shares = 1048576", "canary_shares: 1048576 was given; allowed are 0 to 1048575"),
        *(
            (
                f"max_{name}_usd = {value}",
                f"max_{name}_usd: {value} was given; allowed are 0 to 7205759403792.79 in steps of 0.0001",
            )
            for name in ("gross", "net", "loss")
            for value in ("-1", "0.00001", "7205759403792.80")
        ),
    ],
)
def test_times_that_stop_trading_fit_their_registers(tmp_path: Path, line: str, expected: str) -> None:
    assert problems(tmp_path, f"[risk]\n{line}\n") == [f"risk.{expected}"]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_longest_times_are_clocks_a_register_holds(tmp_path: Path, preset: str) -> None:
    risk = load(tmp_path, "[risk]\nwatchdog_ms = 27487\nstale_after_ms = 27487\n").risk
    geometry = PRESETS[preset]
    found = {config.watchdog_clocks(risk, geometry), config.risk_registers(risk, geometry)["stale_after"]}
    assert found == {27_487 * geometry.clock_hz // 1_000}
    assert max(found) < 1 << 32
    # What is not 0 never becomes it.
    assert config.risk_registers(config.Risk(stale_after_ms=Decimal("0.001")), geometry)["stale_after"] > 0
    for name in ("duplicate_window", "slot_rate_window", "report_rate_window"):
        for text in ("0.1", "27487790"):
            register = config.risk_registers(config.Risk(**{f"{name}_us": Decimal(text)}), geometry)[name]
            assert 0 < register < 1 << 32


def test_limits_of_all_symbols_reach_the_registers(tmp_path: Path) -> None:
    text = "max_gross_usd = 1_000_000\nmax_net_usd = 250_000.5\nmax_loss_usd = 0\nmax_open_orders = 0\n"
    text += "duplicate_window_us = 0.2\nslot_rate_orders = 5\nslot_rate_window_us = 10\n"
    text += "reject_rate_orders = 3\ncancel_rate_orders = 4095\nreport_rate_window_us = 2\n"
    registers = config.risk_registers(load(tmp_path, f"[risk]\n{text}").risk, PRESETS["versa"])
    assert registers.items() >= {
        "max_gross": 10_000_000_000,
        "max_net": 2_500_005_000,
        "max_loss": 0,
        "max_open_orders": 0,
        "duplicate_window": 25,
        "slot_rate_orders": 5,
        "slot_rate_window": 1_250,
        "reject_rate_orders": 3,
        "cancel_rate_orders": 4_095,
        "report_rate_window": 250,
    }.items()


def test_a_file_that_says_nothing_stops_nothing_more_than_before(tmp_path: Path) -> None:
    """What no day comes near: 1,024 symbols with as many shares as a limit allows, of the dearest price OUCH takes."""
    registers = config.risk_registers(load(tmp_path, "[risk]\n").risk, PRESETS["versa"])
    assert all(registers[name] > 1_024 * 10_000 * 1_999_999_900 for name in ("max_gross", "max_net", "max_loss"))
    assert (registers["max_open_orders"], registers["duplicate_window"], registers["slot_rate_orders"]) == (65_535, 0, 0)
    assert (registers["reject_rate_orders"], registers["cancel_rate_orders"], config.Risk().canary_shares) == (0, 0, 0)


def test_nothing_is_located_that_no_file_says(tmp_path: Path) -> None:
    """The one limit that is none by default: a short sale needs somebody who said so."""
    loaded = load(tmp_path, PAIR)
    assert {config.limit_row(limit)["located"] for limit in loaded.limits.values()} == {0}
    given = load(tmp_path, PAIR + '[[limits]]\nsymbol = "AAPL"\nlocated_shares = 16_777_215\n')
    assert config.limit_row(given.limits["AAPL"])["located"] == (1 << 24) - 1
    text = PAIR + '[[limits]]\nsymbol = "AAPL"\nlocated_shares = 16_777_216\n'
    assert problems(tmp_path, text) == ["limits[0].located_shares: 16777216 was given; allowed are 0 to 16777215"]


def test_slices_of_a_liquidation_are_no_more_than_a_canary_lets_through(tmp_path: Path) -> None:
    text = PAIR + "[risk]\ncanary_shares = 9\n[liquidation]\nslice_shares = "
    assert load(tmp_path, text + "9\n").risk.canary_shares == 9
    assert problems(tmp_path, text + "10\n") == [
        "liquidation.slice_shares: 10 was given; allowed are 1 to 9, canary_shares"
    ]


def test_line_b_is_a_group_and_a_port(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[line_b]\naddress = "233.49.196.111"\nport = 26400\n')
    assert config.line_units(loaded.line_b) == (0xE931C46F, 26_400)
    assert config.line_units(None) is None
    assert problems(tmp_path, '[line_b]\naddress = "10.0.0.1"\nport = 0\n') == [
        'line_b.address: "10.0.0.1" was given; allowed are 224.0.0.0 to 239.255.255.255',
        "line_b.port: 0 was given; allowed are 1 to 65535",
    ]


def test_how_the_lines_are_put_together(tmp_path: Path) -> None:
    assert config.feed_registers(load(tmp_path, "").feed, PRESETS["versa"]) == {"gap_wait": 6_250, "recover": 0}
    given = load(tmp_path, "[feed]\ngap_wait_us = 0.8\nrecover = true\n").feed
    assert config.feed_registers(given, PRESETS["versa"]) == {"gap_wait": 100, "recover": 1}
    assert problems(tmp_path, "[feed]\ngap_wait_us = -1\n") != []


def test_how_missing_messages_are_asked_for(tmp_path: Path) -> None:
    assert load(tmp_path, "").recovery == config.RecoveryTable(timeout_us=1_000, tries=5, messages_per_request=1_000)
    assert load(tmp_path, "[recovery]\ntimeout_us = 2.5\ntries = 1\n").recovery.timeout_us == Decimal("2.5")
    assert problems(tmp_path, "[recovery]\ntimeout_us = 0\ntries = 0\nmessages_per_request = 65535\nserver = 1\n") == [
        "recovery.timeout_us: 0 was given; allowed are 1 to 27487790",
        "recovery.tries: 0 was given; allowed are 1 to 1000",
        "recovery.messages_per_request: 65535 was given; allowed are 1 to 65534",
        "recovery.server: unknown key; allowed are timeout_us, tries, messages_per_request, reload_dead, reload_feed",
    ]


def test_what_a_set_cannot_change_is_named(tmp_path: Path) -> None:
    loaded = load(tmp_path, PAIR)
    [pair] = loaded.pairs
    assert config.beyond_a_set(loaded, loaded) == []
    update = {"upper_usd": Decimal(2), "weight_a": Decimal(3), "enabled": False, "max_triggers": 3, "max_rejects": 2}
    tuned = pair.model_copy(update=update)
    update = {"max_long_shares": 1, "located_shares": 7}
    limits = {symbol: limit.model_copy(update=update) for symbol, limit in loaded.limits.items()}
    risk = config.Risk(max_gross_usd=Decimal(5), stale_after_ms=Decimal(1))
    assert config.beyond_a_set(loaded, replace(loaded, pairs=(tuned,), limits=limits, risk=risk)) == []
    for changed, key in (
        (replace(loaded, pairs=()), "number of pairs, 1 and 0"),
        (replace(loaded, pairs=(pair.model_copy(update={"size_a_shares": 7}),)), f"[[pairs]] {pair.title}: size_a_shares"),
        (replace(loaded, pairs=(pair.model_copy(update={"leg_b": "AAPL"}),)), f"[[pairs]] {pair.title}: leg_b"),
        (replace(loaded, slots=loaded.slots[:1]), "slots"),
        (replace(loaded, limits={}), "[[limits]]: symbols"),
        (replace(loaded, risk=config.Risk(watchdog_ms=5)), "[risk] watchdog_ms"),
        (replace(loaded, risk=config.Risk(canary_shares=5)), "[risk] canary_shares"),
        (
            replace(loaded, limits={**loaded.limits, "AAPL": config.Limit(symbol="AAPL", reference_usd=Decimal(9))}),
            "[[limits]] AAPL: reference_usd",
        ),
    ):
        assert key in config.beyond_a_set(loaded, changed)
    [adaptive] = load(tmp_path, ADAPTIVE).pairs
    before = replace(loaded, pairs=(adaptive,))
    for update, wrong in (({"k_entry": Decimal(3)}, False), ({"weight_b": Decimal(3)}, True)):
        assert bool(config.beyond_a_set(before, replace(before, pairs=(adaptive.model_copy(update=update),)))) == wrong
    assert f"[[pairs]] {pair.title}: thresholds" in config.beyond_a_set(before, loaded)


def test_dead_slots_are_reloaded_where_it_is_said(tmp_path: Path) -> None:
    assert load(tmp_path, "").recovery.reload_dead is False
    assert load(tmp_path, "[recovery]\nreload_dead = true\n").recovery.reload_dead is True


def test_a_feed_begins_anew_only_where_what_comes_meanwhile_waits(tmp_path: Path) -> None:
    assert load(tmp_path, "[feed]\nrecover = true\n[recovery]\nreload_feed = true\n").recovery.reload_feed is True
    assert problems(tmp_path, "[recovery]\nreload_feed = true\n") == [
        "recovery.reload_feed: true was given; allowed only with recover of [feed]"
    ]


@pytest.mark.parametrize("encoded", [PAIR.encode("utf-8-sig"), PAIR.replace("\n", "\r\n").encode()], ids=["BOM", "CRLF"])
def test_files_as_other_systems_editors_write_them_are_read(tmp_path: Path, encoded: bytes) -> None:
    file = tmp_path / "some.toml"
    file.write_bytes(encoded)
    assert config.load([file], LARGE) == load(tmp_path, PAIR)


def test_what_is_no_text_is_no_toml(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_bytes(PAIR.encode("utf-16"))
    with pytest.raises(ConfigError, match=r"not TOML: 'utf-8' codec can't decode byte 0xff"):
        config.load([file], LARGE)
