"""The command line `fer-fleet`."""
