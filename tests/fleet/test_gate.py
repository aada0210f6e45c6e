"""What the gate says of a bundle, by the numbers that fer-quantize measured."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer_edge.errors import ModelError
from fer_edge.model.bundle import find_bundle, sha256
from fer_fleet.archive import pack
from fer_fleet.gate import check

Bundle = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Makes a bundle with a report of these numbers."""

    def make(**changes: Any) -> Path:
        measured = {
            "accuracy": {"images": 1000, "accuracy_int8": 0.7}, "drop": {"lost": 5, "gained": 0},
            "net_losses": {}, "class_images": {"sad": 300, "fear": 100}, **changes,
        }  # fmt: skip
        return with_report(tmp_path, json.dumps({"measurements": [measured, {**measured, "drop": worse}]}))

    worse = {"lost": 900, "gained": 0}  # of another data set: only the first one decides
    return make


def with_report(folder: Path, report: str) -> Path:
    folder = folder / "bundle"
    shutil.copytree(find_bundle("ferplus7-tiny"), folder)
    (folder / "quantization.json").write_text(report)
    manifest = json.loads((folder / "model.json").read_text())
    manifest["files"]["quantization.json"] = sha256(report.encode())
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"drop": {"lost": 6, "gained": 0}}, "loses 0.60 percentage points by int8, more than 0.5"),
        ({"drop": {"lost": 26, "gained": 10}}, "loses 1.60 percentage points by int8, more than 0.5"),
        ({"drop": {"lost": 100, "gained": 95}}, None),
        ({"drop": {"lost": 0, "gained": 100}}, None),
        ({"net_losses": {"sad": 6, "fear": 2}}, None),
        ({"net_losses": {"sad": 7}}, "loses 7 of 300 faces of 'sad' by int8, more than 2 %"),
        ({"net_losses": {"sad": 0, "fear": 3}}, "loses 3 of 100 faces of 'fear' by int8, more than 2 %"),
        ({"net_losses": {"sad": 1}, "class_images": {"sad": 9}}, None),
        ({"net_losses": {"sad": 2}, "class_images": {"sad": 9}}, "loses 2 of 9 faces of 'sad' by int8, more than 2 %"),
        ({"net_losses": {"joy": 2}}, "loses 2 of 0 faces of 'joy' by int8, more than 2 %"),
        ({"net_losses": {"joy": 1}}, None),
        (
            {"accuracy": {"images": 1000, "accuracy_int8": 0.3}},
            "has an accuracy of 30.0%: always the same answer would have 30.0%",
        ),
        (
            {"accuracy": {"images": 1000, "accuracy_int8": 0.156}},
            "has an accuracy of 15.6%: always the same answer would have 30.0%",
        ),
        ({"accuracy": {"images": 1000, "accuracy_int8": 0.301}}, None),
        ({"accuracy": {"images": 1000, "accuracy_int8": 0.01}, "class_images": {}}, None),
        ({"accuracy": {"images": 1000, "accuracy_int8": 1}}, None),
        ({"class_images": {}, "accuracy": {"images": 1000, "accuracy_int8": 0}}, (
            "has an accuracy of 0.0%: always the same answer would have 0.0%"
        )),
    ],
)  # fmt: skip
def test_the_first_measurement_decides(bundle: Bundle, changes: dict[str, object], refusal: str | None) -> None:
    gated = check(bundle(**changes))
    assert gated.refusal == refusal
    assert gated.bundle.manifest.name == "ferplus7-tiny"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"accuracy": {"images": 0, "accuracy_int8": 0.7}}, "measurements.0.accuracy.images: Input should be greater"),
        ({"accuracy": {"images": 9, "accuracy_int8": 1.1}}, "measurements.0.accuracy.accuracy_int8: Input should be"),
        ({"accuracy": {"images": 9, "accuracy_int8": -0.1}}, "measurements.0.accuracy.accuracy_int8: Input should be"),
        ({"drop": {"lost": -1, "gained": 0}}, "measurements.0.drop.lost: Input should be greater"),
        ({"drop": {"lost": 0, "gained": -1}}, "measurements.0.drop.gained: Input should be greater"),
        ({"net_losses": {"sad": "many"}}, "measurements.0.net_losses.sad: Input should be"),
    ],
)
def test_numbers_that_cannot_be_are_named(bundle: Bundle, changes: dict[str, object], problem: str) -> None:
    folder = bundle(**changes)
    with pytest.raises(ModelError) as caught:
        check(folder)
    assert str(caught.value).startswith(f"{folder}/quantization.json: {problem}")


def test_a_report_without_measurements_is_refused(tmp_path: Path) -> None:
    folder = with_report(tmp_path, '{"measurements": []}')
    with pytest.raises(ModelError, match=r"quantization\.json: measurements: "):
        check(folder)


@pytest.mark.parametrize("change", ["not there", "not in the manifest"])
def test_a_bundle_that_was_not_measured_says_how_it_would_be(bundle: Bundle, change: str) -> None:
    folder = bundle()
    if change == "not there":
        (folder / "quantization.json").unlink()
    else:
        manifest = json.loads((folder / "model.json").read_text())
        del manifest["files"]["quantization.json"]
        (folder / "model.json").write_text(json.dumps(manifest))
    assert check(folder).refusal == ("has no quantization.json: convert it with fer-quantize, which measures it")


def test_an_archive_depends_on_nothing_but_the_content(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle()
    other = shutil.copytree(folder, tmp_path / "other", copy_function=shutil.copyfile)
    (other / "model.json").chmod(0o600)
    assert pack(folder) == pack(other)
    assert pack(folder)[257:263] == b"ustar\0", "the plain format, which any tar reads"


def test_an_archive_of_a_bundle_that_lacks_a_file_names_it(bundle: Bundle) -> None:
    folder = bundle()
    (folder / "golden.npz").unlink()
    with pytest.raises(ModelError) as caught:
        pack(folder)
    assert str(caught.value) == f"{folder}/golden.npz: cannot be read (No such file or directory)"
