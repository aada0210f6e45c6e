"""A network camera over loopback, as a program of its own: it can be killed, frozen and started again.

python tests/camera_server.py PORT [one]

/demo shows the demo, /black nothing, /still always the same picture, /sizes pictures of changing size. With `one` a
second client is refused while the first is there.
"""

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

import cv2
import numpy as np

from fer_edge.sources.demo import DemoSource, scene_at
from fer_edge.types import Image

FPS = 15
SECONDS = 6


def pictures(path: str) -> Iterator[Image]:
    if path == "/black":
        yield np.zeros((480, 640, 3), np.uint8)
        return
    with DemoSource() as demo:
        for index in range(1 if path == "/still" else FPS * SECONDS):
            image = demo.render(scene_at(index / FPS))
            halved = path == "/sizes" and index // 10 % 2
            yield np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5), np.uint8) if halved else image


class Camera(BaseHTTPRequestHandler):
    free = threading.Semaphore(1 << 30)

    def do_GET(self) -> None:
        if not self.free.acquire(blocking=False):
            self.send_error(503)
            return
        try:
            self._stream()
        except OSError:
            pass  # the client went away
        finally:
            self.free.release()

    def _stream(self) -> None:
        encoded = [cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(self.path)]
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for picture in cycle(encoded):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.wfile.write(head.encode() + picture + b"\r\n")
            time.sleep(1 / FPS)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    if "one" in sys.argv:
        Camera.free = threading.Semaphore(1)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Camera).serve_forever()
