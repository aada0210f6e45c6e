"""Every key that a run can be configured with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from fer_edge.config.mqtt import MqttConfig
from fer_edge.config.section import Section
from fer_edge.config.web import WebConfig
from fer_edge.model.bundle import DEFAULT_MODEL
from fer_edge.model.prior import DEFAULT_POWER

# The sources that have a name of their own.
NAMED_SOURCES = ("auto", "demo", "picamera2")

_FILE_URL = "file://"


def _as_name(value: object) -> object:
    """A camera may be given as a number, and a file as a file:// URL (RFC 8089)."""
    if isinstance(value, str) and value[: len(_FILE_URL)].lower() == _FILE_URL:
        return unquote(value[len(_FILE_URL) :].removeprefix("localhost"))
    return str(value) if type(value) is int else value


def reveal(secret: SecretStr | None) -> str | None:
    """The secret itself, which is shown nowhere."""
    return secret.get_secret_value() if secret else None


class CameraConfig(Section):
    """What is asked of a camera; it may answer with something else."""

    width: int = Field(default=640, ge=64, le=7680)
    """Pixels."""
    height: int = Field(default=480, ge=48, le=4320)
    """Pixels."""
    fps: float = Field(default=30, gt=0, le=240)
    """Frames per second."""
    pixel_format: Literal["MJPG", "YUYV"] | None = Field(default=None, examples=["MJPG"])
    """How a USB camera sends its pictures. Left out: the first that OpenCV can read, which is not compressed as a rule,
    and so large that many cameras give 720p only ten times per second."""
    wait: bool = False
    """Wait for a camera that is not there at the start, instead of ending or showing the demo: for a service."""
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise by which the picture is turned."""
    hflip: bool = False
    """Left and right change places, before the turn."""
    vflip: bool = False
    """Above and below change places, before the turn."""


class DetectorConfig(Section):
    """How faces are found."""

    name: Literal["haar", "mediapipe"] = "haar"
    """MediaPipe finds more faces, and needs its models: `fer-edge models fetch mediapipe`."""
    scan_width: int = Field(default=320, ge=80, le=3840)
    """Haar: a whole frame is scaled to this many pixels in width before it is searched, and tiles of it, which show
    small faces, twice as finely. It decides the smallest face that is found: a 32nd of the frame's width at 320."""
    min_face: int = Field(default=20, ge=20, le=3840)
    """Smallest face that is looked for, in pixels of the frame: larger saves time."""
    min_neighbours: int = Field(default=0, ge=0, le=100)
    """Haar: how many other hits beside it make a hit a face: more means fewer false ones, and few are confirmed."""
    cascade: Path | None = Field(default=None, examples=["/path/to/cascade.xml"])
    """Haar: a cascade file of your own."""
    min_score: float | None = Field(default=None, ge=0, le=1, examples=[0.6])
    """How sure the detector must be that something is a face. Left out: haar takes every hit, since a second look
    confirms each; mediapipe takes 0.6, as MediaPipe has it, and 0.5 where a face is expected."""
    model: Path | None = Field(default=None, examples=["/path/to/folder"])
    """MediaPipe: a folder with its models, or one .tflite file. Left out: those that `fer-edge models fetch` got."""


class TrackerConfig(Section):
    """How faces are followed."""

    scan_interval: float = Field(default=1.0, gt=0)
    """Seconds between whole scans while faces are followed."""
    idle_scan_interval: float = Field(default=0.25, gt=0)
    """Seconds between whole scans while nobody is there, or somebody was lost."""
    still_scan_interval: float = Field(default=2.0, gt=0)
    """Seconds between whole scans while nothing but the known faces moves in the picture."""
    scan_spread: float = Field(default=0.1, ge=0)
    """Seconds over which the shares of a whole scan are spread; 0 does them all in one frame."""
    tile_interval: float = Field(default=0.3, ge=0)
    """Seconds between two tiles, parts of the frame that are searched for small faces in turns."""
    look_interval: float = Field(default=0.05, ge=0)
    """Seconds between two looks at a known face, which is moved along between them; 0 looks in every frame."""
    detect_interval: float = Field(default=0.2, ge=0)
    """Seconds for which a face that looks as it did need not be seen by the detector; 0 asks it at each look."""
    confirm_after: int = Field(default=3, ge=1, le=100)
    """How often in a row per face is seen before it is shown, unless it is beyond doubt."""
    max_missed: float = Field(default=1.0, ge=0)
    """Seconds for which a face that is not seen keeps its id."""
    hide_after: float = Field(default=0.3, ge=0)
    """Seconds after which a face that is not seen is not shown any more."""
    min_iou: float = Field(default=0.3, gt=0, lt=1)
    """Overlap at which two boxes are the same face."""


class ClassifierConfig(Section):
    """How the model's answers are read."""

    prior: float = Field(DEFAULT_POWER, ge=0, le=1)
    """Power of the training prior that probabilities are divided by: 0 takes them as they are, 1 reads as if all
    expressions were equally frequent, which finds more of the rare ones and is wrong more often on the others."""


class SmoothingConfig(Section):
    """How labels are steadied."""

    time_constant: float = Field(default=0.4, ge=0)
    """Seconds after which 63 % of a change has come through."""
    switch_margin: float = Field(default=0.1, ge=0, lt=1)
    """How much more probable another label must be before it is shown."""
    uncertain_below: float = Field(default=0.35, ge=0, lt=1)
    """The label is `uncertain` once none is this probable, until one is by `switch_margin` more."""

    @model_validator(mode="after")
    def _can_be_certain_again(self) -> Self:
        if self.uncertain_below + self.switch_margin >= 1:
            raise ValueError("uncertain_below and switch_margin make 1 or more: no label would ever be shown again")
        return self


