// SPDX-License-Identifier: GPL-2.0-only
/* Stale TLB entries: what a CPU may still do to a page the kernel took away. */
#include "stale_tlb.h"

static const struct guest_case cases[] = {
	{ "anon_lost_write", 40, anon_lost_write },
	{ "anon_lost_write_large", 4, anon_lost_write_large },
	{ "first_write_to_clean", 24, first_write_to_clean },
	{ "read_after_free", 16, read_after_free },
	{ "migration_lost_write", 12, migration_lost_write },
	{ "dio_pinned", 160, dio_pinned },
	{ "shared_file_lost_write", 16, shared_file_lost_write },
	{ "shmem_lost_write", 32, shmem_lost_write },
	{ "write_after_mprotect", 48, write_after_mprotect },
	{ "write_after_mremap", 48, write_after_mremap },
	{ "write_after_munmap", 96, write_after_munmap },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
