"""The run configuration."""

from fer_edge.config.fleet import FleetConfig
from fer_edge.config.home_assistant import HomeAssistantConfig
from fer_edge.config.loading import load_config
from fer_edge.config.mqtt import MqttConfig
from fer_edge.config.sections import (
    NAMED_SOURCES,
    CameraConfig,
    ClassifierConfig,
    DetectorConfig,
    JsonLinesConfig,
    OverlayConfig,
    PrometheusConfig,
    RecordingConfig,
    RunConfig,
    SamplesConfig,
    ScreenConfig,
    SmoothingConfig,
    TrackerConfig,
    UsageConfig,
    VideoCodec,
    reveal,
)
from fer_edge.config.updates import UpdatesConfig
from fer_edge.config.web import WebConfig

__all__ = [
    "NAMED_SOURCES",
    "CameraConfig",
    "ClassifierConfig",
    "DetectorConfig",
    "FleetConfig",
    "HomeAssistantConfig",
    "JsonLinesConfig",
    "MqttConfig",
    "OverlayConfig",
    "PrometheusConfig",
    "RecordingConfig",
    "RunConfig",
    "SamplesConfig",
    "ScreenConfig",
    "SmoothingConfig",
    "TrackerConfig",
    "UpdatesConfig",
    "UsageConfig",
    "VideoCodec",
    "WebConfig",
    "load_config",
    "reveal",
]
