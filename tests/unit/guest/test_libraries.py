# SPDX-License-Identifier: GPL-2.0-only
"""Fake machines: one with a main loop and a thread of the CPUs, one that loads a plugin, like QEMU.

tests/kernel/test_replays.py has the real one.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import proc
from rig.errors import InfraError
from rig.guest import libraries
from rig.store import Store

MACHINE = r"""
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>

static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool waits, go, end, halts;
static atomic_bool executes, polled, stopped;
static bool beside;
static double seconds;

void *qemu_get_cpu(int index) { return index ? NULL : &stopped; }
bool cpu_is_stopped(void *cpu) { return atomic_load((atomic_bool *)cpu); }

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static void wait_for(bool *flag)
{
	pthread_mutex_lock(&big);
	while (!*flag)
		pthread_cond_wait(&cond, &big);
	pthread_mutex_unlock(&big);
}

static void tell(bool *flag)
{
	pthread_mutex_lock(&big);
	*flag = true;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&big);
}

static void *execute(void *unused)
{
	double until;

	pthread_mutex_lock(&big);
	waits = true;
	pthread_cond_broadcast(&cond);
	while (!go)
		pthread_cond_wait(&cond, &big);
	pthread_mutex_unlock(&big);
	executes = true;
	for (until = now() + seconds; !polled && now() < until;)
		;
	beside = polled;
	if (halts) {
		stopped = true;
		while (!polled)
			;
	}
	wait_for(&end);
	return unused;
}

int main(int argc, char **argv)
{
	struct pollfd event = { .fd = eventfd(1, 0), .events = POLLIN };
	struct timeval time;
	pthread_t cpu;

	halts = argc == 3 && !strcmp(argv[1], "stop");
	seconds = atof(argv[2]);
	pthread_create(&cpu, NULL, execute, NULL);
	wait_for(&waits);
	tell(&go);
	while (!executes)
		;
	ppoll(&event, 1, NULL, NULL);
	polled = true;
	tell(&end);
	pthread_join(cpu, NULL);
	gettimeofday(&time, NULL);
	printf("%s %ld\n", beside ? "beside" : "alone", (long)time.tv_sec);
	return 0;
}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("machine")
    source = directory / "machine.c"
    source.write_text(MACHINE)
    program = directory / "machine"
    proc.run(["gcc", "-O1", "-pthread", "-rdynamic", "-o", program, source])
    return program


@pytest.fixture
def preload(tmp_path: Path) -> dict[str, str]:
    return {"LD_PRELOAD": str(libraries.steady(Store(tmp_path)))}


def test_without_the_preload_the_main_loop_runs_beside_the_cpus(machine: Path) -> None:
    output = proc.run([machine, "idle", "30"]).stdout.split()
    assert output[0] == "beside"
    assert output[1] != "1577836800"


def test_the_main_loop_waits_until_all_cpus_are_idle(
    machine: Path, preload: dict[str, str]
) -> None:
    result = proc.run([machine, "idle", "0.3"], env=preload)
    assert result.stdout.split() == ["alone", "1577836800"]
    assert libraries.WAITED.findall(result.stderr) == ["rig: the main loop waited 1 times"]


def test_the_main_loop_goes_on_when_a_cpu_is_stopped(
    machine: Path, preload: dict[str, str]
) -> None:
    result = proc.run([machine, "stop", "0.3"], env=preload, deadline=60)
    assert result.stdout.split()[0] == "alone"


def test_a_program_that_is_not_qemu_prints_nothing(preload: dict[str, str]) -> None:
    assert not libraries.WAITED.search(proc.run(["true"], env=preload).stderr)


def test_the_library_is_compiled_once(
    tmp_path: Path, preload: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "CFLAGS", (*libraries.CFLAGS, "-DNEW"))
    other = libraries.steady(Store(tmp_path))
    assert str(other) != preload["LD_PRELOAD"]
    mtime = other.stat().st_mtime_ns
    assert libraries.steady(Store(tmp_path)) == other and other.stat().st_mtime_ns == mtime


