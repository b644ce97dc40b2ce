# SPDX-License-Identifier: GPL-2.0-only
"""A fake machine with a main loop and a thread of the CPUs, like QEMU's.

tests/kernel/test_replays.py has the real one.
"""

import re
from pathlib import Path

import pytest

from rig import proc
from rig.errors import InfraError
from rig.guest import preload as preloading
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
    return {"LD_PRELOAD": str(preloading.library(Store(tmp_path)))}


def test_without_the_preload_the_main_loop_runs_beside_the_cpus(machine: Path) -> None:
    output = proc.run([machine, "idle", "30"]).stdout.split()
    assert output[0] == "beside"
    assert output[1] != "1577836800"


def test_the_main_loop_waits_until_all_cpus_are_idle(
    machine: Path, preload: dict[str, str]
) -> None:
    result = proc.run([machine, "idle", "0.3"], env=preload)
    assert result.stdout.split() == ["alone", "1577836800"]
    assert preloading.WAITED.findall(result.stderr) == ["rig: the main loop waited 1 times"]


def test_the_main_loop_goes_on_when_a_cpu_is_stopped(
    machine: Path, preload: dict[str, str]
) -> None:
    result = proc.run([machine, "stop", "0.3"], env=preload, deadline=60)
    assert result.stdout.split()[0] == "alone"


def test_a_program_that_is_not_qemu_prints_nothing(preload: dict[str, str]) -> None:
    assert not preloading.WAITED.search(proc.run(["true"], env=preload).stderr)


def test_the_library_is_compiled_once(
    tmp_path: Path, preload: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preloading, "CFLAGS", (*preloading.CFLAGS, "-DNEW"))
    other = preloading.library(Store(tmp_path))
    assert str(other) != preload["LD_PRELOAD"]
    mtime = other.stat().st_mtime_ns
    assert preloading.library(Store(tmp_path)) == other and other.stat().st_mtime_ns == mtime


def test_a_library_that_does_not_compile_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "preload.c"
    broken.write_text("int broken(\n")
    monkeypatch.setattr(preloading, "SOURCE", broken)
    with pytest.raises(InfraError, match=r"preload\.c does not compile with gcc") as error:
        preloading.library(Store(tmp_path / "store"))
    assert re.search(r"preload\.c:1", error.value.detail)
