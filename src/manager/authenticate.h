/* The names that browser and server agree on. */
#pragma once

struct job;

/* "__Host-amm" over TLS; "amm" on plain loopback, where browsers do not take the former. */
const char *authenticate_cookie_name(const struct job *job);
