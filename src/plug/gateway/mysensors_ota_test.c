/*
 * plug/gateway/mysensors_ota_test.c - firmware for nodes: a boot loader in the
 * test's hands takes an image, block by block, and checks its sum.
 */
#include "plug/gateway/test_mysensors.h"

#include "base/base.h"
#include "base/clock.h"
#include "codec/mysensors_firmware.h"

#include <stdio.h>
#include <string.h>

#define BYTES 300 /* of the program: three pages, 24 blocks */
#define BLOCKS 24

/* A program in Intel-HEX whose bytes count up from `first`. */
static void
make_program(struct buf *hex, unsigned first)
{
	buf_clear(hex);
	for (unsigned at = 0; at < BYTES;) {
		unsigned n = MIN_OF(BYTES - at, 16u),
			 sum = n + (at >> 8) + (at & 255);

		buf_addf(hex, ":%02X%04X00", n, at);
		for (unsigned i = 0; i < n; i++) {
			unsigned byte = (first + at + i) & 255;

			buf_addf(hex, "%02X", byte);
			sum += byte;
		}
		buf_addf(hex, "%02X\n", -sum & 255);
		at += n;
	}
	buf_addz(hex, ":00000001FF\n");
}

static unsigned char
byte_at(unsigned first, unsigned at)
{
	return at < BYTES ? (unsigned char)(first + at) : 0xff;
}

struct bench {
	struct fixture *x;
	struct buf hex;
};

static int
setup_bench(void **state)
{
	static struct bench b;

	b = (struct bench){ 0 };
	setup((void **)&b.x);
	make_program(&b.hex, 0);
	b.x->firmware = (struct gateway_firmware){ buf_str(&b.hex),
		STR("{\"ms_type_id\":\"10\",\"ms_version_id\":\"513\"}") };
	label(b.x, "7", "assigned_firmware", "relay");
	*state = &b;
	return 0;
}

static int
teardown_bench(void **state)
{
	struct bench *b = *state;

	teardown((void **)&b->x);
	buf_free(&b->hex);
	return 0;
}

/* --- the node ------------------------------------------------------------ */

#define CONFIG "7;255;4;0;0;01000100280261C40103"
#define ANSWER "7;255;4;0;1;"
#define BLOCK "7;255;4;0;3;"

/* What it is told to run. */
static void
ask_config(struct bench *b, uint16_t config[4])
{
	char text[100];

	say(b->x, CONFIG);
	next_line(b->x, text, sizeof(text));
	assert_memory_equal(text, ANSWER, sizeof(ANSWER) - 1);
	assert_int_equal(strlen(text), sizeof(ANSWER) - 1 + 16);
	assert_true(
	    mysensors_words(str_of(text + sizeof(ANSWER) - 1), config, 4));
}

static void
ask(struct bench *b, uint16_t type, uint16_t version, uint16_t block)
{
	struct buf line = { 0 };

	buf_addz(&line, "7;255;4;0;2;");
	mysensors_put_words(&line, (uint16_t[]){ type, version, block }, 3);
	say(b->x, buf_z(&line));
	buf_free(&line);
}

static void
take_block(struct bench *b, const uint16_t config[4], uint16_t block,
    unsigned char *image)
{
	struct buf bytes = { 0 };
	char text[100];
	uint16_t words[3];

	next_line(b->x, text, sizeof(text));
	assert_memory_equal(text, BLOCK, sizeof(BLOCK) - 1);
	assert_int_equal(strlen(text), sizeof(BLOCK) - 1 + 12 + 32);
	assert_true(
	    mysensors_words(str_of(text + sizeof(BLOCK) - 1), words, 3));
	assert_int_equal(words[0], config[0]);
	assert_int_equal(words[1], config[1]);
	assert_int_equal(words[2], block);
	assert_true(hex_decode(&bytes, str_of(text + sizeof(BLOCK) - 1 + 12)));
	memcpy(image + (size_t)block * MYSENSORS_BLOCK, bytes.ptr,
	    MYSENSORS_BLOCK);
	buf_free(&bytes);
}

static void
check_image(
    const uint16_t config[4], const unsigned char *image, unsigned first)
{
	size_t len = (size_t)config[2] * MYSENSORS_BLOCK;

	for (unsigned i = 0; i < len; i++)
		assert_int_equal(image[i], byte_at(first, i));
	assert_int_equal(mysensors_crc(image, len), config[3]);
}

