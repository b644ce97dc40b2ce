// SPDX-License-Identifier: GPL-2.0-only
/* Reclaim and what it must give back. */
#include "reclaim.h"

static const struct guest_case cases[] = {
	{ "anon_roundtrip", 2, anon_roundtrip },
};

int main(int argc, char **argv)
{
	return guest_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
