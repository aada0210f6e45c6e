#!/bin/sh
# A pause before the service is started again, in addition to RestartSec=: 5, 15, 35, 75 and then always 155 seconds. None
# for the first restart, after a run of ten minutes, and when somebody starts it by hand, which sets NRestarts to 0.
# (systemd can do it itself from version 254 on, RestartSteps=, but then a restart of last month counts too.)
started=$RUNTIME_DIRECTORY/started
restarts=$(systemctl show "$1" --property=NRestarts --value)
if [ "${restarts:-0}" -gt 1 ] && [ -n "$(find "$started" -mmin -10)" ]; then
    doublings=$((restarts < 6 ? restarts - 1 : 5))
    seconds=$((5 * (1 << doublings) - 5))
    echo "<4>it ended again within ten minutes: starting it in $seconds s"
    sleep "$seconds"
fi
touch "$started"
