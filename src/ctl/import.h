/* What the files of `ammctl import` share. */
#pragma once

#include "request.h"

/* `import list|show|rows|apply|hold|resume|stop|undo|remove ...`; NULL: `name` is none of these. */
const struct ctl_command *ctl_import_find(const char *name);

/* The import as it is now (a new reference), or NULL after saying why. */
json_t *ctl_import_get(struct ctl_api *api, const char *id, enum ctl_exit *status);

/* Asks until nothing of it is under way but moves; shows the progress on a terminal. */
json_t *ctl_import_wait(struct ctl_api *api, const char *id, enum ctl_exit *status);

/* Applies it, waits, says what came of it. */
enum ctl_exit ctl_import_apply(const struct ctl *ctl, struct ctl_api *api, const char *id,
                               bool only_good, bool create);

/* State, counts, columns, places and the first rows that are refused. */
void ctl_import_print(struct ctl_api *api, const json_t *import);

/* The text of a member, "" if it has none. */
const char *ctl_import_text(const json_t *import, const char *name);

/* The finished text of a target. */
const char *ctl_import_target(struct ctl_target *target);
