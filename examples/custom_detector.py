"""Use a detector of your own: python examples/custom_detector.py face.png ...

These pictures show one face each and nothing else, as in FER2013. So the detector has nothing to search: each picture
is one face.
"""

import sys

from fer_edge import BaseDetector, FaceBox, Image, Pipeline, load_frame

if len(sys.argv) < 2:
    sys.exit(__doc__)


class WholePicture(BaseDetector):
    """Takes the whole picture as one face."""

    def find_faces(self, image: Image) -> list[FaceBox]:
        """Return one box: the picture itself."""
        height, width = image.shape[:2]
        return [FaceBox(0, 0, width, height, score=1.0)]


with Pipeline(detector=WholePicture()) as pipeline:
    for path in sys.argv[1:]:
        for face in pipeline.process(load_frame(path)).faces:
            print(f"{path}: {face.label} {face.confidence:.0%}")
