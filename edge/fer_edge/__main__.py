"""Where `fer-edge` begins: until it can handle Ctrl-C, that ends it without a word."""

import fer_edge.cli.sigint  # noqa: F401 - first, since the other imports are slow
from fer_edge.cli.app import run

__all__ = ["run"]

if __name__ == "__main__":
    run()
