"""Teachers that run on every batch, as the student sees it."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.conftest import Run

from fer_edge.errors import ConfigError, ModelError
from fer_train.backend import load_keras
from fer_train.data.datasets import LABELS, LabelledFaces, load_dataset

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import build  # noqa: E402
from fer_train.keras_models import predict  # noqa: E402
from fer_train.recipes import Recipe  # noqa: E402
from fer_train.training.batches import Batches, join  # noqa: E402
from fer_train.training.distillation import TeacherEnsemble, soft_labels  # noqa: E402

Images = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces(tiny_data: Path) -> LabelledFaces:
    return load_dataset(tiny_data, "train")


def teacher(folder: Path, scheme: str, seed: int, trunk: keras.Model | None = None) -> keras.Model:
    """Save an untrained model as a training would."""
    keras.utils.set_random_seed(seed)
    model = build("cnn-small", len(LABELS[scheme]))  # type: ignore[index]
    for layer, other in zip(model.layers[:-1], trunk.layers if trunk else model.layers, strict=False):
        layer.set_weights(other.get_weights())
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    (folder / "training.json").write_text(json.dumps({"scheme": scheme}))
    return model


def test_they_answer_with_the_mean_of_all_that_know_the_labels(faces: LabelledFaces, tmp_path: Path) -> None:
    seven = teacher(tmp_path / "one", "ferplus7", 0)
    eight = teacher(tmp_path / "one" / "ferplus8", "ferplus8", 1, seven)
    other = teacher(tmp_path / "other", "ferplus7", 2)
    panel = TeacherEnsemble([tmp_path / "one", tmp_path / "other"], ["ferplus7", "ferplus8", "fer2013"])
    assert panel.schemes == ("ferplus7", "ferplus8")
    answers = panel.answer(faces.images)
    mean = (predict(seven, faces.images) + predict(other, faces.images)) / 2
    assert answers["ferplus7"] == pytest.approx(mean, abs=1e-4)
    assert answers["ferplus8"] == pytest.approx(predict(eight, faces.images), abs=1e-4)
    with pytest.raises(ConfigError, match="no teacher was trained on the labels fer2013"):
        TeacherEnsemble([tmp_path / "one"], ["fer2013"])


def dense(folder: Path, seed: int) -> keras.Model:
    """Save an untrained model of one layer."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((48, 48, 1))
    pixels = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(7, activation="softmax")(pixels))
    folder.mkdir()
    model.save(folder / "model.keras")
    (folder / "training.json").write_text('{"scheme": "ferplus7"}')
    return model


def test_fixed_teachers_read_each_face_and_its_mirror_image_once(faces: LabelledFaces, tmp_path: Path) -> None:
    few, more = faces.images[:20], faces.images[20:40]
    one, other = (dense(tmp_path / name, seed) for seed, name in enumerate(("one", "other")))
    read = {
        model: (predict(model, few) + predict(model, np.ascontiguousarray(few[:, :, ::-1]))) / 2
        for model in (one, other)
    }
    teachers = [tmp_path / "one", tmp_path / "other"]
    answers = soft_labels(teachers, few, ["ferplus7", "fer2013"])
    assert set(answers) == {"ferplus7"}
    assert answers["ferplus7"] == pytest.approx((read[one] + read[other]) / 2, abs=1e-5)
    (kept,) = (tmp_path / "one").glob("*.npy")
    np.save(kept, np.zeros((20, 7), np.float32))
    assert soft_labels(teachers, few, ["ferplus7"])["ferplus7"] == pytest.approx(read[other] / 2, abs=1e-5)
    assert soft_labels(teachers[:1], more, ["ferplus7"])["ferplus7"].sum(axis=1) == pytest.approx(1, abs=1e-5)
    np.save(kept, np.zeros((3, 7), np.float32))
    assert soft_labels(teachers[:1], few, ["ferplus7"])["ferplus7"] == pytest.approx(read[one], abs=1e-5)


