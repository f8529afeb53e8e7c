/* The compiled engine: what perfring.columns does for every record, and the two accesses that need an order.
 *
 * It is the second form of perfring/columns/walk.py and gather.py, which say what is done and why; every test of decoding
 * runs on both. Nothing here knows a record beyond its header, its id and the table of its shape, and nothing keeps a
 * reference to what it was given. Stable ABI: one library for CPython 3.11 and all after it.
 *
 * Whatever the bytes say, nothing is read outside of the buffers: each offset is compared with its end before it is used.
 */
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

/* Loops that must keep their variables in registers: in one large function the compiler runs out of them. */
#define NOINLINE __attribute__((noinline))

enum { HEADER = 8, BLOCK = 128, RECORD_MMAP2 = 10, RECORD_SAMPLE = 9, MISC_MMAP_BUILD_ID = 1 << 14 };
enum { ODD = 0, SIDE_TYPES = 32, NO_TIME = 1 << 20 }; /* as in catalogue.py */

/* One slot of the table of event ids: open addressing, `sample` is EMPTY where nobody is. */
typedef struct {
    uint64_t id;
    uint32_t sample; /* the code of its samples */
    uint32_t row;    /* its row in the table of side-band codes */
} known_t;

enum { EMPTY = 0xFFFFFFFFu };

/* What the walk knows of a code: a row of Catalogue.facts. A part that is alone behind the numbers has a count at part_at,
 * and then so many items of `item` bytes, from items_at up to the end of the record; item is 0 where there is no such
 * part. The first `fixed` bytes of the record are its row of the table. */
typedef struct {
    int64_t least, most, time_at, part_at, items_at, item, fixed, misfit;
} facts_t;

/* The count at the beginning of a word: u64, or the u32 in front. */
static inline uint64_t count_of(const facts_t *f, uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return word & (uint64_t)-1 >> ((f->item == 1) << 5); /* only raw data, in bytes, has a u32 */
#else
    return word >> ((f->item == 1) << 5);
#endif
}

typedef struct {
    const known_t *known;
    uint64_t mask; /* slots - 1 */
    const uint16_t *side;
    const facts_t *facts;
    known_t nobody; /* what an unknown id means */
    int identified, writer_told;
} catalogue_t;

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

/* Must match _hashed() in catalogue.py: Fibonacci hashing, for ids that come one after the other. */
static inline const known_t *look_up(const catalogue_t *c, uint64_t id) {
    uint64_t at = (id * 0x9E3779B97F4A7C15u) >> 32 & c->mask;
    while (c->known[at].sample != EMPTY) {
        if (c->known[at].id == id)
            return &c->known[at];
        at = (at + 1) & c->mask;
    }
    return &c->nobody;
}

/* The code of a record by its id and type, not yet its size. */
static inline uint32_t classify(const catalogue_t *c, const uint8_t *record, header_t h) {
    if (h.type == RECORD_SAMPLE) {
        if (!c->identified)
            return c->nobody.sample;
        return h.size >= 2 * HEADER ? look_up(c, load64(record + HEADER))->sample : ODD;
    }
    uint32_t type = h.type < SIDE_TYPES && h.type ? h.type : SIDE_TYPES - 1;
    if (type == RECORD_MMAP2 && h.misc & MISC_MMAP_BUILD_ID)
        type = 0;
    const known_t *writer = &c->nobody;
    if (c->writer_told && h.size >= 2 * HEADER)
        writer = look_up(c, load64(record + h.size - 8));
    return c->side[writer->row * SIDE_TYPES + type];
}

/* Not 0: a record of this size does not fit the shape. Kinds alternate at random, so there is no branch in here. */
static inline uint64_t misses(const facts_t *f, const uint8_t *record, int64_t size) {
    int64_t over = f->part_at - (size - HEADER);
    uint64_t word = load64(record + f->part_at - (over & ~(over >> 63))); /* inside of the record, whatever it is */
    uint64_t count = count_of(f, word), alone = (uint64_t)-(int64_t)(f->item != 0);
    uint64_t misfit = (count * (uint64_t)f->item ^ (uint64_t)(size - f->items_at)) | count >> 16; /* more than fits at all */
    return (uint64_t)((size - f->least) | (f->most - size)) >> 63 | (misfit & alone);
}

