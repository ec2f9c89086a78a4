/* Imports: a sheet that somebody has uploaded, from its first byte to its undoing.
 *
 *   reading ──► mapping ──► (judged) ──► ready ──► applying ──► applied ──► undone
 *      │           ▲  └── columns are known ─┘ ▲        ├──► held ──┘
 *      ▼           └── other columns ──────────┘        ▼
 *   failed                                           failed (nothing was changed, or it was undone)
 *
 * - Reading: amm-sheet parses the file (sheet/jail.h); rows come on a pipe, at most 64 KiB a unit,
 *   and are saved as they come.
 * - Judging: each row gets a verdict (change, new, same, check, bad) against the fleet as it is now
 *   and the rights of whoever asked; 500 rows a unit. Applying judges all of it again, first.
 * - Applying: each row is a unit of its own, 200 of them a commit. What is left to do stands in the
 *   rows themselves, so that a restart goes on where it was. What was there before is kept with the
 *   row, for undo (30 days): only where the value still is what the import wrote.
 * - A change of the tunnel port of a gateway that has a tunnel is a *move*, and moves go in stages:
 *   1, then 10, then 5 % at a time; the next stage when 95 % of those that were up are up again on
 *   the new port. Where too many do not come back within 10 min it holds and says so.
 *
 * Owner: the fleet thread. */
#pragma once

#include "manager/manager.h"
#include "manager/route.h"

extern const struct manager_module imports_module;
extern const struct route import_routes[];
extern const struct route export_routes[];

/* Instead of the module's `prepare`, for tests: amm-sheet of that path. */
bool imports_start_reader(const char *program, char *error, size_t room);
