/* Every SQL statement of the server, by name: no other file holds SQL, but for the tables
 * (src/store/schema) and what a backend does for itself.
 *
 * A statement is one line of the file of its noun, statements/<noun>.def:
 *
 *   SQL(TENANT_ADD, "tti", "i", "INSERT INTO tenant (...) VALUES ($1, $2, $3) RETURNING id")
 *
 * name (AMM_SQL_TENANT_ADD in code), kinds of the parameters $1, $2, ..., kinds of the columns of
 * the answer, text. Kinds: i integer of 64 bits, t text (UTF-8), b bytes; in upper case it may be
 * NULL. All are prepared when the store is opened, so that one that does not fit the tables is
 * found by every test, and by the first start.
 *
 * Text: what SQLite and PostgreSQL both understand. $n parameters, each used in the order of its
 * number at first; RETURNING id for new rows; no other functions than COALESCE, COUNT, MAX, MIN,
 * SUM, LENGTH; ON CONFLICT (column) DO UPDATE SET x = excluded.x; lists by keyset (WHERE id > $1
 * ORDER BY id LIMIT $2), never OFFSET. Each condition on rows of a tenant names the tenant. */
#pragma once

enum amm_statement {
#define SQL(name, parameters, columns, text) AMM_SQL_##name,
#include "store/statements/all.def"
#undef SQL
    AMM_STATEMENT_COUNT,
};
