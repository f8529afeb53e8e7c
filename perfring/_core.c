/* The module, the gathering of parts, and the accesses to head and tail: see _core.h. */
#include "_core.h"

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

PyDoc_STRVAR(count_items_doc, "count_items(data, starts, at, item, edges)\n--\n\n"
                              "Where the items of counted parts begin, laid end to end: edges has one more than starts.");

static PyObject *core_count_items(PyObject *module, PyObject *args) {
    Py_buffer data, starts, edges;
    Py_ssize_t at, item;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*nnw*:count_items", &data, &starts, &at, &item, &edges))
        return NULL;
    Py_ssize_t count = starts.len / 8;
    const int64_t *start = starts.buf;
    int64_t *edge = edges.buf, total = 0;
    int ok = edges.len / 8 == count + 1 && at >= 0 && item > 0 && at <= data.len - 8 &&
             !outside(start, count, data.len - 8 - at);
    for (Py_ssize_t i = 0; ok && i < count; i++) {
        edge[i] = total;
        uint64_t items = count_of(item, load64((const uint8_t *)data.buf + start[i] + at));
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
    {"catalogue", core_catalogue, METH_VARARGS, catalogue_doc},
    {"count_text", core_count_text, METH_VARARGS, count_text_doc},
    {"count_items", core_count_items, METH_VARARGS, count_items_doc},
    {"load_acquire", core_load_acquire, METH_VARARGS, load_doc},
    {"store_release", core_store_release, METH_VARARGS, store_doc},
    {"take_buffer", core_take_buffer, METH_VARARGS, take_buffer_doc},
    {"take_rows", core_take_rows, METH_VARARGS, take_rows_doc},
    {"take_spans", core_take_spans, METH_VARARGS, take_spans_doc},
    {"walk", core_walk, METH_VARARGS, walk_doc},
    {NULL, NULL, 0, NULL},
};

/* What perfring.engine asks for: goes up with every change of these functions, for a library may be older than the code. */
enum { INTERFACE = 2 };

static int execute(PyObject *module) { return PyModule_AddIntConstant(module, "INTERFACE", INTERFACE); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)execute}, {0, NULL}};

static struct PyModuleDef core = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "perfring._core",
    .m_doc = "The compiled engine: perfring.engine says what it is, and whether it is used.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&core); }
