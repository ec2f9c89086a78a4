/* Inside the codec: field lines and what they say about the frame of a message; requests and
 * responses share it. */
#pragma once

#include "scan.h"

/* The lines from the first field to the empty line, which is taken too. */
enum amm_http_result http_fields_parse(struct http_scan *scan, struct amm_http_fields *fields);

/* What the Connection fields name. */
struct http_connection {
    bool close, keep_alive, upgrade;
    bool names; /* a field that frames or routes: never hop-by-hop */
};

struct http_connection http_connection(const struct amm_http_fields *fields);

/* True if a tab stands beside the value of a field that was parsed: a blank to the RFC; to others a
 * part of the value, which then is an unknown coding or host. */
bool http_has_tab_beside(struct amm_view value);

/* What Content-Length and Transfer-Encoding say. NO_BODY: neither is there. */
struct http_frame {
    enum amm_http_framing framing;
    uint64_t length;
};

enum amm_http_result http_frame(struct http_frame *frame, const struct http_scan *scan,
                                const struct amm_http_fields *fields);
