// SPDX-License-Identifier: GPL-2.0-only
/* Benchmarks: what reclaim costs, in counts. They do not judge the kernel. */
#include "bench.h"

static const struct guest_case cases[] = {
	{ .name = "shared_dirty_reclaim", .iterations = 8, .run = shared_dirty_reclaim },
	{ .name = "shared_clean_reclaim", .iterations = 8, .run = shared_clean_reclaim },
	{ .name = "dirty_reclaim", .iterations = 8, .run = dirty_reclaim },
	{ .name = "lazyfree_reclaim", .iterations = 16, .run = lazyfree_reclaim },
	{ .name = "lazyfree_redirtied", .iterations = 16, .run = lazyfree_redirtied },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
