/*
 * plug/gateway/gateway.h - networks that we drive ourselves: MySensors,
 * Tasmota, ChirpStack, and others by scripts.
 *
 * A gateway is opened from its `provider`, a JSON object whose `type` names who
 * speaks the network's protocol and whose `protocol` says over what: a serial
 * line, TCP, MQTT, HTTP. It connects, and again when the link is lost. What it
 * hears is handed up as frames, raw as they came; what a frame says is read
 * later, when it has passed the router, and may be read again from the history.
 * Down it takes frames, too; who wants a field set has it written as one first.
 *
 *     link --> provider hears --> frame --> host.heard() ... router ...
 *                                              gateway_read() --> messages
 *     message --> gateway_write() --> frame ... router ... --> gateway_send()
 *
 * Promises, of every provider:
 *  (1) No function blocks: no DNS, no connection, no disk.
 *  (2) A lost or refused link is told by the state and tried again after
 *      `reconnectDelay`, then after growing waits up to sixteen times it.
 *  (3) A frame that gateway_send() took is answered once by its `done`, on the
 *      loop, never before gateway_send() has returned. Frames of one node
 *      leave in their order.
 *  (4) A node that sleeps gets its frames when it is awake; a newer one of the
 *      same slot takes the place of the older.
 *  (5) Nothing grows without a limit: frames that wait, per gateway and per
 *      sleeping node, their size, the message log.
 *  (6) What is heard wrongly is counted and passed over; it never ends a link.
 *  (7) Secrets of the provider are in no sentence and not in the log.
 *
 * A gateway belongs to one loop and is used on that loop's thread only. Two of
 * one provider share nothing.
 */
#ifndef PLUG_GATEWAY_GATEWAY_H
#define PLUG_GATEWAY_GATEWAY_H

#include "base/arena.h"
#include "base/conf.h"
#include "base/entity.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct gateway;

/* Settings of all gateways: the rows are for a section "hub.gateway". */
struct gateway_settings {
	int64_t queue;          /* frames that wait in one gateway, those for
				 * sleeping nodes too */
	int64_t heard;          /* frames handed up and not yet taken */
	int64_t devices;        /* that come to be by being heard; the host's */
	int64_t tests;          /* of connections at once; the host's */
	int64_t max_frame;      /* bytes of one, either way */
	int64_t filters;        /* of topics, of one MQTT link */
	int64_t sleeping;       /* frames kept for one sleeping node */
	int64_t sleeping_ms;    /* how long, when nobody says */
	int64_t connect_ms;     /* how long one attempt to connect may take */
	int64_t http_ms;        /* how long one HTTP request may take */
	int64_t http_size;      /* bytes of an HTTP answer */
	int64_t log_size;       /* bytes of a message log, when nobody says */
	struct str allow_ports; /* serial: "/dev/ttyUSB*, /dev/ttyACM0" */
	struct str allow_hosts; /* "a.example, *.b.example"; null: any */
	struct str ca_file;     /* PEM; null: what the system trusts */
};
extern const struct conf_field gateway_fields[];

/* --- frames and messages -------------------------------------------------- */

/* Bytes of the network's protocol, heard or to be sent. */
struct gateway_frame {
	struct str node;      /* the device's address as spoken; "": none */
	struct str data;      /* raw bytes */
	struct str extension; /* JSON object of what goes with them, such as
			       * the topic; null: nothing */
	struct str id; /* of one to be sent: the same when it is sent again;
			* null: not said */
};

/* What frames say. Names as MyController's messages have them. */
enum gateway_type {
	GATEWAY_SET,     /* values */
	GATEWAY_REQUEST, /* the node asks for values, or we ask it */
	GATEWAY_PRESENTATION,
	GATEWAY_ACTION,
	GATEWAY_SOFTWARE,  /* what is installed: a page of it, as `value`:
			    * {"page":0,"of":2,"modules":[{"type","name",
			    * "version"}]} */
	GATEWAY_OPERATION, /* how far the operation `key`, a frame's id, has
			    * come; `value`: {"status","reason",...} */
};
extern const char *const gateway_types[]; /* "set", ..., NULL ends */

struct gateway_payload {
	/* With a source: the field's id, or in a presentation "name". Without:
	 * "name", "battery_level", or what goes into the node's `others`. */
	struct str key;
	struct str value;             /* JSON; null: none */
	struct str metric_type, unit; /* null: not said */
	struct str labels, others;    /* JSON objects of texts; null: none */
};

#define GATEWAY_PAYLOADS_MAX 512

struct gateway_message {
	enum gateway_type type;
	struct str node;   /* "": the gateway itself */
	struct str source; /* "": the node itself */
	const struct gateway_payload *payloads;
	size_t n_payloads;
	struct str labels; /* of the node (no source) or source; null: none */
	bool is_ack;       /* it repeats what we have sent */
	bool is_decoded;   /* the network's own reading of the payload: not
			    * to be used where a profile's codec reads it */
	int64_t time;      /* TIME_NULL: when it was heard */
};

