"""What the processes that `warm` keeps have loaded: Keras with its backend, and what the commands import."""

import warnings

from fer_train.backend import load_keras

warnings.filterwarnings("ignore", message=r"os\.fork\(\)")  # JAX's: nothing of it is used before the fork
load_keras()

import fer_edge.cli.app  # noqa: E402
import fer_edge.session  # noqa: E402, F401
import fer_quantize.convert  # noqa: E402, F401
import fer_train.training.fit  # noqa: E402, F401
