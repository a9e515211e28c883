/*
 * codec/relay.c - see relay.h.
 */
#include "codec/relay.h"

#include "base/base.h"
#include "base/rand.h"
#include "codec/entity_json.h"

#include <string.h>

#define M struct relay_message
static const struct field fields[] = {
	F_TEXT(M, kind_name, "kind"),
	F_TEXT(M, token, "token"),
	F_TEXT(M, public_key, "public_key"),
	F_TEXT(M, deployed_config_id, "deployed_config_id"),
	F_TEXT(M, last_error, "last_error"),
	F_JSON(M, hardware_ids, "hardware_ids", .flags = FIELD_OBJECT),
	F_JSON(M, network_interfaces, "network_interfaces"),
	F_JSON(M, ip_addresses, "ip_addresses"),
	F_INT(M, ram_bytes, "ram_bytes"),
	F_BOOL(M, supports_binary, "supports_binary"),
	F_BOOL(M, supports_eof, "supports_eof"),
	F_TEXT(M, connection_id, "connection_id"),
	F_TEXT(M, message, "message"),
	F_TEXT(M, data_base64, "data_base64"),
	F_TEXT(M, target_ip, "target_ip"),
	F_TEXT(M, protocol, "protocol"),
	F_INT(M, target_port, "target_port"),
	F_TEXT(M, connection_target, "connection_target"),
	F_TEXT(M, secret, "secret", .flags = FIELD_SECRET),
	F_TEXT(M, task_id, "task_id"),
	F_TEXT(M, configuration_id, "configuration_id"),
	F_TEXT(M, config_commit, "config_commit"),
	F_TEXT(M, new_path_to_config, "new_path_to_config"),
	F_TEXT(M, out, "stdout"),
	F_TEXT(M, err, "stderr"),
	F_TEXT(M, error, "error"),
	F_BOOL(M, is_activated, "is_activated"),
	F_BOOL(M, switch_success, "switch_success"),
	F_BOOL(M, success, "success"),
	F_TEXT(M, hostname, "hostname"),
	F_JSON(M, secrets, "secrets", .flags = FIELD_OBJECT),
	F_JSON(M, secret_infos, "secret_infos"),
	F_TEXT(M, timestamp, "timestamp"),
	F_REAL(M, cpu_percent, "cpu_percent"),
	F_REAL(M, ram_percent, "ram_percent"),
	F_REAL(M, disk_percent, "disk_percent"),
	{ 0 },
};

static const struct record record = { "relayMessage",
	sizeof(struct relay_message), fields };

/* What each is called, and its members; '!' behind: must be there. */
static const struct {
	const char *kind, *members;
} kinds[RELAY_KINDS] = {
	[RELAY_START] = { "start",
	    "token! public_key! hardware_ids deployed_config_id ip_addresses "
	    "network_interfaces ram_bytes last_error supports_binary "
	    "supports_eof" },
	[RELAY_CONNECT_OK] = { "initiate_connection_ok", "connection_id!" },
	[RELAY_CONNECT_ERROR] = { "initiate_connection_error",
	    "connection_id! message" },
	[RELAY_RESET] = { "connection_reset", "connection_id! message" },
	[RELAY_SWITCHED] = { "switch_to_new_config_result",
	    "task_id! configuration_id config_commit is_activated "
	    "switch_success stdout stderr success error" },
	[RELAY_METRICS] = { "metrics",
	    "timestamp cpu_percent ram_percent disk_percent" },
	[RELAY_INTERFACES] = { "network_interfaces", "network_interfaces!" },
	[RELAY_CONNECT] = { "initiate_connection",
	    "connection_id! target_ip! target_port! protocol! supports_binary "
	    "supports_eof" },
	[RELAY_CLOSE] = { "connection_close", "connection_id! message" },
	[RELAY_CONFIRMED] = { "successfully_ssh_connected", "" },
	[RELAY_ROTATE] = { "update_public_key", "" },
	[RELAY_SECRETS] = { "send_secrets", "secrets! secret_infos!" },
	[RELAY_SWITCH] = { "switch_to_new_config",
	    "new_path_to_config! configuration_id! config_commit! task_id!" },
	[RELAY_HOSTNAME] = { "update_hostname", "hostname!" },
	[RELAY_KEEP_ALIVE] = { "keep_alive", "" },
	[RELAY_DATA] = { "tcp_data", "connection_id data_base64!" },
	[RELAY_EOF] = { "connection_eof", "connection_id" },
	[RELAY_CLIENT_START] = { "start",
	    "connection_target! target_ip! target_port! protocol! secret! "
	    "supports_binary supports_eof" },
	[RELAY_START_OK] = { "start_ok", "supports_binary supports_eof" },
	[RELAY_ERROR] = { "error", "message" },
};

