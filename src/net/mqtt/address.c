/*
 * net/mqtt/address.c - what each address has done within the last minute: too
 * many failed logins, or connections, and it is refused unheard.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_MS 60000
#define ADDRESSES_MAX 65536 /* remembered; the oldest is forgotten */

struct address_use {
	struct list link;
	uint8_t address[16];
	int64_t since_ms;
	uint32_t failures, connects;
};

static struct str
key_of(const uint8_t address[16])
{
	return (struct str){ (const char *)address, 16 };
}

void
mqtt_addresses_init(struct addresses *a)
{
	*a = (struct addresses){ 0 };
	list_init(&a->list);
}

static void
forget(struct addresses *a, struct address_use *u)
{
	(void)map_del(&a->map, key_of(u->address));
	list_del(&u->link);
	free(u);
}

void
mqtt_addresses_expire(struct addresses *a)
{
	int64_t limit = clock_mono() - WINDOW_MS;

	LIST_EACH (u, &a->list, struct address_use, link) {
		if (u->since_ms > limit)
			return;
		forget(a, u);
	}
}

void
mqtt_addresses_fini(struct addresses *a)
{
	LIST_EACH (u, &a->list, struct address_use, link)
		forget(a, u);
	map_fini(&a->map);
}

static struct address_use *
use_of(struct addresses *a, const uint8_t address[16])
{
	struct address_use *u;

	mqtt_addresses_expire(a);
	u = map_get(&a->map, key_of(address));
	if (u != NULL)
		return u;
	if (a->map.n >= ADDRESSES_MAX)
		forget(a, list_first(&a->list, struct address_use, link));
	u = mem_new(struct address_use);
	memcpy(u->address, address, 16);
	u->since_ms = clock_mono();
	list_add(&a->list, &u->link);
	(void)map_put(&a->map, key_of(u->address), u);
	return u;
}

bool
mqtt_address_connects(
    struct addresses *a, const uint8_t address[16], uint32_t max)
{
	struct address_use *u;

	if (max == 0)
		return true;
	u = use_of(a, address);
	if (u->connects >= max)
		return false;
	u->connects++;
	return true;
}

void
mqtt_address_fails(struct addresses *a, const uint8_t address[16])
{
	use_of(a, address)->failures++;
}

bool
mqtt_address_failed(
    struct addresses *a, const uint8_t address[16], uint32_t max)
{
	struct address_use *u;

	if (max == 0)
		return false;
	mqtt_addresses_expire(a);
	u = map_get(&a->map, key_of(address));
	return u != NULL && u->failures >= max;
}