/* The code that a record keeps: that of samples whose payload does not fit, where there is one. */
static NOINLINE uint32_t check(const catalogue_t *c, const uint8_t *record, int64_t size, uint32_t code) {
    while (misses(&c->facts[code], record, size)) {
        if (size >= c->facts[code].least)
            return ODD;
        code = (uint32_t)c->facts[code].misfit;
    }
    return code;
}

static inline int64_t key_of(const facts_t *f, const uint8_t *record, int64_t size) {
    int64_t at = f->time_at;
    if (at == NO_TIME)
        return -1;
    uint64_t time = load64(record + at + (size & (at >> 63))); /* what is negative counts from the end */
    return __builtin_expect(time > INT64_MAX, 0) ? INT64_MAX : (int64_t)time;
}

/* How many records from the first on are alike: one event's samples, of one size, whose time has a fixed place. */
static Py_ssize_t count_alike(const catalogue_t *c, const uint8_t *data, Py_ssize_t length, uint32_t code, int *sorted) {
    header_t first = load_header(data);
    const facts_t *f = &c->facts[code];
    int64_t size = first.size, part_at = f->item ? f->part_at : 0;
    uint64_t id = load64(data + HEADER), before = 0;
    uint64_t count_of_first = count_of(f, load64(data + part_at));
    Py_ssize_t count = 0;
    *sorted = 1;
    for (const uint8_t *at = data; length - (at - data) >= size; at += size, count++) {
        header_t h = load_header(at);
        uint64_t time = load64(at + f->time_at);
        if (h.type != first.type || h.size != first.size || (c->identified && load64(at + HEADER) != id) ||
            (f->item && count_of(f, load64(at + part_at)) != count_of_first) || time > INT64_MAX)
            break;
        *sorted &= time >= before;
        before = time;
    }
    return count;
}

/* The table of one code, while it grows. */
typedef struct {
    uint8_t *next;   /* where its next row goes */
    Py_ssize_t left; /* rows that there is room for */
    PyObject *bytes; /* NULL before the first row */
} table_t;

/* What the walk of a mixed image makes: buffers that Python wraps. */
typedef struct {
    PyObject *starts, *codes, *keys;
    table_t *tables;
    Py_ssize_t count, room;
} found_t;

#define buffer_of(BYTES) ((void *)PyByteArray_AsString(BYTES))

static int grow(found_t *f, Py_ssize_t room) {
    f->room = room;
    return PyByteArray_Resize(f->starts, room * 8) || PyByteArray_Resize(f->codes, room * 2) ||
           PyByteArray_Resize(f->keys, room * 8);
}

/* Room for as many rows as there will be if the image goes on as it began: `done` of `all` bytes are behind us. */
static NOINLINE int grow_table(table_t *t, int64_t fixed, Py_ssize_t done, Py_ssize_t all) {
    Py_ssize_t used = t->bytes ? t->next - (uint8_t *)buffer_of(t->bytes) : 0, rows = fixed ? used / fixed : 0;
    double whole = (double)all / (double)(done + 1), expected = (double)rows * (whole < 1e3 ? whole : 1e3) * 1.1;
    Py_ssize_t room = rows * 2 + 16 > (Py_ssize_t)expected ? rows * 2 + 16 : (Py_ssize_t)expected + 16;
    if (!t->bytes && !(t->bytes = PyByteArray_FromStringAndSize(NULL, 0)))
        return -1;
    if (PyByteArray_Resize(t->bytes, room * fixed + BLOCK))
        return -1;
    t->next = (uint8_t *)buffer_of(t->bytes) + used;
    t->left = fixed ? room - rows : PY_SSIZE_T_MAX;
    return 0;
}

