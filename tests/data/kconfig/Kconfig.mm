# SPDX-License-Identifier: GPL-2.0-only
# Written for the test, in the shapes the kernel's files have.

mainmenu "A kernel"

config SMP
	bool "More than one CPU"
	help
	  This text may say anything.

	  config NOT_A_SYMBOL
	  depends on nothing at all

config NR_CPUS
	int "How many"
	range 2 64

menu "Memory"
	depends on MMU || SHMEM	# either will do

if BLOCK

menuconfig SWAP
	bool "Paging"
	depends on !NO_SWAP \
		&& 64BIT
	default y

endif # BLOCK

config AFTER_THE_IF
	bool

endmenu

config OUTSIDE
	bool "Outside"
	---help---
	  An old way to write it.
	  config NOT_A_SYMBOL_EITHER
	depends on SMP

comment "Outside needs more than one CPU"
	depends on !SMP

choice
	prompt "Which"
	depends on SMP

config ONE
	bool "One"

endchoice

source "mm/Kconfig.other"
	depends on STRAY

config LAST
	bool
