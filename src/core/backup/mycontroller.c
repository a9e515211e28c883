/*
 * core/backup/mycontroller.c - backups of MyController, into a unit.
 */
#include "core/backup/private.h"

int
import(struct job *j, struct err *err)
{
	(void)j;
	return err_set(err, ERR_PARAM, "not yet");
}
