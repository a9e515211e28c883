/*
 * bench/script.c - calls of a LoRaWAN codec through a pool, for script.py.
 *
 * Usage: script GROUPS CALLS OUTSTANDING jit|nojit frozen|once
 * Prints JSON: seconds, the processor time of this process and of its helpers,
 * the private memory of a helper, and how long the first call took.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plug/script/script.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Cayenne LPP as a codec would read it; of the usual kind and length. */
static const char codec[] =
    "var types = {\n"
    "  0: ['digital', 1, 1, false], 1: ['digital', 1, 1, false],\n"
    "  2: ['analog', 2, 0.01, true], 3: ['analog', 2, 0.01, true],\n"
    "  101: ['illuminance', 2, 1, false], 102: ['presence', 1, 1, false],\n"
    "  103: ['temperature', 2, 0.1, true], 104: ['humidity', 1, 0.5, false],\n"
    "  115: ['barometer', 2, 0.1, false], 116: ['voltage', 2, 0.01, false]\n"
    "};\n"
    "function read(bytes, at, size, signed) {\n"
    "  var n = 0;\n"
    "  for (var i = 0; i < size; i++) n = n * 256 + bytes[at + i];\n"
    "  if (signed && n >= Math.pow(2, 8 * size - 1))\n"
    "    n -= Math.pow(2, 8 * size);\n"
    "  return n;\n"
    "}\n"
    "function decodeUplink(input) {\n"
    "  var data = {}, warnings = [], i = 0, b = input.bytes;\n"
    "  while (i + 2 < b.length) {\n"
    "    var type = types[b[i + 1]];\n"
    "    if (!type) { warnings.push('type ' + b[i + 1]); break; }\n"
    "    data[type[0] + '_' + b[i]] =\n"
    "      Math.round(read(b, i + 2, type[1], type[3]) * type[2] * 100) / "
    "100;\n"
    "    i += 2 + type[1];\n"
    "  }\n"
    "  return { data: data, warnings: warnings };\n"
    "}\n";
static const char careful[] = "String.prototype.own = 1;\n";

static const char arg[] =
    "{\"bytes\":[1,103,1,16,2,104,80,3,0,1,4,115,39,16,5,116,1,74],"
    "\"fPort\":2,\"recvTime\":\"2026-01-01T00:00:00.000Z\",\"variables\":{}}";

struct bench {
	struct loop *loop;
	struct script_pool *pool;
	uint64_t left, running;
	uint64_t failed;
};

struct job {
	struct script_call call;
	struct bench *b;
	char group[24];
};

