"""What the processes that `warm` keeps have loaded: Keras with its backend, and what the commands import."""

# ruff: noqa: F401
import os
import warnings

import fer_edge.cli.app
import fer_edge.session
from fer_train.backend import load_keras

warnings.filterwarnings("ignore", message=r"os\.fork\(\)")  # JAX's: nothing of it is used before the fork
# With a fault in the runtime only a few tests use these processes, and these rarely train.
if not os.environ.get("MUTANT_UNDER_TEST", "").startswith(("fer_edge", "fer_fleet")):
    load_keras()
    import fer_quantize.convert
    import fer_train.training.fit
