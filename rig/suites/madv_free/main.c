// SPDX-License-Identifier: GPL-2.0-only
/* MADV_FREE: what may be thrown away, and what may not. */
#include "madv_free.h"

static const struct guest_case cases[] = {
	{ "old_or_zero_redirty_kept", 54, old_or_zero_redirty_kept },
	{ "large_partial_redirty", 32, large_partial_redirty },
	{ "straddle_page_table", 28, straddle_page_table },
	{ "vma_split", 32, vma_split },
	{ "gup_redirty", 36, gup_redirty },
	{ "extra_reference_keeps_page", 18, extra_reference_keeps_page },
	{ "extra_reference_stays_lazyfree", 18, extra_reference_stays_lazyfree },
	{ "shared_after_fork", 36, shared_after_fork },
	{ "cow_after_failed_unmap", 32, cow_after_failed_unmap },
	{ "droppable", 36, droppable },
	{ "split_deferred_zero", 32, split_deferred_zero },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
