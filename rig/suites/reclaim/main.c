// SPDX-License-Identifier: GPL-2.0-only
/* Reclaim: memory must come back as it was. */
#include "reclaim.h"

static const struct guest_case cases[] = {
	{ .name = "anon_roundtrip", .iterations = 2, .run = anon_roundtrip },
	{ .name = "file_dirty", .iterations = 6, .run = file_dirty },
	{ .name = "shmem_roundtrip", .iterations = 2, .run = shmem_roundtrip },
	{ .name = "fork_cow", .iterations = 1, .run = fork_cow },
	{ .name = "swapoff_under_load", .iterations = 4, .run = swapoff_under_load },
	{ .name = "mlock_stays", .iterations = 1, .run = mlock_stays },
	{ .name = "uffd_wp_and_soft_dirty_kept", .iterations = 2, .run = uffd_wp_and_soft_dirty_kept },
	{ .name = "pressure_matrix", .iterations = 1, .run = pressure_matrix },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
