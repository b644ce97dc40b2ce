# SPDX-License-Identifier: GPL-2.0-only
"""MADV_FREE: is a page either all old, all zero, or what was written since?"""

from rig.suite import Case, Suite
from rig.verdict import Floor

SUITE = Suite(
    name="madv_free",
    summary="a page given up is all old or all zero, and a write takes it back",
    cases=(
        Case(
            name="old_or_zero_redirty_kept",
            guards="a lazyfree page is dropped only if it is clean, and a write after MADV_FREE is "
            "kept (madvise(2); mm/rmap.c: try_to_unmap_one())",
            iterations=18,
            # 18 rounds see every folio size with two of the three methods, and both LRUs.
            floors=(
                Floor(counter="pglazyfreed", at_least=3000),
                Floor(counter="pages_freed_zero", at_least=3000),
                Floor(counter="pages_kept_old", at_least=500),
                Floor(counter="pages_redirtied", at_least=400),
                Floor(counter="pages_redirtied_racing", at_least=400),
                Floor(counter="writes_raced", at_least=50),
            ),
        ),
    ),
)
