"""Where `fer-train` begins: until it can handle Ctrl-C, that ends it without a word."""

import fer_edge.cli.sigint  # noqa: F401 - before all that takes its time
from fer_train.cli.app import run

__all__ = ["run"]

if __name__ == "__main__":
    run()
