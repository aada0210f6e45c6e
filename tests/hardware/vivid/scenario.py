"""What the installed service does when its camera fails: runs as root inside the machine that run.sh boots."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

UNIT = "fer-edge"
DRIVER = Path("/sys/bus/platform/drivers/vivid")
# Seconds for anything to come true: an emulated machine is some thirty times as slow as the one it runs on.
LONGEST = 240

# Seconds of frames after which a camera that vanishes is tried soon again.
STEADY = 12

# Seconds on the monotonic clock, and what the service said then.
Message = tuple[float, str]

table: list[str] = []
failures: list[str] = []


def main() -> None:
    seconds = wait_for("FPS")
    row("power on, the camera is there", show("StatusText"), f"{seconds:.0f} s after the kernel")
    process = show("MainPID")
    fault("unplugged for 25 s, while another program has it open", unplugged(), 25)
    fault("its device is removed, and created again after 25 s", removed(), 25)
    fault("its driver reports a fatal error", failing(), 0)
    same = show("MainPID") == process and show("NRestarts") == "0"
    expect("the process is still the first", same)
    row("all three", "no restart" if same else "RESTARTED", "")
    second_program()
    absent_at_the_start()
    run("systemctl", "stop", UNIT)
    by_hand()
    formats()


def fault(name: str, away: AbstractContextManager[None], pause: float) -> None:
    """Break the camera, keep it away for some seconds, and give it back."""
    time.sleep(STEADY)
    begun = time.monotonic()
    with away:
        gone = wait_for_message(begun, "is lost")
        time.sleep(pause)
        expect(f"{name}: its status tells", not pause or "waiting for the camera" in show("StatusText"))
        returned = time.monotonic() if pause else gone[0]
    back = wait_for_message(begun, "is back")
    wait_for("FPS")
    said = [text for _, text in messages(begun)]
    for once in ("is lost", "is back"):
        expect(f"{name}: '{once}' is said once: {said}", sum(once in text for text in said) == 1)
    noticed, waited = gone[0] - begun, back[0] - returned
    row(name, f"{gone[1]}; {back[1]}", f"said after {noticed:.1f} s, frames again after {waited:.1f} s")


@contextmanager
def unplugged() -> Iterator[None]:
    """vivid brings its devices back when nobody has one open any more."""
    with Path("/dev/video0").open("rb", buffering=0):
        control("disconnect")
        yield


@contextmanager
def removed() -> Iterator[None]:
    (DRIVER / "unbind").write_text("vivid.0")
    yield
    (DRIVER / "bind").write_text("vivid.0")


@contextmanager
def failing() -> Iterator[None]:
    """Until the program stops streaming."""
    control("inject_fatal_streaming_error")
    yield


def control(name: str) -> None:
    run("v4l2-ctl", "--device=/dev/video0", f"--set-ctrl={name}=1", check=True)


def second_program() -> None:
    done = run("fer-edge", "run", "--source", "/dev/video0", "--max-frames", "3")
    told = "/dev/video0 is in use by another program: fer-edge, process " in done.stderr
    expect(f"a second program is refused: {done.stderr}", done.returncode == 3 and told)
    row("a second program wants it", done.stderr.splitlines()[-1], f"exit {done.returncode}")


def absent_at_the_start() -> None:
    with removed():
        begun = time.monotonic()
        run("systemctl", "restart", UNIT, check=True)
        ready = time.monotonic()
        expect("it waits", "waiting for the camera" in show("StatusText"))
        time.sleep(5)
        returned = time.monotonic()
    back = wait_for_message(begun, "is back")
    seconds = f"ready after {ready - begun:.1f} s, frames after {back[0] - returned:.1f} s"
    row("not there at the start", "waiting for the camera; the camera is back", seconds)


def by_hand() -> None:
    """What people try first, as the service's user; with a camera that hangs on its side."""
    say(as_user("doctor").stdout)
    folder = Path("/var/lib/fer-edge")
    config, video = folder / "tilted.toml", folder / "out.mkv"
    config.write_text("[camera]\nrotation = 90\n")
    done = as_user("run", "--source", "0", "--max-frames", "5", "--config", str(config), "--record", str(video))
    look = "import cv2, sys; print(*cv2.VideoCapture(sys.argv[1]).read()[1].shape[1::-1])"
    size = run("/opt/fer-edge/current/bin/python", "-c", look, str(video)).stdout.strip().replace(" ", "x")
    expect(f"--source 0: {done.stderr}", done.returncode == 0)
    expect(f"upright: {size}", size == "480x640")
    row("fer-edge run --source 0, rotation = 90", f"a recording of {size} pixels", done.stderr.splitlines()[-1])


def formats() -> None:
    """vivid has raw pictures and no compressed ones."""
    config = Path("/var/lib/fer-edge/format.toml")
    for name, code, wait in (("YUYV", 0, "false"), ("MJPG", 3, "false"), ("MJPG", 3, "true")):
        config.write_text(f'[camera]\npixel_format = "{name}"\nwait = {wait}\n')
        done = as_user("run", "--source", "/dev/video0", "--max-frames", "5", "--config", str(config))
        said = done.stderr.splitlines()
        expect(f"{name}: {done.returncode}, {done.stderr}", done.returncode == code and len(said) == 1)
        row(f'pixel_format = "{name}", wait = {wait}', said[-1], f"exit {done.returncode}")


def as_user(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("setpriv", "--reuid=fer-edge", "--regid=fer-edge", "--init-groups", "fer-edge", *arguments)


def run(*command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=LONGEST)


def show(name: str) -> str:
    return run("systemctl", "show", UNIT, f"--property={name}", "--value").stdout.strip()


def messages(since: float = 0) -> list[Message]:
    lines = run("journalctl", f"_SYSTEMD_UNIT={UNIT}.service", "--boot", "--output=json").stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    said = [(int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6, str(entry["MESSAGE"])) for entry in entries]
    return [message for message in said if message[0] >= since]


def wait_for_message(since: float, text: str) -> Message:
    found: list[Message] = []

    def look() -> bool:
        found.extend(message for message in messages(since) if text in message[1])
        return bool(found)

    wait_until(look)
    return found[0]


def wait_for(status: str) -> float:
    """Wait for what the service says of itself; return the seconds since the kernel started."""
    wait_until(lambda: status in show("StatusText"))
    return time.monotonic()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST
    while not condition():
        if time.monotonic() > end:
            said = [f"{seconds:7.1f} {text}" for seconds, text in messages()]
            raise TimeoutError("\n".join(["it never came true", show("StatusText"), *said]))
        time.sleep(0.2)


def expect(what: str, came_true: bool) -> None:
    if not came_true:
        failures.append(f"failed: {what}")


def row(what: str, happened: str, seconds: str) -> None:
    table.append(f"| {what} | {happened} | {seconds} |")
    say(table[-1])


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
    say("\n".join(["", *table, *(failures or ["all went as it should"])]))