static unsigned
count(const struct buf *b, const char *text)
{
	unsigned n = 0;

	for (const char *p = b->ptr; p != NULL && (p = strstr(p, text)) != NULL;
	     p++)
		n++;
	return n;
}

/* --- tests --------------------------------------------------------------- */

static void
an_image_is_taken_backwards_though_blocks_are_lost(void **state)
{
	struct bench *b = *state;
	unsigned char image[BLOCKS * MYSENSORS_BLOCK];
	uint16_t config[4];

	ask_config(b, config);
	assert_int_equal(config[0], 10);
	assert_int_equal(config[1], 513);
	assert_int_equal(config[2], BLOCKS);
	for (uint16_t i = BLOCKS; i-- > 0;) {
		ask(b, 10, 513, i);
		if (i % 5 == 3 || i == 0 || i == BLOCKS - 1)
			ask(b, 10, 513, i); /* the first was not heard */
		take_block(b, config, i, image);
		if (i % 5 == 3 || i == 0 || i == BLOCKS - 1)
			take_block(b, config, i, image);
	}
	check_image(config, image, 0);
	assert_int_equal(b->x->loads, 1);
	/* both ends and every tenth, each once */
	assert_int_equal(count(&b->x->noted, "\"ota_progress\""), 4);
	assert_int_equal(count(&b->x->noted, "\"ota_start_time\""), 1);
	assert_int_equal(count(&b->x->noted, "\"ota_end_time\""), 1);
	until_has(b->x, &b->x->noted,
	    "7|-|{\"ota_running\":true,\"ota_progress\":4,"
	    "\"ota_block_number\":23,\"ota_block_total\":24,"
	    "\"ota_status_on\":\"");
	until_has(b->x, &b->x->noted,
	    "{\"ota_running\":true,\"ota_progress\":41,"
	    "\"ota_block_number\":14,");
	until_has(b->x, &b->x->noted,
	    "{\"ota_running\":true,\"ota_progress\":83,"
	    "\"ota_block_number\":4,");
	until_has(b->x, &b->x->noted,
	    "{\"ota_running\":false,\"ota_progress\":100,"
	    "\"ota_block_number\":0,");
	until_has(b->x, &b->x->noted, "\"ota_time_taken\":\"");
}

static void
an_image_is_taken_forwards(void **state)
{
	struct bench *b = *state;
	unsigned char image[BLOCKS * MYSENSORS_BLOCK];
	uint16_t config[4];

	label(b->x, "7", "ota_block_order", "Forward");
	ask_config(b, config);
	for (int round = 1; round <= 2; round++) {
		for (uint16_t i = 0; i < BLOCKS; i++) {
			ask(b, 10, 513, i);
			take_block(b, config, i, image);
			clock_advance(1000);
		}
		check_image(config, image, 0);
		assert_int_equal(
		    count(&b->x->noted, "\"ota_progress\""), 4 * round);
		assert_int_equal(
		    count(&b->x->noted, "\"ota_start_time\""), round);
	}
	until_has(b->x, &b->x->noted,
	    "{\"ota_running\":true,\"ota_progress\":4,"
	    "\"ota_block_number\":0,");
	until_has(b->x, &b->x->noted,
	    "{\"ota_running\":false,\"ota_progress\":100,"
	    "\"ota_block_number\":23,");
	until_has(b->x, &b->x->noted, "\"ota_time_taken\":\"23");
}

static void
what_is_not_assigned_is_not_sent(void **state)
{
	static const uint16_t wrong[][3] = { { 11, 513, 0 }, { 10, 512, 0 },
		{ 10, 513, BLOCKS }, { 10, 513, 65535 } };
	static const char *const why[] = {
		"it asks for type 11 version 513, and is assigned type 10 "
		"version 513",
		"it asks for type 10 version 512, and is assigned type 10 "
		"version 513",
		"it asks for block 24 of 24",
		"it asks for block 65535 of 24",
	};
	struct bench *b = *state;
	unsigned char image[BLOCKS * MYSENSORS_BLOCK];
	struct gateway_state s;

	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		ask(b, wrong[i][0], wrong[i][1], wrong[i][2]);
		until_has(b->x, &b->x->noted, why[i]);
		expect_nothing(b->x);
	}
	ask(b, 10, 513, 3); /* without asking what to run */
	take_block(b, (uint16_t[4]){ 10, 513 }, 3, image);
	say(b->x, "7;255;4;0;2;0A000102");
	say(b->x, "7;255;4;0;2;0A000102030g");
	say(b->x, "7;255;4;0;0;0A00010203000000");
	say(b->x, "255;255;4;0;0;01000100280261C40103");
	expect_nothing(b->x);
	gateway_state(b->x->g, &s);
	assert_int_equal(s.bad, COUNT_OF(wrong) + 3);
}

