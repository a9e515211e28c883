/*
 * core/backup/points.c - the history of values, out of a backup.
 *
 * Series are found or made by their names and labels; a point takes the place
 * of one of the same time. So to do it again does no harm.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "codec/json.h"
#include "plug/metric/metric.h"

struct series {
	struct metric *metric;
	struct arena arena;
};

static int
read_labels(struct json *j, struct arena *a, struct metric_label **ret,
    size_t *n, struct err *err)
{
	struct metric_label *all = arena_array(a, 64, struct metric_label);

	*n = 0;
	if (json_object(j))
		while (json_member(j, &all[*n].name) &&
		    json_str(j, &all[*n].value))
			if (++*n == 64)
				return err_set(
				    err, ERR_PARAM, "metrics: too many labels");
	*ret = all;
	return 0;
}

static int
write_points(
    struct metric *m, const struct metric_point *p, size_t n, struct err *err)
{
	int rc = metric_write(m, p, n, NULL, err);

	if (rc == ERR_AGAIN) {
		rc = metric_flush(m, err);
		if (rc == 0)
			rc = metric_write(m, p, n, NULL, err);
	}
	return rc;
}

static int
read_points(
    struct json *j, struct metric *m, uint32_t id, bool text, struct err *err)
{
	struct metric_point block[BATCH_ROWS];
	size_t n = 0;
	int rc = 0;

	if (!json_array(j))
		return 0;
	while (rc == 0 && json_item(j)) {
		struct metric_point *p = &block[n];

		*p = (struct metric_point){ .series = id };
		if (!json_array(j) || !json_item(j) || !json_i64(j, &p->at) ||
		    !json_item(j) ||
		    !(text ? json_str(j, &p->text) : json_real(j, &p->value)) ||
		    json_item(j))
			return err_set(
			    err, ERR_PARAM, "metrics: a point is broken");
		if (++n == COUNT_OF(block)) {
			rc = write_points(m, block, n, err);
			n = 0;
		}
	}
	return rc == 0 && n > 0 ? write_points(m, block, n, err) : rc;
}

static int
add_series(void *ctx, struct str json, struct err *err)
{
	struct series *s = ctx;
	struct metric_label *labels = NULL;
	struct str key, name = STR_NULL;
	int64_t kind = 0;
	size_t n = 0;
	struct json j;
	uint32_t id;
	int rc = 0;

	arena_clear(&s->arena);
	json_open(&j, json, 0, &s->arena);
	if (json_object(&j))
		while (rc == 0 && json_member(&j, &key)) {
			if (str_eqz(key, "name"))
				json_str(&j, &name);
			else if (str_eqz(key, "kind"))
				json_i64(&j, &kind);
			else if (str_eqz(key, "labels"))
				rc = read_labels(
				    &j, &s->arena, &labels, &n, err);
			else if (!str_eqz(key, "points"))
				json_skip(&j);
			else { /* the last one */
				rc = metric_series(s->metric,
				    (enum metric_kind)kind, name, labels, n,
				    &id, err);
				if (rc == 0)
					rc = read_points(&j, s->metric, id,
					    kind == METRIC_TEXT, err);
			}
		}
	return rc == 0 && json_done(&j, err) != 0 ? ERR_PARAM : rc;
}

int
points_restore(struct unpack *u, struct err *err)
{
	struct series s = { .metric = u->backup->host.metric };
	int rc;

	if (s.metric == NULL)
		return 0;
	backup_step(u->backup, "history of values");
	rc = unpack_items(u, STR("metrics/series"), add_series, &s, err);
	if (rc == 0)
		rc = metric_flush(s.metric, err);
	arena_fini(&s.arena);
	return rc;
}
