"""Signed updates of models: which release a device takes, and what it tells its fleet."""