static void
a_node_without_firmware_is_told_nothing(void **state)
{
	struct bench *b = *state;

	say(b->x, "8;255;4;0;0;01000100280261C40103");
	say(b->x, "8;255;4;0;2;010001000000");
	expect_nothing(b->x);
	assert_int_equal(b->x->loads, 0);
	b->x->refuse = true;
	say(b->x, CONFIG);
	until_has(
	    b->x, &b->x->noted, "7|-|{\"ota_error\":\"no firmware relay\"}");
	b->x->refuse = false;
	b->x->firmware.labels = STR("{\"ms_type_id\":\"10\"}");
	say(b->x, CONFIG);
	until_has(b->x, &b->x->noted,
	    "the firmware needs a label ms_version_id, a number from 0 to "
	    "65535");
	b->x->firmware.labels =
	    STR("{\"ms_type_id\":\"65536\",\"ms_version_id\":\"1\"}");
	say(b->x, CONFIG);
	until_has(b->x, &b->x->noted, "label ms_type_id, a number");
	b->x->firmware.labels =
	    STR("{\"ms_type_id\":\"1\",\"ms_version_id\":\"1\"}");
	b->x->firmware.image = STR(":020000000A0BE8\n");
	say(b->x, CONFIG);
	until_has(b->x, &b->x->noted, "line 1: the sum is E8 and not E9");
	expect_nothing(b->x);
}

static void
an_eeprom_is_erased_once(void **state)
{
	struct bench *b = *state;
	uint16_t config[4];

	assert_int_equal(gateway_act(b->x->g, STR("7"), STR("reset"), NULL), 0);
	expect(b->x, "7;255;3;0;13;");
	say(b->x, CONFIG);
	expect(b->x, ANSWER "0100000000007ADA");
	until_has(b->x, &b->x->noted, "7|{\"ms_erase_eeprom\":\"false\"}|-\n");
	ask_config(b, config);
	assert_int_equal(config[0], 10);
	/* also for one that has no firmware */
	label(b->x, "8", "ms_erase_eeprom", "true");
	say(b->x, "8;255;4;0;0;01000100280261C40103");
	expect(b->x, "8;255;4;0;1;0100000000007ADA");
}

static void
an_update_is_offered(void **state)
{
	struct bench *b = *state;
	char text[100];

	assert_int_equal(
	    gateway_act(b->x->g, STR("7"), STR("firmware_update"), NULL), 0);
	next_line(b->x, text, sizeof(text));
	assert_memory_equal(text, ANSWER "0A0001021800", 12 + 12);
	/* one who sleeps is told when it is awake */
	label(b->x, "7", "sleep_node", "true");
	assert_int_equal(
	    gateway_act(b->x->g, STR("7"), STR("firmware_update"), NULL), 0);
	for (int i = 0; i < 20; i++)
		turn(b->x); /* it is read and waits */
	expect_nothing(b->x);
	say(b->x, "7;255;3;0;32;500");
	next_line(b->x, text, sizeof(text));
	assert_memory_equal(text, ANSWER "0A0001021800", 12 + 12);
	/* but an answer does not wait */
	say(b->x, CONFIG);
	next_line(b->x, text, sizeof(text));
	assert_memory_equal(text, ANSWER "0A0001021800", 12 + 12);
}

static void
a_new_file_is_seen_by_who_asks_what_to_run(void **state)
{
	struct bench *b = *state;
	unsigned char image[BLOCKS * MYSENSORS_BLOCK];
	uint16_t first[4], second[4];

	ask_config(b, first);
	make_program(&b->hex, 100);
	b->x->firmware.image = buf_str(&b->hex);
	ask(b, 10, 513, 0);
	take_block(b, first, 0, image);
	assert_int_equal(image[0], 0); /* the old one, from memory */
	ask_config(b, second);
	assert_int_not_equal(first[3], second[3]);
	for (uint16_t i = 0; i < BLOCKS; i++) {
		ask(b, 10, 513, i);
		take_block(b, second, i, image);
	}
	check_image(second, image, 100);
	assert_int_equal(b->x->loads, 2);
}

