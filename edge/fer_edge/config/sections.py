"""Every key of the configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from fer_edge.config.fleet import ID, FleetConfig
from fer_edge.config.home_assistant import HomeAssistantConfig
from fer_edge.config.mqtt import MqttConfig
from fer_edge.config.section import Section
from fer_edge.config.updates import UpdatesConfig
from fer_edge.config.web import WebConfig
from fer_edge.model.bundle import CURRENT_MODEL
from fer_edge.model.prior import DEFAULT_POWER

# These sources have a name.
NAMED_SOURCES = ("auto", "demo", "picamera2")

VideoCodec = Literal["h264", "vp9", "mpeg4"]

_FILE_URL = "file://"


def _as_name(value: object) -> object:
    """A camera may be given as a number, and a file as a file:// URL (RFC 8089)."""
    if isinstance(value, str) and value[: len(_FILE_URL)].lower() == _FILE_URL:
        return unquote(value[len(_FILE_URL) :].removeprefix("localhost"))
    return str(value) if type(value) is int else value


def reveal(secret: SecretStr | None) -> str | None:
    """Return the secret itself, which must never be shown."""
    return secret.get_secret_value() if secret else None


class CameraConfig(Section):
    """What is requested from a camera; it may deliver something else."""

    width: int = Field(default=640, ge=64, le=7680)
    """Pixels."""
    height: int = Field(default=480, ge=48, le=4320)
    """Pixels."""
    fps: float = Field(default=30, gt=0, le=240)
    """Frames per second."""
    pixel_format: Literal["MJPG", "YUYV"] | None = Field(default=None, examples=["MJPG"])
    """Format of a USB camera's frames. Not set: the first that OpenCV can read. That is usually not compressed, and so
    large that many cameras deliver 720p only ten times per second."""
    wait: bool = False
    """Wait for a camera that is missing at the start, instead of ending or showing the demo: for a service."""
    rotation: Literal[0, 90, 180, 270] = 0
    """Clockwise rotation of the frame, in degrees."""
    hflip: bool = False
    """Flip left and right, before the rotation."""
    vflip: bool = False
    """Flip top and bottom, before the rotation."""


class DetectorConfig(Section):
    """How faces are found."""

    name: Literal["haar", "mediapipe"] = "haar"
    """MediaPipe finds more faces, and needs its models: `fer-edge models fetch mediapipe`."""
    scan_width: int = Field(default=320, ge=80, le=3840)
    """Haar: a whole frame is scaled to this width in pixels before it is scanned. Tiles, which show small faces, have
    twice that resolution. It sets the smallest face that is found: a 32nd of the frame's width at 320."""
    min_face: int = Field(default=20, ge=20, le=3840)
    """Smallest face to search for, in pixels of the frame. A larger value saves time."""
    min_neighbours: int = Field(default=0, ge=0, le=100)
    """Haar: number of overlapping hits that make a face. More means fewer wrong boxes, and also fewer faces."""
    cascade: Path | None = Field(default=None, examples=["/path/to/cascade.xml"])
    """Haar: a cascade file of your own."""
    min_score: float | None = Field(default=None, ge=0, le=1, examples=[0.6])
    """Smallest score of a face. Not set: haar accepts every hit, since a region search confirms each; mediapipe uses
    0.6, as MediaPipe does, and 0.5 where a face is expected."""
    model: Path | None = Field(default=None, examples=["/path/to/folder"])
    """MediaPipe: a folder with its models, or one .tflite file. Not set: those from `fer-edge models fetch`."""


class TrackerConfig(Section):
    """How faces are tracked."""

    scan_interval: float = Field(default=1.0, gt=0)
    """Seconds between whole scans while faces are tracked."""
    idle_scan_interval: float = Field(default=0.25, gt=0)
    """Seconds between whole scans while nobody is there, or somebody was lost. Twice as long once three scans found
    nobody."""
    still_scan_interval: float = Field(default=2.0, gt=0)
    """Seconds between whole scans while only the tracked faces move in the frame."""
    scan_spread: float = Field(default=0.1, ge=0)
    """Seconds over which a whole scan is spread; 0 does it in one frame."""
    tile_interval: float = Field(default=0.3, ge=0)
    """Seconds between two tiles, which are parts of the frame that are searched for small faces in turn."""
    search_interval: float = Field(default=0.05, ge=0)
    """Seconds between two searches for a tracked face, whose box moves on between them; 0 searches in every frame."""
    detect_interval: float = Field(default=0.2, ge=0)
    """Seconds for which an unchanged face is found by its appearance, without the detector; 0 always uses the
    detector."""
    confirm_after: int = Field(default=3, ge=1, le=100)
    """How often in a row a face must be seen before it is shown, unless its score leaves no doubt."""
    max_missed: float = Field(default=1.0, ge=0)
    """Seconds for which a lost face keeps its id."""
    hide_after: float = Field(default=0.3, ge=0)
    """Seconds after which a lost face is no longer shown."""
    min_iou: float = Field(default=0.3, gt=0, lt=1)
    """Smallest intersection over union (IoU) of two boxes of one face."""


