"""The board and its service: temperature, frame rate, systemd."""
