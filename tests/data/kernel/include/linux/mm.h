/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MM_H
#define _LINUX_MM_H

struct mm_struct;

struct unmap_batch {
	unsigned long pending;
	int flush_required;
};

void arch_tlbbatch_add_pending(struct unmap_batch *batch, struct mm_struct *mm);
void arch_tlbbatch_flush(struct unmap_batch *batch);

#endif
