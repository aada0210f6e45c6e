"""The folder of a training: its record, and how it is resumed."""