/* --- what it asks of the program around it -------------------------------- */

/* A frame handed up, the gateway's own. done() is called once on the loop,
 * perhaps from within heard() and perhaps when the gateway is closed: true when
 * what came of it is stored. False: it is handed up again after a wait. */
struct gateway_taken {
	void (*done)(struct gateway_taken *t, bool ok);
};

struct gateway_firmware {
	struct str image;  /* the file as it was uploaded */
	struct str labels; /* JSON object */
};
typedef void gateway_firmware_done(
    void *ctx, const struct gateway_firmware *fw, const struct err *err);

/* A script that runs elsewhere; `result` is JSON. */
typedef void gateway_script_done(
    void *ctx, struct str result, const struct err *err);

/* `token` not 0: its sender waits until host.taken() is called with it. */
typedef void gateway_heard(void *ctx, struct str topic, struct str payload,
    bool retained, uint64_t token);

struct gateway_host {
	void *ctx;
	struct loop *loop;
	const struct gateway_settings *settings; /* borrowed */
	const char *log_dir; /* where message logs go; NULL: there are none */

	/* A frame, lent for the call; `t` is the callee's until it is done. It
	 * must not close the gateway. */
	void (*heard)(
	    void *ctx, const struct gateway_frame *f, struct gateway_taken *t);
	/* The state has changed; may be NULL. It may call anything. */
	void (*changed)(void *ctx, struct gateway *g);

	/* Our own MQTT server, for `protocol` mqtt without `broker`. Topics and
	 * payloads are lent. `listen` returns a handle for `unlisten`; after
	 * that nothing more is heard, and what was not taken is to be sent
	 * again. A token that was given up is passed over. NULL: there is
	 * none. */
	int (*publish)(void *ctx, struct str topic, struct str payload,
	    uint8_t qos, bool retain, struct err *err);
	void *(*listen)(void *ctx, struct str filter, gateway_heard *heard,
	    void *heard_ctx, struct err *err);
	void (*unlisten)(void *ctx, void *handle);
	void (*taken)(void *ctx, uint64_t token);

	/* A label of a node, or of the gateway (`node` ""), in `a`; STR_NULL:
	 * there is none. */
	struct str (*label)(
	    void *ctx, struct arena *a, struct str node, const char *key);
	/* Merges JSON objects into a node's labels and others; either may be
	 * null. A node nobody knows: nothing. */
	void (*note)(
	    void *ctx, struct str node, struct str labels, struct str others);
	/* Is this a node's address already? */
	bool (*known)(void *ctx, struct str node);
	/* Reads a firmware and checks its sum; `done` comes later. */
	void (*firmware)(void *ctx, struct str id, gateway_firmware_done *done,
	    void *done_ctx);
	/* Runs a script with `vars`, a JSON object of its globals; `done` comes
	 * later, even when the gateway is closed. Negative: refused, `done`
	 * does not come. */
	int (*script)(void *ctx, struct str source, struct str vars,
	    gateway_script_done *done, void *done_ctx, struct err *err);
};

/* --- gateways ------------------------------------------------------------- */

/* Names of the providers there are, NULL ends. */
const char *const *gateway_providers(void);
/* The rows of a provider's spec and those of a protocol (secrets are marked),
 * for checking, forms and API. NULL: no such, or it has none. */
const struct record *gateway_provider_spec(const char *type);
const struct record *gateway_protocol_spec(const char *type);
/* The protocols that a provider speaks, NULL ends. */
const char *const *gateway_protocols(const char *provider);
const char *const *gateway_all_protocols(void);
/* What every provider's object has. */
extern const struct record gateway_head_record;

struct gateway_conf {
	const char *name;     /* its code, for logs and client ids */
	struct str provider;  /* JSON object, lent for the call */
	struct str logger;    /* `messageLogger`, JSON object or null */
	int64_t reconnect_ms; /* first wait */
	bool queue_failed;    /* what can not be sent waits as for a
			       * sleeping node */
	/* One attempt, to see whether it would come up: nothing is sent, what
	 * is heard is not read, heard() is never called; changed() is, at each
	 * stage. */
	bool trial;
	const char *echo; /* of a trial: what is sent to this topic is to come
			   * back. Lent for the call. NULL: it listens. */
};

/* Opens an idle gateway. Names of members are taken in any case, numbers and
 * texts for one another. ERR_PARAM: an unknown type, or the spec is wrong, says
 * which member; ERR_DENIED: a host that is not allowed. */
int gateway_open(const struct gateway_conf *conf,
    const struct gateway_host *host, struct gateway **ret, struct err *err);
/* Frames that wait are answered with ERR_CLOSED before it returns. NULL is
 * fine. */
void gateway_close(struct gateway *g);

/* Begins to connect, and keeps at it until gateway_stop(). Reading and writing
 * messages works in either state. */