/* Copies a row. Up to BLOCK bytes it always copies as many: what is too much lies in the slack of both buffers, or where
 * the next row goes, and costs less than to ask how much there is. */
static inline void copy_row(uint8_t *to, const uint8_t *record, int64_t fixed, Py_ssize_t behind) {
    if (__builtin_expect(fixed <= BLOCK && behind >= BLOCK, 1))
        memcpy(to, record, BLOCK);
    else
        memcpy(to, record, (size_t)fixed);
}

/* Every record: where it begins, what it is, when it happened, and its row of the table. While the header of one is on its
 * way, the row of the one before is copied. Returns where the last whole one ends, -1 without memory. */
static NOINLINE Py_ssize_t walk_all(const catalogue_t *c, const uint8_t *data, Py_ssize_t length, found_t *f) {
    Py_ssize_t at = 0;
    for (;;) {
        if (f->count == f->room && grow(f, f->room ? f->room * 2 : length / 48 + 16))
            return -1;
        int64_t *restrict starts = buffer_of(f->starts), *restrict keys = buffer_of(f->keys);
        uint16_t *restrict codes = buffer_of(f->codes);
        table_t *restrict tables = f->tables;
        Py_ssize_t count = f->count, room = f->room;
        for (; count < room; count++) {
            const uint8_t *record = data + at;
            if (length - at < HEADER)
                break;
            header_t h = load_header(record);
            if (h.size < HEADER || h.size & 7 || h.size > length - at)
                break;
            uint32_t code = classify(c, record, h);
            if (__builtin_expect(misses(&c->facts[code], record, h.size) != 0, 0))
                code = check(c, record, h.size, code);
            const facts_t *facts = &c->facts[code];
            table_t *table = &tables[code];
            if (__builtin_expect(!table->left, 0) && grow_table(table, facts->fixed, at, length))
                return -1;
            starts[count] = at;
            codes[count] = (uint16_t)code;
            keys[count] = key_of(facts, record, h.size);
            copy_row(table->next, record, facts->fixed, length - at);
            table->next += facts->fixed;
            table->left--;
            at += h.size;
        }
        f->count = count;
        if (count < room)
            return at;
    }
}

/* {code: table} of the codes that occur; the tables are cut to their rows. */
static PyObject *tables_of(const catalogue_t *c, found_t *f, Py_ssize_t kinds) {
    PyObject *found = PyDict_New();
    for (Py_ssize_t kind = 0; found && kind < kinds; kind++) {
        table_t *t = &f->tables[kind];
        if (!t->bytes)
            continue;
        Py_ssize_t used = c->facts[kind].fixed ? t->next - (uint8_t *)buffer_of(t->bytes) : 0;
        PyObject *code = PyLong_FromSsize_t(kind);
        if (!code || PyByteArray_Resize(t->bytes, used) || PyDict_SetItem(found, code, t->bytes))
            Py_CLEAR(found);
        Py_XDECREF(code);
    }
    return found;
}

static int is_sorted(const int64_t *keys, Py_ssize_t count) {
    int sorted = 1;
    for (Py_ssize_t i = 1; i < count; i++)
        sorted &= keys[i - 1] <= keys[i];
    return sorted;
}

/* The stride of an image in which all records are alike, 0 for any other. What is cut off at its end is of that size. */
static Py_ssize_t stride_of(const catalogue_t *c, const uint8_t *data, Py_ssize_t length, Py_ssize_t *count, int *sorted,
                            uint32_t *code) {
    if (length < 2 * HEADER)
        return 0;
    header_t first = load_header(data);
    if (first.type != RECORD_SAMPLE || first.size < 2 * HEADER || first.size & 7 || first.size > length)
        return 0;
    *code = check(c, data, first.size, classify(c, data, first));
    const facts_t *f = &c->facts[*code];
    if (*code == ODD || f->time_at == NO_TIME || f->time_at < 0 || !(f->least == f->most || f->item))
        return 0;
    *count = count_alike(c, data, length, *code, sorted);
    Py_ssize_t end = *count * first.size, left = length - end;
    if (left && (left < HEADER || left >= first.size || load_header(data + end).size != first.size))
        return 0;
    return *count ? first.size : 0;
}

