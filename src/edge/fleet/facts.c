/*
 * edge/fleet/facts.c - what machine this is: serial numbers, interfaces, load.
 */
#include "edge/fleet/private.h"

#include "base/base.h"
#include "base/file.h"
#include "codec/json.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <math.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define INTERFACES_MAX 64
#define ADDRESSES_MAX 512

struct str
read_line(struct arena *a, const char *path)
{
	struct buf b = { 0 };
	struct str ret = STR_NULL;

	if (file_read(path, &b, NULL) == 0) {
		/* those of the device tree end with a NUL */
		while (b.len > 0 && b.ptr[b.len - 1] == '\0')
			b.len--;
		ret = arena_str(a, str_trim(b.len > 0 ? buf_str(&b) : STR("")));
	}
	buf_free(&b);
	return ret;
}

const char *
kept_path(const struct fleet_conf *c, struct arena *a, const char *name)
{
	static const char *const ends[] = { "", ".new", ".old" };
	const char *const dirs[] = { c->boot_dir, c->data_dir };

	for (size_t d = 0; d < COUNT_OF(dirs); d++)
		for (size_t i = 0; dirs[d][0] != '\0' && i < COUNT_OF(ends);
		     i++) {
			const char *path =
			    arena_printf(a, "%s/%s%s", dirs[d], name, ends[i])
				.ptr;

			if (access(path, R_OK) == 0)
				return path;
		}
	return arena_printf(a, "%s/%s",
	    c->boot_dir[0] != '\0' ? c->boot_dir : c->data_dir, name)
	    .ptr;
}

void
facts_hardware(const struct fleet_conf *c, struct buf *out)
{
	static const struct {
		const char *kind, *path;
	} ids[] = {
		{ "pi-serial-number",
		    "/sys/firmware/devicetree/base/serial-number" },
		{ "dmi-board-serial", "/sys/class/dmi/id/board_serial" },
		{ "dmi-product-uuid", "/sys/class/dmi/id/product_uuid" },
	};
	struct arena a = { 0 };
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		struct str id = read_line(
		    &a, arena_printf(&a, "%s%s", c->root, ids[i].path).ptr);

		if (id.len == 0 || id.len > 128)
			continue;
		json_out_key(&o, ids[i].kind);
		json_out_str(&o, id);
	}
	json_out_end_object(&o);
	arena_fini(&a);
}

/* --- interfaces ----------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t
names_of(const struct ifaddrs *all, const char **names)
{
	size_t n = 0;

	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		bool known = (i->ifa_flags & IFF_LOOPBACK) != 0;

		for (size_t k = 0; k < n && !known; k++)
			known = strcmp(names[k], i->ifa_name) == 0;
		if (!known && n < INTERFACES_MAX)
			names[n++] = i->ifa_name;
	}
	qsort(names, n, sizeof(*names), by_name);
	return n;
}

static void
put_addresses(struct json_out *o, const struct ifaddrs *all, const char *name,
    int family, const char *key)
{
	size_t n = 0;

	json_out_key(o, key);
	json_out_array(o);
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		const void *at;
		char text[INET6_ADDRSTRLEN];

		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family ||
		    strcmp(i->ifa_name, name) != 0 || n++ >= ADDRESSES_MAX)
			continue;
		at = family == AF_INET
		    ? (const void *)&(
			  (const struct sockaddr_in *)(const void *)i->ifa_addr)
			  ->sin_addr
		    : (const void *)&(
			  (const struct sockaddr_in6 *)(const void *)
			      i->ifa_addr)
			  ->sin6_addr;
		if (inet_ntop(family, at, text, sizeof(text)) != NULL)
			json_out_str(o, str_of(text));
	}
	json_out_end_array(o);
}

static void
put_mac(struct json_out *o, const struct ifaddrs *all, const char *name)
{
	char text[18] = "";

	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		const struct sockaddr_ll *ll =
		    (const struct sockaddr_ll *)(const void *)i->ifa_addr;

		if (ll == NULL || ll->sll_family != AF_PACKET ||
		    ll->sll_halen != 6 || strcmp(i->ifa_name, name) != 0)
			continue;
		snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x",
		    ll->sll_addr[0], ll->sll_addr[1], ll->sll_addr[2],
		    ll->sll_addr[3], ll->sll_addr[4], ll->sll_addr[5]);
	}
	json_out_key(o, "mac_address");
	json_out_str(o, str_of(text));
}

void
facts_interfaces(struct buf *out)
{
	const char *names[INTERFACES_MAX];
	struct ifaddrs *all = NULL;
	struct json_out o;
	size_t n;

	json_out_init(&o, out, false);
	json_out_array(&o);
	if (getifaddrs(&all) == 0) {
		n = names_of(all, names);
		for (size_t i = 0; i < n; i++) {
			json_out_object(&o);
			json_out_key(&o, "interface");
			json_out_str(&o, str_of(names[i]));
			put_addresses(
			    &o, all, names[i], AF_INET, "ipv4_addresses");
			put_addresses(
			    &o, all, names[i], AF_INET6, "ipv6_addresses");
			put_mac(&o, all, names[i]);
			json_out_end_object(&o);
		}
		freeifaddrs(all);
	}
	json_out_end_array(&o);
}

/* --- memory and load ------------------------------------------------------ */

int64_t
facts_ram(void)
{
	return (int64_t)sysconf(_SC_PHYS_PAGES) *
	    (int64_t)sysconf(_SC_PAGESIZE);
}

/* "MemTotal:  1234 kB" */
static double
meminfo(struct str text, const char *key)
{
	const char *at = memmem(text.ptr, text.len, key, strlen(key));

	return at != NULL ? strtod(at + strlen(key), NULL) : NAN;
}

static double
cpu_load(struct fleet_agent *a, const char *text)
{
	unsigned long long t[8] = { 0 };
	uint64_t all = 0, idle;
	double load = NAN;

	if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0],
		&t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 5)
		return NAN;
	for (size_t i = 0; i < COUNT_OF(t); i++)
		all += t[i];
	idle = t[3] + t[4];
	if (a->cpu_all != 0 && all > a->cpu_all)
		load = 100.0 *
		    (1.0 -
			(double)(idle - a->cpu_idle) /
			    (double)(all - a->cpu_all));
	a->cpu_all = all;
	a->cpu_idle = idle;
	return load;
}

static double
clamp(double d)
{
	return isnan(d) ? d : d < 0 ? 0 : d > 100 ? 100 : d;
}

void
facts_load(struct fleet_agent *a, struct relay_message *m)
{
	struct buf b = { 0 };
	struct statvfs fs;

	m->cpu_percent = m->ram_percent = m->disk_percent = NAN;
	if (file_read("/proc/stat", &b, NULL) == 0)
		m->cpu_percent = clamp(cpu_load(a, buf_z(&b)));
	buf_clear(&b);
	if (file_read("/proc/meminfo", &b, NULL) == 0) {
		struct str text = { buf_z(&b), b.len };

		m->ram_percent = clamp(100.0 *
		    (1.0 -
			meminfo(text, "MemAvailable:") /
			    meminfo(text, "MemTotal:")));
	}
	buf_free(&b);
	if (statvfs("/", &fs) == 0 && fs.f_blocks > 0)
		m->disk_percent = clamp(
		    100.0 * (1.0 - (double)fs.f_bavail / (double)fs.f_blocks));
}