class ClassifierConfig(Section):
    """How the model's outputs are used."""

    prior: float = Field(DEFAULT_POWER, ge=0, le=1)
    """Power of the training prior by which probabilities are divided. 0 does not change them; 1 treats all expressions
    as equally frequent, which finds more of the rare ones and makes more mistakes on the others."""


class SmoothingConfig(Section):
    """How labels are smoothed."""

    time_constant: float = Field(default=0.4, ge=0)
    """Seconds until 63 % of a change is visible."""
    switch_margin: float = Field(default=0.1, ge=0, lt=1)
    """How much more probable another label must be before it is shown."""
    uncertain_below: float = Field(default=0.35, ge=0, lt=1)
    """The label becomes `uncertain` if no label has this probability, until one exceeds it by `switch_margin`."""

    @model_validator(mode="after")
    def _can_be_certain_again(self) -> Self:
        if self.uncertain_below + self.switch_margin >= 1:
            raise ValueError("uncertain_below and switch_margin make 1 or more: no label would ever be shown again")
        return self


class JsonLinesConfig(Section):
    """How JSON lines are written. With `append` they are a log of limited size."""

    append: bool = False
    """Append to an existing file instead of replacing it."""
    on_change: bool = False
    """Write only when somebody appears, leaves or changes expression."""
    sync_s: float | None = Field(default=None, ge=0, examples=[5])
    """Seconds until lines are safe from a power cut at the latest; 0 for each line at once. Not set: as the system
    does it, about 30."""
    max_mb: float = Field(default=50, gt=0)
    """Size in megabytes at which a log is rotated to FILE.1, the one before to FILE.2, and so on."""
    max_hours: float = Field(default=24, gt=0)
    """Age in hours at which a log of any size is rotated."""
    keep: int = Field(default=30, ge=1, le=1000)
    """How many rotated files are kept."""


class RecordingConfig(Section):
    """How the annotated video is written."""

    codec: VideoCodec | None = Field(default=None, examples=["h264"])
    """h264, vp9 or mpeg4. Not set: the best that is installed. h264 and vp9 need PyAV (the extra `recording`) and play
    in browsers; mpeg4 takes half the processor time of h264, and browsers do not play it."""


class ScreenConfig(Section):
    """Settings of the display."""

    mirror: bool = False
    """Show the frame as in a mirror."""
    pictures: Path | None = Field(default=None, examples=["snapshots"])
    """Folder in which the key `s` saves the shown frame; without it nothing is saved."""


class OverlayConfig(Section):
    """What is drawn on frames: on the screen, in recordings and copies, on the live page."""

    score: bool = False
    """Show the detector's score, 0 to 1, beside the label."""


class PrometheusConfig(Section):
    """Metrics without a port; the live page also has them at /metrics."""

    textfile: Path | None = Field(default=None, examples=["/var/lib/prometheus/node-exporter/fer-edge.prom"])
    """File for node_exporter's textfile collector, NAME.prom; written every ten seconds."""


class UsageConfig(Section):
    """A record of what was seen: only counts, no image, no place, no identity."""

    path: Path | None = Field(default=None, examples=["/var/lib/fer-edge/usage.sqlite"])
    """SQLite file, 20 MB at most: one row per minute for 7 days, one per hour for 400 days. Not set: no record."""


class SamplesConfig(Section):
    """A few images of faces for the owner to label. Nothing is kept unless `path` is set."""

    path: Path | None = Field(default=None, examples=["/var/lib/fer-edge/samples"])
    """Folder that only its owner can read (mode 700). Not set: no images are kept."""
    count: int = Field(default=400, ge=10, le=10_000)
    """Largest number of images: 48x48 pixels, at most one per visit, balanced over days, labels and confidences."""
    days: int = Field(default=30, ge=1, le=365)
    """Days after which an image is deleted."""