static void
begin(struct job *j)
{
	struct err err;

	if (j->b->left == 0)
		return;
	j->b->left--;
	j->b->running++;
	if (script_run(j->b->pool, &j->call, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
}

static void
on_done(struct script_call *c)
{
	struct job *j = container_of(c, struct job, call);
	struct bench *b = j->b;

	b->running--;
	b->failed += c->end != SCRIPT_DONE || c->result.len < 60;
	begin(j);
	if (b->running == 0)
		loop_stop(b->loop);
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Private bytes of one child of ours. */
static long
helper_memory(void)
{
	char path[64], line[128] = "";
	long total, resident = 0, shared = 0;
	int pid = 0;
	FILE *f;

	snprintf(
	    path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "r");
	if (f == NULL || fscanf(f, "%d", &pid) != 1)
		return 0;
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "r");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL ||
	    sscanf(line, "%ld %ld %ld", &total, &resident, &shared) != 3)
		return 0;
	fclose(f);
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

/* Processor time of the helpers that run. */
static double
helpers_cpu_s(void)
{
	char path[64];
	double ret = 0;
	FILE *f;
	int pid;

	snprintf(
	    path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "r");
	while (f != NULL && fscanf(f, "%d", &pid) == 1) {
		clockid_t clock;
		struct timespec t;

		if (clock_getcpuclockid(pid, &clock) == 0 &&
		    clock_gettime(clock, &t) == 0)
			ret += (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	}
	if (f != NULL)
		fclose(f);
	return ret;
}

static double
run(struct bench *b, struct job *jobs, size_t n, uint64_t calls)
{
	double t = now_s();

	b->left = calls;
	for (size_t i = 0; i < n; i++)
		begin(&jobs[i]);
	loop_run(b->loop);
	return now_s() - t;
}

struct stop {
	struct script_call call;
	struct bench *b;
	double at;
};

static void
on_stopped(struct script_call *c)
{
	struct stop *s = container_of(c, struct stop, call);

	s->at = now_s();
	if (--s->b->running == 0)
		loop_stop(s->b->loop);
}

/* An endless call of 100 ms and a good one behind it: how long until each is
 * over, on average. */
static void
measure_stop(struct bench *b, const struct job *good, double ret[2])
{
	const int n = 10;

	ret[0] = ret[1] = 0;
	for (int i = 0; i < n; i++) {
		struct stop s[2] = { { .b = b }, { .b = b } };
		double t = now_s();

		for (int k = 0; k < 2; k++) {
			s[k].call.group = good->call.group;
			s[k].call.source =
			    k == 0 ? STR("for (;;);") : good->call.source;
			s[k].call.entry =
			    k == 0 ? SCRIPT_VALUE : SCRIPT_DECODE_UPLINK;
			s[k].call.arg = good->call.arg;
			s[k].call.timeout_ms = 100;
			s[k].call.done = on_stopped;
			b->running++;
			if (script_run(b->pool, &s[k].call, NULL) != 0)
				exit(1);
		}
		loop_run(b->loop);
		b->failed += s[0].call.end != SCRIPT_TIMEOUT ||
		    s[1].call.end != SCRIPT_DONE;
		for (int k = 0; k < 2; k++)
			ret[k] += (s[k].at - t) * 1000 / n;
	}
}

/* One that takes memory as fast as it can. */
static void
run_hog(struct bench *b, const struct job *good)
{
	struct stop s = { .b = b };

	s.call.group = good->call.group;
	s.call.source = STR("var a = []; for (;;)\n"
			    "  a.push(new Uint8Array(1 << 20).fill(7));");
	s.call.timeout_ms = 20000;
	s.call.done = on_stopped;
	b->running++;
	if (script_run(b->pool, &s.call, NULL) != 0)
		exit(1);
	loop_run(b->loop);
	b->failed += s.call.end != SCRIPT_MEMORY;
}

/* The most that a helper ever had, with what is shared; of those that ended. */
static long
peak_memory(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return u.ru_maxrss * 1024;
}

int
main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct script_conf conf;
	struct job *jobs;
	size_t groups, n;
	uint64_t calls;
	double first, warm, seconds, own, before, helpers, stop[2];
	long memory, fresh;
	struct str source = STR("");
	struct buf text = { 0 };

	if (argc != 6)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	groups = strtoul(argv[1], NULL, 10);
	calls = strtoull(argv[2], NULL, 10);
	n = strtoul(argv[3], NULL, 10);
	script_conf_init(&conf);
	conf.jit = strcmp(argv[4], "jit") == 0;
	conf.queue = 1000000;
	conf.processes = (int64_t)groups;
	conf.timeout_ms = 10000;
	buf_addz(&text, codec);
	if (strcmp(argv[5], "once") == 0)
		buf_addz(&text, careful);
	source = buf_str(&text);
	b.loop = loop_new();
	b.pool = script_pool_new(b.loop, &conf, NULL);
	jobs = mem_array(n, sizeof(*jobs));
	for (size_t i = 0; i < n; i++) {
		struct job *j = &jobs[i];

		j->b = &b;
		snprintf(j->group, sizeof(j->group), "u%zu", i % groups);
		j->call.group = str_of(j->group);
		j->call.source = source;
		j->call.entry = SCRIPT_DECODE_UPLINK;
		j->call.arg = str_of(arg);
		j->call.done = on_done;
	}
	first = run(&b, jobs, 1, 1);
	fresh = helper_memory();
	warm = run(&b, jobs, n, calls / 2);
	own = cpu_s();
	before = helpers_cpu_s();
	seconds = run(&b, jobs, n, calls);
	own = cpu_s() - own;
	memory = helper_memory();
	helpers = helpers_cpu_s() - before;
	measure_stop(&b, &jobs[0], stop);
	run_hog(&b, &jobs[0]);
	script_pool_free(b.pool);
	printf("{\"calls\":%" PRIu64 ",\"failed\":%" PRIu64
	       ",\"seconds\":%.4f,\"warm_seconds\":%.4f,\"first_ms\":%.1f,"
	       "\"pool_us\":%.3f,\"helper_us\":%.3f,"
	       "\"fresh_bytes\":%ld,\"bytes\":%ld,"
	       "\"stopped_ms\":%.1f,\"next_ms\":%.1f,\"hog_bytes\":%ld}\n",
	    calls, b.failed, seconds, warm, first * 1000,
	    own / (double)calls * 1e6, helpers / (double)calls * 1e6, fresh,
	    memory, stop[0], stop[1], peak_memory());
	loop_turn(b.loop, 0);
	loop_free(b.loop);
	buf_free(&text);
	free(jobs);
	return b.failed > 0;
}
