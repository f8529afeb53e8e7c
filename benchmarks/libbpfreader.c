/*
 * libbpf's own reader over an image in memory. Its loop over a ring has not been exported since libbpf 1.0, so a
 * perf_buffer is made as for a BPF program, and then ordinary memory is mapped over its one ring.
 */

#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct reader {
	struct perf_buffer *buffer;
	struct perf_event_mmap_page *page;
	uint64_t sum, records, length;
	size_t data_size;
	int map_fd;
};

static uint64_t cpu_time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum bpf_perf_event_ret add_up(void *context, int cpu, struct perf_event_header *record)
{
	struct reader *reader = context;

	(void)cpu;
	reader->sum += *(const uint64_t *)(record + 1);
	reader->records++;
	return LIBBPF_PERF_EVENT_CONT;
}

void close_reader(struct reader *reader)
{
	if (reader->buffer)
		perf_buffer__free(reader->buffer);
	if (reader->map_fd >= 0)
		close(reader->map_fd);
	free(reader);
}

static int open_buffer(struct reader *reader, size_t pages)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
	};
	int cpu = 0, key = 0;
	LIBBPF_OPTS(perf_buffer_raw_opts, options, .cpu_cnt = 1, .cpus = &cpu, .map_keys = &key);

	reader->map_fd = bpf_map_create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, NULL, sizeof(int), sizeof(int), 1, NULL);
	if (reader->map_fd < 0)
		return -1;
	reader->buffer = perf_buffer__new_raw(reader->map_fd, pages, &attr, add_up, reader, &options);
	return reader->buffer ? 0 : -1;
}

/* The ring's pages are replaced by plain ones; perf_buffer__free unmaps those as it would have unmapped the others. */
static int replace_ring(struct reader *reader, size_t page_size)
{
	void *base;

	if (perf_buffer__buffer(reader->buffer, 0, &base, &reader->data_size))
		return -1;
	reader->page = mmap(base, reader->data_size + page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	return reader->page == MAP_FAILED ? -1 : 0;
}

/* A reader of a ring that holds the image; NULL with errno when the kernel refuses, or it does not fit the pages. */
struct reader *open_reader(const void *image, uint64_t length, uint64_t pages)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	struct reader *reader = calloc(1, sizeof(*reader));
	int error;

	if (!reader)
		return NULL;
	libbpf_set_print(NULL);
	if (open_buffer(reader, pages) || replace_ring(reader, page_size) || length > reader->data_size) {
		error = errno ? errno : ENOSPC;
		close_reader(reader);
		errno = error;
		return NULL;
	}
	memcpy((char *)reader->page + page_size, image, length);
	reader->length = length;
	return reader;
}

/* Reads the image so many times. Returns nanoseconds of CPU time; *count is the number of records of all passes. */
uint64_t read_ring(struct reader *reader, uint64_t passes, uint64_t *count)
{
	uint64_t begin = cpu_time_ns();

	reader->records = 0;
	for (; passes; passes--) {
		reader->page->data_tail = 0;
		reader->page->data_head = reader->length;
		if (perf_buffer__consume_buffer(reader->buffer, 0))
			break;
	}
	*count = reader->records;
	return cpu_time_ns() - begin;
}
