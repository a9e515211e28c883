/*
 * codec/flake_ref.h - references to flakes, as Nix and Thymis write them:
 * `github:owner/repo/branch`, `git+https://host/path?ref=x`, `nixpkgs`.
 */
#ifndef CODEC_FLAKE_REF_H
#define CODEC_FLAKE_REF_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum flake_type {
	FLAKE_INDIRECT, /* a name of the registry */
	FLAKE_GIT,
	FLAKE_GITHUB,
	FLAKE_GITLAB,
	FLAKE_PATH,
	FLAKE_TARBALL,
};

struct flake_ref {
	enum flake_type type;
	/* null where there is none */
	struct str id;       /* of FLAKE_INDIRECT */
	struct str protocol; /* "https", "ssh", "file" */
	struct str url;      /* what stands behind "git+", without a query */
	struct str host, owner, repo;
	struct str ref, rev; /* a branch or tag; 40 hex digits */
	struct str path;     /* of FLAKE_PATH */
	struct str dir;      /* the folder in it that is the flake */
};

extern const char *const flake_type_names[]; /* by type */

/* Texts lie in `a`, or in `text`. ERR_PARAM: what is wrong. */
int flake_ref_read(
    struct str text, struct arena *a, struct flake_ref *ret, struct err *err);
/* Where its credentials are for, as in `access-tokens` of Nix, and what stands
 * there for `key`: "github.com=...", "host=PAT:...". Null: it needs none. In
 * `a`. */
struct str flake_ref_token(
    const struct flake_ref *r, struct str key, struct arena *a);

#endif
