"""Start `fer-fleet`. While its modules load, Ctrl-C ends it without a traceback."""

import fer_edge.cli.sigint  # noqa: F401 - first, since the other imports are slow
from fer_fleet.cli.app import run

__all__ = ["run"]

if __name__ == "__main__":
    run()
