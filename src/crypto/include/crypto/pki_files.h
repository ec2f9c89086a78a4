/* The files of a PKI folder, as `ammctl pki init` makes it and amm-tunneld reads it (`pki = DIR`).
 */
#pragma once

/* For the tunnel server. */
#define AMM_PKI_CA "gateways-ca.crt" /* whom the server lets in: gateway-ca and profile-ca */
#define AMM_PKI_CRL "crl.pem"        /* the revocation lists of both */
#define AMM_PKI_SERVER "server.crt"
#define AMM_PKI_SERVER_KEY "server.key"
#define AMM_PKI_TLS_AUTH "tls-auth.key"
#define AMM_PKI_TLS_CRYPT "tls-crypt.key"
#define AMM_PKI_TLS_CRYPT_V2 "tls-crypt-v2.key" /* the server's */

/* For the manager: its listener for gateways. */
#define AMM_PKI_MANAGER "manager.crt"
#define AMM_PKI_MANAGER_KEY "manager.key"

/* For amm-cad, beside the keys of gateway-ca and profile-ca: the key that signs time. */
#define AMM_PKI_TIME "time.crt"
#define AMM_PKI_TIME_KEY "time.key"

/* For amm-proxyd: the key that signs operators in at gateways. */
#define AMM_PKI_REMOTE_KEY "remote-access.key"

/* For gateways: whom they trust. */
#define AMM_PKI_SERVER_CA "server-ca.crt"
#define AMM_PKI_SERVER_CRL "server-crl.pem"

/* Names in the certificates of the server's parts (GP-2, GP-11). */
#define AMM_PKI_SERVER_NAME "amm-server"
#define AMM_PKI_MANAGER_NAME "amm-manager"
#define AMM_PKI_TIME_NAME "amm-time"

/* Three issuing CAs, independent of one another: "server-ca", "gateway-ca" and "profile-ca", each
 * with a certificate (.crt) and a key (.key); a CA that was replaced and is still trusted has a
 * number, "gateway-ca-1"; the certificates of our own gateways in the folder "gateways"; and the
 * index of everything that was issued. */
#define AMM_PKI_GATEWAY_AUTHORITY "gateway-ca"
#define AMM_PKI_PROFILE_AUTHORITY "profile-ca"
enum { AMM_PKI_FORMER_MAX = 8 }; /* CAs that were replaced, of one kind */
#define AMM_PKI_GATEWAYS_FOLDER "gateways"
#define AMM_PKI_INDEX "index.txt"
