/*
 * Calls getppid(2), which a tracepoint can see, as often and as fast as it is told.
 *
 * producer CPU: pins itself to the CPU, then for each line "COUNT GAP" on standard input makes COUNT calls, GAP
 * nanoseconds apart (0: at full speed), and answers with a line: the nanoseconds that took.
 */

#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void produce(uint64_t count, uint64_t gap)
{
	uint64_t due = now_ns();

	for (; count; count--) {
		if (gap) {
			/* No sleep: its wakeup would take turns with the reader's. */
			while (now_ns() < due)
				;
		}
		syscall(SYS_getppid);
		/* From now on: one that was off the CPU does not make up for it with a burst. */
		if (gap)
			due = now_ns() + gap;
	}
}

int main(int argc, char **argv)
{
	unsigned long long count, gap;
	cpu_set_t cpus;

	if (argc != 2) {
		fprintf(stderr, "usage: producer CPU\n");
		return 2;
	}
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[1]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus)) {
		perror("sched_setaffinity");
		return 1;
	}
	while (scanf("%llu %llu", &count, &gap) == 2) {
		uint64_t begin = now_ns();

		produce(count, gap);
		printf("%llu\n", (unsigned long long)(now_ns() - begin));
		fflush(stdout);
	}
	return 0;
}
