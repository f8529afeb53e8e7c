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

static int copy_spans(uint8_t *to, Py_ssize_t room, const Py_buffer *data, const int64_t *starts, const int64_t *edges,
                      Py_ssize_t count, int64_t shift, int64_t item) {
    const uint8_t *end = to + room;
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
             copy_spans(into.buf, into.len, &data, starts.buf, edges.buf, count, shift, item);
    if (!ok)
        PyErr_Format(PyExc_ValueError, "spans lie outside of %zd bytes, or are not %zd bytes in all", data.len, into.len);
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&edges);
    PyBuffer_Release(&into);
    return ok ? Py_NewRef(Py_None) : NULL;
}

/* Where the items of counted parts begin, laid end to end: one edge more than there are starts. */
static int count_items(const Py_buffer *data, const int64_t *starts, Py_ssize_t count, Py_ssize_t at, Py_ssize_t item,
                       int64_t *edges) {
    if (at < 0 || item <= 0 || item > 64 || at > data->len - 8 || outside(starts, count, data->len - 8 - at))
        return 0;
    edges[0] = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint64_t items = count_of(item, load64((const uint8_t *)data->buf + starts[i] + at));
        if (items > UINT16_MAX) /* more than a record can hold */
            return 0;
        edges[i + 1] = edges[i] + (int64_t)items;
    }
    return 1;
}

/* As count_items, of the bytes before the first NUL, or the trailer, from at on. */
static int count_text(const Py_buffer *data, const int64_t *starts, Py_ssize_t count, Py_ssize_t at, Py_ssize_t trailer,
                      int64_t *edges) {
    if (at < HEADER || at > UINT16_MAX || trailer < 0 || trailer > UINT16_MAX || data->len < HEADER ||
        outside(starts, count, data->len - HEADER))
        return 0;
    edges[0] = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        const uint8_t *record = (const uint8_t *)data->buf + starts[i];
        Py_ssize_t room = load_header(record).size - trailer - at;
        if (room < 0 || room + at > data->len - starts[i])
            return 0;
        const uint8_t *nul = memchr(record + at, 0, (size_t)room);
        edges[i + 1] = edges[i] + (nul ? nul - record - at : room);
    }
    return 1;
}

typedef int counting_t(const Py_buffer *, const int64_t *, Py_ssize_t, Py_ssize_t, Py_ssize_t, int64_t *);

/* (edges, values, items): what is counted by `counting`, given at and `by`, and then copied from `shift` on. */
static PyObject *take_counted(PyObject *args, const char *format, counting_t *counting, const char *what) {
    Py_buffer data, starts;
    Py_ssize_t at, by, text = counting == count_text;
    PyObject *pool, *values = NULL, *answer = NULL;
    if (!PyArg_ParseTuple(args, format, &data, &starts, &at, &by, &PyList_Type, &pool))
        return NULL;
    Py_ssize_t count = starts.len / 8;
    PyObject *edges = take_buffer(pool, (count + 1) * 8);
    int64_t *edge = edges ? (int64_t *)(void *)PyByteArray_AsString(edges) : NULL;
    if (edge && counting(&data, starts.buf, count, at, by, edge)) {
        Py_ssize_t item = text ? 1 : by, shift = text ? at : at + (item == 1 ? 4 : 8), size = edge[count] * item;
        values = take_buffer(pool, size + 8); /* numpy makes no array of nothing */
        if (values && copy_spans((uint8_t *)PyByteArray_AsString(values), size, &data, starts.buf, edge, count, shift, item))
            answer = Py_BuildValue("OOn", edges, values, (Py_ssize_t)edge[count]);
    }
    if (!answer && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "%s at %zd lies outside of records in %zd bytes", what, at, data.len);
    Py_XDECREF(edges);
    Py_XDECREF(values);
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts);
    return answer;
}

PyDoc_STRVAR(take_items_doc,
             "take_items(data, starts, at, item, pool)\n--\n\n"
             "The items of parts that have their count in front: (edges, values, items), bytearrays out of the pool, longer\n"
             "than it takes. Record i has the items from edges[i] to edges[i + 1]. The count of bytes is a u32, else a u64.");

static PyObject *core_take_items(PyObject *module, PyObject *args) {
    (void)module;
    return take_counted(args, "y*y*nnO!:take_items", count_items, "a counted part");
}

PyDoc_STRVAR(take_text_doc, "take_text(data, starts, at, trailer, pool)\n--\n\n"
                            "As take_items, of the bytes before the first NUL, or the trailer, from at on.");

static PyObject *core_take_text(PyObject *module, PyObject *args) {
    (void)module;
    return take_counted(args, "y*y*nnO!:take_text", count_text, "text");
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
    {"load_acquire", core_load_acquire, METH_VARARGS, load_doc},
    {"store_release", core_store_release, METH_VARARGS, store_doc},
    {"take_buffer", core_take_buffer, METH_VARARGS, take_buffer_doc},
    {"take_items", core_take_items, METH_VARARGS, take_items_doc},
    {"take_rows", core_take_rows, METH_VARARGS, take_rows_doc},
    {"take_spans", core_take_spans, METH_VARARGS, take_spans_doc},
    {"take_text", core_take_text, METH_VARARGS, take_text_doc},
    {"walk", core_walk, METH_VARARGS, walk_doc},
    {NULL, NULL, 0, NULL},
};

/* What perfring.engine asks for: goes up with every change of these functions, for a library may be older than the code. */
enum { INTERFACE = 3 };

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
