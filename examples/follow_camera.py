"""Follow a camera and print each change: python examples/follow_camera.py [SOURCE]. Ctrl-C ends it.

SOURCE is a camera number, a video, a URL or `demo`. The default is the first camera that answers.
"""

import sys

from fer_edge import Pipeline, open_source

shown: dict[int, str] = {}

with Pipeline() as pipeline, open_source(sys.argv[1] if len(sys.argv) > 1 else "auto") as source:
    for frame in source:
        faces = {face.id: face.label for face in pipeline.process(frame).faces}
        for identity, label in faces.items():
            if shown.get(identity) != label:
                print(f"face {identity}: {label}", flush=True)
        shown = faces
