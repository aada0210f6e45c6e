"""Options of commands that ask a broker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.errors import ConfigError

if TYPE_CHECKING:
    from fer_edge.config import MqttConfig
    from fer_fleet.broker import Heard

_PASSWORD = "FER_FLEET_MQTT_PASSWORD"  # noqa: S105 - the variable's name

BrokerOption = Annotated[
    str | None,
    typer.Option(
        "--broker",
        metavar="HOST",
        envvar="FER_FLEET_BROKER",
        help="The MQTT broker: HOST, HOST:PORT, or mqtts://HOST for TLS.",
    ),
]
UserOption = Annotated[
    str | None,
    typer.Option(
        "--user", metavar="NAME", help=f"User of the broker. The password is asked for, or taken from {_PASSWORD}."
    ),
]
CafileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Certificates (PEM) of the broker's authority, for TLS.")
]


def broker_config(broker: str | None, user: str | None, cafile: Path | None) -> MqttConfig:
    """The broker's address and login. Raises ConfigError."""
    from pydantic import ValidationError

    from fer_edge.config import MqttConfig
    from fer_edge.validation import first_problem

    if broker is None:
        raise ConfigError("no broker. Give --broker (or FER_FLEET_BROKER) its name or address")
    given: dict[str, object] = {"host": broker}
    if cafile:
        given["cafile"] = cafile
    if user:
        password = os.environ.get(_PASSWORD) or typer.prompt(f"password of {user}", hide_input=True, err=True)
        given |= {"username": user, "password": password}
    try:
        return MqttConfig.model_validate(given)
    except ValidationError as error:
        raise ConfigError(f"--broker {broker}: {first_problem(error, MqttConfig)[1]}") from error


def tell_refused(heard: Heard) -> None:
    """Say in one line what the broker said that no device says."""
    from fer_edge.terminal import tell

    if heard.refused:
        tell(f"warning: {heard.refused} messages refused, such as {heard.example}")
