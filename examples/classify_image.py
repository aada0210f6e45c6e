"""Classify the faces in a picture: python examples/classify_image.py portrait.jpg."""

import sys

from fer_edge import Pipeline, load_frame

if len(sys.argv) != 2:
    sys.exit(__doc__)

with Pipeline() as pipeline:
    for face in pipeline.process(load_frame(sys.argv[1])).faces:
        print(f"{face.label} {face.confidence:.0%} at x={face.box.x:.0f} y={face.box.y:.0f} width={face.box.width:.0f}")
