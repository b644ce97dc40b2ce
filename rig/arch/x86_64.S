/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The smallest guest that says whether an accelerator works: a boot ROM that goes from real mode
 * to long mode with paging, writes memory through it, and answers on the serial port.
 * Linked flat at 0xf0000, where the last 64 KiB of the ROM are visible below 1 MiB.
 */
	.code16
	.globl _start
_start:
	cli
	lgdtl	%cs:(gdtr - _start)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $protected

	.code32
protected:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	/* PML4 at 0x1000, PDPT at 0x2000, one directory of 2 MiB pages at 0x3000 */
	xorl	%eax, %eax
	movl	$0x1000, %edi
	movl	$0xc00, %ecx
	cld
	rep stosl
	movl	$0x2003, 0x1000
	movl	$0x3003, 0x2000
	movl	$0x83, 0x3000
	movl	$0x1000, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x20, %eax			/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmpl	$24, $long

	.code64
long:
	movl	$1000000, %ecx
1:	incq	0x100000
	loop	1b
	cmpq	$1000000, 0x100000
	jne	2f
	leaq	answer(%rip), %rsi
	movw	$0x3f8, %dx
	movl	$(answer_end - answer), %ecx
	rep outsb
2:	xorl	%eax, %eax
	movw	$0xf4, %dx			/* isa-debug-exit */
	outl	%eax, %dx
	hlt
	jmp	2b

answer:	.ascii	"rig: this accelerator works\n"
answer_end:
	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff		/* 32-bit code */
	.quad	0x00cf93000000ffff		/* data */
	.quad	0x00af9b000000ffff		/* 64-bit code */
gdtr:	.word	gdtr - gdt - 1
	.long	gdt

	.org	0xfff0
	.code16
	.byte	0xe9				/* jmp _start */
	.word	_start - (. + 2)
	.org	0x10000
