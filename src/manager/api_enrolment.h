/* Handlers of the enrolment; the rows are in api_enrolment.c. */
#pragma once

#include "manager/route.h"

struct job;

/* of gateways, on their listener */
void enrolment_time(struct job *job);
void enrolment_tunnel(struct job *job);
void enrolment_cacerts(struct job *job);
void enrolment_simpleenroll(struct job *job);
void enrolment_simplereenroll(struct job *job);

/* of people */
void enrolment_token_add(struct job *job);
void enrolment_token_list(struct job *job);
void enrolment_token_show(struct job *job);
void enrolment_token_remove(struct job *job);
bool enrolment_token_object(struct manager *m, int64_t id, struct access_object *out);
void enrolment_request_list(struct job *job);
void enrolment_request_approve(struct job *job);
void enrolment_request_refuse(struct job *job);
bool enrolment_request_object(struct manager *m, int64_t id, struct access_object *out);
void enrolment_gateway_certificates(struct job *job);
void enrolment_gateway_revoke(struct job *job);
void enrolment_gateway_replace(struct job *job);
void enrolment_gateway_connection_file(struct job *job);
void enrolment_authorities(struct job *job);
void enrolment_authority_gateways(struct job *job);
