/*
 * codec/go_template_tree.h - a template that has been read. Private to
 * codec/go_template*.c.
 *
 * Variables have no names any more: each is a slot, counted from the outermost
 * ($ itself is slot 0), because where one is visible is known from the text.
 */
#ifndef CODEC_GO_TEMPLATE_TREE_H
#define CODEC_GO_TEMPLATE_TREE_H

#include "codec/go_template_private.h"

#define GO_SLOTS_MAX 256
#define GO_DEPTH_MAX 200

struct pipe;

/* ".name" behind a value */
struct link {
	struct str name;
	struct link *next;
};

enum operand_kind {
	OPERAND_DOT,
	OPERAND_VALUE, /* a constant */
	OPERAND_NIL,
	OPERAND_SLOT,
	OPERAND_FUNC,
	OPERAND_PIPE,
};

struct operand {
	enum operand_kind kind;
	struct operand *next;
	struct val val;
	size_t slot;
	const struct go_func_row *func;
	struct pipe *pipe;
	struct link *links;
};

struct cmd {
	struct cmd *next;
	struct operand *first; /* what is called, or the value itself */
	size_t n_args;         /* behind it */
};

struct pipe {
	const char *at; /* in the text, for errors */
	struct cmd *cmds;
	size_t slots[2]; /* what it sets */
	size_t n_slots;
	bool declares;
};

enum node_kind {
	NODE_TEXT,
	NODE_PRINT,
	NODE_IF,
	NODE_WITH,
	NODE_RANGE,
	NODE_BREAK,
	NODE_CONTINUE,
};

struct node {
	enum node_kind kind;
	struct node *next;
	struct str text;
	struct pipe *pipe;
	struct node *body, *other;
};

/* Reads a template into `a`. ERR_PARAM: "line 3: ...". */
int go_template_parse(struct arena *a, struct str text, unsigned max_depth,
    struct node **ret, struct err *err);
/* Puts "line 3: " before the sentence; returns its code. */
int go_template_at(struct str text, const char *at, struct err *err);

#endif
