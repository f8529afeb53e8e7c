/* The walk: where the records of an image begin, what they are, and all that has a fixed place in them: see _core.h. */
#include "_core.h"

/* Loops that must keep their variables in registers: in one large function the compiler runs out of them. */
#define NOINLINE __attribute__((noinline))

enum { BLOCK = 128, RECORD_MMAP2 = 10, RECORD_SAMPLE = 9, MISC_MMAP_BUILD_ID = 1 << 14 };
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

typedef struct {
    const known_t *known;
    uint64_t mask; /* slots - 1 */
    const uint16_t *side;
    const facts_t *facts;
    uint32_t *lately;  /* rows of each code in the image before: how many there may be in this one */
    Py_ssize_t kinds;  /* codes */
    known_t nobody;   /* what an unknown id means */
    int identified, writer_told;
} catalogue_t;

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

/* Whether a record of this size is none of the shape. Kinds alternate at random, so there is no branch on what the shape
 * has; the two on sizes are never taken in a sound image. */
static inline int misses(const facts_t *f, const uint8_t *record, int64_t size) {
    if (size < f->least || size > f->most)
        return 1;
    uint64_t count = count_of(f->item, load64(record + f->part_at)), alone = (uint64_t)-(int64_t)(f->item != 0);
    uint64_t wrong = (count * (uint64_t)f->item ^ (uint64_t)(size - f->items_at)) | count >> 16; /* more than fits at all */
    return (wrong & alone) != 0;
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
    uint64_t count_of_first = count_of(f->item, load64(data + part_at));
    Py_ssize_t count = 0;
    *sorted = 1;
    for (const uint8_t *at = data; length - (at - data) >= size; at += size, count++) {
        header_t h = load_header(at);
        uint64_t time = load64(at + f->time_at);
        if (h.type != first.type || h.size != first.size || (c->identified && load64(at + HEADER) != id) ||
            (f->item && count_of(f->item, load64(at + part_at)) != count_of_first) || time > INT64_MAX)
            break;
        *sorted &= time >= before;
        before = time;
    }
    return count;
}

/* The records of one code: a bytearray out of the pool with their rows, and from `behind` on where each begins. */
typedef struct {
    PyObject *bytes; /* NULL before the first record */
    uint8_t *rows;
    int64_t *starts;
    Py_ssize_t count, room, behind;
} table_t;

/* What the walk of a mixed image makes. Keys and codes grow together: there is room for `room` of each. */
typedef struct {
    PyObject *pool;
    PyObject *codes, *keys;
    table_t *tables;
    Py_ssize_t count, room;
} found_t;

#define buffer_of(BYTES) ((void *)PyByteArray_AsString(BYTES))

enum { LEAST_POOLED = 4096 }; /* as in memory.py */

/* A bytearray of at least so many bytes: one of the pool that nobody else holds any more, or a new one for the pool. */
PyObject *take_buffer(PyObject *pool, Py_ssize_t size) {
    PyObject *best = NULL;
    Py_ssize_t best_size = size > PY_SSIZE_T_MAX / 4 ? size : size * 4; /* a larger one is for larger needs */
    if (size < LEAST_POOLED)
        return PyByteArray_FromStringAndSize(NULL, size);
    for (Py_ssize_t i = PyList_Size(pool) - 1; i >= 0; i--) {
        PyObject *each = PyList_GetItem(pool, i);
        Py_ssize_t has = Py_REFCNT(each) == 1 && PyByteArray_CheckExact(each) ? PyByteArray_Size(each) : -1;
        if (has >= size && has < best_size) {
            best = each;
            best_size = has;
        }
    }
    if (best)
        return Py_NewRef(best);
    best = PyByteArray_FromStringAndSize(NULL, size);
    if (best && PyList_Append(pool, best))
        Py_CLEAR(best);
    return best;
}

/* A larger buffer, with what is in the one before. */
static int renew(PyObject *pool, PyObject **bytes, Py_ssize_t used, Py_ssize_t wanted) {
    PyObject *larger = take_buffer(pool, wanted);
    if (!larger)
        return -1;
    if (*bytes)
        memcpy(buffer_of(larger), buffer_of(*bytes), (size_t)used);
    Py_XDECREF(*bytes);
    *bytes = larger;
    return 0;
}

static NOINLINE int grow(found_t *f, Py_ssize_t room) {
    f->room = room;
    return renew(f->pool, &f->codes, f->count * 2, room * 2) || renew(f->pool, &f->keys, f->count * 8, room * 8);
}

