#include "manager/first_start.h"

#include "manager/audit.h"
#include "manager/directory.h"
#include "manager/password.h"

#include <stdio.h>

#define FIRST_USER "admin"

static void print(struct manager *m, void *data)
{
    (void)m;
    printf("first start: log in as \"" FIRST_USER "\" with the one-time password\n"
           "    %s\n"
           "It is not shown again, and must be changed at the first login.\n",
           (const char *)data);
    fflush(stdout);
}

/* "admin" may be there without rights, or disabled: then it is taken again. */
static struct user *find_or_add(struct manager *m, const char *encoded)
{
    struct user *user = directory_user_by_login_name(m, FIRST_USER);
    int64_t id = user != NULL ? user->id : 0;
    if (user == NULL) {
        struct user_new what = {TENANT_MAIN, FIRST_USER, "Administrator", encoded, true};
        return directory_user_add(m, &what, &id) == AMM_STORE_OK ? directory_user(m->directory, id)
                                                                 : NULL;
    }
    bool ok = directory_user_password(m, user, encoded, true, 0) == AMM_STORE_OK &&
              directory_user_change(m, user, user->title, false) == AMM_STORE_OK;
    return ok ? user : NULL;
}

bool first_start(struct manager *m, char *error, size_t room)
{
    char password[PASSWORD_GENERATED], encoded[PASSWORD_ENCODED_MAX];
    int64_t id;
    if (directory_has_system_admin(m->directory)) {
        return true;
    }
    password_generate(&m->random, password);
    struct user *user =
        password_hash(password, &m->random, encoded) ? find_or_add(m, encoded) : NULL;
    struct access_binding everything = {ROLE_SYSTEM_ADMIN, 0, 0};
    struct audit_entry entry = {
        TENANT_MAIN, "server", "", "first start", FIRST_USER, "ok", "one-time password printed"};
    if (user == NULL || directory_binding_add(m, user, &everything, &id) != AMM_STORE_OK ||
        !audit_add(m, &entry)) {
        snprintf(error, room, "cannot make the first user: %s", amm_store_error(m->store));
        return false;
    }
    manager_after(m, print, password, sizeof password);
    amm_wipe(password, sizeof password);
    return true;
}
