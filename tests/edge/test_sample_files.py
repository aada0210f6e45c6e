"""What is made of samples: a data set to train on, and one image of all."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import as_nobody
from tests.samples import make_folder

from fer_edge.errors import ConfigError
from fer_edge.monitoring.contact_sheet import write_sheet
from fer_edge.monitoring.sample import NO_FACE, SKIPPED, Sample
from fer_edge.monitoring.sample_export import export_samples
from fer_edge.monitoring.samples import SampleFolder
from fer_edge.types import Image


def labelled(path: Path, answers: list[str | None], *, per_day: int = 10) -> tuple[SampleFolder, list[Sample]]:
    """A folder of samples that are read as happy, with these labels."""
    folder, samples = make_folder(path, [("happy", 0.876)] * len(answers), per_day=per_day)
    for sample, answer in zip(samples, answers, strict=True):
        if answer:
            folder.set_label(sample, answer)
    return folder, samples


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_faces_with_a_class_are_exported_by_split_and_class(tmp_path: Path) -> None:
    answers: list[str | None] = ["sad", "happy", NO_FACE, "contempt", None, "happy", SKIPPED, "fear"]
    folder, samples = labelled(tmp_path / "samples", answers, per_day=4)
    out = tmp_path / "out"
    assert export_samples(folder, out) == {"train": 2, "validation": 2}
    first, second, sixth, eighth = (samples[index] for index in (0, 1, 5, 7))
    assert files(out) == sorted(
        [
            "samples.csv",
            f"train/sad/{first.id}.png",
            f"train/happy/{second.id}.png",
            f"validation/happy/{sixth.id}.png",
            f"validation/fear/{eighth.id}.png",
        ]
    )
    with (out / "samples.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "day", "label", "read_as", "confidence", "model"]
    assert rows[1] == [f"train/sad/{first.id}.png", first.day, "sad", "happy", "0.876", "ferplus7@0.1.0"]
    assert [row[0] for row in rows[1:]] == [
        f"{split}/{answer}/{sample.id}.png"
        for split, answer, sample in (
            ("train", "sad", first),
            ("train", "happy", second),
            ("validation", "happy", sixth),
            ("validation", "fear", eighth),
        )
    ]
    written = cv2.imread(str(out / "train" / "sad" / f"{first.id}.png"), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert np.array_equal(written, folder.picture(first.id))
    assert out.stat().st_mode & 0o777 == 0o700, "they are pictures of people"


@pytest.mark.parametrize(
    ("days", "held_out"),
    [((10, 1, 1), 2), ((9, 1, 4), 4), ((8, 2, 2), 4), ((1, 1), 1), ((1, 20), 20), ((6, 6, 6, 6), 6)],
)
def test_the_newest_days_with_a_quarter_of_the_faces_are_held_out_but_never_all(
    tmp_path: Path, days: tuple[int, ...], held_out: int
) -> None:
    """The counts are of the oldest day first."""
    most = max(days)
    answers: list[str | None] = []
    for count in days:
        answers += ["happy"] * count + [None] * (most - count)
    folder, _ = labelled(tmp_path / "samples", answers, per_day=most)
    assert export_samples(folder, tmp_path / "out") == {"train": sum(days) - held_out, "validation": held_out}


def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(tmp_path: Path, open_path: Path) -> None:
    out = tmp_path / "out"

    def refused(folder: SampleFolder, out: Path = out) -> str:
        with pytest.raises(ConfigError) as error:
            export_samples(folder, out)
        return str(error.value)

    nothing, _ = labelled(tmp_path / "none", [None, "contempt", SKIPPED])
    assert refused(nothing) == f"{nothing.folder}: no sample has a label. Give some: fer-edge samples review"
    one_day, _ = labelled(tmp_path / "one", ["happy", "sad"])
    assert refused(one_day) == f"{one_day.folder}: all labels are of one day. Label samples of two days or more"
    folder, samples = labelled(open_path / "samples", ["happy", "sad"], per_day=1)
    out.mkdir()
    (out / "mine").touch()
    assert refused(folder) == f"{out}: is there already. Choose a new folder"
    assert refused(folder, out / "mine") == f"{out / 'mine'}: is there already. Choose a new folder"
    folder.folder.chmod(0o755)
    for path in folder.folder.iterdir():
        path.chmod(0o644)
    with as_nobody():
        assert refused(folder, open_path / "out") == f"{open_path / 'out'}: cannot be written (Permission denied)"
    folder.picture_path(samples[1].id).write_bytes(b"no picture")
    assert "is no picture" in refused(folder, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none", "one", "out"]


def test_an_empty_folder_and_what_a_killed_export_left_are_replaced(tmp_path: Path) -> None:
    folder, _ = labelled(tmp_path / "samples", ["happy", "sad"], per_day=1)
    out = tmp_path / "deep" / "out"
    left = out.with_name(".out.part")
    out.mkdir(parents=True)
    left.mkdir()
    (left / "old").touch()
    assert export_samples(folder, out) == {"train": 1, "validation": 1}
    assert "old" not in files(out)
    assert not left.exists()


def test_an_export_makes_the_folders_above_its_own_and_fills_one_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = labelled(tmp_path / "samples", ["happy", "sad"], per_day=1)
    export_samples(folder, tmp_path / "new" / "newer" / "out")
    assert (tmp_path / "new" / "newer" / "out" / "samples.csv").is_file()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    export_samples(folder, Path("here"))
    assert (tmp_path / "here" / "samples.csv").is_file()


def test_no_day_is_on_both_sides(tmp_path: Path) -> None:
    folder, samples = labelled(tmp_path / "samples", ["happy", "sad", "fear"] * 4, per_day=3)
    assert export_samples(folder, tmp_path / "out") == {"train": 9, "validation": 3}
    days = {sample.id: sample.day for sample in samples}
    train, validation = (
        {days[path.stem] for path in (tmp_path / "out" / side).rglob("*.png")} for side in ("train", "validation")
    )
    assert (len(train), len(validation)) == (3, 1)
    assert max(train) < min(validation)


def cell(sheet: Image, index: int) -> Image:
    """One face of the sheet with its two lines of text."""
    top, left = index // 10 * 126, index % 10 * 96
    return sheet[top : top + 126, left : left + 96]


def read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def test_a_sheet_shows_ten_faces_in_a_row_each_with_two_lines_of_text(tmp_path: Path) -> None:
    answers: list[str | None] = [*[None] * 11, "sad"]
    folder, samples = labelled(tmp_path / "samples", answers)
    assert write_sheet(folder, tmp_path / "sheet.png") == 12
    sheet = read(tmp_path / "sheet.png")
    assert sheet.shape == (2 * 126, 10 * 96, 3)
    for index in (0, 9, 10, 11):
        face = cv2.resize(folder.picture(samples[index].id), (96, 96), interpolation=cv2.INTER_CUBIC)
        assert np.array_equal(cell(sheet, index)[:96], np.repeat(face[:, :, None], 3, axis=2))
    assert cell(sheet, 12).min() == 255, "no face"
    first, last = cell(sheet, 10), cell(sheet, 11)
    assert np.array_equal(first[96:112], last[96:112]), "the same reading: happy 0.88"
    assert first[96:111].min() < 100
    assert first[114:].min() == 255, "no label"
    assert last[114:].min() < 100


def test_the_text_is_the_reading_and_the_label(tmp_path: Path) -> None:
    folder, _ = labelled(tmp_path / "samples", ["sad"])
    write_sheet(folder, tmp_path / "sheet.png")
    expected = np.full((126, 96, 3), 255, np.uint8)
    for text, baseline in (("happy 0.88", 108), ("sad", 122)):
        cv2.putText(expected, text, (2, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    assert np.array_equal(cell(read(tmp_path / "sheet.png"), 0)[96:], expected[96:])


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet.JPEG", "sheet.PNG"])
def test_a_sheet_has_the_format_of_its_name_and_is_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    folder, _ = labelled(tmp_path / "samples", [None])
    out = tmp_path / name
    assert write_sheet(folder, out) == 1
    magic = b"\x89PNG" if name.endswith("PNG") else b"\xff\xd8\xff"
    assert out.read_bytes().startswith(magic)
    assert out.stat().st_mode & 0o777 == 0o600
    out.write_bytes(out.read_bytes() + b"x" * 100_000)
    write_sheet(folder, out)
    assert not out.read_bytes().endswith(b"x"), "it is replaced"


def test_a_sheet_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    folder, _ = labelled(tmp_path / "samples", [None])
    empty = SampleFolder(tmp_path / "empty")
    empty.create()
    for which, out, message in (
        (empty, tmp_path / "a.png", f"{empty.folder}: there are no samples yet"),
        (folder, tmp_path / "a.gif", f"{tmp_path / 'a.gif'}: expected a name that ends in .png or .jpg"),
        (folder, tmp_path / "no" / "a.png", "cannot be written (No such file or directory)"),
    ):
        with pytest.raises(ConfigError) as error:
            write_sheet(which, out)
        assert message in str(error.value)