class RunConfig(Section):
    """Every setting of `fer-edge run`."""

    source: Annotated[str, BeforeValidator(_as_name)] = Field(default="auto", min_length=1)
    """auto, demo, picamera2, a camera's number or /dev path, a video, an image, a folder, or an rtsp or http URL.
    `auto` is a Pi's ribbon-cable camera, else the first other camera that answers, else the demo."""
    recursive: bool = False
    """Read the images of a folder's subfolders, too."""
    source_fps: float | None = Field(default=None, gt=0, le=1000, examples=[30])
    """Frames per second of a raw .h264, .h265 or .mjpeg file, which has no times. Not set: 25, with a warning."""
    model: str = CURRENT_MODEL
    """`current` is the one chosen with `fer-edge models use`, at first ferplus7. Or a shipped or installed model
    (`fer-edge models list`), or a bundle's folder."""
    threads: int = Field(default=1, ge=1, le=64)
    """Threads for the model and for OpenCV, each."""
    display: Literal["none", "window", "hdmi"] = "none"
    """Where the annotated frames are shown."""
    json_path: str | None = Field(default=None, alias="json", examples=["faces.jsonl"])
    """File for JSON lines, `-` for standard output."""
    csv_path: str | None = Field(default=None, alias="csv", examples=["faces.csv"])
    """File for a table as CSV, one row per face and frame; `-` for standard output."""
    record: Path | None = Field(default=None, examples=["out.mkv"])
    """Annotated video to write: `.mp4`, or `.mkv` or `.webm`, which outlive a kill; of pictures, a folder of copies.
    These are pictures of people, until 2 MB are left on the disk."""
    plot: Path | None = Field(default=None, examples=["timeline.png"])
    """Timeline of the probabilities to draw, `.png`, `.svg` or `.pdf`; for sources that end."""
    max_frames: int | None = Field(default=None, ge=1, examples=[1000])
    """Stop after this many frames."""
    max_fps: float | None = Field(default=None, ge=1, le=240, examples=[15])
    """Largest number of processed frames per second; only for live sources. Below one, tracking fails and a service's
    watchdog ends it."""
    power_save: bool = False
    """While nobody is there, process two frames per second; only for live sources."""
    blur: bool = False
    """Hide every face that is found in recordings, copies, screen and page. No unblurred image is then written or sent.
    Use it with the detector mediapipe: haar misses more faces (docs/web.md)."""
    camera: CameraConfig = CameraConfig()
    detector: DetectorConfig = DetectorConfig()
    tracker: TrackerConfig = TrackerConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    smoothing: SmoothingConfig = SmoothingConfig()
    json_lines: JsonLinesConfig = JsonLinesConfig()
    recording: RecordingConfig = RecordingConfig()
    screen: ScreenConfig = ScreenConfig()
    overlay: OverlayConfig = OverlayConfig()
    mqtt: MqttConfig = Field(default_factory=MqttConfig)
    home_assistant: HomeAssistantConfig = HomeAssistantConfig()
    usage: UsageConfig = UsageConfig()
    samples: SamplesConfig = SamplesConfig()
    web: WebConfig = WebConfig()
    prometheus: PrometheusConfig = PrometheusConfig()
    updates: UpdatesConfig = UpdatesConfig()
    fleet: FleetConfig = FleetConfig()

    @model_validator(mode="after")
    def _samples_show_faces(self) -> Self:
        if self.blur and self.samples.path is not None:
            raise ValueError("blur and samples.path contradict one another: samples are pictures of faces")
        return self

    @field_validator("home_assistant", "fleet")
    @classmethod
    def _has_broker(
        cls, value: HomeAssistantConfig | FleetConfig, info: ValidationInfo
    ) -> HomeAssistantConfig | FleetConfig:
        mqtt = info.data.get("mqtt")
        if value.enabled and isinstance(mqtt, MqttConfig) and mqtt.host is None:
            raise ValueError("needs a broker: set mqtt.host")
        return value

    @field_validator("fleet")
    @classmethod
    def _has_name(cls, value: FleetConfig, info: ValidationInfo) -> FleetConfig:
        mqtt = info.data.get("mqtt")
        user = mqtt.username if isinstance(mqtt, MqttConfig) else None
        if value.enabled and value.id is None and user and not re.fullmatch(ID, user):
            raise ValueError(f"mqtt.username {user} cannot name a device: set fleet.id")
        return value
