#include "web_login.h"
#include "web_view.h"

static void web_root(struct web_call *call)
{
    web_answer_redirect(call, "/status");
}

/* Every page and every form. What is not here does not exist. */
const struct web_route web_routes[] = {
    {"/", WEB_READS, WEB_VIEWER, web_root, false},
    {"/login", WEB_READS, WEB_NOBODY, web_login_show, false},
    {"/login", WEB_CHANGES, WEB_NOBODY, web_login_take, true},
    {"/logout", WEB_CHANGES, WEB_VIEWER, web_logout_take, false},
    {"/sessions/end", WEB_CHANGES, WEB_USER, web_sessions_end, false},
    {"/visitors/end", WEB_CHANGES, WEB_USER, web_visitors_end, false},

    {"/status", WEB_READS, WEB_VIEWER, web_status_show, false},
    {"/wan", WEB_READS, WEB_VIEWER, web_wan_show, false},
    {"/lan", WEB_READS, WEB_VIEWER, web_lan_show, false},
    {"/applications", WEB_READS, WEB_VIEWER, web_applications_show, false},
    {"/security", WEB_READS, WEB_VIEWER, web_settings_show, false},
    {"/security", WEB_CHANGES, WEB_USER, web_settings_take, false},
    {"/services/msci", WEB_READS, WEB_VIEWER, web_settings_show, false},
    {"/services/msci", WEB_CHANGES, WEB_USER, web_settings_take, false},
    {"/services/time", WEB_READS, WEB_VIEWER, web_settings_show, false},
    {"/services/time", WEB_CHANGES, WEB_USER, web_settings_take, false},

    {"/activate", WEB_CHANGES, WEB_USER, web_activate_take, false},
    {"/checkin", WEB_CHANGES, WEB_USER, web_checkin_take, false},
    {"/admin/visits", WEB_READS, WEB_VIEWER, web_visits_show, false},
    {"/admin/password", WEB_READS, WEB_USER, web_password_show, false},
    {"/admin/password", WEB_CHANGES, WEB_USER, web_password_take, false},
    {"/admin/diagnostics", WEB_READS, WEB_VIEWER, web_diagnostics_show, false},
    {"/admin/diagnostics/bundle", WEB_READS, WEB_USER, web_bundle_show, false},
    {"/admin/reboot", WEB_READS, WEB_USER, web_reboot_show, false},
    {"/admin/reboot", WEB_CHANGES, WEB_USER, web_reboot_take, false},
    {"/admin/reset", WEB_READS, WEB_USER, web_reset_show, false},
    {"/admin/reset", WEB_CHANGES, WEB_USER, web_reset_take, false},
};

const size_t web_routes_count = sizeof web_routes / sizeof *web_routes;

const struct web_route *web_route_find(struct amm_view path, enum web_change change)
{
    for (size_t i = 0; i < web_routes_count; i++) {
        if (web_routes[i].change == change &&
            amm_view_equal(path, amm_view_str(web_routes[i].path))) {
            return &web_routes[i];
        }
    }
    return NULL;
}
