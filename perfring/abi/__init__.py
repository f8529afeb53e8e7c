"""``linux/perf_event.h`` as Python: constants, ``perf_event_attr``, record layouts and sizes.

Everything is re-exported here, so that a program writes ``from perfring import abi`` and then
``abi.PERF_TYPE_SOFTWARE`` or ``abi.PerfEventAttr(...)``, whatever file it comes from:

- ``attr``: `PerfEventAttr`
- ``constants``: types, configs, sample bits, record types (header names)
- ``ioctls``: ``PERF_EVENT_IOC_*``, encoded for this architecture
- ``mmap_page``: offsets in the metadata page
- ``layouts``: what stands where in each record
- ``sizes``: how small and how large the records of an event can be
- ``data_source``: ``PERF_MEM_*``, the parts of a data source word
"""

from __future__ import annotations

from perfring.abi import constants, data_source, ioctls, layouts, mmap_page, sizes
from perfring.abi.attr import PerfEventAttr, PerfEventAttrFields
from perfring.abi.constants import *  # noqa: F403
from perfring.abi.data_source import *  # noqa: F403
from perfring.abi.ioctls import *  # noqa: F403
from perfring.abi.layouts import *  # noqa: F403
from perfring.abi.mmap_page import *  # noqa: F403
from perfring.abi.sizes import *  # noqa: F403

__all__ = ["PerfEventAttr", "PerfEventAttrFields"]
__all__ += constants.__all__
__all__ += data_source.__all__
__all__ += ioctls.__all__
__all__ += layouts.__all__
__all__ += mmap_page.__all__
__all__ += sizes.__all__
