"""Heat, from files as the kernel writes them and a program that answers as a Raspberry Pi's does."""

import logging
from pathlib import Path

import pytest

from fer_edge.device.thermal import Governor, Heat, describe, read_heat


def set_zone(folder: Path, celsius: float) -> None:
    (folder / "thermal_zone0").mkdir(exist_ok=True)
    (folder / "thermal_zone0" / "temp").write_text(f"{round(1000 * celsius)}\n")


def set_firmware(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "vcgencmd"
    program.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] && echo "{answer}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_warmest_zone_counts_and_broken_ones_do_not(tmp_path: Path) -> None:
    set_zone(tmp_path, 51.5)
    for name, content in (("thermal_zone1", "48000"), ("thermal_zone2", ""), ("thermal_zone3", "broken")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "temp").write_text(content)
    assert read_heat(tmp_path).celsius == 51.5
    assert read_heat(tmp_path / "none") == Heat(None, read_heat(tmp_path).throttled)


def test_a_hot_board_scans_less_until_it_has_cooled_and_both_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    governor = Governor(tmp_path)
    paces = []
    with caplog.at_level(logging.WARNING):
        for step, celsius in enumerate((60, 82, 84, 78, 70, 70, 70)):
            set_zone(tmp_path, celsius)
            paces.append(governor.pace(100.0 * step))
    assert paces == [1.0, *[pytest.approx(1 / 3)] * 4, 1.0, 1.0], "it holds for three minutes after 78 °C"
    assert caplog.messages == [
        "the board is hot (82 °C): whole scans are done a third as often",
        "the board has recovered (70 °C): whole scans are done as often as before",
    ]


def test_a_board_is_hot_from_80_degrees_until_three_minutes_below_75(tmp_path: Path) -> None:
    governor = Governor(tmp_path)
    for now, celsius, is_hot in (
        (0, 76, False),
        (10, 79.9, False),
        (20, 80, True),
        (30, 79.9, True),
        (180, 75, True),
        (359, 74.9, True),
        (369, 74.9, False),
        (379, 79.9, False),
    ):
        set_zone(tmp_path, celsius)
        assert (governor.pace(now) < 1) == is_hot, now


def test_the_board_is_not_asked_for_every_frame(tmp_path: Path) -> None:
    governor = Governor(tmp_path)
    set_zone(tmp_path, 60)
    assert governor.pace(1000.0) == 1.0
    set_zone(tmp_path, 90)
    assert governor.pace(1009.9) == 1.0
    assert governor.pace(1010.0) < 1.0


@pytest.mark.parametrize(
    ("answer", "throttled"),
    [
        ("throttled=0x0", False),
        ("throttled=0xf0000", False),
        ("throttled=0x50005", True),
        *((f"throttled={bit:#x}", True) for bit in (1, 2, 4, 8)),
    ],
)
def test_only_present_throttling_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, throttled: bool
) -> None:
    set_firmware(tmp_path, answer, monkeypatch)
    assert describe(read_heat(tmp_path)) == f"temperature unknown, {answer}"
    assert (Governor(tmp_path).pace(0.0) < 1) == throttled


def test_the_kernel_tells_where_no_program_may_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_firmware(tmp_path, "throttled=0x0", monkeypatch)
    firmware = tmp_path / "soc" / "soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    assert read_heat(tmp_path, tmp_path) == Heat(None, 0x50005)
    (firmware / "get_throttled").write_text("broken\n")
    assert read_heat(tmp_path, tmp_path) == Heat(None, 0), "the program is asked instead"


@pytest.mark.parametrize("answer", ["VCHI initialization failed", "", 'throttled=0x5"; exit "1'])
def test_a_firmware_that_does_not_answer_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    set_firmware(tmp_path, answer, monkeypatch)
    assert read_heat(tmp_path) == Heat(None, None)
    assert Governor(tmp_path).pace(0.0) == 1.0


def test_a_throttled_board_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_firmware(tmp_path, "throttled=0x4", monkeypatch)
    Governor(tmp_path).pace(0.0)
    (message,) = caplog.messages
    assert message.startswith("the board is throttled (temperature unknown, throttled=0x4): ")


def test_a_weak_power_supply_is_named_and_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    governor = Governor(tmp_path)
    with caplog.at_level(logging.WARNING):
        for look in range(10):
            set_firmware(tmp_path, f"throttled={(0x50001, 0x50000)[look % 2]:#x}", monkeypatch)
            assert governor.pace(10.0 * look) < 1
    assert len(caplog.records) == 1
    assert caplog.records[0].message.startswith("the board has too low a voltage: check the power supply")
