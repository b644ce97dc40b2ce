/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The smallest guest that says whether an accelerator works: it is started in S-mode, where kernels
 * are, writes memory a million times, answers on the NS16550 of QEMU's virt machine and switches
 * the machine off through the SBI.
 */
	.globl	_start
_start:
	lui	t0, 0x90000			/* RAM begins at 2 GiB, firmware and this are there */
	slli	t0, t0, 32
	srli	t0, t0, 32
	li	t1, 1000000
	mv	t2, t1
	sd	zero, 0(t0)
1:	ld	t3, 0(t0)
	addi	t3, t3, 1
	sd	t3, 0(t0)
	addi	t1, t1, -1
	bnez	t1, 1b
	bne	t3, t2, 3f
	li	t0, 0x10000000			/* the NS16550's data register */
	lla	t1, answer
2:	lbu	t2, 0(t1)
	beqz	t2, 3f
	sb	t2, 0(t0)
	addi	t1, t1, 1
	j	2b
3:	li	a7, 0x53525354			/* the SBI's extension SRST: */
	li	a6, 0				/* system reset, */
	li	a0, 0				/* shutdown, */
	li	a1, 0				/* for no reason */
	ecall
	j	3b
answer:	.asciz	"rig: this accelerator works\n"
