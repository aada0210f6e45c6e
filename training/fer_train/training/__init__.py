"""Training: the loop, losses, distillation, callbacks."""
