"""Faces followed from frame to frame: tracker, scan schedule, smoothing."""
