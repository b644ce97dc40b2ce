// SPDX-License-Identifier: GPL-2.0-only
/* Stale TLB entries: can a CPU still use a page after the kernel has unmapped it? */
#include "stale_tlb.h"

static const struct guest_case cases[] = {
	{ .name = "anon_lost_write", .iterations = 40, .run = anon_lost_write, .pages = 4096 },
	{ .name = "anon_lost_write_large", .iterations = 4, .run = anon_lost_write_large },
	{ .name = "first_write_to_clean", .iterations = 24, .run = first_write_to_clean, .pages = 1024 },
	{ .name = "read_after_free", .iterations = 16, .run = read_after_free, .pages = 1024 },
	{ .name = "migration_lost_write", .iterations = 12, .run = migration_lost_write },
	{ .name = "dio_pinned", .iterations = 160, .run = dio_pinned },
	{ .name = "shared_file_lost_write", .iterations = 16, .run = shared_file_lost_write, .pages = 2048 },
	{ .name = "shmem_lost_write", .iterations = 32, .run = shmem_lost_write, .pages = 4096 },
	{ .name = "write_after_mprotect", .iterations = 48, .run = write_after_mprotect },
	{ .name = "write_after_mremap", .iterations = 48, .run = write_after_mremap },
	{ .name = "write_after_munmap", .iterations = 96, .run = write_after_munmap },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