static void
images_are_forgotten(void **state)
{
	struct bench *b = *state;
	unsigned char image[BLOCKS * MYSENSORS_BLOCK];
	uint16_t config[4];

	ask_config(b, config);
	for (int i = 0; i < 3; i++) { /* who is asked for is kept */
		clock_advance(14 * 60 * 1000);
		ask(b, 10, 513, 0);
		do { /* the time is up for a discovery, too */
			turn(b->x);
		} while (strstr(buf_z(&b->x->got), BLOCK) == NULL);
		buf_clear(&b->x->got);
	}
	assert_int_equal(b->x->loads, 1);
	clock_advance(16 * 60 * 1000);
	for (int i = 0; i < 5; i++)
		turn(b->x);
	buf_clear(&b->x->got);
	ask(b, 10, 513, 0);
	take_block(b, config, 0, image);
	assert_int_equal(b->x->loads, 2);
}

static void
a_transfer_that_stops_is_seen(void **state)
{
	struct bench *b = *state;
	unsigned char image[BLOCKS * MYSENSORS_BLOCK];
	uint16_t config[4];

	ask_config(b, config);
	ask(b, 10, 513, BLOCKS - 1);
	take_block(b, config, BLOCKS - 1, image);
	clock_advance(61 * 1000);
	expect_nothing(b->x);
	assert_int_equal(count(&b->x->noted, "has stopped"), 0);
	clock_advance(61 * 1000);
	until_has(b->x, &b->x->noted,
	    "7|-|{\"ota_running\":false,\"ota_error\":\"the node has stopped");
	/* it begins anew */
	ask(b, 10, 513, BLOCKS - 1);
	take_block(b, config, BLOCKS - 1, image);
	assert_int_equal(count(&b->x->noted, "\"ota_start_time\""), 2);
}

static void
two_nodes_share_an_image(void **state)
{
	struct bench *b = *state;
	char text[100];

	label(b->x, "8", "assigned_firmware", "relay");
	say(b->x, CONFIG);
	say(b->x, "8;255;4;0;0;01000100280261C40103");
	next_line(b->x, text, sizeof(text));
	assert_memory_equal(text, "7;255;4;0;1;0A0001021800", 24);
	next_line(b->x, text, sizeof(text));
	assert_memory_equal(text, "8;255;4;0;1;0A0001021800", 24);
}

static void
only_so_many_images_are_held(void **state)
{
	struct bench *b = *state;
	char text[100];

	label(b->x, "8", "assigned_firmware", "lamp");
	for (int held = 2; held >= 1; held--) {
		open_it(b->x,
		    held == 1 ? ",\"firmwareImages\":1"
			      : ",\"firmwareImages\":2");
		b->x->loads = 0;
		for (int i = 0; i < 4; i++) {
			say(b->x,
			    i % 2 == 0 ? "7;255;4;0;2;0A0001020000"
				       : "8;255;4;0;2;0A0001020000");
			next_line(b->x, text, sizeof(text));
			assert_memory_equal(text + 1, &BLOCK[1], 11);
		}
		assert_int_equal(b->x->loads, held == 1 ? 4 : 2);
	}
}

static void
a_gateway_may_be_closed_while_a_firmware_is_read(void **state)
{
	struct bench *b = *state;

	assert_int_equal(
	    gateway_act(b->x->g, STR("7"), STR("firmware_update"), NULL), 0);
	assert_int_equal(b->x->n_asked, 1);
	gateway_close(b->x->g);
	b->x->g = NULL;
	turn(b->x); /* it is given now */
	assert_int_equal(b->x->n_asked, 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, setup_bench, teardown_bench)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_image_is_taken_backwards_though_blocks_are_lost),
		TEST(an_image_is_taken_forwards),
		TEST(what_is_not_assigned_is_not_sent),
		TEST(a_node_without_firmware_is_told_nothing),
		TEST(an_eeprom_is_erased_once),
		TEST(an_update_is_offered),
		TEST(a_new_file_is_seen_by_who_asks_what_to_run),
		TEST(images_are_forgotten),
		TEST(a_transfer_that_stops_is_seen),
		TEST(two_nodes_share_an_image),
		TEST(only_so_many_images_are_held),
		TEST(a_gateway_may_be_closed_while_a_firmware_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