static int fits(const Py_buffer *b, Py_ssize_t size, const char *what) {
    if (b->len % size == 0 && b->len)
        return 1;
    PyErr_Format(PyExc_ValueError, "%s has %zd bytes, which is no multiple of %zd", what, b->len, size);
    return 0;
}

/* All numbers are within what a record can have, or NO_TIME. */
static int small(const facts_t *f) {
    const int64_t numbers[] = {f->least, f->most, f->time_at, f->part_at, f->items_at, f->item, f->fixed, f->misfit};
    int ok = 1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ok &= numbers[i] >= -NO_TIME && numbers[i] <= NO_TIME;
    return ok;
}

/* Every number in the tables that is used as an index is in range: they come from Python. */
static int sound(const catalogue_t *c, const Py_buffer *known, const Py_buffer *side, const Py_buffer *facts) {
    Py_ssize_t slots = known->len / (Py_ssize_t)sizeof(known_t), codes = facts->len / (Py_ssize_t)sizeof(facts_t);
    Py_ssize_t rows = side->len / (SIDE_TYPES * 2), empty = 0;
    int ok = !(slots & (slots - 1)) && c->nobody.sample < codes && c->nobody.row < rows;
    for (Py_ssize_t i = 0; i < slots; i++) {
        empty += c->known[i].sample == EMPTY;
        ok &= c->known[i].sample == EMPTY || (c->known[i].sample < codes && c->known[i].row < rows);
    }
    for (Py_ssize_t i = 0; i < rows * SIDE_TYPES; i++)
        ok &= c->side[i] < codes;
    for (Py_ssize_t i = 0; i < codes; i++) {
        const facts_t *f = &c->facts[i];
        if (!small(f)) { /* so that no sum below is too large for its type */
            ok = 0;
            break;
        }
        int64_t time_end = f->time_at == NO_TIME ? 0 : f->time_at < 0 ? -f->time_at : f->time_at + 8;
        ok &= f->misfit >= 0 && f->misfit < codes && f->fixed >= 0 && f->fixed <= f->least && f->least >= HEADER;
        ok &= time_end <= f->least && (f->time_at >= 0 || f->time_at <= -8);
        ok &= f->part_at >= 0 && f->part_at + (f->item ? 8 : 0) <= f->least; /* the count is loaded as a word */
        ok &= !f->item || (f->item > 0 && f->items_at <= f->least && f->part_at + 4 <= f->items_at);
        /* What does not fit goes on to another shape, and in the end to ODD, which every size fits. */
        ok &= i == ODD ? f->least == HEADER && f->most == UINT16_MAX && !f->item : f->misfit < i;
    }
    if (!ok || !empty)
        PyErr_SetString(PyExc_ValueError, "the tables of the catalogue do not fit each other");
    return ok && empty;
}

static PyObject *walk_mixed(const catalogue_t *c, const uint8_t *data, Py_ssize_t length, Py_ssize_t kinds) {
    found_t f = {PyByteArray_FromStringAndSize(NULL, 0), PyByteArray_FromStringAndSize(NULL, 0),
                 PyByteArray_FromStringAndSize(NULL, 0), PyMem_Calloc((size_t)kinds, sizeof(table_t)), 0, 0};
    PyObject *answer = NULL, *tables = NULL;
    if (!f.tables)
        PyErr_NoMemory();
    else if (f.starts && f.codes && f.keys) {
        Py_ssize_t end = walk_all(c, data, length, &f);
        if (end >= 0 && !grow(&f, f.count))
            tables = tables_of(c, &f, kinds);
        if (tables)
            answer = Py_BuildValue("nninOOOO", end, (Py_ssize_t)0, is_sorted(buffer_of(f.keys), f.count),
                                   (Py_ssize_t)ODD, f.starts, f.codes, f.keys, tables);
    }
    for (Py_ssize_t kind = 0; f.tables && kind < kinds; kind++)
        Py_XDECREF(f.tables[kind].bytes);
    PyMem_Free(f.tables);
    Py_XDECREF(tables);
    Py_XDECREF(f.starts);
    Py_XDECREF(f.codes);
    Py_XDECREF(f.keys);
    return answer;
}

