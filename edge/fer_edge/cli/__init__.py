"""The command line `fer-edge`, and what all three command lines share."""
