"""Measure a model on labelled faces: python examples/evaluate_model.py MODEL DATA.

MODEL is a shipped model (`ferplus7`), a bundle's folder, or a `.keras` or `.tflite` file.
DATA is a folder with `fer2013.csv` and `fer2013new.csv`. It needs the training packages: pip install '.[train]'.
"""

import sys
from pathlib import Path

from fer_train.data.datasets import load_dataset
from fer_train.evaluation.metrics import score
from fer_train.evaluation.predictors import open_predictor

if len(sys.argv) != 3:
    sys.exit(__doc__)

model = open_predictor(sys.argv[1])
faces = load_dataset(Path(sys.argv[2]), "validation", model.scheme)
result = score(model.predict(faces.images), faces)

low, high = result.interval
print(f"accuracy {result.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}) on {len(faces)} faces")
print(f"expected calibration error {result.calibration_error:.3f}")
for label, recall in result.recall.items():
    print(f"recall of {label:10} {'-' if recall is None else f'{recall:.1%}'}")
