// SPDX-License-Identifier: GPL-2.0-only
/* Reclaim and what it must give back. */
#include "reclaim.h"

static const struct guest_case cases[] = {
	{ "anon_roundtrip", 2, anon_roundtrip },
	{ "file_dirty", 6, file_dirty },
	{ "shmem_roundtrip", 2, shmem_roundtrip },
	{ "fork_cow", 1, fork_cow },
	{ "swapoff_under_load", 4, swapoff_under_load },
	{ "mlock_stays", 1, mlock_stays },
	{ "uffd_wp_and_soft_dirty_kept", 2, uffd_wp_and_soft_dirty_kept },
	{ "pressure_matrix", 1, pressure_matrix },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