void gateway_start(struct gateway *g);
/* Ends the link. Frames that wait go on waiting. */
void gateway_stop(struct gateway *g);

/* What a frame says. Zero-initialise, set `frame` and `done`. */
struct gateway_read {
	struct gateway_frame frame; /* lent until done */
	/* Called once, perhaps from within gateway_read(). `err` is lent: its
	 * code 0, or ERR_PARAM with why it can not be read. Messages are in
	 * `arena`, which the caller frees. May free the struct. */
	void (*done)(struct gateway_read *r, const struct err *err);
	const struct gateway_message *messages;
	size_t n_messages;
	struct arena arena;
};
void gateway_read(struct gateway *g, struct gateway_read *r);
/* True: what read() finds is only what goes with the payload; a profile's codec
 * reads `data`, unless that is empty, and both count. */
bool gateway_has_payload(const struct gateway *g);

/* The frame for a message to a node (GATEWAY_SET or GATEWAY_REQUEST with one
 * payload). ERR_PARAM: it can not be said. */
struct gateway_write {
	struct gateway_message message; /* lent until done */
	void (*done)(struct gateway_write *w, const struct err *err);
	/* In `arena`. Its extension has `slot` when a newer one of the same is
	 * to take its place. n_frames 0 with code 0: nothing is to be sent. */
	struct gateway_frame frame;
	size_t n_frames; /* 0 or 1 */
	struct arena arena;
};
void gateway_write(struct gateway *g, struct gateway_write *w);

enum gateway_outcome {
	GATEWAY_SENT, /* it left; with acknowledgement: the node has it */
	GATEWAY_FAILED,
	GATEWAY_REPLACED, /* a newer one took its place */
	GATEWAY_EXPIRED,
};
typedef void gateway_sent_done(
    void *ctx, enum gateway_outcome outcome, const struct err *err);
/* Sends a frame, copied. `asleep`: wait until the node is awake, for
 * `validity_ms` (0: the settings'). ERR_LIMIT: too many wait, or it is too
 * large; ERR_PARAM: not a frame of this protocol. Then `done` does not come. */
int gateway_send(struct gateway *g, const struct gateway_frame *f, bool asleep,
    int64_t validity_ms, gateway_sent_done *done, void *ctx, struct err *err);

/* Is there a frame with this id that is not answered yet? */
bool gateway_has(const struct gateway *g, struct str id);
/* Ends the frame with this id as GATEWAY_EXPIRED; what has left can not be
 * caught. False: there is none such. */
bool gateway_take_back(struct gateway *g, struct str id);

/* Does `action` on a node ("reboot", "heartbeat_request", "refresh_node_info",
 * "reset", "firmware_update") or, with "", on the gateway ("discover_nodes").
 * ERR_NOT_FOUND: this provider has no such action. */
int gateway_act(
    struct gateway *g, struct str node, struct str action, struct err *err);
/* The actions it has, NULL ends. */
const char *const *gateway_actions(const struct gateway *g);

/* Somebody has made a device of a node that was heard before. */
void gateway_claimed(struct gateway *g, struct str node);
/* Can its nodes be told to carry out operations? A frame is one, with
 * {"command":NAME} in its extension. */
bool gateway_has_operations(const struct gateway *g);

/* What waits for sleeping nodes, each copied to `each`. Clears those of `node`,
 * or all with "": they end as GATEWAY_EXPIRED. */
void gateway_sleeping(const struct gateway *g,
    void (*each)(
	void *ctx, const struct gateway_frame *f, int64_t since, int64_t until),
    void *ctx);
void gateway_sleeping_clear(struct gateway *g, struct str node);

enum gateway_status {
	GATEWAY_STOPPED,
	GATEWAY_STARTING,
	GATEWAY_UP,
	GATEWAY_DOWN, /* tried again later */
};

struct gateway_state {
	enum gateway_status status;
	int64_t since;  /* wall clock, ms */
	char text[240]; /* for people */
	uint64_t heard, taken, sent, failed, bad, dropped;
	uint32_t waiting;              /* to be sent */
	uint32_t sleeping;             /* for sleeping nodes */
	int64_t last_heard, last_sent; /* TIME_NULL: never */
};
void gateway_state(const struct gateway *g, struct gateway_state *ret);

/* How far the last attempt to connect has come. */
enum gateway_stage_end {
	GATEWAY_STAGE_RUNS,
	GATEWAY_STAGE_OK,
	GATEWAY_STAGE_FAILED,
};
struct gateway_stage {
	const char *name; /* "resolve", "connect", "tls", "signIn",
			   * "subscribe"; "port", "open"; "request"; of a
			   * trial "hear" or "echo"; else "link" */
	enum gateway_stage_end end;
	int64_t ms;     /* it took, so far */
	char text[160]; /* what was found, or what is wrong */
};
#define GATEWAY_STAGES_MAX 16
/* Into an array of that many; returns how many there are. */
size_t gateway_stages(const struct gateway *g, struct gateway_stage *ret);

#endif
