"""To be imported first by a command line: until its imports are done, Ctrl-C ends the process without a traceback."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
