// SPDX-License-Identifier: GPL-2.0-only
/* A miniature, written for the rig's tests. */
#include <linux/mm.h>

static struct unmap_batch tlb_ubc;

void set_tlb_ubc_flush_pending(struct mm_struct *mm)
{
	arch_tlbbatch_add_pending(&tlb_ubc, mm);
	tlb_ubc.flush_required = 1;
}

void try_to_unmap_flush(void)
{
	if (!tlb_ubc.flush_required)
		return;

	arch_tlbbatch_flush(&tlb_ubc);
	tlb_ubc.flush_required = 0;
}