static PyObject *walk_buffers(const catalogue_t *c, const uint8_t *data, Py_ssize_t length, Py_ssize_t kinds) {
    Py_ssize_t count = 0;
    int sorted = 1;
    uint32_t code = ODD;
    Py_ssize_t stride = stride_of(c, data, length, &count, &sorted, &code);
    if (!stride)
        return walk_mixed(c, data, length, kinds);
    return Py_BuildValue("nninOOOO", count * stride, stride, sorted, (Py_ssize_t)code, Py_None, Py_None, Py_None,
                         Py_None);
}

PyDoc_STRVAR(walk_doc,
             "walk(data, length, known, side, facts, nobody, told)\n--\n\n"
             "The records of an image: (end, stride, sorted, code, starts, codes, keys, tables).\n\n"
             "With a stride all records have this code, and the last four are None. Else they are bytearrays, and a\n"
             "dict of them: by code all that has a fixed place of its records.");

static PyObject *core_walk(PyObject *module, PyObject *args) {
    Py_buffer data, known, side, facts;
    Py_ssize_t length;
    unsigned int sample, row;
    int identified, writer_told;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ny*y*y*(II)(pp):walk", &data, &length, &known, &side, &facts, &sample, &row,
                          &identified, &writer_told))
        return NULL;
    PyObject *answer = NULL;
    if (length < 0 || length > data.len)
        PyErr_Format(PyExc_ValueError, "length is %zd, of %zd bytes", length, data.len);
    else if (fits(&known, sizeof(known_t), "known") && fits(&side, SIDE_TYPES * 2, "side") &&
             fits(&facts, sizeof(facts_t), "facts")) {
        catalogue_t c = {known.buf,      known.len / sizeof(known_t) - 1, side.buf, facts.buf, {0, sample, row},
                         identified, writer_told};
        if (sound(&c, &known, &side, &facts))
            answer = walk_buffers(&c, data.buf, length, facts.len / (Py_ssize_t)sizeof(facts_t));
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&known);
    PyBuffer_Release(&side);
    PyBuffer_Release(&facts);
    return answer;
}

/* A copy of a length that the compiler knows is a handful of instructions, any other one is a call. */
#define FOR_EACH_LENGTH(DO) \
    DO(8) DO(16) DO(24) DO(32) DO(40) DO(48) DO(56) DO(64) DO(72) DO(80) DO(88) DO(96) DO(104) DO(112) DO(120) DO(128)

#define COPY_ROWS(LENGTH)                                                                                              \
    case LENGTH:                                                                                                       \
        for (Py_ssize_t i = 0; i < count; i++)                                                                         \
            memcpy(into + i * (LENGTH), data + starts[i], LENGTH);                                                     \
        return;

static void copy_rows(uint8_t *into, const uint8_t *data, const int64_t *starts, Py_ssize_t count, Py_ssize_t size) {
    switch (size) { FOR_EACH_LENGTH(COPY_ROWS) }
    for (Py_ssize_t i = 0; i < count; i++)
        memcpy(into + i * size, data + starts[i], (size_t)size);
}

static int outside(const int64_t *starts, Py_ssize_t count, Py_ssize_t last) {
    uint64_t wrong = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        wrong |= (uint64_t)starts[i] > (uint64_t)last;
    return wrong != 0;
}

PyDoc_STRVAR(take_rows_doc, "take_rows(data, starts, size, into)\n--\n\nCopies size bytes from each of the starts.");

