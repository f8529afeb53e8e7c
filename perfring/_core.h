/* The compiled engine: what perfring.columns does for every record, and the two accesses that need an order.
 *
 * It is the second form of perfring/columns/walk.py, gather.py and memory.py, which say what is done and why; every test of
 * decoding runs on both. Nothing here knows a record beyond its header, its id and the table of its shape, and nothing
 * keeps a reference to what it was given, but for the pool of buffers. Stable ABI: one library for CPython 3.11 and all
 * after it.
 *
 * Whatever the bytes say, nothing is read outside of the buffers: each offset is compared with its end before it is used.
 */
#ifndef PERFRING_CORE_H
#define PERFRING_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* struct perf_event_header, in linux/perf_event.h (K35). */
typedef struct {
    uint32_t type;
    uint16_t misc;
    uint16_t size;
} header_t;

enum { HEADER = 8 };

static inline uint64_t load64(const uint8_t *from) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static inline header_t load_header(const uint8_t *from) {
    header_t header;
    memcpy(&header, from, sizeof header);
    return header;
}

/* The count at the beginning of a word: u64, or the u32 in front of single bytes. */
static inline uint64_t count_of(int64_t item, uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return word & (uint64_t)-1 >> ((item == 1) << 5);
#else
    return word >> ((item == 1) << 5);
#endif
}

/* _walk.c */
PyObject *take_buffer(PyObject *pool, Py_ssize_t size);
PyObject *core_catalogue(PyObject *module, PyObject *args);
PyObject *core_walk(PyObject *module, PyObject *args);
PyObject *core_take_buffer(PyObject *module, PyObject *args);
extern const char catalogue_doc[], walk_doc[], take_buffer_doc[];

#endif
