"""New models on a device: signed releases, checking, installing, trying, and what it tells its fleet."""
