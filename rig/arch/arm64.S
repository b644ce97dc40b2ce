/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The smallest guest that says whether an accelerator works: it writes memory a million times,
 * answers on the PL011 of QEMU's virt machine and switches the machine off through PSCI.
 */
	.globl	_start
_start:
	movz	x0, #0x4800, lsl #16		/* RAM begins at 1 GiB */
	movz	x1, #0x4240
	movk	x1, #0xf, lsl #16		/* 1,000,000 */
	mov	x2, x1
	str	xzr, [x0]
1:	ldr	x3, [x0]
	add	x3, x3, #1
	str	x3, [x0]
	subs	x1, x1, #1
	b.ne	1b
	cmp	x3, x2
	b.ne	3f
	movz	x0, #0x0900, lsl #16		/* the PL011's data register */
	adr	x1, answer
2:	ldrb	w2, [x1], #1
	cbz	w2, 3f
	strb	w2, [x0]
	b	2b
3:	movz	w0, #0x8400, lsl #16		/* PSCI SYSTEM_OFF */
	movk	w0, #0x0008
	hvc	#0
	b	3b
answer:	.asciz	"rig: this accelerator works\n"