class JsonLinesConfig(Section):
    """How JSON lines are written; `append` makes a log of them, which is kept within bounds."""

    append: bool = False
    """Add to a file that is there, rather than replace it."""
    on_change: bool = False
    """Write only when somebody comes, goes or changes expression."""
    sync_s: float | None = Field(default=None, ge=0, examples=[5])
    """Seconds after which lines are safe from a power cut at the latest; 0 for each line at once. Left out: as the
    system does it, which is some 30."""
    max_mb: float = Field(default=50, gt=0)
    """Size in megabytes at which a log is rotated to FILE.1, the one before to FILE.2, and so on."""
    max_hours: float = Field(default=24, gt=0)
    """Age in hours at which a log is rotated, whatever its size."""
    keep: int = Field(default=30, ge=1, le=1000)
    """How many rotated files are kept."""


class ScreenConfig(Section):
    """What the display does."""

    mirror: bool = False
    """Left and right change places, as people know themselves from mirrors."""
    pictures: Path | None = Field(default=None, examples=["snapshots"])
    """A folder in which the key `s` saves what is shown; without it nothing is saved."""


class OverlayConfig(Section):
    """What is drawn on pictures: on the screen, in recordings and copies, on the live page."""

    score: bool = False
    """Labels tell how sure the detector is that this is a face, 0 to 1."""


class PrometheusConfig(Section):
    """Metrics without a port; with the live page they are at /metrics, too."""

    textfile: Path | None = Field(default=None, examples=["/var/lib/prometheus/node-exporter/fer-edge.prom"])
    """File for node_exporter's textfile collector, NAME.prom; written every ten seconds."""


class UsageConfig(Section):
    """A record of what was seen: counts alone, no picture, no place, no identity."""

    path: Path | None = Field(default=None, examples=["/var/lib/fer-edge/usage.sqlite"])
    """SQLite file, 20 MB at most: one row per minute for 7 days, one per hour for 400 days. Left out: no record."""


class SamplesConfig(Section):
    """A few pictures of faces, for their owner to label. Nothing is kept unless `path` is set."""

    path: Path | None = Field(default=None, examples=["/var/lib/fer-edge/samples"])
    """Folder, for its owner alone (mode 700). Left out: no pictures."""
    count: int = Field(default=400, ge=10, le=10_000)
    """Pictures that are kept, at most: 48x48 pixels, one per visit, of all days, labels and confidences."""
    days: int = Field(default=30, ge=1, le=365)
    """Days after which a picture is deleted."""


class RunConfig(Section):
    """Everything that `fer-edge run` can be told."""

    source: Annotated[str, BeforeValidator(_as_name)] = Field(default="auto", min_length=1)
    """auto, demo, picamera2, a camera's number or /dev path, a video, an image, a folder, or an rtsp or http URL.
    `auto` is a Pi's ribbon-cable camera, else the first other camera that answers, else the demo."""
    source_fps: float | None = Field(default=None, gt=0, le=1000, examples=[30])
    """Frames per second of a raw .h264, .h265 or .mjpeg file, which has no times of its own. Left out: 25, and said."""
    model: str = DEFAULT_MODEL
    """A shipped model (`fer-edge models list`), or a bundle's folder."""
    threads: int = Field(default=1, ge=1, le=64)
    """Threads for the model and for OpenCV, each."""
    display: Literal["none", "window", "hdmi"] = "none"
    """Where the annotated frames are shown."""
    json_path: str | None = Field(default=None, alias="json", examples=["faces.jsonl"])
    """File for JSON lines, `-` for standard output."""
    csv_path: str | None = Field(default=None, alias="csv", examples=["faces.csv"])
    """File for a table as CSV, one row per face and frame; `-` for standard output."""
    record: Path | None = Field(default=None, examples=["out.mkv"])
    """Annotated video to write, `.mp4`, or `.mkv`, which outlives a kill; of pictures, a folder of annotated copies.
    These are pictures of people, until 2 MB are left on the disk."""
    plot: Path | None = Field(default=None, examples=["timeline.png"])
    """Timeline of the probabilities to draw, `.png`, `.svg` or `.pdf`; for sources that end."""
    max_frames: int | None = Field(default=None, ge=1, examples=[1000])
    """Stop after this many frames."""
    max_fps: float | None = Field(default=None, ge=1, le=240, examples=[15])
    """Frames per second that are processed at most; of live sources alone. With fewer than one nobody is
    followed, and a service's watchdog starves."""
    power_save: bool = False
    """While nobody is there, process two frames per second; of live sources alone."""
    blur: bool = False
    """Hide every face in recordings, copies, screen and page. An unblurred picture is then never written or sent."""
    camera: CameraConfig = CameraConfig()
    detector: DetectorConfig = DetectorConfig()
    tracker: TrackerConfig = TrackerConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    smoothing: SmoothingConfig = SmoothingConfig()
    json_lines: JsonLinesConfig = JsonLinesConfig()
    screen: ScreenConfig = ScreenConfig()
    overlay: OverlayConfig = OverlayConfig()
    mqtt: MqttConfig = Field(default_factory=MqttConfig)
    usage: UsageConfig = UsageConfig()
    samples: SamplesConfig = SamplesConfig()
    web: WebConfig = WebConfig()
    prometheus: PrometheusConfig = PrometheusConfig()

    @model_validator(mode="after")
    def _samples_show_faces(self) -> Self:
        if self.blur and self.samples.path is not None:
            raise ValueError("blur and samples.path contradict one another: samples are pictures of faces")
        return self