/* As many records of a code as there will be: at first as in the image before, then as if it goes on as it began. */
static Py_ssize_t expected_rows(const table_t *t, Py_ssize_t lately, int64_t least, Py_ssize_t done, Py_ssize_t all) {
    double whole = (double)all / (double)(done + 1);
    double rows = t->count ? (double)t->count * (whole < 1e3 ? whole : 1e3) : (double)lately;
    Py_ssize_t at_least = t->count * 2 + 16, at_most = t->count + (all - done) / least + 1, some = (Py_ssize_t)(rows * 1.1);
    some = some > at_least ? some : at_least;
    return some < at_most ? some : at_most;
}

/* Room for more records of a code: `done` of `all` bytes are behind us. */
static NOINLINE int grow_table(const catalogue_t *c, found_t *f, uint32_t code, Py_ssize_t done, Py_ssize_t all) {
    table_t *t = &f->tables[code];
    const facts_t *facts = &c->facts[code];
    Py_ssize_t rows = t->count, room = expected_rows(t, c->lately[code], facts->least, done, all);
    Py_ssize_t behind = (room * facts->fixed + BLOCK + 7) & ~(Py_ssize_t)7;
    PyObject *larger = take_buffer(f->pool, behind + room * 8);
    if (!larger)
        return -1;
    uint8_t *to = buffer_of(larger);
    if (t->bytes) {
        const uint8_t *from = buffer_of(t->bytes);
        memcpy(to, from, (size_t)(rows * facts->fixed));
        memcpy(to + behind, from + t->behind, (size_t)rows * 8);
        Py_DECREF(t->bytes);
    }
    *t = (table_t){larger, to, (int64_t *)(void *)(to + behind), rows, room, behind};
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
        if (f->count == f->room && grow(f, f->room * 2))
            return -1;
        int64_t *restrict keys = buffer_of(f->keys);
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
            if (__builtin_expect(misses(&c->facts[code], record, h.size), 0))
                code = check(c, record, h.size, code);
            const facts_t *facts = &c->facts[code];
            table_t *table = &tables[code];
            if (__builtin_expect(table->count == table->room, 0) && grow_table(c, f, code, at, length))
                return -1;
            Py_ssize_t row = table->count++;
            table->starts[row] = at;
            codes[count] = (uint16_t)code;
            keys[count] = key_of(facts, record, h.size);
            copy_row(table->rows + row * facts->fixed, record, facts->fixed, length - at);
            at += h.size;
        }
        f->count = count;
        if (count < room)
            return at;
    }
}

/* {code: (table, rows, behind)} of the codes that occur. */
static PyObject *tables_of(const catalogue_t *c, found_t *f) {
    PyObject *found = PyDict_New();
    for (Py_ssize_t kind = 0; found && kind < c->kinds; kind++) {
        const table_t *t = &f->tables[kind];
        c->lately[kind] = (uint32_t)t->count;
        if (!t->bytes)
            continue;
        PyObject *code = PyLong_FromSsize_t(kind), *table = Py_BuildValue("Onn", t->bytes, t->count, t->behind);
        if (!code || !table || PyDict_SetItem(found, code, table))
            Py_CLEAR(found);
        Py_XDECREF(code);
        Py_XDECREF(table);
    }
    return found;
}

static int is_sorted(const int64_t *keys, Py_ssize_t count) {
    int64_t signs = 0; /* no times are so far apart that a difference has the wrong sign, but for -1 and the latest */
    for (Py_ssize_t i = 1; i < count; i++)
        signs |= (int64_t)((uint64_t)keys[i] - (uint64_t)keys[i - 1]);
    return signs >= 0;
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
static int sound(const catalogue_t *c, Py_ssize_t rows) {
    Py_ssize_t slots = (Py_ssize_t)c->mask + 1, codes = c->kinds, empty = 0;
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

#define CATALOGUE "perfring._core.catalogue"

static void forget_catalogue(PyObject *capsule) { PyMem_Free(PyCapsule_GetPointer(capsule, CATALOGUE)); }

/* A copy of the tables, in one piece behind the catalogue: nobody can change them once they are known to be sound. */
static PyObject *new_catalogue(catalogue_t c, const Py_buffer *known, const Py_buffer *side, const Py_buffer *facts) {
    size_t lately = (size_t)c.kinds * sizeof *c.lately;
    catalogue_t *made = PyMem_Calloc(1, sizeof c + (size_t)(known->len + facts->len + side->len) + lately);
    if (!made)
        return PyErr_NoMemory();
    uint8_t *at = (uint8_t *)(made + 1);
    c.known = memcpy(at, known->buf, (size_t)known->len);
    c.facts = memcpy(at += known->len, facts->buf, (size_t)facts->len);
    c.lately = (uint32_t *)(void *)(at += facts->len);
    c.side = memcpy(at + lately, side->buf, (size_t)side->len);
    *made = c;
    PyObject *capsule = sound(made, side->len / (SIDE_TYPES * 2)) ? PyCapsule_New(made, CATALOGUE, forget_catalogue) : NULL;
    if (!capsule)
        PyMem_Free(made);
    return capsule;
}

const char catalogue_doc[] = "catalogue(known, side, facts, nobody, told)\n--\n\n"
                             "The tables of a `perfring.columns.catalogue.Catalogue`, looked through and copied: for `walk`.";

PyObject *core_catalogue(PyObject *module, PyObject *args) {
    Py_buffer known, side, facts;
    unsigned int sample, row;
    int identified, writer_told;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*(II)(pp):catalogue", &known, &side, &facts, &sample, &row, &identified,
                          &writer_told))
        return NULL;
    PyObject *answer = NULL;
    if (fits(&known, sizeof(known_t), "known") && fits(&side, SIDE_TYPES * 2, "side") &&
        fits(&facts, sizeof(facts_t), "facts")) {
        catalogue_t c = {.mask = (uint64_t)known.len / sizeof(known_t) - 1,
                         .kinds = facts.len / (Py_ssize_t)sizeof(facts_t),
                         .nobody = {0, sample, row},
                         .identified = identified,
                         .writer_told = writer_told};
        answer = new_catalogue(c, &known, &side, &facts);
    }
    PyBuffer_Release(&known);
    PyBuffer_Release(&side);
    PyBuffer_Release(&facts);
    return answer;
}