def test_teachers_of_other_makes_answer_as_they_do_alone(faces: LabelledFaces, tmp_path: Path) -> None:
    """One that is a sequence of layers, and one that ends in an operation and not in a layer."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    sequence = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Rescaling(1 / 255), *layers])
    inputs = keras.Input((48, 48, 1))
    scores = keras.layers.Dense(7)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs)))
    operation = keras.Model(inputs, keras.ops.softmax(scores))
    for name, model in (("sequence", sequence), ("operation", operation)):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name / "model.keras")
        (tmp_path / name / "training.json").write_text('{"scheme": "fer2013"}')
    answers = TeacherEnsemble([tmp_path / "sequence", tmp_path / "operation"], ["fer2013"]).answer(faces.images)
    mean = (predict(sequence, faces.images) + predict(operation, faces.images)) / 2
    assert answers["fer2013"] == pytest.approx(mean, abs=1e-4)
    (tmp_path / "sequence" / "training.json").write_text('{"scheme": "ferplus8"}')
    with pytest.raises(ModelError, match="has 7 classes, but ferplus8 has 8"):
        TeacherEnsemble([tmp_path / "sequence"], ["ferplus8"])


def test_a_teacher_without_its_record_or_its_model_is_told_with_the_fix(faces: LabelledFaces, tmp_path: Path) -> None:
    dense(tmp_path / "one", 0)
    (tmp_path / "one" / "training.json").unlink()
    with pytest.raises(ConfigError, match=r"Keep training\.json of its training beside it"):
        soft_labels([tmp_path / "one"], faces.images[:2], ["ferplus7"])
    (tmp_path / "one" / "model.keras").unlink()
    with pytest.raises(ConfigError) as caught:
        soft_labels([tmp_path / "one"], faces.images[:2], ["ferplus7"])
    assert str(caught.value) == f"{tmp_path / 'one'}: holds no model.keras. Name the folder of a finished training"


def test_it_is_told_whose_labels_no_teacher_knows(faces: LabelledFaces, tmp_path: Path) -> None:
    dense(tmp_path / "one", 0)
    with pytest.raises(ConfigError) as caught:
        soft_labels([tmp_path / "one"], faces.images[:2], ["fer2013", "ferplus8"])
    assert str(caught.value) == "no teacher was trained on the labels fer2013, ferplus8. Name a run that was"


def test_a_long_reading_is_told_once_and_so_is_a_folder_that_takes_no_cache(
    faces: LabelledFaces, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    dense(tmp_path / "one", 0)
    model = tmp_path / "one" / "model.keras"
    first = soft_labels([model], faces.images[:2], ["ferplus7"])["ferplus7"]
    soft_labels([model], faces.images[:2], ["ferplus7"])
    assert caplog.messages == [f"{model}: teacher predicts 2 faces"]
    (cache,) = (tmp_path / "one").glob("*.npy")
    cache.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert np.array_equal(soft_labels([model], faces.images[:2], ["ferplus7"])["ferplus7"], first)
    assert caplog.messages[-1] == f"{cache}: the teacher's outputs cannot be cached (No space left on device)"


def test_they_see_the_faces_as_the_student_does(faces: LabelledFaces) -> None:
    seen: list[Images] = []

    def ask(images: Images) -> dict[str, npt.NDArray[np.float32]]:
        seen.append(images)
        return {"soft_fer2013": np.full((len(images), 7), 1 / 7, np.float32)}

    batches = Batches(join([faces]), Recipe(batch_size=50, mixup=0.3, mixup_share=1), ask=ask)
    for index in range(len(batches)):
        images, targets, weights = batches[index]
        assert np.array_equal(images[..., 0], seen[-1])
        assert targets["soft_fer2013"].shape == (len(images), 7)
        assert weights["soft_fer2013"].all()


@pytest.mark.parametrize(("views", "times"), [(2, [1, 1, 0, 1, 1, 0]), (0, [1] * 6)])
def test_a_view_that_comes_again_has_the_answers_of_the_first_time(
    faces: LabelledFaces, views: int, times: list[int]
) -> None:
    """Of six epochs the last three are soft, so their views are others."""
    seen: list[Images] = []

    def ask(images: Images) -> dict[str, npt.NDArray[np.float32]]:
        seen.append(images)
        return {"soft_fer2013": np.full((len(images), 7), len(seen), np.float32)}

    recipe = Recipe(batch_size=50, epochs=6, views=views, mixup=0.3, mixup_share=1, soft_end=0.5)
    batches, epochs, asked = Batches(join([faces]), recipe, ask=ask), [], []
    for epoch in range(6):
        batches.start_epoch(epoch)
        before = len(seen)
        epochs.append([batches[index] for index in range(len(batches))])
        asked.append((len(seen) - before) / len(batches))
    assert asked == times
    for one, again in zip(epochs[0], epochs[2], strict=True):
        assert np.array_equal(one[0], again[0]) == bool(views)
        for head in ("fer2013", "soft_fer2013"):
            assert np.array_equal(one[1][head], again[1][head]) == bool(views)
    assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])
    assert not np.array_equal(epochs[2][0][0], epochs[4][0][0])


def test_a_student_is_taught_batch_by_batch(command: Run, tiny_data: Path, teacher: Path, tmp_path: Path) -> None:
    shared = ("--data", tiny_data, "--recipe", "adam-50", "--architecture", "cnn-small", "--labels", "ferplus7")
    taught, student = teacher, tmp_path / "student"
    options = ("--teacher", taught, "--set", "teaching=consistent", "--set", "mixup=0.2", "--epochs", 2)
    done = command("fer-train", "distill", *shared, *options, "--out", student, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads((student / "training.json").read_text())
    assert record["recipe"]["teaching"] == "consistent"
    assert [teacher["model"] for teacher in record["teachers"]] == ["teacher/model.keras"]
    assert not list(taught.glob("*.npy"))
    assert "soft_loss" in (student / "history.csv").read_text().splitlines()[0]
