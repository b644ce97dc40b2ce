// SPDX-License-Identifier: GPL-2.0-only
/* MADV_FREE: what may be thrown away, and what may not. */
#include "madv_free.h"

static const struct guest_case cases[] = {
	{ "old_or_zero_redirty_kept", 54, old_or_zero_redirty_kept },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
