// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCG plugin: writes a line for each execution of chosen instructions.
 *
 *	-plugin calls.so,out=FILE,at=0xffffffff81130150,at=...
 *
 * A line has the virtual time in ns, the CPU, and the address in hexadecimal. The plugin adds a call
 * to the translated code, and nothing else: no block ends earlier and none is looked up more often.
 * -d exec,nochain looks up each block. That fills the software TLB with entries for code, which sets
 * accessed bits that reclaim sees, so it traced another run.
 *
 * No distribution packages qemu-plugin.h. What is declared here is the same in all versions of the
 * API (include/qemu/qemu-plugin.h).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*cb)(qemu_plugin_id_t id,
						      struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned int cpu, void *data),
					    int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

enum { NO_REGISTERS, POINTS_MAX = 1024 };
enum { CLOCK_VIRTUAL = 1 }; /* QEMUClockType, include/qemu/timer.h */

int qemu_plugin_version = 1;

static FILE *out;
static uint64_t points[POINTS_MAX];
static size_t point_count;
static int64_t (*clock_ns)(int type);

/* QEMU compares the version after it has loaded the library. 1 is QEMU 7.2; 9.0 refuses it. */
__attribute__((constructor)) static void choose_version(void)
{
	if (dlsym(RTLD_DEFAULT, "qemu_plugin_read_memory_vaddr"))
		qemu_plugin_version = 4;
	else if (dlsym(RTLD_DEFAULT, "qemu_plugin_num_vcpus"))
		qemu_plugin_version = 2;
}

/*
 * The virtual clock at the beginning of this CPU's turn. While a CPU executes, icount_get_raw()
 * exits QEMU, except at an instruction that may do I/O (softmmu/icount.c: "Bad icount read").
 * Without a current CPU it returns the clock as it was when the CPUs last gave it up.
 */
static int64_t now(void)
{
	static __thread void **current_cpu;
	void *cpu;
	int64_t ns;

	if (!current_cpu)
		current_cpu = dlsym(RTLD_DEFAULT, "current_cpu");
	cpu = *current_cpu;
	*current_cpu = NULL;
	ns = clock_ns(CLOCK_VIRTUAL);
	*current_cpu = cpu;
	return ns;
}

static void executed(unsigned int cpu, void *point)
{
	fprintf(out, "%" PRId64 " %u %" PRIx64 "\n", now(), cpu, *(uint64_t *)point);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct qemu_plugin_insn *insn;
	size_t count = qemu_plugin_tb_n_insns(tb), i, p;

	(void)id;
	for (i = 0; i < count; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		for (p = 0; p < point_count; p++)
			if (qemu_plugin_insn_vaddr(insn) == points[p])
				qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, NO_REGISTERS,
								       &points[p]);
	}
}

/* The first argument that is not understood is printed; QEMU then does not start. */
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4) && !out) {
			out = fopen(argv[i] + 4, "w");
			if (!out)
				return -1;
		} else if (!strncmp(argv[i], "at=", 3) && point_count < POINTS_MAX) {
			points[point_count++] = strtoull(argv[i] + 3, NULL, 0);
		} else {
			fprintf(stderr, "rig: bad argument of the plugin: %s\n", argv[i]);
			return -1;
		}
	}
	clock_ns = dlsym(RTLD_DEFAULT, "qemu_clock_get_ns");
	if (!out || !clock_ns || !dlsym(RTLD_DEFAULT, "current_cpu")) {
		fprintf(stderr, "rig: the plugin does not work with this QEMU\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
