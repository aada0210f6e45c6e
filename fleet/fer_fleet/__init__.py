"""The operator's side of a fleet: the signed repository of models, their rollouts, and the state of the devices."""
