"""The command line `fer-edge`, and what all command lines share."""
