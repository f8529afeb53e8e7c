"""Bugs of the columns: their walk, order, and values. All in Python: what is compiled is compared with that."""

from __future__ import annotations

from typing import Final

from tests.quality.layers.bug import bug

__all__ = ["BUGS"]

_WALK: Final = "perfring.columns.walk"
_ALIKE: Final = f"{_WALK}:_Strides.alike"
_FOLLOW: Final = f"{_WALK}:_follow"
_SLOTS: Final = "perfring.columns.catalogue:Catalogue.slots"
_TAKING: Final = "perfring.columns.taking"
_BLOCK: Final = "perfring.columns.block"
_ORDER: Final = "perfring.columns.order:ColumnOrder"
_DYNAMIC: Final = "perfring.columns.table:_dynamic"

_FINDING: Final = (
    bug("columns", "records of any size are a stride apart", (_ALIKE, "& _TYPE_AND_SIZE)", "& _NEVER_SET)")),
    bug("columns", "a stride is one event's whatever the ids are", (_ALIKE, "not (identified and", "not (False and")),
    bug(
        "columns",
        "what is cut off behind a stride may be of any size",
        (f"{_WALK}:_cut_off", "[2] == size", "[2] >= 0"),
    ),
    bug(
        "columns",
        "a break in the chain is not seen",
        (f"{_WALK}:_boundaries", "np.flatnonzero(ends[:-1] != candidates[1:])", "candidates[:0]"),
    ),
    bug("columns", "a chain is followed to the last but one", (_FOLLOW, "index : last + 1]", "index : last]")),
    bug(
        "columns",
        "a record that goes on behind the image is taken",
        (_FOLLOW, "chains[-1], at = chains[-1][:-1], begin", "at = begin"),
    ),
    bug(
        "columns",
        "times beyond 63 bits are negative",
        (f"{_WALK}:_as_keys", "keys if not (keys < 0).any() else", "keys if True else"),
    ),
    bug(
        "columns",
        "raw data too short for its format has no columns",
        (f"{_WALK}:_recoded", "catalogue.misfit[codes]", "np.uint16(ODD)"),
    ),
    bug(
        "columns",
        "a payload is taken behind the end of its raw data",
        (f"{_TAKING}:_checked", "codes[kind.rows[~payload_fits]] = catalogue.misfit[code]", "pass"),
    ),
    bug(
        "columns", "the id behind the last one is the last", (_SLOTS, "len(self._direct) - 1", "len(self._direct) - 2")
    ),
    bug(
        "columns",
        "an unknown id is the next one where ids lie far apart",
        (_SLOTS, "np.where(known, found, len(self.ids))", "np.minimum(found, len(self.ids) - 1)"),
    ),
    bug(
        "columns",
        "an event that comes later stays unknown",
        (f"{_TAKING}:ColumnTaker._current", "self._known != len(layouts or ())", "False"),
    ),
)

_ORDERING: Final = (
    bug(
        "columns",
        "times that are turned around stay so",
        (f"{_BLOCK}:Block.__init__", "if not walked.ascending:", "if False:"),
    ),
    bug("columns", "a run is cut before the last that may go", (f"{_BLOCK}:Run.split", "until + 1", "until")),
    bug(
        "columns",
        "of equal times the last comes first",
        (
            f"{_BLOCK}:merged",
            'np.argsort(np.concatenate([run.keys for run in group]), kind="stable")',
            "np.lexsort((-np.arange(sum(run.size for run in group)), np.concatenate([run.keys for run in group])))",
        ),
    ),
    bug(
        "columns",
        "what is held back is lost",
        (f"{_ORDER}.release", "[rest for _, rest in parts if rest.size]", "[]"),
    ),
    bug("columns", "late rows are not counted", (f"{_ORDER}._count_late", "late += run.late", "late += 0 * run.late")),
    bug(
        "columns",
        "rows taken back come last",
        (f"{_ORDER}.settle", "[*self.leaving.left(), *self.outbox]", "[*self.outbox, *self.leaving.left()]"),
    ),
    bug(
        "columns",
        "rows that were read are taken back",
        (f"{_ORDER}.settle", "[*self.leaving.left(), *self.outbox]", "[*self.leaving._groups, *self.outbox]"),
    ),
    bug(
        "columns",
        "the losses in columns are not counted",
        ("perfring.columns.draining:ColumnDrain._counted", "sum(block.lost", "sum(0"),
    ),
)

_SAYING: Final = (
    bug(
        "columns",
        "a relative location counts from the beginning",
        (_DYNAMIC, 'if field.type.startswith("__rel_loc")', "if False"),
    ),
    bug(
        "columns", "what lies outside is not told", (_DYNAMIC, "np.flatnonzero(~fits)", "np.flatnonzero(fits & ~fits)")
    ),
    bug(
        "columns",
        "a name without a NUL goes on behind its record",
        ("perfring.columns.gather:take_text", "np.minimum(first, room[1:])", "first"),
    ),
    bug(
        "columns",
        "rows have the position of their image",
        ("perfring.columns.table:_of_ring", "source.starts.astype(np.uint64)", "0 * source.starts.astype(np.uint64)"),
    ),
    bug(
        "columns",
        "memory is used again while somebody looks at it",
        ("perfring.columns.memory:Memory._take", "sys.getrefcount(each) == _FREE", "True"),
    ),
    bug(
        "columns",
        "a merged piece has no fields",
        ("perfring.columns.table:Columns._joined", "[order].view(group[0].dtype)", "[order]"),
    ),
)

BUGS: Final = (*_FINDING, *_ORDERING, *_SAYING)
