"""Show faces as a device's camera shows them: with the tilt, the light, the contrast and the noise of its samples."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# The difference of two Laplacians, which hardly sees the face: Immerkaer, 1996, doi:10.1006/cviu.1996.0060.
_NOISE_ALONE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def noise_level(face: npt.NDArray[np.uint8]) -> float:
    """Estimate the standard deviation of the noise, in grey levels, of a grey face of shape (H, W)."""
    filtered = cv2.filter2D(face.astype(np.float32), -1, _NOISE_ALONE)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(filtered).mean())


def match_camera(
    faces: npt.NDArray[np.uint8], samples: npt.NDArray[np.uint8], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Give each face the brightness, contrast and noise of a sample that is drawn at random.

    Args:
        faces: grey, shape (N, H, W).
        samples: grey faces of the camera, shape (M, H, W).
        rng: draws the samples and the noise.

    Returns:
        Changed copies, shape (N, H, W). Noise is only added, never removed.
    """
    looks = [(float(sample.mean()), float(sample.std()), noise_level(sample)) for sample in samples]
    return np.array([_match(face, looks[rng.integers(len(looks))], rng) for face in faces], np.uint8)


def turn(faces: npt.NDArray[np.uint8], degrees: float) -> npt.NDArray[np.uint8]:
    """Rotated copies of grey faces, shape (N, H, W), counter-clockwise; border pixels are repeated."""
    _, height, width = faces.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    turned = [cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE) for face in faces]
    return np.array(turned, np.uint8)


def _match(
    face: npt.NDArray[np.uint8], look: tuple[float, float, float], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    brightness, contrast, noise = look
    without_noise = np.sqrt(max(contrast**2 - noise**2, 1.0))  # the part of the contrast that is the face
    gain = without_noise / max(float(face.std()), 1.0)
    missing = np.sqrt(max(noise**2 - (gain * noise_level(face)) ** 2, 0.0))
    levels = (face - face.mean()) * gain + brightness + rng.normal(0, missing, face.shape)
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)
