"""Image files of the package, and their loader."""
