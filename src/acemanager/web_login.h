/* Logging in and out, and passwords. */
#pragma once

#include "web.h"

void web_login_show(struct web_call *call); /* GET /login */
void web_login_take(struct web_call *call); /* POST /login */
void web_login_hashed(struct web_call *call, const struct web_hasher_job *job);
void web_logout_take(struct web_call *call);  /* POST /logout */
void web_sessions_end(struct web_call *call); /* POST /sessions/end */

void web_password_show(struct web_call *call); /* GET /admin/password */
void web_password_take(struct web_call *call); /* POST /admin/password */
void web_password_hashed(struct web_call *call, const struct web_hasher_job *job);