static PyObject *walk_mixed(const catalogue_t *c, const uint8_t *data, Py_ssize_t length, PyObject *pool) {
    found_t f = {.pool = pool, .tables = PyMem_Calloc((size_t)c->kinds, sizeof(table_t))};
    PyObject *answer = NULL, *tables = NULL;
    if (!f.tables)
        return PyErr_NoMemory();
    if (!grow(&f, length / 48 + 16)) {
        Py_ssize_t end = walk_all(c, data, length, &f);
        if (end >= 0)
            tables = tables_of(c, &f);
        if (tables)
            answer = Py_BuildValue("nninnOOO", end, (Py_ssize_t)0, is_sorted(buffer_of(f.keys), f.count),
                                   (Py_ssize_t)ODD, f.count, f.codes, f.keys, tables);
    }
    for (Py_ssize_t kind = 0; kind < c->kinds; kind++)
        Py_XDECREF(f.tables[kind].bytes);
    PyMem_Free(f.tables);
    Py_XDECREF(tables);
    Py_XDECREF(f.codes);
    Py_XDECREF(f.keys);
    return answer;
}

static PyObject *walk_buffers(const catalogue_t *c, const uint8_t *data, Py_ssize_t length, PyObject *pool) {
    Py_ssize_t count = 0;
    int sorted = 1;
    uint32_t code = ODD;
    Py_ssize_t stride = stride_of(c, data, length, &count, &sorted, &code);
    if (!stride)
        return walk_mixed(c, data, length, pool);
    return Py_BuildValue("nninnOOO", count * stride, stride, sorted, (Py_ssize_t)code, count, Py_None, Py_None, Py_None);
}

const char walk_doc[] = "walk(data, length, catalogue, pool)\n--\n\n"
                        "The records of an image: (end, stride, sorted, code, count, codes, keys, tables).\n\n"
                        "With a stride all records have this code, and the last three are None. Else they are bytearrays\n"
                        "out of the pool, longer than it takes, and a dict {code: (bytearray, rows, behind)}: all that has\n"
                        "a fixed place of the records of that code, and from that byte on their offsets, as int64.";

PyObject *core_walk(PyObject *module, PyObject *args) {
    Py_buffer data;
    Py_ssize_t length;
    PyObject *capsule, *pool, *answer = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nOO!:walk", &data, &length, &capsule, &PyList_Type, &pool))
        return NULL;
    const catalogue_t *c = PyCapsule_GetPointer(capsule, CATALOGUE);
    if (c && (length < 0 || length > data.len))
        PyErr_Format(PyExc_ValueError, "length is %zd, of %zd bytes", length, data.len);
    else if (c)
        answer = walk_buffers(c, data.buf, length, pool);
    PyBuffer_Release(&data);
    return answer;
}

const char take_buffer_doc[] = "take_buffer(pool, size)\n--\n\n"
                               "A bytearray of at least that size: one of the pool that nobody else holds, or a new one for it.";

PyObject *core_take_buffer(PyObject *module, PyObject *args) {
    PyObject *pool;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!n:take_buffer", &PyList_Type, &pool, &size))
        return NULL;
    if (size < 0)
        return PyErr_Format(PyExc_ValueError, "size is %zd", size);
    return take_buffer(pool, size);
}
