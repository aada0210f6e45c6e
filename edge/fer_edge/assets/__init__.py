"""Pictures that the package brings along, and their loader."""
