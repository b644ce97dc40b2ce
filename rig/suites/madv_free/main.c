// SPDX-License-Identifier: GPL-2.0-only
/* MADV_FREE: which pages may be dropped, and which must be kept. */
#include "madv_free.h"

static const struct guest_case cases[] = {
	{ .name = "old_or_zero_redirty_kept", .iterations = 54, .run = old_or_zero_redirty_kept },
	{ .name = "large_partial_redirty", .iterations = 32, .run = large_partial_redirty },
	{ .name = "straddle_page_table", .iterations = 28, .run = straddle_page_table },
	{ .name = "vma_split", .iterations = 32, .run = vma_split },
	{ .name = "gup_redirty", .iterations = 36, .run = gup_redirty },
	{ .name = "extra_reference_keeps_page", .iterations = 18, .run = extra_reference_keeps_page },
	{ .name = "extra_reference_stays_lazyfree", .iterations = 18, .run = extra_reference_stays_lazyfree },
	{ .name = "shared_after_fork", .iterations = 36, .run = shared_after_fork },
	{ .name = "cow_after_failed_unmap", .iterations = 32, .run = cow_after_failed_unmap },
	{ .name = "droppable", .iterations = 36, .run = droppable },
	{ .name = "split_deferred_zero", .iterations = 32, .run = split_deferred_zero },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
