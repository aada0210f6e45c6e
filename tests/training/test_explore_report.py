"""What an exploration shows: its tables, its list of findings and its pictures, of findings that are known."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.screen import make_narrow_terminal, rows_of

from fer_train.data.datasets import LABELS, LabelledFaces, Split
from fer_train.explore import report
from fer_train.explore.exploration import Duplicates, Exploration
from fer_train.explore.report import print_exploration, write_exploration

NAMES = LABELS["fer2013"]
NONE = np.zeros(0, np.int64)


def split_of(name: Split, classes: list[int], skipped: tuple[Path, ...] = ()) -> LabelledFaces:
    """Faces of these classes; the grey level of each is ten times its place, plus ten."""
    count = len(classes)
    images = np.repeat(np.arange(10, 10 * count + 1, 10, dtype=np.uint8), 48 * 48).reshape(count, 48, 48)
    targets = np.eye(7, dtype=np.float32)[classes]
    faces = LabelledFaces(images, targets, np.arange(count), "fer2013", Path("data.csv"), name)
    return replace(faces, skipped=skipped, lines=tuple(range(2, count + 2)))


@pytest.fixture
def found() -> Exploration:
    """Four images for training and two for validation; the second, third and last but one are twins."""
    splits = (split_of("train", [0, 0, 0, 3], (Path("data/train/sad/broken.jpg"),)), split_of("validation", [3, 4]))
    shared: dict[tuple[Split, Split], int] = {("train", "validation"): 7, ("validation", "train"): 8}
    exact = Duplicates(np.array([0, 1, 1, 2, 1, 3]), {"train": 1, "validation": 0}, shared, 5)
    near = Duplicates(
        np.array([2, 1, 1, 2, 1, 3]), {"train": 2, "validation": 6}, {pair: 10 + n for pair, n in shared.items()}, 9
    )
    return Exploration(splits, exact, near, np.array([0]), np.array([0, 4]), np.array([5, 1, 2]), np.array([4, 2]))


def rows(text: str) -> dict[str, list[str]]:
    """The cells of the tables by their first one."""
    return {first: others for first, *others in rows_of(text)}


def test_the_tables_have_each_class_split_and_kind_of_duplicate(
    found: Exploration, capsys: pytest.CaptureFixture[str]
) -> None:
    print_exploration(found)
    text = capsys.readouterr().out
    table = rows(text)
    assert [line.strip() for line in text.splitlines() if line.strip() in {"images per class", "duplicates"}] == [
        "images per class",
        "duplicates",
    ]
    assert table["class"] == ["train", "%", "validation", "%"]
    assert table["angry"] == ["3", "75.0", "0", "0.0"]
    assert table["happy"] == ["1", "25.0", "1", "50.0"]
    assert table["sad"] == ["0", "0.0", "1", "50.0"]
    assert table["all"] == ["4", "", "2", ""]
    assert table["cannot be read"] == ["1", "", "0", ""]
    assert table["images"] == ["same pixels", "with near duplicates"]
    assert table["train, copies after the first"] == ["1", "2"]
    assert table["validation, copies after the first"] == ["0", "6"]
    assert table["train, also in validation"] == ["7", "17"]
    assert table["validation, also in train"] == ["8", "18"]
    assert table["duplicate with another class"] == ["5", "9"]


def test_numbers_are_right_aligned_and_the_sums_are_set_off(
    found: Exploration, capsys: pytest.CaptureFixture[str]
) -> None:
    print_exploration(found)
    lines = capsys.readouterr().out.splitlines()
    (angry,) = [line for line in lines if line.startswith("│ angry")]
    assert [cell[0] == " " and cell[-2:-1] != " " for cell in angry.strip("│").split("│")[1:]] == [True] * 4
    (twins,) = [line for line in lines if line.startswith("│ train, copies")]
    assert all(cell.endswith(f"{cell.strip()} ") for cell in twins.strip("│").split("│")[1:])
    at = next(place for place, line in enumerate(lines) if line.startswith("│ all"))
    assert lines[at - 1].startswith("├")


def test_unusual_images_are_counted_and_the_strangest_and_broken_ones_named(
    found: Exploration, capsys: pytest.CaptureFixture[str]
) -> None:
    print_exploration(found)
    lines = capsys.readouterr().out.splitlines()
    last = lines.index(next(line for line in lines if line.startswith("dark")))
    assert lines[last:] == [
        "dark (mean grey level under 20): 1; flat (standard deviation under 10): 2; not a face (by FER+'s votes): 3",
        "least like a face:",
        f"  {found.splits[1].place(0)}, happy",
        f"  {found.splits[0].place(2)}, angry",
        "cannot be read: data/train/sad/broken.jpg",
    ]


def test_five_of_the_strangest_are_named_and_without_any_it_says_why(
    found: Exploration, capsys: pytest.CaptureFixture[str]
) -> None:
    print_exploration(replace(found, strangest=np.arange(6)))
    assert sum(line.startswith("  data.csv") for line in capsys.readouterr().out.splitlines()) == 5
    print_exploration(replace(found, strangest=NONE))
    assert "least like a face: too few pictures to tell\n" in capsys.readouterr().out


def test_a_narrow_terminal_breaks_and_colours_no_place(
    found: Exploration, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_narrow_terminal(monkeypatch)
    print_exploration(found)
    lines = capsys.readouterr().out.splitlines()
    assert f"  {found.splits[1].place(0)}, happy" in lines
    assert "cannot be read: data/train/sad/broken.jpg" in lines
    assert any("dark" in line and "by FER+'s votes" in line for line in lines)


def test_the_list_has_every_finding_with_its_split_class_place_and_group(
    found: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "as_png", lambda _: b"a picture, which takes longer")
    paths = write_exploration(found, tmp_path / "new" / "out")
    assert [path.name for path in paths] == ["contact_sheet.png", "histogram.png", "findings.csv"]
    assert all(path.is_file() and path.parent == tmp_path / "new" / "out" for path in paths)
    first, second = found.splits
    lines = list(csv.reader(io.StringIO(paths[2].read_text())))
    assert lines == [
        ["finding", "split", "class", "place", "detail"],
        ["cannot be read", "train", "sad", "data/train/sad/broken.jpg", ""],
        ["dark", "train", "angry", str(first.place(0)), ""],
        ["flat", "train", "angry", str(first.place(0)), ""],
        ["flat", "validation", "happy", str(second.place(0)), ""],
        ["not a face", "validation", "sad", str(second.place(1)), ""],
        ["not a face", "train", "angry", str(first.place(1)), ""],
        ["not a face", "train", "angry", str(first.place(2)), ""],
        ["least like a face", "validation", "happy", str(second.place(0)), ""],
        ["least like a face", "train", "angry", str(first.place(2)), ""],
        ["same pixels", "train", "angry", str(first.place(1)), "group 1"],
        ["same pixels", "train", "angry", str(first.place(2)), "group 1"],
        ["same pixels", "validation", "happy", str(second.place(0)), "group 1"],
        ["near duplicate", "train", "angry", str(first.place(1)), "group 1"],
        ["near duplicate", "train", "angry", str(first.place(2)), "group 1"],
        ["near duplicate", "validation", "happy", str(second.place(0)), "group 1"],
        ["near duplicate", "train", "angry", str(first.place(0)), "group 2"],
        ["near duplicate", "train", "happy", str(first.place(3)), "group 2"],
    ]


def drawn(found: Exploration, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Figure, Figure]:
    """The contact sheet and the histogram, as figures."""
    figures: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        figures.append(figure)
        return b"picture"

    monkeypatch.setattr(report, "as_png", keep)
    write_exploration(found, folder)
    sheet, histogram = figures
    return sheet, histogram


def test_the_contact_sheet_has_a_row_for_each_class_and_each_finding(
    found: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet, _ = drawn(replace(found, voted_out=NONE), tmp_path, monkeypatch)
    assert [axes.get_ylabel() for axes in sheet.axes] == [*NAMES, "dark", "flat", "least like\na face"]
    strips = {axes.get_ylabel(): np.asarray(axes.images[0].get_array()) for axes in sheet.axes}
    assert {strip.shape for strip in strips.values()} == {(48, 50 * 16)}
    # The second pixel of each face; white where there is none.
    firsts = {name: [int(strip[1, 50 * place + 1]) for place in range(16)] for name, strip in strips.items()}
    assert sorted(firsts["angry"][:3]) == [10, 20, 30]
    assert firsts["angry"][3:] == [255] * 13
    assert firsts["happy"] == [40] + [255] * 15
    assert firsts["sad"] == [255] * 16, "of the first split alone"
    assert firsts["dark"][:2] == [10, 255]
    assert firsts["flat"][:3] == [10, 10, 255], "of all splits"
    assert firsts["least like\na face"][:3] == [10, 30, 255]
    assert strips["flat"][0, 47:51].tolist() == [10, 255, 255, 10], "with white between"
    for axes in sheet.axes:
        assert axes.images[0].get_clim() == (0, 255)
        assert axes.images[0].get_cmap().name == "gray"
        assert (list(axes.get_xticks()), list(axes.get_yticks()), axes.get_frame_on()) == ([], [], False)
        label = axes.yaxis.label
        assert (label.get_rotation(), label.get_horizontalalignment(), label.get_verticalalignment()) == (
            0,
            "right",
            "center",
        )
    assert sheet.get_size_inches().tolist() == pytest.approx([9.8, 5.8])
    assert sheet.get_layout_engine() is not None


def test_the_contact_sheet_shows_sixteen_random_faces_of_a_class(
    found: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = replace(
        found,
        splits=(split_of("train", [0] * 24),),
        exact=replace(found.exact, groups=np.arange(24)),
        near=replace(found.near, groups=np.arange(24)),
        dark=np.arange(20),
        flat=NONE,
        voted_out=NONE,
        strangest=NONE,
    )
    sheet, _ = drawn(many, tmp_path, monkeypatch)
    first, *_, dark = (np.asarray(axes.images[0].get_array())[0, ::50].tolist() for axes in sheet.axes)
    assert len(set(first) - {255}) == 16
    assert first != sorted(first)
    assert dark == [10 * place for place in range(1, 17)]


def test_the_histogram_has_the_splits_side_by_side(
    found: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, histogram = drawn(found, tmp_path, monkeypatch)
    (axes,) = histogram.axes
    bars = {str(group.get_label()): list(group) for group in axes.containers}
    assert {name: [bar.get_height() for bar in group] for name, group in bars.items()} == {
        "train": [3, 0, 0, 1, 0, 0, 0],
        "validation": [0, 0, 0, 1, 1, 0, 0],
    }
    for place, (left, right) in enumerate(zip(bars["train"], bars["validation"], strict=True)):
        assert left.get_x() == pytest.approx(place - 0.4)
        assert right.get_x() == pytest.approx(place)
        assert [left.get_width(), right.get_width()] == pytest.approx([0.4, 0.4])
    assert bars["train"][0].get_facecolor() != bars["validation"][0].get_facecolor()
    assert [text.get_text() for text in axes.texts] == [
        "3",
        "0",
        "0",
        "1",
        "0",
        "0",
        "0",
        "0",
        "0",
        "0",
        "1",
        "1",
        "0",
        "0",
    ]
    assert {text.get_fontsize() for text in axes.texts} == {7}
    assert [text.get_text() for text in axes.get_xticklabels()] == list(NAMES)
    assert axes.get_ylabel() == "images"
    assert not axes.spines["top"].get_visible()
    assert not axes.spines["right"].get_visible()
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["train", "validation"]
    assert not legend.get_frame_on()
    assert histogram.get_size_inches().tolist() == [8, 3.2]
    assert histogram.get_layout_engine() is not None
