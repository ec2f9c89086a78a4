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

/* For gateways: whom they trust. */
#define AMM_PKI_SERVER_CA "server-ca.crt"
#define AMM_PKI_SERVER_CRL "server-crl.pem"

/* Three issuing CAs, independent of one another: "server-ca", "gateway-ca" and "profile-ca", each
 * with a certificate (.crt) and a key (.key); the certificates of our own gateways in the folder
 * "gateways"; and the index of everything that was issued. */
#define AMM_PKI_GATEWAYS_FOLDER "gateways"
#define AMM_PKI_INDEX "index.txt"