static PyObject *core_take_rows(PyObject *module, PyObject *args) {
    Py_buffer data, starts, into;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*nw*:take_rows", &data, &starts, &size, &into))
        return NULL;
    Py_ssize_t count = starts.len / 8;
    int ok = size >= 0 && into.len / (size ? size : 1) >= count &&
             (!count || (size <= data.len && !outside(starts.buf, count, data.len - size)));
    if (ok)
        copy_rows(into.buf, data.buf, starts.buf, count, size);
    else
        PyErr_Format(PyExc_ValueError, "rows of %zd bytes lie outside of %zd bytes, or into has no room", size, data.len);
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&into);
    return ok ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(take_spans_doc,
             "take_spans(data, starts, shift, edges, item, into)\n--\n\n"
             "Copies items from shift bytes behind each start; record i has edges[i + 1] - edges[i] of them.");

static int copy_spans(const Py_buffer *into, const Py_buffer *data, const int64_t *starts, const int64_t *edges,
                      Py_ssize_t count, int64_t shift, int64_t item) {
    uint8_t *to = into->buf;
    const uint8_t *end = to + into->len;
    for (Py_ssize_t i = 0; i < count; i++) {
        /* Without a sign: whatever the sums come to, it is defined, and compared with the ends. */
        int64_t start = (int64_t)((uint64_t)starts[i] + (uint64_t)shift);
        int64_t length = (int64_t)(((uint64_t)edges[i + 1] - (uint64_t)edges[i]) * (uint64_t)item);
        if (length < 0 || length > end - to || start < 0 || start > data->len || length > data->len - start)
            return 0;
        memcpy(to, (const uint8_t *)data->buf + start, (size_t)length);
        to += length;
    }
    return to == end;
}

static PyObject *core_take_spans(PyObject *module, PyObject *args) {
    Py_buffer data, starts, edges, into;
    Py_ssize_t shift, item;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*ny*nw*:take_spans", &data, &starts, &shift, &edges, &item, &into))
        return NULL;
    Py_ssize_t count = starts.len / 8;
    int ok = edges.len / 8 == count + 1 && item > 0 && item <= 64 &&
             copy_spans(&into, &data, starts.buf, edges.buf, count, shift, item);
    if (!ok)
        PyErr_Format(PyExc_ValueError, "spans lie outside of %zd bytes, or are not %zd bytes in all", data.len, into.len);
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&edges);
    PyBuffer_Release(&into);
    return ok ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(count_items_doc, "count_items(data, starts, at, head, item, edges)\n--\n\n"
                              "Where the items of counted parts begin, laid end to end: edges has one more than starts.");

static PyObject *core_count_items(PyObject *module, PyObject *args) {
    Py_buffer data, starts, edges;
    Py_ssize_t at, item;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*nnw*:count_items", &data, &starts, &at, &item, &edges))
        return NULL;
    facts_t f = {.item = item};
    Py_ssize_t count = starts.len / 8;
    const int64_t *start = starts.buf;
    int64_t *edge = edges.buf, total = 0;
    int ok = edges.len / 8 == count + 1 && at >= 0 && item > 0 && at <= data.len - 8 &&
             !outside(start, count, data.len - 8 - at);
    for (Py_ssize_t i = 0; ok && i < count; i++) {
        edge[i] = total;
        uint64_t items = count_of(&f, load64((const uint8_t *)data.buf + start[i] + at));
        ok = items <= UINT16_MAX; /* more than a record can hold */
        total += (int64_t)items;
    }
    if (ok)
        edge[count] = total;
    else
        PyErr_Format(PyExc_ValueError, "counts at %zd lie outside of %zd bytes, or are no counts", at, data.len);
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&edges);
    return ok ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(count_text_doc, "count_text(data, starts, at, trailer, edges)\n--\n\n"
                             "As count_items, of the bytes before the first NUL, or the trailer, from at on.");