static enum relay_kind
find(struct str name, bool of_client)
{
	for (int i = RELAY_UNKNOWN + 1; i < RELAY_KINDS; i++)
		if (str_eqz(name, kinds[i].kind))
			return i == RELAY_START && of_client
			    ? RELAY_CLIENT_START
			    : (enum relay_kind)i;
	return RELAY_UNKNOWN;
}

static int
read_inner(
    struct str inner, bool of_client, struct arena *a, M *ret, struct err *err)
{
	field_set_t present, required = 0;
	struct err why;
	struct json j;
	int rc;

	memset(ret, 0, sizeof(*ret));
	record_init(&record, ret);
	json_open(&j, inner, 0, a);
	rc = record_from_json(&j, &record, FIELD_ALL, 0, ret, &present, &why);
	if (rc == 0)
		rc = json_done(&j, &why);
	if (rc != 0)
		return err_set(err, ERR_PROTO, "%s", why.text);
	if (ret->kind_name.ptr == NULL)
		return err_set(err, ERR_PROTO, "it has no `kind`");
	ret->kind = find(ret->kind_name, of_client);
	if (ret->kind == RELAY_UNKNOWN)
		return 0;
	(void)field_bits(&record, kinds[ret->kind].members, &required);
	if ((present & required) != required)
		return err_set(err, ERR_PROTO, "%s: it needs %s",
		    kinds[ret->kind].kind, kinds[ret->kind].members);
	return 0;
}

int
relay_read(
    struct str text, bool of_client, struct arena *a, M *ret, struct err *err)
{
	struct str inner = json_find(a, text, STR("inner"));

	if (inner.ptr == NULL || json_type_of(inner) != JSON_OBJECT)
		return err_set(
		    err, ERR_PROTO, "it is no JSON object with `inner`");
	return read_inner(inner, of_client, a, ret, err);
}

void
relay_write(const M *m, struct buf *out)
{
	field_set_t which = field_bits(&record, kinds[m->kind].members, NULL);
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "inner");
	json_out_object(&o);
	json_out_key(&o, "kind");
	json_out_str(&o, str_of(kinds[m->kind].kind));
	record_members_to_json(&o, &record, which, m);
	json_out_end_object(&o);
	json_out_end_object(&o);
}

/* --- the numbers of tunnels ----------------------------------------------- */

void
relay_id_new(unsigned char id[RELAY_ID])
{
	rand_bytes(id, RELAY_ID);
	id[6] = (unsigned char)((id[6] & 0x0f) | 0x40);
	id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
}

static bool
has_dash_before(size_t i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

void
relay_id_text(const unsigned char id[RELAY_ID], char text[RELAY_ID_TEXT + 1])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < RELAY_ID; i++) {
		if (has_dash_before(i))
			*text++ = '-';
		*text++ = hex[id[i] >> 4];
		*text++ = hex[id[i] & 15];
	}
	*text = '\0';
}

bool
relay_id_read(struct str text, unsigned char id[RELAY_ID])
{
	struct buf hex = { 0 }, bytes = { 0 };
	bool good = text.len == RELAY_ID_TEXT;

	for (size_t i = 0; good && i < text.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		good = dash == (text.ptr[i] == '-');
		if (!dash)
			buf_addc(&hex, text.ptr[i]);
	}
	good =
	    good && hex_decode(&bytes, buf_str(&hex)) && bytes.len == RELAY_ID;
	if (good)
		memcpy(id, bytes.ptr, RELAY_ID);
	buf_free(&hex);
	buf_free(&bytes);
	return good;
}
