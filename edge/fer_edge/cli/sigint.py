"""Let Ctrl-C end the process without a traceback while other modules load. A command line imports this first."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
