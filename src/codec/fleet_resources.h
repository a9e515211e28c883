/*
 * codec/fleet_resources.h - what a Linux machine is declared to have: the file
 * hosts/{configuration}/linux.json.
 *
 * {"hostName":"pi","timeZone":"Europe/Berlin",
 *  "repositories":[{"name","line","key"}],
 *  "packages":[{"name","version","state":"installed"}],
 *  "groups":[{"name","gid"}],
 *  "users":[{"name","uid","groups":[],"shell","home","comment",
 *	      "passwordSecret","authorizedKeys":[],"state":"present"}],
 *  "files":[{"path","text"|"artifact"|"secret","owner","group","mode"}],
 *  "services":[{"name","enabled":true,"running":true,"restartOn":[paths]}],
 *  "containers":[{"name","image","ports":[],"volumes":[],"environment":{},
 *		   "labels":{},"command":[]}],
 *  "checks":[{"argv":[],"timeout":30}]}
 *
 * Every list may be missing. Lists of several modules are joined; the same name
 * twice is a conflict unless both say the same. The order is that of names, so
 * that a text diff of two such files is readable.
 */
#ifndef CODEC_FLEET_RESOURCES_H
#define CODEC_FLEET_RESOURCES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct fleet_apt_repository {
	struct str name, line, key; /* "deb [..] url suite main"; armored key */
};

struct fleet_package {
	struct str name, version; /* null: any */
	struct str manager;       /* sm-plugin that installs it; null: apt */
	bool absent;
};

struct fleet_group {
	struct str name;
	int64_t gid; /* -1: the machine's choice */
};

struct fleet_user {
	struct str name, shell, home, comment; /* null: the machine's choice */
	struct str password_secret; /* id of a secret with a hash; or null */
	int64_t uid;
	struct strs groups, authorized_keys;
	bool has_keys; /* authorizedKeys is declared, perhaps empty */
	bool absent;
};

struct fleet_file {
	struct str path;                   /* absolute, without ".." */
	struct str text, artifact, secret; /* one of them; others null */
	struct str owner, group, mode;     /* null: root, root, 0644 */
};

struct fleet_service {
	struct str name; /* "nginx.service" */
	bool enabled, running;
	struct strs restart_on; /* paths: when one of them changes */
};

struct fleet_pair {
	struct str key, value;
};

struct fleet_container {
	struct str name, image;
	struct strs ports, volumes, command; /* "80:8080", "/a:/b" */
	struct fleet_pair *environment, *labels;
	size_t n_environment, n_labels;
};

struct fleet_check {
	struct strs argv;
	int64_t timeout_s;
};

struct fleet_resources {
	struct str host_name, time_zone; /* null: not declared */
	struct fleet_apt_repository *repositories;
	struct fleet_package *packages;
	struct fleet_group *groups;
	struct fleet_user *users;
	struct fleet_file *files;
	struct fleet_service *services;
	struct fleet_container *containers;
	struct fleet_check *checks;
	size_t n_repositories, n_packages, n_groups, n_users, n_files,
	    n_services, n_containers, n_checks;
};

/* ERR_PARAM: what is wrong, and where. Texts lie in `json` or `a`. */
int fleet_resources_read(struct str json, struct arena *a,
    struct fleet_resources *ret, struct err *err);
/* What read() takes; for those that are made otherwise. ERR_PARAM: as there. */
int fleet_resources_check(const struct fleet_resources *r, struct err *err);
/* In its own order, two spaces deep. */
void fleet_resources_write(const struct fleet_resources *r, struct buf *out);
/* One alone, without white space: what it is to be, as a text. */
void fleet_container_write(const struct fleet_container *c, struct buf *out);

#endif
