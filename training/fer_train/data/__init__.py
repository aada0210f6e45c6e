"""Labelled faces: data sets, augmentation, corruptions, duplicates."""