static PyObject *core_count_text(PyObject *module, PyObject *args) {
    Py_buffer data, starts, edges;
    Py_ssize_t at, trailer;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*nnw*:count_text", &data, &starts, &at, &trailer, &edges))
        return NULL;
    Py_ssize_t count = starts.len / 8;
    const int64_t *start = starts.buf;
    int64_t *edge = edges.buf, total = 0;
    int ok = edges.len / 8 == count + 1 && at >= HEADER && at <= UINT16_MAX && trailer >= 0 &&
             trailer <= UINT16_MAX && data.len >= HEADER && !outside(start, count, data.len - HEADER);
    for (Py_ssize_t i = 0; ok && i < count; i++) {
        const uint8_t *record = (const uint8_t *)data.buf + start[i];
        Py_ssize_t room = load_header(record).size - trailer - at;
        edge[i] = total;
        ok = room >= 0 && room + at <= data.len - start[i];
        const uint8_t *nul = ok ? memchr(record + at, 0, (size_t)room) : NULL;
        total += nul ? nul - record - at : room;
    }
    if (ok)
        edge[count] = total;
    else
        PyErr_Format(PyExc_ValueError, "text at %zd lies outside of records in %zd bytes", at, data.len);
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&edges);
    return ok ? Py_NewRef(Py_None) : NULL;
}

/* The place of an aligned u64, or NULL with an error. */
static uint64_t *word_at(const Py_buffer *words, Py_ssize_t offset) {
    if (offset >= 0 && words->len >= 8 && offset <= words->len - 8) {
        uint8_t *place = (uint8_t *)words->buf + offset;
        if (!((uintptr_t)place & 7))
            return (uint64_t *)(void *)place;
    }
    PyErr_Format(PyExc_ValueError, "offset %zd is no u64 in %zd bytes", offset, words->len);
    return NULL;
}

PyDoc_STRVAR(load_doc, "load_acquire(words, offset)\n--\n\nThe u64 at a byte offset; what is read later is not older (K37).");

static PyObject *core_load_acquire(PyObject *module, PyObject *args) {
    Py_buffer words;
    Py_ssize_t offset;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*n:load_acquire", &words, &offset))
        return NULL;
    uint64_t *place = word_at(&words, offset);
    PyObject *answer = place ? PyLong_FromUnsignedLongLong(__atomic_load_n(place, __ATOMIC_ACQUIRE)) : NULL;
    PyBuffer_Release(&words);
    return answer;
}

PyDoc_STRVAR(store_doc,
             "store_release(words, offset, value)\n--\n\nWrites the u64; what was read before is not newer (K37).");

static PyObject *core_store_release(PyObject *module, PyObject *args) {
    Py_buffer words;
    Py_ssize_t offset;
    PyObject *number;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*nO:store_release", &words, &offset, &number))
        return NULL;
    uint64_t value = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_OverflowError))
        PyErr_SetString(PyExc_ValueError, "the value is no u64");
    uint64_t *place = PyErr_Occurred() ? NULL : word_at(&words, offset);
    if (place) {
        /* The kernel's own comment asks for a full barrier: loads of the data must not move behind the store. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        __atomic_store_n(place, value, __ATOMIC_RELEASE);
    }
    PyBuffer_Release(&words);
    return place ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef functions[] = {
    {"count_text", core_count_text, METH_VARARGS, count_text_doc},
    {"count_items", core_count_items, METH_VARARGS, count_items_doc},
    {"load_acquire", core_load_acquire, METH_VARARGS, load_doc},
    {"store_release", core_store_release, METH_VARARGS, store_doc},
    {"take_rows", core_take_rows, METH_VARARGS, take_rows_doc},
    {"take_spans", core_take_spans, METH_VARARGS, take_spans_doc},
    {"walk", core_walk, METH_VARARGS, walk_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef core = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "perfring._core",
    .m_doc = "The compiled engine: perfring.engine says what it is, and whether it is used.",
    .m_size = 0,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&core); }
