/*
 * codec/relay.h - what agents of devices and the platform say to each other by
 * WebSocket: the relay protocol of Thymis.
 *
 * A text frame is {"inner":{"kind":...}}; which members each kind has is one
 * row of a table. A binary frame is the bytes of a tunnel, behind the 16 bytes
 * of its number: for who has said `supports_binary`, else they travel as
 * tcp_data in base64. `supports_eof` is ours: who says it understands
 * connection_eof, with which one side of a tunnel says that no more comes from
 * it, while the other may go on.
 */
#ifndef CODEC_RELAY_H
#define CODEC_RELAY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* What an agent answers that is asked to switch while it is at another one. */
#define RELAY_BUSY "another change is under way"

enum relay_kind {
	RELAY_UNKNOWN,
	/* agent to platform */
	RELAY_START,
	RELAY_CONNECT_OK,
	RELAY_CONNECT_ERROR,
	RELAY_RESET,
	RELAY_SWITCHED,
	RELAY_METRICS,
	RELAY_INTERFACES,
	/* platform to agent */
	RELAY_CONNECT,
	RELAY_CLOSE,
	RELAY_CONFIRMED,
	RELAY_ROTATE,
	RELAY_SECRETS,
	RELAY_SWITCH,
	RELAY_HOSTNAME,
	/* both ways */
	RELAY_KEEP_ALIVE,
	RELAY_DATA,
	RELAY_EOF,
	/* the leg of clients; begins with RELAY_CLIENT_START */
	RELAY_CLIENT_START,
	RELAY_START_OK,
	RELAY_ERROR,
	RELAY_KINDS,
};

/* What a kind does not have is null, 0 or false. */
struct relay_message {
	enum relay_kind kind;
	struct str kind_name;
	struct str token, public_key, deployed_config_id, last_error;
	struct str hardware_ids;       /* JSON object of texts */
	struct str network_interfaces; /* JSON list */
	struct str ip_addresses;       /* JSON list */
	int64_t ram_bytes;             /* FIELD_INT_NULL: not said */
	bool supports_binary, supports_eof;
	struct str connection_id, message, data_base64;
	struct str target_ip, protocol;
	int64_t target_port;
	struct str connection_target, secret;
	struct str task_id, configuration_id, config_commit;
	struct str new_path_to_config, out, err, error;
	bool is_activated, switch_success, success;
	struct str hostname;
	struct str secrets;      /* JSON object: id -> base64 of age */
	struct str secret_infos; /* JSON list */
	struct str timestamp;
	double cpu_percent, ram_percent, disk_percent;
};

/* Texts are lent from `text`, or lie in `a`. A kind that is not known is
 * RELAY_UNKNOWN; ERR_PROTO: it is no message. Which leg it came on decides what
 * "start" is. */
int relay_read(struct str text, bool of_client, struct arena *a,
    struct relay_message *ret, struct err *err);
/* Adds the text; members of other kinds are passed over. */
void relay_write(const struct relay_message *m, struct buf *out);

/* --- the numbers of tunnels ----------------------------------------------- */

#define RELAY_ID 16      /* bytes */
#define RELAY_ID_TEXT 36 /* as a UUID */

void relay_id_new(unsigned char id[RELAY_ID]);
void relay_id_text(
    const unsigned char id[RELAY_ID], char text[RELAY_ID_TEXT + 1]);
bool relay_id_read(struct str text, unsigned char id[RELAY_ID]);

#endif
