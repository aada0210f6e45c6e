/* Steps the wall clock of one process: adds the seconds that the file CLOCK_STEP holds. The monotonic clock stays. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_STEP"), "r") : NULL;
    long step = 0;
    if (file) {
        if (fscanf(file, "%ld", &step) == 1)
            now->tv_sec += step;
        fclose(file);
    }
    return failed;
}