def test_a_library_that_does_not_compile_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "preload.c"
    broken.write_text("int broken(\n")
    monkeypatch.setattr(libraries, "PRELOAD", broken)
    with pytest.raises(InfraError, match=r"preload\.c does not compile with gcc") as error:
        libraries.steady(Store(tmp_path / "store"))
    assert re.search(r"preload\.c:1", error.value.detail)


PLUGIN_HOST = r"""
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct insn { uint64_t address; void (*executed)(unsigned int, void *); void *data; };
struct tb { size_t count; struct insn insns[3]; };

__thread void *current_cpu;
static void (*translated)(uint64_t, struct tb *);

int64_t qemu_clock_get_ns(int type)
{
	if (current_cpu || type != 1)
		abort(); /* "Bad icount read" */
	return 16249920512;
}

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*cb)(uint64_t, struct tb *))
{
	translated = cb;
}

void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *insn, void (*cb)(unsigned int, void *),
				int flags, void *data)
{
	insn->executed = cb;
	insn->data = data;
}

size_t qemu_plugin_tb_n_insns(const struct tb *tb) { return tb->count; }
struct insn *qemu_plugin_tb_get_insn(struct tb *tb, size_t index) { return &tb->insns[index]; }
uint64_t qemu_plugin_insn_vaddr(const struct insn *insn) { return insn->address; }
#ifdef API_2
void qemu_plugin_num_vcpus(void) {}
#endif
#ifdef API_4
void qemu_plugin_num_vcpus(void) {}
void qemu_plugin_read_memory_vaddr(void) {}
#endif

int main(int argc, char **argv)
{
	struct tb tb = { 3, { { 0xffff800080000000 }, { 0xffff800080000004 }, { 0x8 } } };
	void *plugin = dlopen(argv[1], RTLD_NOW);
	int (*install)(uint64_t, void *, int, char **);
	size_t i, cpu;

	printf("%d\n", *(int *)dlsym(plugin, "qemu_plugin_version"));
	*(void **)&install = dlsym(plugin, "qemu_plugin_install");
	if (install(7, NULL, argc - 2, argv + 2))
		return 1;
	translated(7, &tb);
	for (cpu = 0; cpu < 2; cpu++)
		for (i = 0; i < tb.count; i++) {
			current_cpu = &tb;
			if (tb.insns[i].executed)
				tb.insns[i].executed(cpu, tb.insns[i].data);
			if (current_cpu != &tb)
				abort();
		}
	return 0;
}
"""


@pytest.fixture(scope="module")
def plugin_host(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    directory = tmp_path_factory.mktemp("host")
    source = directory / "host.c"
    source.write_text(PLUGIN_HOST)

    def compiled(*flags: str) -> Path:
        program = directory / f"host{''.join(flags)}"
        proc.run(["gcc", "-O1", "-pthread", "-rdynamic", *flags, "-o", program, source, "-ldl"])
        return program

    return compiled


@pytest.mark.parametrize(
    ("flags", "version"), [((), "1"), (("-DAPI_2",), "2"), (("-DAPI_4",), "4")]
)
def test_a_call_is_a_line(
    flags: tuple[str, ...], version: str, plugin_host: Callable[..., Path], tmp_path: Path
) -> None:
    out, points = tmp_path / "calls.log", ("at=0x8", "at=0xffff800080000000")
    library = libraries.calls(Store(tmp_path / "store"))
    result = proc.run([plugin_host(*flags), library, f"out={out}", *points])
    assert result.stdout.split() == [version]
    assert out.read_text().splitlines() == [
        f"16249920512 {cpu} {address}" for cpu in (0, 1) for address in ("ffff800080000000", "8")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out=/dev/null", "at=8", "by=2"), "bad argument of the plugin: by=2"),
        (("at=8",), "does not work with this QEMU"),
        (("out=/absent/calls.log",), ""),
    ],
)
def test_a_plugin_that_cannot_work_stops_qemu(
    arguments: tuple[str, ...], message: str, plugin_host: Callable[..., Path], tmp_path: Path
) -> None:
    library = libraries.calls(Store(tmp_path))
    result = proc.run([plugin_host(), library, *arguments], check=False)
    assert result.status == 1 and message in result.stderr
