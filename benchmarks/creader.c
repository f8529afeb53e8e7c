/* Walks an image of perf records as a C collector does: a function is called, through a pointer, for each of them. */

#define _GNU_SOURCE
#include <stdint.h>
#include <time.h>

/* Must match struct perf_event_header in linux/perf_event.h. */
struct header {
	uint32_t type;
	uint16_t misc;
	uint16_t size;
};

typedef void (*on_record)(void *context, const struct header *record, uint32_t size);

static uint64_t cpu_time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What is done with a record: its first word (a sample's event id) is added up, so that no compiler leaves it out. */
void add_up(void *context, const struct header *record, uint32_t size)
{
	(void)size;
	*(uint64_t *)context += *(const uint64_t *)(record + 1);
}

/* Reads the image so many times. Returns nanoseconds of CPU time; *count is the number of records of all passes. */
uint64_t read_image(const uint8_t *image, uint64_t length, uint64_t passes, on_record callback, void *context,
		    uint64_t *count)
{
	uint64_t begin = cpu_time_ns(), records = 0;

	for (; passes; passes--) {
		uint64_t offset = 0;

		while (length - offset >= sizeof(struct header)) {
			const struct header *record = (const struct header *)(image + offset);
			uint32_t size = record->size;

			if (size < sizeof(*record) || size > length - offset)
				break;
			callback(context, record, size);
			records++;
			offset += size;
		}
	}
	*count = records;
	return cpu_time_ns() - begin;
}
