"""What can be measured of the crop that a model reads, without the model."""

from __future__ import annotations

import cv2

from fer_edge.types import Image


def crop_statistics(crop: Image) -> dict[str, float]:
    """Brightness, contrast and sharpness of a grey crop, shape (H, W), in the units of `monitoring.histograms`."""
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(crop))
    _, laplacian = cv2.meanStdDev(cv2.Laplacian(crop, cv2.CV_32F))
    return {"brightness": mean, "contrast": deviation, "sharpness": float(laplacian[0, 0]) ** 2}
